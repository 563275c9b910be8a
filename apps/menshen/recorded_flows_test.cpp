#include "apps/menshen/recorded_flows.hpp"

#include <zlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/testkit/temp_dir.hpp"

namespace menshen::apps {
namespace {

std::string flow_line(const char* start, const char* src, int port) {
  return std::string(
             R"({"timestamp":"2026-11-23T10:00:00.000000+0000","event_type":"flow","src_ip":")") +
         src + R"(","src_port":40000,"dest_ip":"10.2.0.1","dest_port":)" + std::to_string(port) +
         R"(,"proto":"TCP","flow":{"start":")" + start + "\"}}\n";
}

}  // namespace

TEST_CASE("a flow event becomes a recorded flow; other events and nonsense do not") {
  bool understood = false;
  const auto flow =
      flow_of_event(flow_line("2026-11-23T09:00:00.000000+0000", "10.1.0.1", 443), understood);
  REQUIRE(flow);
  CHECK(understood);
  CHECK(flow->dport == 443);
  CHECK(flow->proto == IpProto::tcp);
  CHECK(format_utc(flow->time) == "2026-11-23T09:00:00.000000Z");
  CHECK_FALSE(flow_of_event(R"({"event_type":"alert","flow":{}})", understood));
  CHECK(understood);
  CHECK_FALSE(flow_of_event(R"({"event_type":"flow","src_ip":"nowhere"})", understood));
  CHECK_FALSE(understood);
  CHECK_FALSE(flow_of_event("{\"flow\"", understood));
  CHECK_FALSE(understood);
}

TEST_CASE("rotated and compressed event files are read, older flows and broken lines are not") {
  const testkit::TempDir dir;
  const auto newest = dir.path() / "eve.json";
  std::ofstream(newest) << flow_line("2026-11-23T09:00:00.000000+0000", "10.1.0.1", 80)
                        << "{\"event_type\":\"flow\"\n";
  std::ofstream(dir.path() / "eve.json.1")
      << flow_line("2026-11-22T09:00:00.000000+0000", "10.1.0.2", 80)
      << flow_line("2026-10-01T09:00:00.000000+0000", "10.1.0.9", 80);
  const std::string old = flow_line("2026-11-21T09:00:00.000000+0000", "10.1.0.3", 80);
  gzFile out = gzopen((dir.path() / "eve.json.2.gz").c_str(), "wb");
  REQUIRE(gzwrite(out, old.data(), static_cast<unsigned>(old.size())) > 0);
  REQUIRE(gzclose(out) == Z_OK);
  std::vector<std::string> seen;
  const auto coverage =
      read_recorded_flows({newest, {}, *parse_time("2026-11-01")},
                          [&](const auto& flow) { seen.push_back(flow.src.to_string()); });
  CHECK(seen == std::vector<std::string>{"10.1.0.1", "10.1.0.2", "10.1.0.3"});
  CHECK(coverage.flows == 3);
  CHECK(coverage.not_understood == 1);
  CHECK(format_utc(coverage.first) == "2026-11-21T09:00:00.000000Z");
  CHECK(coverage.missing.empty());
}

TEST_CASE("event files beyond the limit are told") {
  const testkit::TempDir dir;
  const auto make = [&](const std::string& name) {
    const std::ofstream file(dir.path() / name);
    REQUIRE(file.is_open());
  };
  for (std::size_t i = 0; i < event_files_max; ++i) make("eve.json." + std::to_string(i));
  const auto missing = [&] {
    return read_recorded_flows({dir.path() / "eve.json", {}, 0}, [](const auto&) {}).missing.size();
  };
  CHECK(missing() == 0);
  make("eve.json");
  CHECK(missing() == 1);
}

TEST_CASE("sources that are not there are told") {
  const testkit::TempDir dir;
  const auto coverage = read_recorded_flows({dir.path() / "eve.json", dir.path() / "audit", 0},
                                            [](const auto&) { FAIL("no flow"); });
  CHECK(coverage.missing.size() == 2);
}

}  // namespace menshen::apps
