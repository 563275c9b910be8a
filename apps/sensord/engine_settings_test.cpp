#include "apps/sensord/engine_settings.hpp"

#include <catch2/catch.hpp>

#include "apps/common/settings_table.hpp"

namespace menshen::apps {
namespace {

Result<sensor::EngineOptions> options_of(const std::string& text) {
  Diagnostics diagnostics("f", text);
  const auto settings = Settings::parse(settings_table(), text, diagnostics);
  REQUIRE(settings);
  return engine_options(*settings);
}

}  // namespace

TEST_CASE("the sensor's settings reach the engine") {
  const auto plain = options_of("");
  REQUIRE(plain);
  CHECK(plain->inline_mode);
  const sensor::DefragBounds bounds;
  CHECK(plain->defrag.pages_max == bounds.pages_max);
  CHECK(plain->defrag.source_pages_max == bounds.source_pages_max);
  CHECK(plain->defrag.datagrams_max == bounds.datagrams_max);
  CHECK(plain->timeouts.tcp.established == sensor::FlowTimeouts{}.tcp.established);
  CHECK(plain->timeouts.other.fresh == sensor::FlowTimeouts{}.other.fresh);
  const auto set = options_of(
      "sensor:\n  host_os_policy: [\"10.0.0.0/8=linux\"]\n"
      "  exception_policies: [\"all=ignore\", \"midstream=drop-flow\"]\n"
      "  urgent_policy: in-line\n  midstream: true\n  timeout_tcp_closed: 3\n"
      "  timeout_defrag: 5\n  stream_flow_kib: 64\n");
  REQUIRE(set);
  CHECK(set->hosts.of(*IpAddr::parse("10.1.1.1")) == sensor::HostPolicy::linux_);
  CHECK(set->hosts.of(*IpAddr::parse("11.1.1.1")) == sensor::HostPolicy::windows);
  using sensor::ExceptionPolicy;
  using sensor::ExceptionTrigger;
  CHECK(set->exceptions.of(ExceptionTrigger::app_limit) == ExceptionPolicy::ignore);
  CHECK(set->exceptions.of(ExceptionTrigger::midstream) == ExceptionPolicy::drop_flow);
  CHECK(set->urgent == sensor::UrgentPolicy::in_line);
  CHECK(set->midstream);
  CHECK(set->timeouts.tcp.closed == 3);
  CHECK(set->defrag.timeout_seconds == 5);
  CHECK(set->stream_flow_bytes_max == 64U << 10U);
}

TEST_CASE("a list's wrong entry is named with its setting") {
  const auto hosts = options_of("sensor:\n  host_os_policy: [\"10.0.0.0/8=beos\"]\n");
  REQUIRE_FALSE(hosts);
  CHECK(hosts.error().text.en.find("sensor.host_os_policy") != std::string::npos);
  CHECK(hosts.error().text.en.find("beos") != std::string::npos);
  const auto policies = options_of("sensor:\n  exception_policies: [\"flow-limit=drop-flow\"]\n");
  REQUIRE_FALSE(policies);
  CHECK(policies.error().text.zh.find("flow-limit=drop-flow") != std::string::npos);
}

}  // namespace menshen::apps
