#include "sensor/engine/replay.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/testkit/packet_builder.hpp"
#include "tests/testkit/temp_dir.hpp"

namespace menshen::sensor {

TEST_CASE("a capture cut short: what stands before the cut is inspected, and the cut is named") {
  const testkit::TempDir dir;
  const auto pcap = dir / "cut.pcap";
  testkit::PcapWriter writer(pcap);
  for (int i = 0; i < 3; ++i) {
    writer.write(
        testkit::packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").udp(7, 9).payload("marked"));
  }
  writer.close();
  std::filesystem::resize_file(pcap, std::filesystem::file_size(pcap) - 5);

  ReplayOptions options;
  options.pcap = pcap;
  options.rules = {
      dir.write("a.rules", "alert udp any any -> any any (content:\"marked\"; sid:1;)")};
  options.events = dir / "events.jsonl";
  const auto summary = replay(options);
  REQUIRE(summary);
  CHECK(summary->counters.packets == 2);
  CHECK(summary->counters.alerts == 2);
  REQUIRE(summary->damage);
  CHECK(summary->damage->code == ErrorCode::corrupt);
  CHECK(summary->damage->text.en.find("packet 3") != std::string::npos);
}

TEST_CASE("a whole capture has no damage") {
  const testkit::TempDir dir;
  testkit::PcapWriter(dir / "empty.pcap").close();
  ReplayOptions options;
  options.pcap = dir / "empty.pcap";
  const auto summary = replay(options);
  REQUIRE(summary);
  CHECK_FALSE(summary->damage);
  CHECK(summary->counters.packets == 0);
}

}  // namespace menshen::sensor
