#include "compliance/assess/assess.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "compliance/compliance.hpp"
#include "compliance/testing/shipped.hpp"

namespace menshen::compliance {
namespace {

using testing::catalogue;
using testing::FixedClock;
using testing::now;

Facts hardened() {
  Facts facts =
      collect_host(testing::hardened_host(now), catalogue().sources, FixedClock(now), "menshen-01");
  testing::add_sound_product_facts(facts, now);
  return facts;
}
Facts weak() {
  Facts facts =
      collect_host(testing::weak_host(now), catalogue().sources, FixedClock(now), "menshen-01");
  testing::add_neglected_product_facts(facts, now);
  return facts;
}
Assessment assessed(Facts facts) {
  return assess(catalogue(), std::move(facts), {"demo", "menshen-01", "0.1.0"}, now);
}

TEST_CASE("a hardened deployment: every check that applies conforms") {
  const Assessment a = assessed(hardened());
  for (const CheckResult& r : a.checks) {
    INFO(r.check->id << ": " << r.reason.en);
    CHECK(r.verdict == Verdict::conforming);
  }
  CHECK(a.all.count(Verdict::conforming) >= 35);
  CHECK(a.findings.empty());
  CHECK(a.standings.front().value_tenths == 1000);
  // What nobody checked stays open, and pulls the lower bound down.
  CHECK(a.standings.front().worst_tenths < 300);
  CHECK(a.standings.front().best_tenths == 1000);
}

TEST_CASE("a weak deployment: every check fails, and the standing shows it") {
  const Assessment a = assessed(weak());
  for (const CheckResult& r : a.checks) {
    INFO(r.check->id << ": " << r.reason.en);
    CHECK((r.verdict == Verdict::failing || r.verdict == Verdict::error ||
           r.verdict == Verdict::partial));
    CHECK(r.verdict != Verdict::conforming);
  }
  CHECK(a.all.count(Verdict::conforming) == 0);
  CHECK(a.standings.front().value_tenths == 0);
  CHECK(a.high_risk.size() >= 20);
}

TEST_CASE("removing any evidence never leaves its items conforming") {
  const Assessment whole = assessed(hardened());
  for (const auto& [name, fact] : whole.objects.front().facts.all()) {
    INFO("without " << name);
    Facts fewer = hardened();
    fewer.remove(name);
    const Assessment a = assessed(std::move(fewer));
    for (std::size_t i = 0; i < a.items.size(); ++i) {
      bool needs = false;
      for (const std::size_t c : whole.items[i].checks)
        for (const Observation& o : whole.checks[c].observations)
          needs = needs || (o.fact == name && o.outcome == Outcome::yes);
      if (!needs) {
        CHECK(a.items[i].verdict == whole.items[i].verdict);
        continue;
      }
      INFO(a.items[i].item->id);
      // Alternatives (any_of) may stand in for the missing one; else the item is open.
      bool decided_without = true;
      for (const std::size_t c : a.items[i].checks)
        decided_without = decided_without && a.checks[c].verdict == Verdict::conforming;
      if (!decided_without) CHECK(a.items[i].verdict == Verdict::not_checked);
    }
  }
}

TEST_CASE("a failed collection is an error of its items, never conforming") {
  Facts facts = hardened();
  fail_product_facts(facts, "policy", {"未应答", "no answer"}, "menshen-01", "menshen-policyd",
                     now);
  Facts clean;
  for (const auto& [name, fact] : facts.all()) {
    if (name.rfind("policy.", 0) == 0) continue;
    if (fact.failure) {
      clean.fail(name, *fact.failure, fact.provenance);
    } else {
      clean.add(name, fact.value, fact.provenance);
    }
  }
  const Assessment a = assessed(std::move(clean));
  for (const ItemResult& r : a.items)
    if (r.item->id == "8.1.3.2.a") CHECK(r.verdict == Verdict::error);
}

TEST_CASE("a semi-automatic item is never conforming by machine") {
  const Assessment a = assessed(hardened());
  std::size_t supported = 0;
  for (const ItemResult& r : a.items) {
    if (r.item->automation == Automation::automatic) continue;
    INFO(r.item->id);
    CHECK(r.verdict == Verdict::not_checked);
    supported += r.supported ? 1 : 0;
  }
  CHECK(supported >= 5);
}

TEST_CASE("tallies add up") {
  for (Facts facts : {hardened(), weak(), Facts()}) {
    const Assessment a = assessed(std::move(facts));
    CHECK(a.all.total == 257);
    CHECK(a.general.total == 211);
    CHECK(a.cloud.total == 46);
    for (std::size_t v = 0; v < 6; ++v) {
      std::size_t sum = 0;
      for (const Tally& t : a.layers) sum += t.by_verdict[v];
      CHECK(sum == a.all.by_verdict[v]);
      CHECK(a.general.by_verdict[v] + a.cloud.by_verdict[v] == a.all.by_verdict[v]);
    }
    for (const Standing& s : a.standings) {
      CHECK(s.worst_tenths <= s.best_tenths);
      if (s.value_tenths >= 0) CHECK((s.value_tenths >= 0 && s.value_tenths <= 1000));
    }
  }
}

TEST_CASE("nothing known: nothing judged, the rate has no value and the bounds are wide") {
  const Assessment a = assessed(Facts());
  CHECK(a.all.judged() == 0);
  CHECK(a.standings.front().value_tenths == -1);
  CHECK(a.standings.front().worst_tenths == 0);
  CHECK(a.standings.front().best_tenths == 1000);
  CHECK(a.coverage_tenths == 0);
}

TEST_CASE("partial counts by the edition") {
  Facts facts = hardened();
  facts.add("policy.anti_spoof", false, make_provenance("h", "s", now, ""));
  const Assessment a = assessed(std::move(facts));
  const auto judged = static_cast<double>(a.all.judged());
  REQUIRE(a.all.count(Verdict::partial) == 1);
  CHECK(a.standings[0].value_tenths == Approx(1000 * (judged - 1) / judged).margin(0.5));
  CHECK(a.standings[1].value_tenths == Approx(1000 * (judged - 0.5) / judged).margin(0.5));
  CHECK(a.standings[2].edition->score);
  CHECK(a.standings[2].value_tenths < 1000);
}

TEST_CASE("a normal deployment: at least 120 items have a verdict or evidence for one") {
  const Assessment a = assessed(hardened());
  std::size_t automatic = 0;
  std::size_t served = 0;
  for (const ItemResult& r : a.items) {
    if (r.item->automation == Automation::automatic) {
      ++automatic;
      INFO(r.item->id);
      CHECK(!r.item->checks.empty());
      CHECK((r.verdict == Verdict::conforming || r.verdict == Verdict::partial));
    }
    const bool open = r.verdict == Verdict::not_checked || r.verdict == Verdict::error;
    if (!open || r.supported) ++served;
  }
  CHECK(automatic == 74);
  CHECK(served >= 120);
}

TEST_CASE("missing evidence never improves an item") {
  Facts mixed = collect_host(testing::weak_host(now), catalogue().sources, FixedClock(now), "m");
  testing::add_sound_product_facts(mixed, now);
  for (const Facts& all : {hardened(), mixed}) {
    const Assessment whole = assessed(all);
    for (const auto& [name, fact] : all.all()) {
      Facts fewer = all;
      fewer.remove(name);
      const Assessment a = assessed(std::move(fewer));
      for (std::size_t i = 0; i < a.items.size(); ++i) {
        const Verdict before = whole.items[i].verdict;
        const Verdict after = a.items[i].verdict;
        const bool worse = before == Verdict::partial && after == Verdict::failing;
        INFO(a.items[i].item->id << " without " << name);
        CHECK(
            (after == before || after == Verdict::not_checked || after == Verdict::error || worse));
      }
    }
  }
}

AssessedObject server(Facts facts) {
  AssessedObject object;
  object.id = "db-01";
  object.name = "db-01";
  object.class_id = "server";
  object.responsible = Responsible::tenant;
  object.facts = std::move(facts);
  return object;
}

TEST_CASE("an object that could not be read keeps its own items from conforming") {
  Facts none;
  none.fail("host", {"连接失败", "no connection"}, make_provenance("db-01", "ssh", now, ""));
  std::vector<AssessedObject> objects;
  objects.push_back(appliance_object("menshen-01", hardened()));
  objects.push_back(server(none));
  const Assessment a = assess(catalogue(), std::move(objects), {"demo", "m", "0"}, now);
  const Assessment alone = assessed(hardened());
  std::size_t held = 0;
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    INFO(a.items[i].item->id);
    const bool asked = a.items[i].checks.size() > alone.items[i].checks.size();
    if (asked) {
      ++held;
      CHECK(a.items[i].verdict != Verdict::conforming);
    } else {
      CHECK(a.items[i].verdict == alone.items[i].verdict);
    }
  }
  CHECK(held >= 20);
}

TEST_CASE("each party of a cloud sees its own items and objects") {
  std::vector<AssessedObject> objects;
  objects.push_back(appliance_object("menshen-01", hardened()));
  objects.push_back(server(hardened()));
  const auto view = [&](View which) {
    return assess(catalogue(), objects, {"demo", "m", "0"}, now, which);
  };
  CHECK(view(View::all).items.size() == 257);
  CHECK(view(View::provider).objects.size() == 1);
  CHECK(view(View::tenant).objects.size() == 2);
  for (const View which : {View::provider, View::tenant}) {
    const Assessment a = view(which);
    CHECK(a.items.size() < 257);
    CHECK(a.all.total == a.items.size());
    const Responsible other = which == View::tenant ? Responsible::provider : Responsible::tenant;
    for (const ItemResult& r : a.items) CHECK(r.item->responsible != other);
  }
}

TaskRecords answered(const std::string& item, Verdict verdict, Review decision) {
  TaskRecord record;
  record.task.item = item;
  Answer answer;
  answer.verdict = verdict;
  answer.text = "seen on site";
  answer.by = "li";
  answer.at = now - 1000;
  answer.recheck = now + 1000;
  REQUIRE(give_answer(record.task, answer));
  if (decision != Review::waiting)
    REQUIRE(review(record.task, decision, "wang", now - 500, "seen"));
  return {{item, record}};
}

const ItemResult& item_of(const Assessment& a, std::string_view id) {
  return *std::find_if(a.items.begin(), a.items.end(),
                       [&](const ItemResult& r) { return r.item->id == id; });
}

Assessment with_tasks(Facts facts, const TaskRecords& tasks, WallTime time = now) {
  std::vector<AssessedObject> objects;
  objects.push_back(appliance_object("menshen-01", std::move(facts)));
  return assess(catalogue(), std::move(objects), {"demo", "menshen-01", "0.1.0"}, time, View::all,
                tasks);
}

TEST_CASE("a person's accepted answer decides a manual item") {
  for (const Verdict verdict :
       {Verdict::conforming, Verdict::partial, Verdict::failing, Verdict::not_applicable}) {
    const Assessment a = with_tasks(hardened(), answered("8.1.6.1", verdict, Review::accepted));
    const ItemResult& r = item_of(a, "8.1.6.1");
    CHECK(r.verdict == verdict);
    CHECK(r.by_person);
    CHECK_THAT(r.reason.zh, Catch::Contains("li") && Catch::Contains("wang"));
    CHECK(a.all.judged() + a.all.count(Verdict::not_applicable) ==
          assessed(hardened()).all.judged() + 1);
  }
}

TEST_CASE("an answer that is not reviewed, is returned, too old or not whole does not count") {
  const auto verdict = [](const TaskRecords& tasks, WallTime time = now) {
    const Assessment a = with_tasks(hardened(), tasks, time);
    const ItemResult& r = item_of(a, "8.1.6.1");
    CHECK_FALSE(r.by_person);
    return r.verdict;
  };
  CHECK(verdict(answered("8.1.6.1", Verdict::conforming, Review::waiting)) == Verdict::not_checked);
  CHECK(verdict(answered("8.1.6.1", Verdict::conforming, Review::returned)) ==
        Verdict::not_checked);
  TaskRecords accepted = answered("8.1.6.1", Verdict::conforming, Review::accepted);
  CHECK(verdict(accepted, now + 1000) == Verdict::not_checked);
  accepted.begin()->second.failure = Text{"附件缺失", "an attachment is missing"};
  const Assessment a = with_tasks(hardened(), accepted);
  CHECK(item_of(a, "8.1.6.1").verdict == Verdict::not_checked);
  CHECK(item_of(a, "8.1.6.1").reason.zh == "附件缺失");
}

TEST_CASE("no answer lifts what a check found, nor a failed collection; it can only add") {
  const Assessment found = assessed(weak());
  std::size_t tried = 0;
  for (const ItemResult& before : found.items) {
    if (before.item->checks.empty()) continue;
    const Assessment good =
        with_tasks(weak(), answered(before.item->id, Verdict::conforming, Review::accepted));
    const ItemResult& after = item_of(good, before.item->id);
    INFO(before.item->id);
    if (before.verdict != Verdict::not_checked) {
      ++tried;
      CHECK(after.verdict == before.verdict);
    }
    if (!takes_answer(*before.item)) CHECK(after.verdict == before.verdict);
    if (tried > 12) break;
  }
  CHECK(tried > 0);
  // A semi-automatic item with support at hand: a person confirms, or finds otherwise.
  const Assessment supported = assessed(hardened());
  const auto waiting = std::find_if(supported.items.begin(), supported.items.end(),
                                    [](const ItemResult& r) { return r.supported; });
  REQUIRE(waiting != supported.items.end());
  const std::string id = waiting->item->id;
  CHECK(item_of(with_tasks(hardened(), answered(id, Verdict::conforming, Review::accepted)), id)
            .verdict == Verdict::conforming);
  CHECK(item_of(with_tasks(hardened(), answered(id, Verdict::failing, Review::accepted)), id)
            .verdict == Verdict::failing);
}

}  // namespace
}  // namespace menshen::compliance
