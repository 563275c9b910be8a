// Any bytes as a policy file: no crash, and whatever loads decides as its lines say and lowers to a
// ruleset that equals itself.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <string>

#include "policy/model/change.hpp"
#include "policy/model/explain.hpp"
#include "policy/nft/drift.hpp"
#include "policy/nft/lower.hpp"
#include "policy/policy.hpp"

using namespace menshen;
using namespace menshen::policy;

namespace {

IpAddr address_in(const Prefix& prefix) { return prefix.last(); }

void check(const Policy& policy, const FlowQuery& query) {
  if (policy.decide(query) != decide_by_walk(policy, query)) std::abort();
  static_cast<void>(explain(policy, query));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const Loaded loaded =
      load("fuzz.yaml", text, {std::chrono::year(2026) / 11 / 23, Expired::error});
  if (loaded.policy.has_value() == loaded.diagnostics.has_errors()) std::abort();
  static_cast<void>(loaded.diagnostics.render(Lang::zh));
  static_cast<void>(loaded.diagnostics.to_json(Lang::en));
  if (!loaded.policy) return 0;

  const Policy& policy = *loaded.policy;
  constexpr std::size_t ends_max = 4;
  for (std::size_t i = 0; i < policy.domains().size() && i < ends_max; ++i) {
    for (std::size_t j = 0; j < policy.domains().size() && j < ends_max; ++j) {
      const IpAddr src = address_in(policy.domains()[i].networks.front());
      const IpAddr dst = address_in(policy.domains()[j].networks.back());
      for (const std::uint16_t port : std::initializer_list<std::uint16_t>{1, 53, 80, 443, 65535}) {
        check(policy, {src, dst, IpProto::tcp, port, {}, {}});
        check(policy, {src, dst, IpProto::udp, port, "fin0", {}});
      }
      check(policy, {src, dst, IpProto::icmp, 0, {}, "por0"});
    }
  }
  const nft::Ruleset ruleset = nft::lower(policy, {.generation = 1});
  if (!nft::compare(ruleset, {true, false, ruleset}).empty()) std::abort();
  if (!changes_between(policy, policy).empty()) std::abort();
  return 0;
}
