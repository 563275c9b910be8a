#include <pcap/pcap.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "base/handle.hpp"
#include "tests/testkit/fake_clock.hpp"
#include "tests/testkit/packet_builder.hpp"
#include "tests/testkit/temp_dir.hpp"

namespace menshen::testkit {
namespace {

std::string hex(Bytes bytes) {
  std::string text;
  for (const std::byte b : bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    text += digits[std::to_integer<std::size_t>(b) >> 4U];
    text += digits[std::to_integer<std::size_t>(b) & 0xfU];
  }
  return text;
}

std::string hex(const PacketBuilder& builder) { return hex(builder.build()); }

// The sum over a transport header with its pseudo header is right when it comes out as zero.
std::uint16_t transport_sum(Bytes addresses, std::uint8_t protocol, Bytes transport) {
  Packet all(addresses.begin(), addresses.end());
  const auto length = static_cast<unsigned>(transport.size());
  for (const unsigned value : {0U, unsigned{protocol}, length >> 8U, length & 0xffU}) {
    all.push_back(static_cast<std::byte>(value));
  }
  all.insert(all.end(), transport.begin(), transport.end());
  return internet_checksum(all);
}

TEST_CASE("a SYN is built as computed by hand") {
  CHECK(hex(packet()
                .ethernet()
                .vlan(5)
                .ipv4("10.0.0.1", "10.0.0.2")
                .tcp(1234, 80)
                .seq(1)
                .flags("S")) ==
        "020000000002020000000001"
        "81000005"
        "0800"
        "4500002800000000400666ce0a0000010a000002"
        "04d2005000000001000000005002ffff96bd0000");
}

TEST_CASE("checksums cover what they should") {
  const Packet four = packet().ipv4("192.0.2.1", "198.51.100.7").udp(53, 4000).payload("abc");
  CHECK(internet_checksum(Bytes(four).first(20)) == 0);
  CHECK(transport_sum(Bytes(four).subspan(12, 8), 17, Bytes(four).subspan(20)) == 0);

  const Packet six = packet().ipv6("2001:db8::1", "2001:db8::2").tcp(1, 2).payload("odd");
  CHECK(transport_sum(Bytes(six).subspan(8, 32), 6, Bytes(six).subspan(40)) == 0);

  const Packet ping6 = packet().ipv6("fe80::1", "fe80::2").icmpv6(128, 0, 7).payload("ping");
  CHECK(transport_sum(Bytes(ping6).subspan(8, 32), 58, Bytes(ping6).subspan(40)) == 0);

  const Packet ping = packet().ipv4("10.0.0.1", "10.0.0.2").icmp(8, 0, 0x00010002).payload("ping");
  CHECK(internet_checksum(Bytes(ping).subspan(20)) == 0);

  const Packet bad = packet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2).bad_checksum();
  CHECK(internet_checksum(Bytes(bad).first(20)) == 0);
  CHECK(transport_sum(Bytes(bad).subspan(12, 8), 6, Bytes(bad).subspan(20)) != 0);
}

TEST_CASE("lengths and next protocols follow from the layers") {
  CHECK(hex(Bytes(packet()
                      .ipv6("::1", "::2")
                      .fragment(8, true, 9)
                      .protocol(17)
                      .payload("xxxxxxxx")
                      .build())
                .first(8)) == "6000000000102c40");
  CHECK(hex(Bytes(packet()
                      .ipv6("::1", "::2")
                      .fragment(8, true, 9)
                      .protocol(17)
                      .payload("xxxxxxxx")
                      .build())
                .subspan(40, 8)) == "1100000900000009");
  const Packet tunnel = packet()
                            .ethernet()
                            .ipv4("1.1.1.1", "2.2.2.2")
                            .udp(4000, 4789)
                            .vxlan(7)
                            .ethernet()
                            .ipv6("::1", "::2")
                            .tcp(1, 2);
  CHECK(tunnel.size() == 14 + 20 + 8 + 8 + 14 + 40 + 20);
  CHECK(hex(Bytes(tunnel).subspan(42, 8)) == "0800000000000700");
  const Packet options =
      packet().ipv4("1.1.1.1", "2.2.2.2").tcp(1, 2).options(as_bytes("\x02\x04\x05")).flags("S");
  CHECK(hex(Bytes(options).subspan(32, 2)) == "6002");
  CHECK(hex(packet().ethernet().vlan(2, 0x88a8).vlan(3)).substr(24) == "88a800028100000388b5");
}

TEST_CASE("fragments hold the whole") {
  const Packet whole =
      packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload("0123456789abcdef!");
  const auto fragments = fragments_of(whole, 16);
  REQUIRE(fragments.size() == 2);
  Packet joined;
  for (const Packet& fragment : fragments) {
    CHECK(internet_checksum(Bytes(fragment).subspan(14, 20)) == 0);
    joined.insert(joined.end(), fragment.begin() + 34, fragment.end());
  }
  CHECK(hex(joined) == hex(Bytes(whole).subspan(34)));
  CHECK(hex(Bytes(fragments[0]).subspan(20, 2)) == "2000");
  CHECK(hex(Bytes(fragments[1]).subspan(20, 2)) == "0002");
}

TEST_CASE("a modifier without its layer is the test's mistake") {
  CHECK_THROWS_AS(packet().ethernet().seq(1), std::logic_error);
  CHECK_THROWS_AS(packet().ipv4("10.0.0.1", "::1"), std::invalid_argument);
  CHECK_THROWS_AS(packet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2).flags("X"),
                  std::invalid_argument);
}

TEST_CASE("libpcap reads what the writer wrote") {
  const TempDir folder;
  const Packet first = packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload("one");
  const Packet second = packet().ethernet().payload("two");
  PcapWriter(folder / "x.pcap").write(first, FakeClock::start + 123456789).write(second).close();

  std::array<char, PCAP_ERRBUF_SIZE> error{};
  const Handle<pcap_t, &pcap_close> file(pcap_open_offline_with_tstamp_precision(
      (folder / "x.pcap").c_str(), PCAP_TSTAMP_PRECISION_NANO, error.data()));
  REQUIRE(file);
  CHECK(pcap_datalink(file.get()) == 1);
  for (const Packet& expected : {first, second}) {
    pcap_pkthdr* header = nullptr;
    const unsigned char* data = nullptr;
    REQUIRE(pcap_next_ex(file.get(), &header, &data) == 1);
    REQUIRE(header->caplen == expected.size());
    CHECK(std::memcmp(data, expected.data(), expected.size()) == 0);
    if (expected == first) CHECK(header->ts.tv_usec == 123456789);
  }
}

TEST_CASE("a temporary folder lives as long as its object") {
  std::filesystem::path path;
  {
    const TempDir folder;
    path = folder.path();
    folder.write("a/b.txt", "x\n");
    CHECK(folder.read("a/b.txt") == "x\n");
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("the clock goes when it is told to") {
  FakeClock clock;
  CHECK(format_utc(clock.wall()) == "2026-11-23T08:00:00.000000Z");
  const MonotonicTime before = clock.monotonic();
  clock.advance(std::chrono::seconds(2));
  CHECK(clock.wall() == FakeClock::start + 2'000'000'000);
  clock.set_wall(0);
  CHECK(clock.monotonic() == before + 2'000'000'000);
}

}  // namespace
}  // namespace menshen::testkit
