// The inside of decode(): one packet's headers, layer by layer. Used by decode*.cpp only.
#pragma once

#include <optional>

#include "base/byte_reader.hpp"
#include "sensor/packet/decode.hpp"

namespace menshen::sensor {

enum class DecodeOutcome : std::uint8_t { ok, not_ip, truncated, malformed, checksum };

class Decoder {
 public:
  Decoder(PacketMeta& packet, const DecodeOptions& options, DecodeCounters& counters) noexcept
      : packet_(packet), options_(options), counters_(counters), reader_(packet.frame()) {}

  DecodeOutcome run() noexcept;

 private:
  using Outcome = DecodeOutcome;
  // The EtherType of what follows; nothing: outcome_ says how it ended.
  using Next = std::optional<std::uint16_t>;

  // decode.cpp: down to the network header
  Next link() noexcept;
  Next ethernet() noexcept;
  Next after(std::uint16_t type) noexcept;
  Next vlan() noexcept;
  Next service_tag() noexcept;
  Next vn_tag() noexcept;
  Next e_tag() noexcept;
  Next fabric_path() noexcept;
  Next service_function() noexcept;
  Next mpls() noexcept;
  Next mpls_payload(std::uint32_t label) noexcept;
  Next pppoe_session() noexcept;
  Next pppoe_discovery() noexcept;
  Next ppp() noexcept;
  Next ppp_payload(std::uint16_t protocol) noexcept;
  Next loopback() noexcept;
  Next cooked() noexcept;
  Next cooked2() noexcept;
  Next hdlc() noexcept;
  Next raw() noexcept;
  Next unknown_type(std::uint16_t type) noexcept;

  // decode_ipv4.cpp
  Outcome ipv4() noexcept;
  bool ipv4_header_sound(std::size_t available, std::size_t header, std::size_t total,
                         unsigned version) noexcept;
  bool ipv4_options(Bytes options) noexcept;

  // decode_ipv6.cpp
  struct ExtensionsSeen {
    bool hop = false, routing = false, destination_first = false, destination_last = false;
    bool authentication = false, fragment = false;
  };
  Outcome ipv6() noexcept;
  Outcome extensions(std::uint8_t next, std::size_t length) noexcept;
  void count_extension(std::uint8_t header, ExtensionsSeen& seen) noexcept;
  void extension_options(std::uint8_t header, Bytes options) noexcept;
  Outcome fragment_header(std::uint8_t next, std::size_t length, bool repeated) noexcept;

  // decode_transport.cpp
  Outcome transport(IpProto proto, std::size_t length) noexcept;
  Outcome tcp(std::size_t length) noexcept;
  void tcp_options(Bytes options) noexcept;
  Outcome udp(std::size_t length) noexcept;
  Outcome icmp(std::size_t length) noexcept;
  Outcome icmpv6(std::size_t length) noexcept;
  Outcome sctp(std::size_t length) noexcept;
  void embedded_ip(Bytes datagram, unsigned version, Anomaly truncated, Anomaly unknown) noexcept;
  Outcome finish(std::size_t header, std::size_t length, bool has_checksum = true) noexcept;

  [[nodiscard]] Next end(Outcome outcome) noexcept {
    outcome_ = outcome;
    return std::nullopt;
  }
  [[nodiscard]] Next end(Outcome outcome, Anomaly anomaly) noexcept {
    packet_.note(anomaly);
    return end(outcome);
  }
  Outcome refuse(Outcome outcome, Anomaly anomaly) noexcept {
    packet_.note(anomaly);
    return outcome;
  }
  [[nodiscard]] std::uint16_t here() const noexcept {
    return static_cast<std::uint16_t>(reader_.position());
  }
  [[nodiscard]] bool verifies() const noexcept {
    return options_.checksums == ChecksumMode::verify && !packet_.checksum_trusted;
  }

  PacketMeta& packet_;
  const DecodeOptions& options_;
  DecodeCounters& counters_;
  ByteReader reader_;
  Outcome outcome_ = Outcome::not_ip;
  Anomaly unknown_ = Anomaly::ethernet_unknown_ethertype;  // of the layer whose type field is next
};

}  // namespace menshen::sensor
