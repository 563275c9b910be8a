// For tests of parsers: messages made by hand.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "sensor/proto/test_stage.hpp"

namespace menshen::sensor::testing {

// "0a 1b": blanks are for reading.
inline std::string unhex(std::string_view text) {
  std::string bytes;
  int high = -1;
  for (const char c : text) {
    if (c == ' ' || c == '\n') continue;
    const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
    if (high < 0) {
      high = digit;
    } else {
      bytes += static_cast<char>(high * 16 + digit);
      high = -1;
    }
  }
  return bytes;
}
inline std::string be16(std::size_t value) {
  return {static_cast<char>(value >> 8U), static_cast<char>(value & 0xffU)};
}
inline std::string be32(std::size_t value) { return be16(value >> 16U) + be16(value & 0xffffU); }
inline std::string le16(std::size_t value) {
  return {static_cast<char>(value & 0xffU), static_cast<char>(value >> 8U)};
}
// A text behind two bytes of its length.
inline std::string text16(std::string_view text) { return be16(text.size()) + std::string(text); }
// ASN.1: tag, length, content.
inline std::string tlv(unsigned char tag, std::string_view content) {
  std::string text(1, static_cast<char>(tag));
  if (content.size() < 128) {
    text += static_cast<char>(content.size());
  } else {
    text += '\x82' + be16(content.size());
  }
  return text + std::string(content);
}

inline nlohmann::json eve(const Told& told) { return nlohmann::json::parse(told.eve); }

// A stage whose flow uses this port.
struct DatagramStage : Stage {
  explicit DatagramStage(std::uint16_t port = 8000) {
    flow.tuple.proto = IpProto::udp;
    flow.tuple.dport = port;
  }
};
struct StreamStage : Stage {
  explicit StreamStage(std::uint16_t port = 8000) { flow.tuple.dport = port; }
};

}  // namespace menshen::sensor::testing
