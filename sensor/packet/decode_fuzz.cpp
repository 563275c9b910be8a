// The first byte chooses link type and checksum mode; the rest is a frame.
#include <cstdint>
#include <cstdlib>

#include "sensor/packet/decode.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen;
  using namespace menshen::sensor;
  if (size == 0) return 0;
  PacketBatch batch;
  PacketMeta& packet = batch.push();
  packet.link = static_cast<LinkType>(data[0] % 9);
  packet.data = reinterpret_cast<const std::byte*>(data + 1);
  packet.length = static_cast<std::uint32_t>(size - 1);
  DecodeCounters counters;
  decode(batch, {.checksums = (data[0] & 0x80U) != 0 ? ChecksumMode::verify : ChecksumMode::ignore},
         counters);
  const std::size_t end = std::size_t{packet.payload_offset} + packet.payload_length;
  if (!packet.dropped() && end > packet.length) std::abort();
  if (packet.ip_version != 0 && !packet.dropped()) {
    const FiveTuple tuple = tuple_of(packet);
    if (tuple.proto != packet.proto) std::abort();
    if (packet.proto == IpProto::tcp && packet.transport_offset != 0) {
      static_cast<void>(tcp_header(packet));
    }
  }
  return 0;
}
