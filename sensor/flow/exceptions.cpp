#include "sensor/flow/exceptions.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

namespace menshen::sensor {

namespace {

using Policy = ExceptionPolicy;
using Trigger = ExceptionTrigger;

constexpr std::array<std::string_view, exception_policies> policy_names{
    "auto", "ignore", "pass-packet", "pass-flow", "bypass", "drop-packet", "drop-flow", "reject"};

constexpr DropReason reason_of(Trigger trigger) noexcept {
  switch (trigger) {
    case Trigger::flow_limit:
      return DropReason::flow_table_full;
    case Trigger::midstream:
      return DropReason::midstream;
    case Trigger::stream_memory:
    case Trigger::reassembly_memory:
      return DropReason::stream_memory;
    case Trigger::stream_depth:
      return DropReason::stream_depth;
    case Trigger::defrag_memory:
      return DropReason::fragment_memory;
    case Trigger::tunnel_depth:
      return DropReason::tunnel_depth;
    case Trigger::app_limit:
      return DropReason::proto_limit;
    case Trigger::app_error:
    case Trigger::count:
      return DropReason::proto_error;
  }
  return DropReason::none;
}

constexpr bool without_flow(Trigger trigger) noexcept {
  return trigger == Trigger::flow_limit || trigger == Trigger::defrag_memory ||
         trigger == Trigger::tunnel_depth;
}

// The policy that the trigger can have which comes nearest.
constexpr Policy nearest(Trigger trigger, Policy policy) noexcept {
  if (without_flow(trigger)) {
    if (policy == Policy::drop_flow) return Policy::drop_packet;
    if (policy == Policy::pass_flow || policy == Policy::bypass) return Policy::pass_packet;
  }
  if (trigger == Trigger::midstream) {
    if (policy == Policy::drop_packet) return Policy::drop_flow;
    if (policy == Policy::pass_packet) return Policy::pass_flow;
  }
  return policy;
}

constexpr Policy inline_default(Trigger trigger) noexcept {
  switch (trigger) {
    case Trigger::midstream:
    case Trigger::stream_depth:
    case Trigger::app_error:
      return Policy::ignore;
    case Trigger::app_limit:
      return Policy::drop_flow;
    default:
      return Policy::drop_packet;
  }
}

constexpr bool drops(Policy policy) noexcept {
  return policy == Policy::drop_packet || policy == Policy::drop_flow || policy == Policy::reject;
}

std::optional<Trigger> trigger_of(std::string_view name) {
  for (std::size_t i = 0; i < exception_triggers; ++i) {
    if (exception_info(static_cast<Trigger>(i)).name == name) return static_cast<Trigger>(i);
  }
  return std::nullopt;
}

std::optional<Policy> policy_of(std::string_view name) {
  const auto* const found = std::find(policy_names.begin(), policy_names.end(), name);
  if (found == policy_names.end()) return std::nullopt;
  return static_cast<Policy>(found - policy_names.begin());
}

tl::unexpected<Error> wrong_entry(const std::string& entry) {
  std::array<std::string_view, exception_triggers> triggers;
  for (std::size_t i = 0; i < exception_triggers; ++i) {
    triggers[i] = exception_info(static_cast<Trigger>(i)).name;
  }
  const std::string known =
      fmt::format("all, {}; {}", fmt::join(triggers, ", "), fmt::join(policy_names, ", "));
  return fail(
      ErrorCode::invalid,
      {fmt::format("例外策略应写作 触发条件=策略：{}（{}）", entry, known),
       fmt::format("an exception policy is written TRIGGER=POLICY: {} ({})", entry, known)});
}

}  // namespace

const ExceptionInfo& exception_info(Trigger trigger) {
  static const std::array<ExceptionInfo, exception_triggers> table{{
      {"flow-limit", {"流表已满", "the flow table is full"}},
      {"midstream", {"未见到开头的 TCP 流", "a TCP flow whose beginning was not seen"}},
      {"stream-memory", {"TCP 重组总内存已满", "reassembly memory over all flows is full"}},
      {"reassembly-memory", {"单流单向重组内存已满", "reassembly memory of one direction is full"}},
      {"stream-depth", {"达到重组深度", "a direction has reached the reassembly depth"}},
      {"defrag-memory", {"分片重组无空间", "no room for a fragment"}},
      {"tunnel-depth", {"隧道嵌套过深", "tunnels nest deeper than is looked into"}},
      {"app-limit", {"应用层解析达到上限", "an application parser reached a limit"}},
      {"app-error", {"应用层协议错误", "what came breaks its application protocol"}},
  }};
  return table[static_cast<std::size_t>(trigger)];
}

std::string_view exception_policy_name(Policy policy) noexcept {
  return policy_names[static_cast<std::size_t>(policy)];
}

Result<ExceptionPolicies> ExceptionPolicies::parse(std::span<const std::string> entries) {
  ExceptionPolicies policies;
  std::array<bool, exception_triggers> named{};
  std::optional<Policy> all;
  for (const std::string& entry : entries) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos) return wrong_entry(entry);
    const auto name = std::string_view(entry).substr(0, equals);
    const auto policy = policy_of(std::string_view(entry).substr(equals + 1));
    if (policy && name == "all" && !all) {
      all = policy;
      continue;
    }
    const auto trigger = trigger_of(name);
    if (!trigger || !policy) return wrong_entry(entry);
    const auto place = static_cast<std::size_t>(*trigger);
    if (named[place]) {
      return fail(ErrorCode::invalid, {"例外策略重复：" + entry, "this stands twice: " + entry});
    }
    if (nearest(*trigger, *policy) != *policy) {
      return fail(ErrorCode::invalid, {"该触发条件不能用此策略：" + entry,
                                       "this trigger cannot have this policy: " + entry});
    }
    named[place] = true;
    policies.set(*trigger, *policy);
  }
  for (std::size_t i = 0; all && i < exception_triggers; ++i) {
    const auto trigger = static_cast<Trigger>(i);
    if (!named[i]) policies.set(trigger, nearest(trigger, *all));
  }
  return policies;
}

