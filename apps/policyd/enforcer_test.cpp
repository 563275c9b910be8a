#include "apps/policyd/enforcer.hpp"

#include <catch2/catch.hpp>

#include "policy/nft/fake_kernel.hpp"

namespace menshen::apps {
namespace {

namespace nft = policy::nft;
using nft::FakeKernel;

policy::Policy compile(const std::string& flows) {
  const std::string source =
      "domains:\n"
      "  a: {networks: [10.1.0.0/16], interfaces: [a0]}\n"
      "  b: {networks: [10.2.0.0/16], interfaces: [b0]}\n"
      "services:\n"
      "  web: {tcp: [80]}\n"
      "flows:\n" +
      flows;
  auto loaded = policy::load("test.yaml", source, {std::chrono::year(2026) / 11 / 23});
  INFO(loaded.diagnostics.render(Lang::en));
  REQUIRE(loaded.policy);
  return std::move(*loaded.policy);
}

const std::string one_way = "  - {from: a, to: b, service: web, reason: r}\n";
const std::string other_way = "  - {from: b, to: a, service: web, reason: r}\n";

bool holds(FakeKernel& kernel, const policy::Policy& policy) {
  const auto live = kernel.read_back("menshen");
  REQUIRE(live);
  if (!live->present) return false;
  nft::LowerOptions options;
  options.generation = live->ruleset.generation;
  return nft::compare(nft::lower(policy, options), *live).empty();
}

TEST_CASE("a policy that was enforced is what the kernel holds, and nothing drifts") {
  FakeKernel kernel;
  Enforcer enforcer(kernel, {});
  const auto policy = compile(one_way);
  REQUIRE(enforcer.enforce(policy));
  CHECK(holds(kernel, policy));
  const auto drifts = enforcer.check();
  REQUIRE(drifts);
  CHECK(drifts->empty());
}

TEST_CASE("each commit has another generation, so that running connections are decided anew") {
  FakeKernel kernel;
  Enforcer enforcer(kernel, {});
  const auto first = enforcer.enforce(compile(one_way));
  const auto second = enforcer.enforce(compile(one_way));
  REQUIRE(first);
  REQUIRE(second);
  CHECK(*first != *second);
}

TEST_CASE("a change behind our back is seen, and restored") {
  FakeKernel kernel;
  Enforcer enforcer(kernel, {});
  const auto policy = compile(one_way);
  REQUIRE(enforcer.enforce(policy));
  kernel.tamper()->chains.front().rules.clear();
  CHECK_FALSE(enforcer.check()->empty());
  REQUIRE(enforcer.restore());
  CHECK(enforcer.check()->empty());
  CHECK(holds(kernel, policy));
}

TEST_CASE("a table that somebody removed is drift too") {
  FakeKernel kernel;
  Enforcer enforcer(kernel, {});
  REQUIRE(enforcer.enforce(compile(one_way)));
  kernel.tamper().reset();
  CHECK_FALSE(enforcer.check()->empty());
}

TEST_CASE("whichever call fails, the kernel holds what the answer says") {
  const auto fault = GENERATE(FakeKernel::Fault::refused, FakeKernel::Fault::answer_lost);
  const auto old_policy = compile(one_way);
  const auto new_policy = compile(other_way);
  std::size_t n = 1;
  for (bool untouched = false; !untouched; ++n) {
    FakeKernel kernel;
    Enforcer enforcer(kernel, {});
    REQUIRE(enforcer.enforce(old_policy));
    const std::size_t before = kernel.calls();
    kernel.fail_call(n, fault);
    const auto done = enforcer.enforce(new_policy);
    untouched = kernel.calls() - before < n;
    kernel.fail_call(0);
    CAPTURE(n);
    CHECK(holds(kernel, done ? new_policy : old_policy));
    CHECK(enforcer.check()->empty());
  }
  CHECK(n > 3);  // read, commit, read back at least
}

}  // namespace
}  // namespace menshen::apps
