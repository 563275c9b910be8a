#include "sensor/detect/threshold_file.hpp"

#include <catch2/catch.hpp>
#include <set>

#include "sensor/detect/inspector.hpp"
#include "sensor/packet/decode.hpp"
#include "tests/testkit/packet_builder.hpp"
#include "tests/testkit/temp_dir.hpp"

using namespace menshen;
using namespace menshen::sensor;
using testkit::packet;
using testkit::TempDir;

namespace {

using Sids = std::multiset<std::uint32_t>;

constexpr const char* two_rules =
    "alert udp any any -> any any (dsize:>0; sid:1;)\n"
    "alert udp any any -> any any (dsize:>0; gid:7; sid:2;)\n";

// Rules beside a threshold file.
struct Filtered {
  explicit Filtered(const std::string& thresholds, const std::string& rules = two_rules) {
    RuleSetOptions options;
    options.thresholds = folder.write("threshold.config", thresholds);
    RuleSetBuilder builder(options);
    builder.add_text("test.rules", rules);
    auto built = std::move(builder).build();
    if (!built) FAIL(built.error().text.en);
    rejected = built->summary().rejected;
    inspector.emplace(InspectorOptions{.inline_mode = true},
                      std::make_shared<const RuleSet>(std::move(*built)));
  }

  Sids operator()(const char* source, const char* destination = "10.0.0.2") {
    const auto frame =
        packet().ethernet().ipv4(source, destination).udp(999, 53).payload("x").build();
    PacketMeta meta;
    meta.data = frame.data();
    meta.length = static_cast<std::uint32_t>(frame.size());
    meta.time = time;
    DecodeCounters counters;
    decode(meta, {}, counters);
    inspector->begin(meta);
    inspector->inspect_packet(meta);
    Sids sids;
    for (const Finding& finding : inspector->decide(meta)) sids.insert(finding.rule->sid);
    verdict = meta.verdict;
    return sids;
  }

  TempDir folder;
  std::optional<Inspector> inspector;
  std::size_t rejected = 0;
  WallTime time = 1'000'000'000;
  Verdict verdict = Verdict::accept;
};

}  // namespace

TEST_CASE("suppress: a rule's matches, all or of some hosts, are not reported") {
  Filtered all("suppress gen_id 1, sig_id 1\n");
  CHECK(all("10.0.0.1") == Sids{2});
  Filtered some("suppress gen_id 1, sig_id 1, track by_src, ip [10.0.0.0/24, !10.0.0.9]\n");
  CHECK(some("10.0.0.1") == Sids{2});
  CHECK(some("10.0.0.9") == Sids{1, 2});
  CHECK(some("10.0.1.1", "10.0.0.1") == Sids{1, 2});
  Filtered either("suppress gen_id 0, sig_id 0, track by_either, ip 10.0.0.1\n");
  CHECK(either("10.0.0.1", "10.0.0.2").empty());
  CHECK(either("10.0.0.2", "10.0.0.1").empty());
  CHECK(either("10.0.0.2", "10.0.0.3") == Sids{1, 2});
}

TEST_CASE("threshold and event_filter: as in a rule, where the rule has none") {
  const std::string kind = GENERATE("threshold", "event_filter");
  Filtered limited(kind +
                       " gen_id 0, sig_id 0, type limit, track by_src, \\\n"
                       "  count 1, seconds 60   \n# a comment\n",
                   std::string(two_rules) +
                       "alert udp any any -> any any (threshold:type limit,track by_src,count "
                       "2,seconds 60; sid:3;)\n");
  CHECK(limited("10.0.0.1") == Sids{1, 2, 3});
  CHECK(limited("10.0.0.1") == Sids{3});
  CHECK(limited("10.0.0.5") == Sids{1, 2, 3});
}

TEST_CASE("rate_filter: beyond its rate a rule has another action, for a time") {
  Filtered filtered(
      "rate_filter gen_id 1, sig_id 1, track by_src, count 2, seconds 10, new_action drop, "
      "timeout 30\n");
  const auto verdict = [&](const char* source) {
    CHECK(filtered(source) == Sids{1, 2});
    return filtered.verdict;
  };
  CHECK(verdict("10.0.0.1") == Verdict::accept);
  CHECK(verdict("10.0.0.1") == Verdict::accept);
  CHECK(verdict("10.0.0.1") == Verdict::drop);
  CHECK(verdict("10.0.0.5") == Verdict::accept);
  filtered.time += 29'000'000'000;
  CHECK(verdict("10.0.0.1") == Verdict::drop);
  filtered.time += 2'000'000'000;
  CHECK(verdict("10.0.0.1") == Verdict::accept);
}

TEST_CASE("a wrong entry is named with its line and counted, the others hold") {
  const std::string wrong =
      GENERATE("suppress gen_id 1, sig_id x", "suppress gen_id 1, sig_id 1, track by_src",
               "suppress gen_id 1, sig_id 1, ip 10.0.0.1", "silence gen_id 1, sig_id 1",
               "threshold gen_id 1, sig_id 1, type limit, track by_src, count 1",
               "rate_filter gen_id 1, sig_id 1, track by_src, count 2, seconds 10, timeout 30",
               "suppress gen_id 1, sig_id 1, track by_src, ip 10.0.0.300");
  Filtered filtered("suppress gen_id 7, sig_id 2\n" + wrong + "\n");
  CHECK(filtered.rejected == 1);
  CHECK(filtered("10.0.0.1") == Sids{1});
  Diagnostics diagnostics("t", wrong);
  CHECK(parse_thresholds(wrong, default_variables(), diagnostics).empty());
  CHECK(diagnostics.has_errors());
}
