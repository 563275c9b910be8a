#include "sensor/detect/address_set.hpp"

#include <catch2/catch.hpp>

using namespace menshen;
using namespace menshen::sensor;

namespace {

bool has(const char* set, const char* address) {
  const auto parsed = AddressSet::parse(set, default_variables());
  REQUIRE(parsed);
  return parsed->contains(*IpAddr::parse(address));
}

bool has_port(const char* set, std::uint16_t port) {
  const auto parsed = PortSet::parse(set, default_variables());
  REQUIRE(parsed);
  return parsed->contains(port);
}

}  // namespace

TEST_CASE("address sets resolve lists, negation and nesting") {
  CHECK(has("any", "1.2.3.4"));
  CHECK(has("any", "2001:db8::1"));
  CHECK(has("[10.0.0.0/8,![10.1.0.0/16,!10.1.2.0/24]]", "10.1.2.3"));
  CHECK_FALSE(has("[10.0.0.0/8,![10.1.0.0/16,!10.1.2.0/24]]", "10.1.3.3"));
  CHECK(has("[10.0.0.0/8,![10.1.0.0/16,!10.1.2.0/24]]", "10.2.0.1"));
  CHECK_FALSE(has("[10.0.0.0/8]", "11.0.0.1"));
  CHECK(has("!10.0.0.0/8", "11.0.0.1"));
  CHECK_FALSE(has("![10.0.0.0/8, 11.0.0.0/8]", "11.0.0.1"));
  CHECK(has("10.0.0.1-10.0.0.9", "10.0.0.9"));
  CHECK_FALSE(has("10.0.0.1-10.0.0.9", "10.0.0.10"));
  CHECK(has("fd00::/8", "fdff::1"));
  CHECK(has("10.1.2.3/255.255.0.0", "10.1.9.9"));
}

TEST_CASE("a negation leaves addresses of the family that it names") {
  CHECK_FALSE(has("!10.0.0.0/8", "fd00::1"));
  CHECK_FALSE(has("[!10.0.0.0/8]", "fd00::1"));
  CHECK_FALSE(has("!fd00::/8", "10.0.0.1"));
  CHECK(has("!fd00::/8", "2001:db8::1"));
  CHECK(has("![10.0.0.0/8,fd00::/8]", "2001:db8::1"));
  CHECK(has("![10.0.0.0/8,fd00::/8]", "11.0.0.1"));
  CHECK(has("[any,!10.0.0.0/8]", "2001:db8::1"));
  CHECK(has("$EXTERNAL_NET", "2001:db8::1"));
}

TEST_CASE("the customary variables") {
  CHECK(has("$HOME_NET", "192.168.1.1"));
  CHECK_FALSE(has("$EXTERNAL_NET", "172.16.9.9"));
  CHECK(has("!$HOME_NET", "8.8.8.8"));
  CHECK(has_port("$HTTP_PORTS", 80));
  CHECK_FALSE(has_port("$SHELLCODE_PORTS", 80));
}

TEST_CASE("port sets") {
  CHECK(has_port("[80,443:445,!444]", 445));
  CHECK_FALSE(has_port("[80,443:445,!444]", 444));
  CHECK(has_port(":1023", 0));
  CHECK(has_port("1024:", 65535));
  CHECK(has_port("!80", 65535));
  CHECK_FALSE(has_port("!0:65534", 80));
}

TEST_CASE("nonsense in sets is an error") {
  for (const char* text : {"", "[", "10.0.0.0/33", "[1.2.3.4", "1.2.3.4]", "$NOPE", "!any", "9-1",
                           "[,]", "10.0.0.0/8/8", "1.1.1.9-1.1.1.1"}) {
    INFO(text);
    CHECK_FALSE(AddressSet::parse(text, default_variables()));
  }
  for (const char* text : {"", "65536", "9:1", ":", "x", "!0:65535", "80]"}) {
    INFO(text);
    CHECK_FALSE(PortSet::parse(text, default_variables()));
  }
}

TEST_CASE("variables that name each other end at the nesting limit") {
  CHECK_FALSE(AddressSet::parse("$A", {{"A", "$B"}, {"B", "$A"}}));
  const std::string deep(set_nesting_max + 2, '[');
  CHECK_FALSE(AddressSet::parse(deep + "1.1.1.1" + std::string(deep.size(), ']'), {}));
}
