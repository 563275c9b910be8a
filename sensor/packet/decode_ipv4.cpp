// IPv4 (RFC 791).
#include "sensor/packet/checksum.hpp"
#include "sensor/packet/decoder.hpp"

namespace menshen::sensor {

namespace {

constexpr std::size_t header_bytes_min = 20;

enum Option : std::uint8_t {
  end_of_list = 0,
  no_operation = 1,
  record_route = 7,
  quick_start = 25,
  timestamp = 68,
  security = 130,
  loose_route = 131,
  extended_security = 133,
  commercial_security = 134,
  stream_id = 136,
  strict_route = 137,
  router_alert = 148
};

// Routes hold whole addresses behind a pointer that counts from 1 and begins at 4.
bool route_sound(Bytes value) noexcept {
  if (value.empty()) return false;
  const auto pointer = std::to_integer<unsigned>(value[0]);
  const std::size_t length = value.size() + 2;
  return pointer >= 4 && pointer % 4 == 0 && pointer <= length + 1 && (length - 3) % 4 == 0;
}

bool timestamp_sound(Bytes value) noexcept {
  if (value.size() < 2) return false;
  const auto pointer = std::to_integer<unsigned>(value[0]);
  const auto flag = std::to_integer<unsigned>(value[1]) & 0x0fU;
  const std::size_t length = value.size() + 2;
  if (pointer < 5 || pointer > length + 1) return false;
  const unsigned record = flag == 0 ? 4 : 8;
  return (flag == 0 || flag == 1 || flag == 3) && (pointer - 5) % record == 0;
}

// What the option's own definition asks of its length and value.
Anomaly judge(std::uint8_t kind, Bytes value) noexcept {
  const auto sized = [&](std::size_t wanted) {
    return value.size() + 2 == wanted ? Anomaly::count : Anomaly::ipv4_opt_invalid_len;
  };
  switch (kind) {
    case record_route:
    case loose_route:
    case strict_route:
      if (value.empty()) return Anomaly::ipv4_opt_invalid_len;
      return route_sound(value) ? Anomaly::count : Anomaly::ipv4_opt_malformed;
    case timestamp:
      if (value.size() < 2) return Anomaly::ipv4_opt_invalid_len;
      return timestamp_sound(value) ? Anomaly::count : Anomaly::ipv4_opt_malformed;
    case quick_start:
      return sized(8);
    case security:
      return sized(11);
    case stream_id:
    case router_alert:
      return sized(4);
    case extended_security:
    case commercial_security:
      return Anomaly::count;
    default:
      return Anomaly::ipv4_opt_unknown;
  }
}

}  // namespace

bool Decoder::ipv4_header_sound(std::size_t available, std::size_t header, std::size_t total,
                                unsigned version) noexcept {
  if (version != 4) {
    packet_.note(Anomaly::ipv4_wrong_ip_version);
  } else if (header < header_bytes_min) {
    packet_.note(Anomaly::ipv4_hlen_too_small);
  } else if (total < header) {
    packet_.note(Anomaly::ipv4_iplen_smaller_than_hlen);
  } else if (total > available) {
    packet_.note(Anomaly::ipv4_trunc_pkt);
  } else {
    return true;
  }
  return false;
}

DecodeOutcome Decoder::ipv4() noexcept {
  const std::size_t available = reader_.remaining();
  if (available < header_bytes_min) {
    return refuse(Outcome::truncated, Anomaly::ipv4_pkt_too_small);
  }
  const std::uint8_t first = reader_.u8();
  reader_.skip(1);
  std::size_t total = reader_.be16();
  reader_.skip(2);
  const std::uint16_t fragment = reader_.be16();
  reader_.skip(1);
  const auto proto = static_cast<IpProto>(reader_.u8());
  const std::size_t header = (first & 0x0fU) * std::size_t{4};
  // A kernel super-frame beyond 64 kB has no room for its length in the header.
  if (total == 0 && available > 0xffff) total = available;
  if (!ipv4_header_sound(available, header, total, first >> 4U)) {
    const bool cut = first >> 4U == 4 && header >= header_bytes_min && total > available;
    return cut ? Outcome::truncated : Outcome::malformed;
  }
  const Bytes whole = packet_.frame().subspan(packet_.network_offset, header);
  if (verifies() && !checksum_ok(whole)) {
    return refuse(Outcome::checksum, Anomaly::ipv4_checksum);
  }
  ++counters_.ipv4;
  packet_.ip_version = 4;
  packet_.fragment = (fragment & 0x3fffU) != 0;
  if (header > header_bytes_min && !ipv4_options(whole.subspan(header_bytes_min))) {
    return Outcome::malformed;
  }
  reader_.seek(packet_.network_offset + header);
  return transport(proto, total - header);
}

// False: their lengths are wrong, so every receiver refuses the packet (RFC 1812 4.2.2.6).
bool Decoder::ipv4_options(Bytes options) noexcept {
  if (options.size() % 8 != 0) packet_.note(Anomaly::ipv4_opt_pad_required);
  std::array<std::uint64_t, 4> seen{};
  ByteReader reader(options);
  while (!reader.empty()) {
    const std::uint8_t kind = reader.u8();
    if (kind == end_of_list) break;
    if (kind == no_operation) continue;
    if (reader.empty()) {
      packet_.note(Anomaly::ipv4_opt_eol_required);
      break;
    }
    const std::uint8_t length = reader.u8();
    if (length < 2 || length - 2U > reader.remaining()) {
      packet_.note(Anomaly::ipv4_opt_invalid_len);
      return false;
    }
    const Bytes value = reader.take(length - 2U);
    std::uint64_t& word = seen[kind / 64U];
    const std::uint64_t bit = std::uint64_t{1} << (kind % 64U);
    if ((word & bit) != 0) {
      packet_.note(Anomaly::ipv4_opt_duplicate);
    } else if (const Anomaly wrong = judge(kind, value); wrong != Anomaly::count) {
      packet_.note(wrong);
    }
    word |= bit;
  }
  return true;
}

}  // namespace menshen::sensor
