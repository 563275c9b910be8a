// IPv6 and its extension headers (RFC 8200).
#include "sensor/packet/decoder.hpp"

namespace menshen::sensor {

namespace {

constexpr std::size_t header_bytes = 40;

enum Header : std::uint8_t {
  hop_by_hop = 0,
  routing = 43,
  fragment = 44,
  authentication = 51,
  none = 59,
  destination = 60,
  mobility = 135,
  hip = 139,
  shim6 = 140
};

bool is_extension(std::uint8_t header) noexcept {
  switch (header) {
    case hop_by_hop:
    case routing:
    case fragment:
    case authentication:
    case destination:
    case mobility:
    case hip:
    case shim6:
      return true;
    default:
      return false;
  }
}

}  // namespace

DecodeOutcome Decoder::ipv6() noexcept {
  if (reader_.remaining() < header_bytes) return Outcome::truncated;
  const bool oversized = reader_.remaining() > 0xffff;
  const std::uint8_t version = reader_.u8();
  reader_.skip(3);
  std::size_t length = reader_.be16();
  const std::uint8_t next = reader_.u8();
  reader_.skip(33);
  if (version >> 4U != 6) return refuse(Outcome::malformed, Anomaly::ipv6_wrong_ip_version);
  if (length == 0 && oversized) length = reader_.remaining();
  if (length > reader_.remaining()) return refuse(Outcome::truncated, Anomaly::ipv6_trunc_pkt);
  ++counters_.ipv6;
  packet_.ip_version = 6;
  return extensions(next, length);
}

DecodeOutcome Decoder::extensions(std::uint8_t next, std::size_t length) noexcept {
  ExtensionsSeen seen;
  for (std::size_t i = 0; i <= ipv6_extensions_max; ++i) {
    // A chain must lead to something.
    if (i != 0 && length < 2) return refuse(Outcome::malformed, Anomaly::ipv6_trunc_exthdr);
    if (!is_extension(next)) {
      if (next == none && length != 0) packet_.note(Anomaly::ipv6_data_after_none_header);
      return transport(static_cast<IpProto>(next), length);
    }
    if (length < 8) return refuse(Outcome::malformed, Anomaly::ipv6_trunc_exthdr);
    const std::uint8_t header = next;
    const bool repeated =
        (header == fragment && seen.fragment) || (header == hop_by_hop && seen.hop);
    count_extension(header, seen);
    next = reader_.u8();
    const std::uint8_t units = reader_.u8();
    const std::size_t bytes = header == fragment         ? 8U
                              : header == authentication ? (units + std::size_t{2}) * 4
                                                         : (units + std::size_t{1}) * 8;
    if (bytes > length || bytes < 8) return refuse(Outcome::malformed, Anomaly::ipv6_trunc_exthdr);
    if (header == fragment) {
      if (units != 0) packet_.note(Anomaly::ipv6_fh_non_zero_reserved_field);
      const Outcome part = fragment_header(next, length - bytes, repeated);
      if (packet_.fragment) return part;
    } else if (repeated) {
      reader_.skip(bytes - 2);
    } else {
      extension_options(header, reader_.take(bytes - 2));
    }
    length -= bytes;
  }
  return refuse(Outcome::malformed, Anomaly::too_many_layers);
}

// Destination options may stand twice: before the routing header and before the payload.
void Decoder::count_extension(std::uint8_t header, ExtensionsSeen& seen) noexcept {
  const auto once = [this](bool& flag, Anomaly repeated) {
    if (flag) packet_.note(repeated);
    flag = true;
  };
  switch (header) {
    case hop_by_hop:
      return once(seen.hop, Anomaly::ipv6_exthdr_dupl_hh);
    case routing:
      return once(seen.routing, Anomaly::ipv6_exthdr_dupl_rh);
    case authentication:
      return once(seen.authentication, Anomaly::ipv6_exthdr_dupl_ah);
    case fragment:
      return once(seen.fragment, Anomaly::ipv6_exthdr_dupl_fh);
    case destination:
      if (seen.destination_first) {
        once(seen.destination_last, Anomaly::ipv6_exthdr_dupl_dh);
      }
      seen.destination_first = true;
      return;
    default:
      return;
  }
}

// `options`: the header without its first two octets.
void Decoder::extension_options(std::uint8_t header, Bytes options) noexcept {
  if (header == routing) {
    if (options[0] == std::byte{0}) packet_.note(Anomaly::ipv6_rh_type_0);
    return;
  }
  if (header == authentication) {
    if (options[0] != std::byte{0} || options[1] != std::byte{0}) {
      packet_.note(Anomaly::ipv6_exthdr_ah_res_not_null);
    }
    return;
  }
  if (header != hop_by_hop && header != destination) return;
  const bool hop = header == hop_by_hop;
  bool only_padding = true;
  ByteReader reader(options);
  while (!reader.empty()) {
    const std::uint8_t kind = reader.u8();
    if (kind == 0) continue;  // Pad1
    const std::uint8_t length = reader.u8();
    reader.skip(length);
    if (!reader.ok()) {
      packet_.note(Anomaly::ipv6_exthdr_invalid_optlen);
      break;
    }
    if (kind == 1) {  // PadN
      if (length == 0) packet_.note(Anomaly::ipv6_zero_len_padn);
      continue;
    }
    only_padding = false;
    const bool jumbo = kind == 0xc2;
    const bool alert = kind == 0x05;
    const bool home = kind == 0xc9;
    const std::size_t wanted = jumbo ? 4 : alert ? 2 : home ? 16 : length;
    if (length < wanted) packet_.note(Anomaly::ipv6_exthdr_invalid_optlen);
    if (!jumbo && !alert && !home) {
      packet_.note(hop ? Anomaly::ipv6_hopopts_unknown_opt : Anomaly::ipv6_dstopts_unknown_opt);
    }
  }
  if (only_padding) {
    packet_.note(hop ? Anomaly::ipv6_hopopts_only_padding : Anomaly::ipv6_dstopts_only_padding);
  }
}

// `length`: bytes behind the fragment header. An atomic fragment (RFC 6946) is a whole datagram.
DecodeOutcome Decoder::fragment_header(std::uint8_t next, std::size_t length,
                                       bool repeated) noexcept {
  const std::uint16_t place = reader_.be16();
  reader_.skip(4);
  const bool more = (place & 1U) != 0;
  if ((place & 0xfff9U) == 0) {
    packet_.note(Anomaly::ipv6_exthdr_useless_fh);
    return Outcome::ok;
  }
  if (repeated) return Outcome::ok;
  if (more && length % 8 != 0) packet_.note(Anomaly::ipv6_frag_invalid_length);
  packet_.fragment = true;
  return transport(static_cast<IpProto>(next), length);
}

}  // namespace menshen::sensor
