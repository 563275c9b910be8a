#include "base/ip.hpp"

#include <arpa/inet.h>

#include <bit>
#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <set>
#include <vector>

namespace menshen {
namespace {

IpAddr ip(std::string_view text) { return IpAddr::parse(text).value(); }
Prefix prefix(std::string_view text) { return Prefix::parse(text).value(); }

// Addresses with many zero groups, so that :: comes out in every place.
IpAddr any_address(std::mt19937_64& random) {
  if (random() % 3 == 0) return IpAddr::v4(static_cast<std::uint32_t>(random()));
  std::array<std::uint8_t, 16> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (random() % 3 == 0) bytes[i] = static_cast<std::uint8_t>(random());
  }
  return IpAddr::v6(bytes);
}

FiveTuple any_tuple(std::mt19937_64& random) {
  FiveTuple tuple;
  tuple.src = any_address(random);
  // Often the same ends: equal addresses, equal ports.
  tuple.dst = random() % 4 == 0 ? tuple.src : any_address(random);
  tuple.sport = static_cast<std::uint16_t>(random() % 4);
  tuple.dport = static_cast<std::uint16_t>(random() % 4);
  tuple.attachment = static_cast<std::uint16_t>(random() % 3);
  tuple.proto = random() % 2 == 0 ? IpProto::tcp : IpProto::icmp;
  return tuple;
}

TEST_CASE("addresses as text") {
  CHECK(ip("10.0.0.1").v4_value() == 0x0a000001);
  CHECK(ip("10.0.0.1").to_string() == "10.0.0.1");
  CHECK(ip("::ffff:10.0.0.1") == ip("10.0.0.1"));
  CHECK(ip("2001:DB8:0:0:1:0:0:1").to_string() == "2001:db8::1:0:0:1");
  CHECK(ip("1:0:2:3:4:5:6:7").to_string() == "1:0:2:3:4:5:6:7");
  CHECK(ip("::").to_string() == "::");
  CHECK(ip("::1").to_string() == "::1");
  CHECK(ip("1::").to_string() == "1::");
  CHECK(ip("::102:304").to_string() == "::102:304");
  for (const char* text :
       {"", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.1 ", " ::1", "::1%eth0", "[::1]",
        "1:2:3:4:5:6:7:8:9", ":::", "12345::", "g::", "10.0.0.1/32", "0x0a.0.0.1"}) {
    CAPTURE(text);
    CHECK_FALSE(IpAddr::parse(text));
  }
  CHECK_FALSE(IpAddr::parse(std::string_view("10.0.0.1\0", 9)));
  CHECK_FALSE(IpAddr::parse(std::string(1000, '1')));
}

TEST_CASE("what is written is read again, as the C library writes it") {
  std::mt19937_64 random(Catch::rngSeed());
  for (int i = 0; i < 5000; ++i) {
    const IpAddr address = any_address(random);
    const std::string text = address.to_string();
    CAPTURE(text);
    CHECK(IpAddr::parse(text) == address);
    std::array<char, INET6_ADDRSTRLEN> other{};
    ::inet_ntop(AF_INET6, address.bytes().data(), other.data(), other.size());
    // The C library shows ::1.2.3.4 and ::ffff:1.2.3.4 in mixed notation.
    if (std::strchr(other.data(), '.') == nullptr) CHECK(text == other.data());
  }
}

TEST_CASE("a prefix has no host bits and a length of its family") {
  CHECK(prefix("10.0.0.0/8").to_string() == "10.0.0.0/8");
  CHECK(prefix("10.1.2.3").to_string() == "10.1.2.3/32");
  CHECK(prefix("::1").to_string() == "::1/128");
  CHECK(prefix("0.0.0.0/0").length() == 0);
  CHECK(prefix("::/0") == Prefix{});
  CHECK_FALSE(prefix("0.0.0.0/0") == Prefix{});
  const auto host_bits = Prefix::parse("10.0.0.1/8");
  REQUIRE_FALSE(host_bits);
  CHECK(host_bits.error().code == ErrorCode::invalid);
  CHECK(host_bits.error().text.en == "10.0.0.1/8 has host bits; the prefix is 10.0.0.0/8");
  for (const char* text :
       {"10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/+8", "10.0.0.0/-1",
        "10.0.0.0/8 ", "/8", "10.0.0.0/8/8", "fd00::1/8", "10.0.0.0/99999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(Prefix::parse(text));
  }
}

TEST_CASE("a prefix covers its own family from first to last") {
  CHECK(prefix("10.1.0.0/16").last() == ip("10.1.255.255"));
  CHECK(prefix("10.1.2.0/23").last() == ip("10.1.3.255"));
  CHECK(prefix("2001:db8::/33").last() == ip("2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"));
  CHECK(prefix("::/0").last() == ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
  CHECK(prefix("0.0.0.0/0").contains(ip("255.255.255.255")));
  CHECK_FALSE(prefix("0.0.0.0/0").contains(ip("::1")));
  CHECK_FALSE(prefix("::/0").contains(ip("10.0.0.1")));
  CHECK(prefix("10.0.0.0/8").overlaps(prefix("10.1.0.0/16")));
  CHECK(prefix("10.1.0.0/16").overlaps(prefix("10.0.0.0/8")));
  CHECK_FALSE(prefix("10.0.0.0/9").overlaps(prefix("10.128.0.0/9")));
  CHECK_FALSE(prefix("::/0").overlaps(prefix("0.0.0.0/0")));
}

TEST_CASE("prefixes against the obvious way, bit by bit") {
  std::mt19937_64 random(Catch::rngSeed() + 1);
  const auto bit = [](const IpAddr& address, unsigned i) {
    return address.bytes()[i / 8] >> (7 - i % 8) & 1U;
  };
  for (int i = 0; i < 5000; ++i) {
    const IpAddr address = any_address(random);
    const unsigned skipped = address.is_v4() ? 96 : 0;
    const auto length = static_cast<unsigned>(random() % (129 - skipped));
    bool host_bits = false;
    for (unsigned b = skipped + length; b < 128; ++b) host_bits = host_bits || bit(address, b) != 0;
    const auto made = Prefix::make(address, length);
    CAPTURE(address.to_string(), length);
    REQUIRE(made.has_value() == !host_bits);
    if (!made) continue;
    CHECK(prefix(made->to_string()) == *made);
    const IpAddr other = any_address(random);
    bool inside = other.is_v4() == address.is_v4();
    for (unsigned b = skipped; b < skipped + length; ++b)
      inside = inside && bit(address, b) == bit(other, b);
    CHECK(made->contains(other) == inside);
    CHECK(made->contains(made->first()));
    CHECK(made->contains(made->last()));
  }
}

TEST_CASE("both directions of a flow have one key") {
  std::mt19937_64 random(Catch::rngSeed() + 2);
  for (int i = 0; i < 5000; ++i) {
    const FiveTuple tuple = any_tuple(random);
    const FlowKey there = FlowKey::of(tuple);
    const FlowKey back = FlowKey::of(tuple.reversed());
    REQUIRE(there == back);
    REQUIRE((there.swapped ? there.tuple.reversed() : there.tuple) == tuple);
    REQUIRE((there.swapped != back.swapped || tuple == tuple.reversed()));
    REQUIRE(hash_flow(there.tuple, 7) == hash_flow(back.tuple, 7));
  }
}

// SipHash as its paper has it, for any length and number of rounds.
std::uint64_t sip_hash(int compression_rounds, int final_rounds, std::uint64_t k0, std::uint64_t k1,
                       std::vector<std::uint8_t> bytes) {
  std::uint64_t v0 = k0 ^ 0x736f6d6570736575U;
  std::uint64_t v1 = k1 ^ 0x646f72616e646f6dU;
  std::uint64_t v2 = k0 ^ 0x6c7967656e657261U;
  std::uint64_t v3 = k1 ^ 0x7465646279746573U;
  const auto rounds = [&](int count) {
    for (int i = 0; i < count; ++i) {
      v0 += v1, v1 = std::rotl(v1, 13), v1 ^= v0, v0 = std::rotl(v0, 32);
      v2 += v3, v3 = std::rotl(v3, 16), v3 ^= v2;
      v0 += v3, v3 = std::rotl(v3, 21), v3 ^= v0;
      v2 += v1, v1 = std::rotl(v1, 17), v1 ^= v2, v2 = std::rotl(v2, 32);
    }
  };
  const std::size_t size = bytes.size();
  bytes.resize(size / 8 * 8 + 8);
  bytes.back() = static_cast<std::uint8_t>(size);
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    std::uint64_t word = 0;
    for (std::size_t b = 8; b > 0; --b) word = word << 8U | bytes[i + b - 1];
    v3 ^= word;
    rounds(compression_rounds);
    v0 ^= word;
  }
  v2 ^= 0xff;
  rounds(final_rounds);
  return v0 ^ v1 ^ v2 ^ v3;
}

TEST_CASE("flows are hashed by SipHash-1-3") {
  // The paper's example: SipHash-2-4 with key 00..0f over 00..0e.
  std::vector<std::uint8_t> example(15);
  for (std::size_t i = 0; i < example.size(); ++i) example[i] = static_cast<std::uint8_t>(i);
  REQUIRE(sip_hash(2, 4, 0x0706050403020100U, 0x0f0e0d0c0b0a0908U, example) == 0xa129ca6149be45e5U);

  std::mt19937_64 random(Catch::rngSeed() + 3);
  std::set<std::uint64_t> hashes;
  for (int i = 0; i < 1000; ++i) {
    const FiveTuple tuple = any_tuple(random);
    const std::uint64_t seed = random();
    std::vector<std::uint8_t> bytes(sizeof(tuple));
    std::memcpy(bytes.data(), &tuple, sizeof(tuple));
    const std::uint64_t hash = hash_flow(tuple, seed);
    REQUIRE(hash == sip_hash(1, 3, seed, seed * 0x9e3779b97f4a7c15U, bytes));
    hashes.insert(hash);
  }
  CHECK(hashes.size() == 1000);
}

TEST_CASE("every field of a tuple counts in its hash") {
  const FiveTuple tuple{ip("10.0.0.1"), ip("10.0.0.2"), 1, 2, 0, IpProto::tcp, 0};
  const auto hash = hash_flow(tuple, 1);
  auto other = tuple;
  other.attachment = 1;
  CHECK(hash_flow(other, 1) != hash);
  other = tuple;
  other.proto = IpProto::udp;
  CHECK(hash_flow(other, 1) != hash);
  CHECK(hash_flow(tuple.reversed(), 1) != hash);
  CHECK(hash_flow(tuple, 2) != hash);
}

}  // namespace
}  // namespace menshen
