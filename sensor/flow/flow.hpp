// A flow: both directions of one conversation inside one attachment.
//
// Later stages keep their own state in slots, so that this header knows none of them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "base/clock.hpp"
#include "base/ip.hpp"
#include "sensor/flow/app_proto.hpp"
#include "sensor/packet/packet.hpp"

namespace menshen::sensor {

// What the policy says of a flow; the composition root fills it in when the flow begins (see
// FlowLabeler).
enum class InspectMode : std::uint8_t { block, alert, none };
struct FlowLabel {
  std::uint16_t from_domain = 0;  // indices into the policy's domains; 0: unknown
  std::uint16_t to_domain = 0;
  std::uint32_t policy_line = 0;  // index of the deciding policy line + 1; 0: none
  InspectMode mode = InspectMode::block;
};

// What a stage keeps with a flow. Destroyed with the flow.
class FlowSlot {
 public:
  virtual ~FlowSlot() = default;
};

enum class FlowAction : std::uint8_t { none, drop, pass };

enum class FlowState : std::uint8_t { fresh, established, closed };
enum class FlowEnd : std::uint8_t {
  timeout,
  reused,
  shutdown
};  // reused: a new SYN on a closed flow

struct Flow {
  FiveTuple tuple;       // initiator to responder
  std::uint64_t id = 0;  // unique in this sensor's life; EVE flow_id
  WallTime first = 0;
  WallTime last = 0;
  struct Side {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;     // of the frames
    std::uint8_t tcp_flags = 0;  // seen so far, or-ed
  };
  std::array<Side, 2> sides;  // by Direction
  AppProto app = AppProto::unknown;
  FlowAction action = FlowAction::none;  // of all its later packets
  bool established =
      false;               // TCP: handshake seen (or midstream accepted); others: both sides spoke
  bool midstream = false;  // TCP whose SYN was not seen
  bool encrypted = false;  // from here on nothing can be read (TLS after its handshake): the stream
                           // stage hands over no more data
  bool alerted = false;
  bool uninspected = false;  // an exception policy: parsed and recorded, but no rules see it
  FlowState state = FlowState::fresh;
  FlowLabel label;
  std::uint8_t vlan_count = 0;
  std::array<std::uint16_t, vlan_tags_max> vlan{};  // as in PacketMeta; flows of other tags differ
  std::uint64_t tenant = 0;  // of the tunnel it runs in (tunnel.hpp); 0: none

  std::unique_ptr<FlowSlot> stream;  // stream stage: reassembly
  std::unique_ptr<FlowSlot> proto;   // proto stage: parser and transactions
  std::unique_ptr<FlowSlot> detect;  // detect stage: flowbits, rule state

  [[nodiscard]] Side& side(Direction d) noexcept { return sides[static_cast<std::size_t>(d)]; }
};

// Asks the policy about the first packet of new flows. Implemented in apps/ over the policy's
// decision table.
class FlowLabeler {
 public:
  virtual ~FlowLabeler() = default;
  [[nodiscard]] virtual FlowLabel label(const FiveTuple& initiator_to_responder) const noexcept = 0;
};

}  // namespace menshen::sensor
