// Packets from a capture file (pcap, pcapng) through libpcap, as fast as they are asked for.
//
// A file without packets is fine. A damaged one: the packets before the damage are given, then
// receive() fails with the packet's number. Verdicts are counted and otherwise have no effect.
#pragma once

#include <filesystem>
#include <memory>

#include "sensor/capture/packet_port.hpp"

namespace menshen::sensor {

// ErrorCode::not_found, denied, invalid (no capture file), unavailable (a link type that decode
// does not know). Cost: one copy of each frame into the batch's own buffer.
[[nodiscard]] Result<std::unique_ptr<PacketPort>> open_pcap_file(const std::filesystem::path& path);

}  // namespace menshen::sensor
