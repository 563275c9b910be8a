// What becomes of traffic where a stage cannot do its work: one policy for each trigger, by the
// names and with the meanings that rule engines share. Each use is counted by trigger and policy.
//
// A stage keeps the Exceptions of its own triggers; the engine hands all of them the same policies.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/lang.hpp"
#include "base/result.hpp"
#include "sensor/flow/flow.hpp"
#include "sensor/packet/drop_reason.hpp"

namespace menshen::sensor {

enum class ExceptionTrigger : std::uint8_t {
  flow_limit,         // flows_max is reached: no flow for the packet
  midstream,          // a TCP flow whose beginning was not seen
  stream_memory,      // reassembly memory over all flows is full
  reassembly_memory,  // that of one direction of a flow is
  stream_depth,       // a direction has reached stream_depth
  defrag_memory,      // no room for a fragment
  tunnel_depth,       // tunnels nest deeper than is looked into
  app_limit,          // a parser reached one of its limits
  app_error,          // what came breaks the protocol; its parser has ended
  count,
};

enum class ExceptionPolicy : std::uint8_t {
  automatic,    // resolved() says which
  ignore,       // go on as well as can be: stated where the trigger is met
  pass_packet,  // the packet passes, no rules see it
  pass_flow,    // the flow passes: reassembled, parsed and recorded, but no rules see it
  bypass,       // the flow passes and is looked at no more
  drop_packet,
  drop_flow,  // this packet and all later ones of the flow
  reject,     // the same, and its ends are told (TCP reset)
  count,
};
inline constexpr auto exception_triggers = static_cast<std::size_t>(ExceptionTrigger::count);
inline constexpr auto exception_policies = static_cast<std::size_t>(ExceptionPolicy::count);

struct ExceptionInfo {
  std::string_view name;  // stable, for programs: "stream-memory"
  Text help;
};
[[nodiscard]] const ExceptionInfo& exception_info(ExceptionTrigger trigger);
[[nodiscard]] std::string_view exception_policy_name(ExceptionPolicy policy) noexcept;

// One policy a trigger. A value.
class ExceptionPolicies {
 public:
  // "TRIGGER=POLICY"; "all=POLICY" stands for every trigger that no other entry names. Refused: a
  // flow's policy for a trigger without a flow (flow-limit, defrag-memory, tunnel-depth), a
  // packet's for midstream. "all" takes the nearest one there.
  [[nodiscard]] static Result<ExceptionPolicies> parse(std::span<const std::string> entries);

  [[nodiscard]] ExceptionPolicy of(ExceptionTrigger trigger) const noexcept {
    return policies_[static_cast<std::size_t>(trigger)];
  }
  ExceptionPolicies& set(ExceptionTrigger trigger, ExceptionPolicy policy) noexcept {
    policies_[static_cast<std::size_t>(trigger)] = policy;
    return *this;
  }
  // Without `automatic`. Inline: closed at the limits (drop-packet; app-limit: drop-flow), open
  // where the sensor knows less than it would like to (midstream, stream-depth, app-error: ignore).
  // Else nothing can be dropped: ignore.
  [[nodiscard]] ExceptionPolicies resolved(bool inline_mode) const noexcept;

 private:
  std::array<ExceptionPolicy, exception_triggers> policies_{};
};

using ExceptionCounts =
    std::array<std::array<std::uint64_t, exception_policies>, exception_triggers>;

class Exceptions {
 public:
  explicit Exceptions(const ExceptionPolicies& resolved) : policies_(resolved) {}

  // Applies the trigger's policy to the packet and its flow (null: it has none), counts it and
  // tells it. A flow that only alerts (InspectMode::alert) is never dropped.
  ExceptionPolicy meet(ExceptionTrigger trigger, PacketMeta& packet, Flow* flow) noexcept;
  [[nodiscard]] const ExceptionCounts& counts() const noexcept { return counts_; }

 private:
  ExceptionPolicies policies_;
  ExceptionCounts counts_{};
};

}  // namespace menshen::sensor
