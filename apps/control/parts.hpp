// Long control messages cut into parts that fit one message of base/channel.hpp.
//
// A part is an 8-byte header and bytes: 'M' 'C', version (1), flags (bit 0: more parts follow), the
// whole message's length (32 bits, big endian, the same in every part).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/channel.hpp"
#include "base/result.hpp"

namespace menshen::apps {

inline constexpr unsigned char control_parts_version = 1;
inline constexpr std::size_t control_part_header_bytes = 8;
inline constexpr std::size_t control_part_bytes_max = message_bytes_max - control_part_header_bytes;
// The longest message, over all its parts. A policy of 10,000 domains is about a tenth of it.
inline constexpr std::size_t control_message_bytes_max = 64U << 20U;

// ErrorCode::limit beyond control_message_bytes_max. An empty message is one part.
[[nodiscard]] Result<std::vector<std::string>> split_parts(std::string_view message);

// Puts one peer's parts together again. Memory grows with the bytes that came, never with what a
// header claims.
class PartAssembler {
 public:
  explicit PartAssembler(std::size_t bytes_max = control_message_bytes_max)
      : bytes_max_(bytes_max) {}

  // The whole message with its last part, nothing before. ErrorCode::invalid for a part that breaks
  // the format, ErrorCode::limit for a message beyond bytes_max; the peer should then be cut off.
  [[nodiscard]] Result<std::optional<std::string>> add(std::string_view part);

 private:
  std::size_t bytes_max_;
  std::size_t expected_ = 0;
  bool started_ = false;
  std::string message_;
};

}  // namespace menshen::apps
