#include "apps/common/active_policy.hpp"

#include <catch2/catch.hpp>

#include "tests/testkit/fake_clock.hpp"
#include "tests/testkit/temp_dir.hpp"

namespace menshen::apps {
namespace {

ActivePolicy example() {
  ActivePolicy active;
  active.name = "策略.yaml";
  active.source =
      "domains:\n"
      "  a: {networks: [10.1.0.0/16]}\n"
      "  b: {networks: [10.2.0.0/16]}\n"
      "services:\n"
      "  web: {tcp: [80]}\n"
      "flows:\n"
      "  - {from: a, to: b, service: web, reason: r, expires: 2026-12-01}\n";
  active.sha256 = *sha256_hex(active.source);
  active.applied_at = testkit::FakeClock::start;
  active.applied_by = "root";
  active.generation = 7;
  return active;
}

TEST_CASE("the active policy is read back as it was saved") {
  const testkit::TempDir folder;
  const auto file = active_policy_file(folder.path());
  CHECK_FALSE(load_active_policy(file)->has_value());
  REQUIRE(save_active_policy(file, example()));
  const auto loaded = load_active_policy(file);
  REQUIRE(loaded);
  REQUIRE(*loaded);
  CHECK((*loaded)->name == example().name);
  CHECK((*loaded)->source == example().source);
  CHECK((*loaded)->applied_at == example().applied_at);
  CHECK((*loaded)->applied_by == "root");
  CHECK((*loaded)->generation == 7);
}

TEST_CASE("a state file that was changed or cut is corrupt, never half a policy") {
  const testkit::TempDir folder;
  const auto file = active_policy_file(folder.path());
  REQUIRE(save_active_policy(file, example()));
  const std::string whole = folder.read("active.json");
  std::string changed = whole;
  changed.replace(changed.find("10.2.0.0"), 8, "10.3.0.0");
  for (const std::string& text :
       {changed, whole.substr(0, whole.size() / 2), std::string("{}"), std::string()}) {
    folder.write("active.json", text);
    const auto loaded = load_active_policy(file);
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().code == ErrorCode::corrupt);
  }
}

TEST_CASE("lines whose last day is over do not hold after a restart") {
  testkit::FakeClock clock;
  const auto before = compile_active(example(), clock);
  REQUIRE(before);
  CHECK(before->lines().size() == 1);
  clock.advance(std::chrono::hours(24 * 30));
  const auto after = compile_active(example(), clock);
  REQUIRE(after);
  CHECK(after->lines().empty());
}

TEST_CASE("a policy that does not compile any more is corrupt") {
  ActivePolicy broken = example();
  broken.source = "domains: 7\n";
  const auto compiled = compile_active(broken, testkit::FakeClock());
  REQUIRE_FALSE(compiled);
  CHECK(compiled.error().code == ErrorCode::corrupt);
}

TEST_CASE("SHA-256 of nothing is the known one") {
  CHECK(*sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

}  // namespace
}  // namespace menshen::apps
