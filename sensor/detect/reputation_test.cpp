#include "sensor/detect/reputation.hpp"

#include <catch2/catch.hpp>

#include "sensor/engine/test_conversation.hpp"
#include "tests/testkit/temp_dir.hpp"

namespace menshen::sensor {
namespace {

constexpr std::string_view categories = "# id,name,description\n1,CnC,control\n2,Good,known good\n";

IpAddr ip(std::string_view text) { return *IpAddr::parse(text); }

Reputation make(std::string_view entries) {
  Reputation reputation;
  Diagnostics diagnostics("categories", std::string(categories));
  reputation.add_categories(categories, diagnostics);
  CHECK_FALSE(diagnostics.has_errors());
  Diagnostics more("entries", std::string(entries));
  reputation.add_entries(entries, more);
  CHECK_FALSE(more.has_errors());
  reputation.finish();
  return reputation;
}

}  // namespace

TEST_CASE("reputation: the longest network speaks, the last line of it, each category alone") {
  const Reputation r = make(
      "10.0.0.0/8,1,10\n10.1.0.0/16,1,20\r\n\n10.1.1.1,1,30\n10.1.1.1,1,31\n10.1.1.1,2,0\n"
      "2001:db8::/32,1,40\n::/0,2,5\n0.0.0.0/0,2,6\n192.0.2.77/24,1,50\n");
  CHECK(r.find(ip("10.9.9.9"), 1) == 10U);
  CHECK(r.find(ip("10.1.9.9"), 1) == 20U);
  CHECK(r.find(ip("10.1.1.1"), 1) == 31U);
  CHECK(r.find(ip("10.1.1.1"), 2) == 0U);
  CHECK(r.find(ip("192.0.2.1"), 1) == 50U);
  CHECK_FALSE(r.find(ip("11.0.0.1"), 1));
  CHECK(r.find(ip("2001:db8::1"), 1) == 40U);
  CHECK(r.find(ip("fe80::1"), 2) == 5U);
  CHECK(r.find(ip("11.0.0.1"), 2) == 6U);
  CHECK(r.category("CnC") == 1U);
  CHECK_FALSE(r.category("cnc"));
  CHECK(r.size() == 8);
}

TEST_CASE("reputation: an IPv6 network around the mapped addresses holds no IPv4 address") {
  const Reputation r = make("::/0,1,7\n");
  CHECK(r.find(ip("::1"), 1) == 7U);
  CHECK_FALSE(r.find(ip("192.0.2.1"), 1));
}

TEST_CASE("reputation: a line that cannot be read is an error with its place") {
  const std::string_view bad =
      GENERATE("10.0.0.1,1", "10.0.0.1,3,5", "10.0.0.1,1,128", "x,1,5", "10.0.0.0/33,1,5",
               "10.0.0.1,1,5,6", "10.0.0.1,61,5", "10.0.0.1,1,-1", "10.0.0.1,0,1");
  Reputation reputation;
  Diagnostics diagnostics("categories", std::string(categories));
  reputation.add_categories(categories, diagnostics);
  const std::string source = "10.0.0.2,1,5\n" + std::string(bad) + "\n10.0.0.3,1,5\n";
  Diagnostics found("entries", source);
  reputation.add_entries(source, found);
  reputation.finish();
  CHECK(found.errors() == 1);
  CHECK(found.all().front().range.begin == Position{2, 1});
  CHECK(reputation.size() == 2);
  Diagnostics wrong("categories", "61,Far,too far\n0,Zero,x\n1\n");
  reputation.add_categories("61,Far,too far\n0,Zero,x\n1\n", wrong);
  CHECK(wrong.errors() == 3);
}

namespace {

std::multiset<std::uint32_t> alerts_of(std::string_view rules, std::string_view source,
                                       std::string_view destination, std::size_t rejected = 0) {
  const testkit::TempDir dir;
  RuleSetOptions options;
  options.reputation_categories = dir.write("categories.txt", categories);
  options.reputation = {dir.write("hosts.list", "203.0.113.0/24,1,60\n10.0.0.1,2,100\n")};
  RuleSetBuilder builder(options);
  builder.add_text("test.rules", rules);
  auto built = std::move(builder).build();
  REQUIRE(built);
  CHECK(built->summary().rejected == rejected);
  testing::EventList events;
  Engine engine({}, std::make_shared<const RuleSet>(std::move(*built)), nullptr, events);
  for (int i = 0; i < 2; ++i) {
    const testkit::Packet frame =
        testkit::packet().ethernet().ipv4(source, destination).udp(4000, 5000).payload("x").build();
    const auto batch = std::make_unique<PacketBatch>();
    PacketMeta& meta = batch->push();
    meta.data = frame.data();
    meta.length = static_cast<std::uint32_t>(frame.size());
    meta.time = 1'700'000'000'000'000'000 + i;
    engine.process(*batch);
  }
  return events.alerts();
}

}  // namespace

TEST_CASE("iprep: by side, category and score; as a rule on addresses once a direction") {
  constexpr std::string_view rules =
      "alert ip any any -> any any (iprep:src,CnC,>,59; sid:1;)\n"
      "alert ip any any -> any any (iprep:src,CnC,>,60; sid:2;)\n"
      "alert ip any any -> any any (iprep:dst,CnC,>=,1; sid:3;)\n"
      "alert ip any any -> any any (iprep:any,Good,=,100; sid:4;)\n"
      "alert ip any any -> any any (iprep:both,CnC,isset; sid:5;)\n"
      "alert ip any any -> any any (iprep:both,Good,isnotset; sid:6;)\n"
      "alert udp any any -> any any (content:\"x\"; iprep:src,CnC,isset; sid:7;)\n";
  using Sids = std::multiset<std::uint32_t>;
  CHECK(alerts_of(rules, "203.0.113.9", "10.0.0.1") == Sids{1, 4, 7, 7});
  CHECK(alerts_of(rules, "10.0.0.1", "203.0.113.9") == Sids{3, 4});
  CHECK(alerts_of(rules, "10.0.0.7", "10.0.0.8") == Sids{6});
  CHECK(alerts_of(rules, "203.0.113.9", "203.0.113.10") == Sids{1, 3, 5, 6, 7, 7});
}

TEST_CASE("iprep: rejected with the reason: unknown category, wrong value, nothing configured") {
  CHECK(alerts_of("alert ip any any -> any any (iprep:src,Unknown,>,5; sid:1;)", "10.0.0.1",
                  "10.0.0.2", 1)
            .empty());
  CHECK(alerts_of("alert ip any any -> any any (iprep:src,CnC,>,128; sid:1;)\n"
                  "alert ip any any -> any any (iprep:up,CnC,>,1; sid:2;)\n"
                  "alert ip any any -> any any (iprep:src,CnC,~,1; sid:3;)\n"
                  "alert ip any any -> any any (iprep:src,CnC; sid:4;)\n",
                  "10.0.0.1", "10.0.0.2", 4)
            .empty());
  RuleSetBuilder builder;
  builder.add_text("test.rules", "alert ip any any -> any any (iprep:src,CnC,>,5; sid:1;)");
  const auto built = std::move(builder).build();
  REQUIRE(built);
  REQUIRE(built->summary().rejected == 1);
  const auto& first = built->diagnostics().front().all().front();
  CHECK(first.text.en.find("reputation") != std::string::npos);
}

}  // namespace menshen::sensor
