// Google's QUIC before the IETF's: versions Q039 to Q046, whose first packets carry a hello of tags
// in the clear.
//
// Cost: linear in the datagram. Views point into it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_reader.hpp"

namespace menshen::sensor {

struct GoogleQuicPacket {
  std::uint32_t version = 0;           // "Q046" as a number
  std::vector<std::string_view> tags;  // of a client's hello, without the zero bytes behind them
  std::optional<std::string_view> server_name;
  std::optional<std::string_view> user_agent;
};

[[nodiscard]] bool is_google_quic_version(std::uint32_t version) noexcept;
// Nothing where it is no packet that states one of these versions.
[[nodiscard]] std::optional<GoogleQuicPacket> read_google_quic(Bytes datagram);
// CYU: "46,PAD-SNI-VER".
[[nodiscard]] std::string google_quic_fingerprint(const GoogleQuicPacket& hello);
// A version's four bytes as text: "Q046".
[[nodiscard]] std::string quic_version_text(std::uint32_t version);

}  // namespace menshen::sensor
