#include "sensor/packet/host_policy.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace menshen::sensor {

namespace {

constexpr std::array<std::string_view, host_policy_count> names{
    "first", "last",    "bsd",         "bsd-right", "linux",  "old-linux", "windows", "windows2k3",
    "vista", "solaris", "old-solaris", "hpux10",    "hpux11", "irix",      "macos"};

tl::unexpected<Error> wrong_entry(const std::string& entry) {
  const std::string known = fmt::format("{}", fmt::join(names, ", "));
  return fail(
      ErrorCode::invalid,
      {fmt::format("主机策略应写作 网段=策略：{}（策略：{}）", entry, known),
       fmt::format("a host policy is written PREFIX=POLICY: {} (policies: {})", entry, known)});
}

}  // namespace

std::string_view host_policy_name(HostPolicy policy) noexcept {
  return names[static_cast<std::size_t>(policy)];
}

std::optional<HostPolicy> host_policy_of(std::string_view name) noexcept {
  const auto* const found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<HostPolicy>(found - names.begin());
}

bool newer_fragment_wins(HostPolicy policy, Extent old, Extent fresh) noexcept {
  switch (policy) {
    case HostPolicy::first:
    case HostPolicy::old_solaris:
    case HostPolicy::hpux11:
    case HostPolicy::macos:
      return false;
    case HostPolicy::last:
      return true;
    case HostPolicy::bsd:
    case HostPolicy::hpux10:
    case HostPolicy::irix:
      return old.begin > fresh.begin;
    case HostPolicy::bsd_right:
      return old.begin <= fresh.begin;
    case HostPolicy::linux_:
    case HostPolicy::old_linux:
      return old.begin >= fresh.begin;
    case HostPolicy::windows:
    case HostPolicy::windows2k3:
    case HostPolicy::vista:
      return fresh.begin < old.begin && fresh.end > old.end;
    case HostPolicy::solaris:
      return fresh.begin < old.begin && fresh.end >= old.end;
  }
  return false;
}

bool newer_segment_wins(HostPolicy policy, Extent old, Extent fresh) noexcept {
  const bool before = fresh.begin < old.begin;
  const bool same = fresh.begin == old.begin;
  switch (policy) {
    case HostPolicy::first:
    case HostPolicy::vista:
    case HostPolicy::bsd_right:
      return false;
    case HostPolicy::last:
      return true;
    case HostPolicy::bsd:
    case HostPolicy::hpux10:
    case HostPolicy::irix:
    case HostPolicy::windows:
    case HostPolicy::windows2k3:
    case HostPolicy::macos:
      return before;
    case HostPolicy::linux_:
      return before || (same && fresh.end > old.end);
    case HostPolicy::old_linux:
      return before || (same && fresh.end >= old.end);
    case HostPolicy::solaris:
    case HostPolicy::old_solaris:
    case HostPolicy::hpux11:
      return before || same ? fresh.end >= old.end : fresh.end > old.end;
  }
  return false;
}

Result<HostPolicies> HostPolicies::parse(std::span<const std::string> entries) {
  HostPolicies policies;
  if (entries.size() > entries_max) {
    return fail(
        ErrorCode::limit,
        {fmt::format("主机策略最多 {} 条，现有 {} 条", entries_max, entries.size()),
         fmt::format("at most {} host policies, here are {}", entries_max, entries.size())});
  }
  for (const std::string& entry : entries) {
    const std::size_t equals = entry.rfind('=');
    if (equals == std::string::npos) return wrong_entry(entry);
    const auto policy = host_policy_of(std::string_view(entry).substr(equals + 1));
    const auto prefix = Prefix::parse(std::string_view(entry).substr(0, equals));
    if (!policy || !prefix) return wrong_entry(entry);
    const auto same = [&](const Entry& known) { return known.prefix == *prefix; };
    if (std::any_of(policies.entries_.begin(), policies.entries_.end(), same)) {
      return fail(ErrorCode::invalid, {"网段重复：" + entry, "this prefix stands twice: " + entry});
    }
    policies.entries_.push_back({*prefix, *policy});
  }
  std::stable_sort(
      policies.entries_.begin(), policies.entries_.end(),
      [](const Entry& a, const Entry& b) { return a.prefix.length() > b.prefix.length(); });
  return policies;
}

HostPolicies HostPolicies::all(HostPolicy policy) {
  HostPolicies policies;
  policies.v4_ = policies.v6_ = policy;
  return policies;
}

HostPolicy HostPolicies::of(const IpAddr& receiver) const noexcept {
  for (const Entry& entry : entries_) {
    if (entry.prefix.contains(receiver)) return entry.policy;
  }
  return receiver.is_v4() ? v4_ : v6_;
}

}  // namespace menshen::sensor
