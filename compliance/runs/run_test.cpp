#include "compliance/runs/run.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "compliance/compliance.hpp"
#include "compliance/testing/shipped.hpp"

namespace menshen::compliance {
namespace {

using testing::catalogue;
using testing::FixedClock;
using testing::now;

Assessment assessed(const testing::FakeHost& host, WallTime time) {
  Facts facts = collect_host(host, catalogue().sources, FixedClock(time), "menshen-01");
  testing::add_sound_product_facts(facts, time);
  return assess(catalogue(), std::move(facts), {"demo", "menshen-01", "0.1.0"}, time);
}

void check_same(const KeptRun& a, const KeptRun& b) {
  CHECK(a.assessed_at == b.assessed_at);
  CHECK(a.host == b.host);
  CHECK(a.view == b.view);
  CHECK(a.rules == b.rules);
  CHECK(a.all.by_verdict == b.all.by_verdict);
  CHECK(a.coverage_tenths == b.coverage_tenths);
  CHECK(a.findings == b.findings);
  CHECK(a.high_risk == b.high_risk);
  CHECK(a.objects == b.objects);
  REQUIRE(a.standings.size() == b.standings.size());
  for (std::size_t i = 0; i < a.standings.size(); ++i) {
    CHECK(a.standings[i].edition == b.standings[i].edition);
    CHECK(a.standings[i].score == b.standings[i].score);
    CHECK(a.standings[i].value_tenths == b.standings[i].value_tenths);
    CHECK(a.standings[i].worst_tenths == b.standings[i].worst_tenths);
    CHECK(a.standings[i].best_tenths == b.standings[i].best_tenths);
  }
  for (const auto list : {&KeptRun::items, &KeptRun::checks}) {
    REQUIRE((a.*list).size() == (b.*list).size());
    for (std::size_t i = 0; i < (a.*list).size(); ++i) {
      CHECK((a.*list)[i].id == (b.*list)[i].id);
      CHECK((a.*list)[i].object == (b.*list)[i].object);
      CHECK((a.*list)[i].verdict == (b.*list)[i].verdict);
      CHECK((a.*list)[i].reason == (b.*list)[i].reason);
      CHECK((a.*list)[i].high_risk == (b.*list)[i].high_risk);
    }
  }
}

TEST_CASE("a kept run reads back as what was assessed") {
  const Assessment a = assessed(testing::weak_host(now), now);
  const auto read = parse_run(to_json(a));
  REQUIRE(read);
  CHECK(read->items.size() == 257);
  check_same(*read, kept_run(a));
}

TEST_CASE("what is no kept run is refused, wherever it is damaged") {
  const std::string sound = to_json(assessed(testing::weak_host(now), now));
  const nlohmann::json whole = nlohmann::json::parse(sound);
  for (const char* key : {"format", "assessed_at", "subject", "catalogue", "totals", "editions",
                          "objects", "items", "checks", "view"}) {
    INFO(key);
    nlohmann::json changed = whole;
    changed.erase(key);
    CHECK_FALSE(parse_run(changed.dump()));
    changed[key] = 5;
    const auto read = parse_run(changed.dump());
    REQUIRE_FALSE(read);
    CHECK(read.error().code == ErrorCode::corrupt);
  }
  nlohmann::json changed = whole;
  changed["items"][3]["verdict"] = "fine";
  CHECK_FALSE(parse_run(changed.dump()));
  changed = whole;
  changed["items"][3] = nullptr;
  CHECK_FALSE(parse_run(changed.dump()));
  CHECK_FALSE(parse_run(sound.substr(0, sound.size() / 2)));
  CHECK_FALSE(parse_run(""));
}

TEST_CASE("two runs: each kind of change, worst first, and nothing where nothing changed") {
  const KeptRun weak = kept_run(assessed(testing::weak_host(now), now));
  const KeptRun hard = kept_run(assessed(testing::hardened_host(now), now + 1));
  const Comparison same = compare(weak, weak);
  CHECK(same.items.empty());
  CHECK(same.checks.empty());
  CHECK_FALSE(same.other_rules);

  const Comparison better = compare(weak, hard);
  CHECK(better.count(Change::improved) > 5);
  CHECK(better.count(Change::worsened) == 0);
  const Comparison worse = compare(hard, weak);
  CHECK(worse.count(Change::improved) == 0);
  CHECK(worse.count(Change::worsened) >= better.count(Change::improved));
  CHECK(worse.items.front().change == Change::worsened);
}

TEST_CASE("the change between any two verdicts") {
  using V = Verdict;
  const auto change = [](V before, V after) -> std::string {
    KeptRun a, b;
    a.items.push_back({"8.1.1.1.a", "", before, {}, false});
    b.items.push_back({"8.1.1.1.a", "", after, {}, false});
    const Comparison c = compare(a, b);
    return c.items.empty() ? "" : std::string(change_name(c.items.front().change));
  };
  CHECK(change(V::conforming, V::failing) == "worsened");
  CHECK(change(V::conforming, V::partial) == "worsened");
  CHECK(change(V::partial, V::failing) == "worsened");
  CHECK(change(V::not_checked, V::failing) == "worsened");
  CHECK(change(V::error, V::partial) == "worsened");
  CHECK(change(V::failing, V::partial) == "improved");
  CHECK(change(V::partial, V::conforming) == "improved");
  CHECK(change(V::failing, V::not_applicable) == "improved");
  CHECK(change(V::conforming, V::error) == "lost");
  CHECK(change(V::failing, V::not_checked) == "lost");
  CHECK(change(V::not_checked, V::conforming) == "gained");
  CHECK(change(V::error, V::not_checked).empty());
  CHECK(change(V::conforming, V::not_applicable).empty());
}

TEST_CASE("other rules, another view and other objects are told") {
  KeptRun before = kept_run(assessed(testing::weak_host(now), now));
  KeptRun after = before;
  after.rules = "0";
  after.view = "tenant";
  before.objects.push_back("db-01");
  after.objects.push_back("db-02");
  const Comparison c = compare(before, after);
  CHECK(c.other_rules);
  CHECK(c.other_view);
  CHECK(c.objects_new == std::vector<std::string>{"db-02"});
  CHECK(c.objects_gone == std::vector<std::string>{"db-01"});
  const auto json = nlohmann::json::parse(to_json(c));
  CHECK(json["other_rules"] == true);
  CHECK(json["objects_gone"][0] == "db-01");
}

}  // namespace
}  // namespace menshen::compliance