ExceptionPolicies ExceptionPolicies::resolved(bool inline_mode) const noexcept {
  ExceptionPolicies result = *this;
  for (std::size_t i = 0; i < exception_triggers; ++i) {
    const auto trigger = static_cast<Trigger>(i);
    if (!inline_mode && (drops(of(trigger)) || of(trigger) == Policy::automatic)) {
      result.set(trigger, Policy::ignore);
    } else if (of(trigger) == Policy::automatic) {
      result.set(trigger, inline_default(trigger));
    }
  }
  return result;
}

Policy Exceptions::meet(Trigger trigger, PacketMeta& packet, Flow* flow) noexcept {
  Policy policy = policies_.of(trigger);
  if (drops(policy) && flow != nullptr && flow->label.mode != InspectMode::block) {
    policy = Policy::ignore;
  }
  ++counts_[static_cast<std::size_t>(trigger)][static_cast<std::size_t>(policy)];
  switch (policy) {
    case Policy::pass_packet:
      packet.uninspected = true;
      break;
    case Policy::pass_flow:
      packet.uninspected = true;
      if (flow != nullptr) flow->uninspected = true;
      break;
    case Policy::bypass:
      if (flow != nullptr) flow->action = FlowAction::pass;
      break;
    case Policy::drop_flow:
    case Policy::reject:
      if (flow != nullptr) flow->action = FlowAction::drop;
      [[fallthrough]];
    case Policy::drop_packet:
      packet.refuse(policy == Policy::reject ? Verdict::reject : Verdict::drop, reason_of(trigger));
      break;
    default:
      break;
  }
  return policy;
}

}  // namespace menshen::sensor
