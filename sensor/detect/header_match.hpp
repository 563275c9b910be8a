// Evaluates what a rule asks of the packet and its flow: addresses, ports, direction, header
// fields.
#pragma once

#include "sensor/detect/rule.hpp"
#include "sensor/flow/flow.hpp"
#include "sensor/packet/packet.hpp"

namespace menshen::sensor {

// The packet at hand, with what several rules ask read once. Without a network header (a flow's
// end) only the tuple is known and every header field is absent.
struct PacketView {
  const PacketMeta* packet = nullptr;
  const Flow* flow = nullptr;  // null: none
  FiveTuple tuple;             // as the inspected data ran
  Direction direction = Direction::to_server;
  bool stream = false;  // the data comes from a reassembled stream
};

// Protocol, addresses, ports and direction.
[[nodiscard]] bool match_tuple(const Rule& rule, const PacketView& view) noexcept;
// The rule's sides fit as they are written, and turned around.
[[nodiscard]] bool match_both_ways(const Rule& rule, const PacketView& view) noexcept;
[[nodiscard]] bool match_flow(const FlowTest& test, const PacketView& view) noexcept;
[[nodiscard]] bool match_header(const HeaderTest& test, const PacketView& view) noexcept;
// The SYN asks for TCP Fast Open (RFC 7413): its data belongs to the stream.
[[nodiscard]] bool asks_fast_open(const PacketMeta& packet) noexcept;
// The bytes of a packet header buffer; nothing where the packet has no such header.
[[nodiscard]] Bytes header_bytes(BufferKind kind, const PacketMeta& packet) noexcept;

}  // namespace menshen::sensor
