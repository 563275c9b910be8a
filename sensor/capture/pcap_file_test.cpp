#include "sensor/capture/pcap_file.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/testkit/packet_builder.hpp"
#include "tests/testkit/temp_dir.hpp"

namespace menshen::sensor {

using namespace std::chrono_literals;
using testkit::packet;
using testkit::PcapWriter;

namespace {

void write_text(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

testkit::Packet small() {
  return packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload("x");
}

}  // namespace

TEST_CASE("a capture file gives every packet, with its time and number") {
  testkit::TempDir dir;
  const auto path = dir.path() / "a.pcap";
  PcapWriter writer(path);
  for (int i = 0; i < 600; ++i) writer.write(small(), 1'000'000'000LL + i);
  writer.close();
  auto port = open_pcap_file(path);
  REQUIRE(port);
  PacketBatch batch;
  std::uint32_t seen = 0;
  while (!(*port)->finished()) {
    batch.clear();
    REQUIRE((*port)->receive(batch, 0ms));
    for (const PacketMeta& meta : batch.packets()) {
      CHECK(meta.id == ++seen);
      CHECK(meta.time == 1'000'000'000LL + meta.id - 1);
      CHECK(meta.length == small().size());
      CHECK(std::equal(meta.frame().begin(), meta.frame().end(), small().begin()));
    }
    REQUIRE((*port)->give_verdicts(batch));
  }
  CHECK(seen == 600);
  CHECK((*port)->counters().packets == 600);
  CHECK((*port)->counters().accepted == 600);
  CHECK_FALSE((*port)->is_inline());
}

TEST_CASE("a capture file without packets is fine") {
  testkit::TempDir dir;
  const auto path = dir.path() / "empty.pcap";
  PcapWriter(path).close();
  auto port = open_pcap_file(path);
  REQUIRE(port);
  PacketBatch batch;
  const auto got = (*port)->receive(batch, 0ms);
  REQUIRE(got);
  CHECK(*got == 0);
  CHECK((*port)->finished());
}

TEST_CASE("a truncated file gives what is whole, then names the packet") {
  testkit::TempDir dir;
  const auto path = dir.path() / "cut.pcap";
  PcapWriter writer(path);
  for (int i = 0; i < 3; ++i) writer.write(small());
  writer.close();
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 5);
  auto port = open_pcap_file(path);
  REQUIRE(port);
  PacketBatch batch;
  const auto whole = (*port)->receive(batch, 0ms);
  REQUIRE(whole);
  CHECK(*whole == 2);
  CHECK_FALSE((*port)->finished());
  batch.clear();
  const auto broken = (*port)->receive(batch, 0ms);
  REQUIRE_FALSE(broken);
  CHECK(broken.error().code == ErrorCode::corrupt);
  CHECK(broken.error().text.en.find("packet 3") != std::string::npos);
  CHECK((*port)->finished());
}

TEST_CASE("what cannot be opened says why") {
  testkit::TempDir dir;
  CHECK(open_pcap_file(dir.path() / "none.pcap").error().code == ErrorCode::not_found);
  const auto text = dir.path() / "text.pcap";
  write_text(text, "this is no capture file, whatever its name says");
  CHECK(open_pcap_file(text).error().code == ErrorCode::invalid);
  CHECK_FALSE(open_pcap_file(dir.path()));
  const auto usb = dir.path() / "usb.pcap";
  PcapWriter(usb, 189).close();
  const auto refused = open_pcap_file(usb);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::unavailable);
}

}  // namespace menshen::sensor
