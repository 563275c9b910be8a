#include "sensor/packet/host_policy.hpp"

#include <catch2/catch.hpp>

#include <vector>

namespace menshen::sensor {

TEST_CASE("E3: the longest prefix says which system receives") {
  const std::vector<std::string> entries{"0.0.0.0/0=bsd", "10.0.0.0/8=linux", "10.1.0.0/16=solaris",
                                         "fd00::/8=vista"};
  const auto policies = HostPolicies::parse(entries);
  REQUIRE(policies);
  const auto of = [&](std::string_view address) { return policies->of(*IpAddr::parse(address)); };
  CHECK(of("10.1.2.3") == HostPolicy::solaris);
  CHECK(of("10.2.2.3") == HostPolicy::linux_);
  CHECK(of("192.0.2.1") == HostPolicy::bsd);
  CHECK(of("fd00::1") == HostPolicy::vista);
  CHECK(of("2001:db8::1") == HostPolicy::bsd);
  CHECK(HostPolicies().of(*IpAddr::parse("192.0.2.1")) == HostPolicy::windows);
}

TEST_CASE("every host policy has its name and comes back by it") {
  for (std::size_t i = 0; i < host_policy_count; ++i) {
    const auto policy = static_cast<HostPolicy>(i);
    CHECK_FALSE(host_policy_name(policy).empty());
    CHECK(host_policy_of(host_policy_name(policy)) == policy);
  }
}

TEST_CASE("host policies that say nothing known are refused by name") {
  for (const char* bad : {"10.0.0.0/8", "10.0.0.0/8=", "10.0.0.1/8=bsd", "=bsd", "x=bsd"}) {
    const std::vector<std::string> entries{bad};
    const auto policies = HostPolicies::parse(entries);
    REQUIRE_FALSE(policies);
    CHECK(policies.error().text.en.find(bad) != std::string::npos);
  }
  const std::vector<std::string> twice{"10.0.0.0/8=bsd", "10.0.0.0/8=linux"};
  CHECK_FALSE(HostPolicies::parse(twice));
  std::vector<std::string> many;
  for (std::size_t i = 0; i < HostPolicies::entries_max; ++i) {
    many.push_back("10." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ".0/24=bsd");
  }
  CHECK(HostPolicies::parse(many));
  many.emplace_back("192.0.2.0/24=bsd");
  const auto too_many = HostPolicies::parse(many);
  REQUIRE_FALSE(too_many);
  CHECK(too_many.error().code == ErrorCode::limit);
}

}  // namespace menshen::sensor
