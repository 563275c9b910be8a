#include "apps/policyd/facts.hpp"

#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <algorithm>
#include <set>

#include "base/handle.hpp"
#include "policy/nft/reason.hpp"

namespace menshen::apps {
namespace {

using policy::Line;
using policy::Policy;
namespace nft = policy::nft;

constexpr std::size_t list_max = 200;

void add(Json& list, std::string text) {
  if (list.size() < list_max) list.push_back(std::move(text));
}

std::string names(const Policy& policy, const std::vector<policy::DomainId>& ids) {
  std::string text;
  for (const policy::DomainId id : ids) text += (text.empty() ? "" : ",") + policy.domain(id).name;
  return ids.empty() ? "any" : text;
}

std::string describe(const Policy& policy, const Line& line) {
  return fmt::format("{} -> {} {} ({}:{})", names(policy, line.from), names(policy, line.to),
                     policy.service_names(line), policy.source_name(), line.position.line);
}

bool covers_everything(const policy::Service& service) {
  const auto whole = [](const std::vector<policy::PortRange>& ranges) {
    return std::any_of(ranges.begin(), ranges.end(), [](const policy::PortRange& range) {
      return range.first <= 1 && range.last == 0xffff;
    });
  };
  return whole(service.tcp) || whole(service.udp);
}

bool is_wide(const Policy& policy, const Line& line) {
  return line.from.empty() || line.to.empty() || line.services.empty() ||
         std::any_of(line.services.begin(), line.services.end(), [&](std::uint32_t index) {
           return covers_everything(policy.services()[index]);
         });
}

void add_flows(Json& facts, const PolicyFactSources& sources) {
  const Policy& policy = sources.policy;
  Json without_reason = Json::array();
  Json expired = Json::array();
  Json without_expiry = Json::array();
  Json wide = Json::array();
  Json not_inspected = Json::array();
  std::size_t inspected = 0;
  const auto today = policy::today(sources.clock);
  for (const Line& line : policy.lines()) {
    if (line.action != policy::Action::allow) continue;
    const std::string text = describe(policy, line);
    if (line.reason.empty()) add(without_reason, text);
    if (!line.expires) add(without_expiry, text);
    if (line.expires && *line.expires < today) add(expired, text);
    if (is_wide(policy, line)) add(wide, text);
    if (line.inspect == policy::Inspect::none) {
      add(not_inspected, text);
    } else {
      ++inspected;
    }
  }
  facts["flows"] = policy.lines().size();
  facts["flows_without_reason"] = without_reason;
  facts["flows_expired"] = expired;
  facts["flows_without_expiry"] = without_expiry;
  facts["flows_any"] = wide;
  facts["flows_inspected"] = inspected;
  facts["flows_not_inspected"] = not_inspected;
  // The compiler refuses a policy that has either, so one in force has none.
  facts["flows_shadowed"] = Json::array();
  facts["overlapping_networks"] = Json::array();
  Json domains = Json::array();
  for (const policy::Domain& domain : policy.domains()) add(domains, domain.name);
  facts["domains"] = domains;
}

bool is_management(const PolicyFactSources& sources, const std::string& name) {
  const auto& listed = sources.management_interfaces;
  return std::find(listed.begin(), listed.end(), name) != listed.end();
}

bool is_claimed(const Policy& policy, const std::string& name) {
  const auto domains = policy.domains();
  return std::any_of(domains.begin(), domains.end(), [&name](const policy::Domain& domain) {
    return std::find(domain.interfaces.begin(), domain.interfaces.end(), name) !=
           domain.interfaces.end();
  });
}

// Interfaces of this network namespace that are up and that no domain names. (/sys would show
// another namespace's.)
void add_interfaces(Json& facts, const PolicyFactSources& sources) {
  ifaddrs* addresses = nullptr;
  if (::getifaddrs(&addresses) != 0) return;
  const Handle<ifaddrs, &::freeifaddrs> owner(addresses);
  std::set<std::string> unassigned;
  for (const ifaddrs* each = addresses; each != nullptr; each = each->ifa_next) {
    const bool counts = (each->ifa_flags & IFF_UP) != 0 && (each->ifa_flags & IFF_LOOPBACK) == 0;
    const std::string name = each->ifa_name;
    if (counts && !is_management(sources, name) && !is_claimed(sources.policy, name)) {
      unassigned.insert(name);
    }
  }
  facts["interfaces_unassigned"] = Json::array();
  for (const std::string& name : unassigned) add(facts["interfaces_unassigned"], name);
}

const nft::Chain* find_chain(const nft::Ruleset& ruleset, std::string_view name) {
  const auto found = std::find_if(ruleset.chains.begin(), ruleset.chains.end(),
                                  [name](const nft::Chain& chain) { return chain.name == name; });
  return found == ruleset.chains.end() ? nullptr : &*found;
}

template <class Test>
bool any_expression(const nft::Ruleset& ruleset, const Test& test) {
  for (const nft::Chain& chain : ruleset.chains) {
    for (const nft::Rule& rule : chain.rules) {
      if (std::any_of(rule.expressions.begin(), rule.expressions.end(), test)) return true;
    }
  }
  return false;
}

bool drops(const nft::Ruleset& ruleset, std::string_view chain_name) {
  const nft::Chain* chain = find_chain(ruleset, chain_name);
  if (chain == nullptr || chain->rules.empty() || chain->rules.back().expressions.empty())
    return false;
  const auto* verdict = std::get_if<nft::Verdict>(&chain->rules.back().expressions.back());
  return verdict != nullptr && verdict->kind == nft::Verdict::Kind::drop;
}

bool loads_state(const nft::Expression& expression) {
  const auto* load = std::get_if<nft::LoadCt>(&expression);
  return load != nullptr && load->key == nft::LoadCt::Key::state;
}
bool checks_attachment(const nft::Expression& expression) {
  const auto* lookup = std::get_if<nft::Lookup>(&expression);
  return lookup != nullptr && lookup->set == "attached" && !lookup->inverted;
}
bool logs(const nft::Expression& expression) {
  return std::holds_alternative<nft::Log>(expression);
}

void add_kernel(Json& facts, const nft::LiveRuleset& live, const std::vector<nft::Drift>& drifts,
                bool wanted) {
  facts["table_present"] = live.present && !live.dormant;
  facts["matches_kernel"] = wanted && drifts.empty();
  facts["drift_count"] = drifts.size();
  const nft::Ruleset& ruleset = live.ruleset;
  const bool working = live.present && !live.dormant;
  // A chain read back as Hook::forward has the policy drop: the reader calls any other hook
  // `other`.
  facts["default_drop"] =
      working &&
      std::any_of(ruleset.chains.begin(), ruleset.chains.end(),
                  [](const nft::Chain& chain) { return chain.hook == nft::Hook::forward; }) &&
      drops(ruleset, "denied_default");
  facts["ct_state"] = working && any_expression(ruleset, loads_state) && drops(ruleset, "invalid");
  facts["anti_spoof"] =
      working && any_expression(ruleset, checks_attachment) && drops(ruleset, "spoofed");
  facts["drop_log"] = working && any_expression(ruleset, logs);
  std::size_t rules = 0;
  for (const nft::Chain& chain : ruleset.chains) rules += chain.rules.size();
  for (const nft::Set& set : ruleset.sets) rules += set.elements.size();
  facts["rules_in_kernel"] = rules;
}

// Left out where nothing is enforced: then there is nothing to prove.
void add_proof(Json& facts, Enforcer& enforcer) {
  const auto report = enforcer.prove();
  if (!report) return;
  facts["isolation_proof"] = policy::prove::name_of(report->conclusion);
  facts["isolation_proved"] = report->conclusion == policy::prove::Conclusion::proved;
  facts["isolation_violations"] = Json::array();
  for (const auto& each : report->violations) add(facts["isolation_violations"], each.text.en);
  facts["isolation_unmodelled"] = Json::array();
  for (const Text& each : report->unmodelled) add(facts["isolation_unmodelled"], each.en);
}

}  // namespace

Result<Json> policy_facts(const PolicyFactSources& sources) {
  Json facts = Json::object();
  Enforcer& enforcer = sources.enforcer;
  const nft::LiveRuleset live = MENSHEN_TRY(enforcer.kernel().read_back("menshen"));
  const auto& wanted = enforcer.wanted();
  add_kernel(facts, live, wanted ? nft::compare(*wanted, live) : std::vector<nft::Drift>{},
             wanted.has_value());
  add_proof(facts, enforcer);
  add_flows(facts, sources);
  add_interfaces(facts, sources);
  if (sources.active != nullptr) {
    facts["digest"] = sources.active->sha256;
    facts["applied_at"] = format_utc(sources.active->applied_at);
  }
  if (const auto counters = enforcer.kernel().counters("menshen")) {
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < nft::reasons; ++i) {
      if (nft::info(static_cast<nft::Reason>(i)).drop) total += (*counters)[i].packets;
    }
    facts["drops_total"] = total;
  }
  return facts;
}

}  // namespace menshen::apps
