// Packets from a capture file, as fast as they are asked for: classic pcap by a reader of its own
// (classic_pcap.hpp), pcapng and odd forms through libpcap.
//
// A file without packets is fine. A damaged one: the packets before the damage are given, then
// receive() fails with the packet's number. Verdicts are counted and otherwise have no effect.
#pragma once

#include <filesystem>
#include <memory>

#include "sensor/capture/packet_port.hpp"

namespace menshen::sensor {

// ErrorCode::not_found, denied, invalid (no capture file), unavailable (a link type that decode
// does not know). Through libpcap each frame is copied once.
[[nodiscard]] Result<std::unique_ptr<PacketPort>> open_pcap_file(const std::filesystem::path& path);

}  // namespace menshen::sensor
