// For tests: a batch whose frames it owns.
#pragma once

#include <deque>

#include "sensor/packet/decode.hpp"
#include "tests/testkit/packet_builder.hpp"

namespace menshen::sensor::testing {

class TestBatch {
 public:
  PacketMeta& add(testkit::Packet frame, LinkType link = LinkType::ethernet, WallTime time = 0) {
    frames_.push_back(std::move(frame));
    PacketMeta& packet = batch_.push();
    packet.data = frames_.back().data();
    packet.length = static_cast<std::uint32_t>(frames_.back().size());
    packet.link = link;
    packet.time = time;
    return packet;
  }
  PacketBatch& operator*() noexcept { return batch_; }
  DecodeCounters decode(ChecksumMode mode = ChecksumMode::verify) {
    DecodeCounters counters;
    sensor::decode(batch_, {.checksums = mode}, counters);
    return counters;
  }

 private:
  std::deque<testkit::Packet> frames_;
  PacketBatch batch_;
};

}  // namespace menshen::sensor::testing
