#include "sensor/capture/tcp_reset.hpp"

#include <catch2/catch.hpp>

#include "sensor/packet/test_batch.hpp"

namespace menshen::sensor {

using testing::TestBatch;

TEST_CASE("resets go to both ends, with numbers that both accept") {
  const bool v6 = GENERATE(false, true);
  TestBatch batch;
  auto builder = testkit::packet().ethernet();
  if (v6) {
    builder.ipv6("fd00::1", "fd00::2");
  } else {
    builder.ipv4("10.0.0.1", "10.0.0.2");
  }
  batch.add(builder.tcp(4000, 80).seq(100).ack(200).flags("PA").payload("attack"));
  batch.decode();
  const auto resets = make_resets((*batch).packets()[0]);
  REQUIRE(resets.size() == 2);

  TestBatch made;
  for (const auto& reset : resets) made.add(reset, LinkType::raw_ip);
  made.decode();  // verifies the checksums
  const auto packets = (*made).packets();
  for (const PacketMeta& meta : packets) {
    REQUIRE_FALSE(meta.dropped());
    CHECK((meta.tcp_flags & tcp_rst) != 0);
  }
  CHECK(tuple_of(packets[0]).sport == 80);
  CHECK(tcp_header(packets[0]).seq == 200);
  CHECK(tuple_of(packets[1]).sport == 4000);
  CHECK(tcp_header(packets[1]).seq == 100);
}

TEST_CASE("a SYN is refused with an acknowledgement; no reset answers a reset") {
  TestBatch batch;
  batch.add(testkit::packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2).seq(7).flags("S"));
  batch.add(testkit::packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2).seq(7).flags("R"));
  batch.decode();
  const auto resets = make_resets((*batch).packets()[0]);
  REQUIRE(resets.size() == 2);
  TestBatch made;
  made.add(resets[0], LinkType::raw_ip);
  made.decode();
  CHECK((*made).packets()[0].tcp_flags == (tcp_rst | tcp_ack));
  CHECK(tcp_header((*made).packets()[0]).ack == 8);
  CHECK(make_resets((*batch).packets()[1]).empty());
}

}  // namespace menshen::sensor
