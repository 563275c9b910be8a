// A whole file; every byte that a packet shows is read.
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>

#include "sensor/capture/classic_pcap.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen;
  using namespace menshen::sensor;
  UniqueFd file(::memfd_create("pcap", MFD_CLOEXEC));
  if (!write_all(file.get(), std::as_bytes(std::span(data, size)))) return 0;
  const auto port = open_classic_pcap(file, "fuzz");
  if (port == nullptr) return 0;
  PacketBatch batch;
  std::size_t bytes = 0;
  unsigned sum = 0;
  while (!port->finished()) {
    batch.clear();
    if (!port->receive(batch, std::chrono::milliseconds(0))) continue;
    for (const PacketMeta& packet : batch.packets()) {
      bytes += packet.length;
      for (const std::byte b : packet.frame()) sum += std::to_integer<unsigned>(b);
    }
  }
  if (bytes > size || (bytes == 0 && sum != 0)) std::abort();
  return 0;
}
