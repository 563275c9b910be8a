// A run of frames, each behind its length (two octets): decoded, tunnels opened, fragments put
// together, down to the limit. The first octet chooses the overlap policy and the checksum mode.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "sensor/packet/decode.hpp"
#include "sensor/packet/defrag.hpp"
#include "sensor/packet/tunnel.hpp"

namespace {

using namespace menshen;          // NOLINT(google-build-using-namespace): the whole program
using namespace menshen::sensor;  // NOLINT(google-build-using-namespace)

struct Target {
  explicit Target(std::uint8_t choice) {
    DefragOptions options;
    options.hosts = HostPolicies::all(static_cast<HostPolicy>(choice % host_policy_count));
    options.datagrams_max = 8;
    options.pages_max = 256;
    options.source_pages_max = 64;
    options.refuse_overlaps = (choice & 0x40U) != 0;
    defrag = std::make_unique<Defragmenter>(options);
    decoding.checksums = (choice & 0x80U) != 0 ? ChecksumMode::verify : ChecksumMode::ignore;
  }

  void look(PacketMeta& packet, std::size_t depth, std::uint64_t tenant) {
    decode(packet, decoding, counters);
    const std::size_t end = std::size_t{packet.payload_offset} + packet.payload_length;
    if (!packet.dropped() && end > packet.length) std::abort();
    if (packet.dropped() || depth == tunnel_depth_max) return;
    PacketMeta inner;
    std::array<Anomaly, packet_anomalies_max> places;
    inner.anomaly_places = places.data();
    std::vector<std::byte> buffer;
    if (packet.fragment) {
      const auto whole = defrag->add(packet, tenant, buffer);
      if (!whole) return;
      inner.link = LinkType::raw_ip;
      inner.data = whole->data();
      inner.length = static_cast<std::uint32_t>(whole->size());
    } else if (packet.tunnel) {
      const auto content = open_tunnel(packet);
      if (!content) return;
      if (content->bytes.size() > packet.length) std::abort();
      tenant = tunnel_tenant(tenant, packet, *content);
      inner.link = content->link;
      inner.data = content->bytes.data();
      inner.length = static_cast<std::uint32_t>(content->bytes.size());
    } else {
      return;
    }
    look(inner, depth + 1, tenant);
  }

  std::unique_ptr<Defragmenter> defrag;
  DecodeOptions decoding;
  DecodeCounters counters;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Target target(data[0]);
  ByteReader input(std::as_bytes(std::span(data + 1, size - 1)));
  while (!input.empty()) {
    const std::size_t length = std::min<std::size_t>(input.be16(), input.remaining());
    const Bytes frame = input.take(length);
    PacketMeta packet;
    std::array<Anomaly, packet_anomalies_max> places;
    packet.anomaly_places = places.data();
    packet.data = frame.data();
    packet.length = static_cast<std::uint32_t>(frame.size());
    target.look(packet, 0, 0);
  }
  return 0;
}
