// Classic pcap files (not pcapng), read in large blocks. A batch's frames stay in the block that
// they were read into: a packet costs its header's few bytes, no copy and no call.
#pragma once

#include <memory>
#include <string>

#include "base/file.hpp"
#include "sensor/capture/packet_port.hpp"

namespace menshen::sensor {

// Null, and `file` as it was, where the file is of another form or link type, or odd in its header:
// then libpcap reads it or says what is wrong.
[[nodiscard]] std::unique_ptr<PacketPort> open_classic_pcap(UniqueFd& file,
                                                            const std::string& name);

}  // namespace menshen::sensor
