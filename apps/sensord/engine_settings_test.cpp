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

TEST_CASE("the settings of files reach the engine and the keeper") {
  const auto keeper_of = [](const std::string& text) {
    Diagnostics diagnostics("f", text);
    return file_keeper_options(*Settings::parse(settings_table(), text, diagnostics));
  };
  CHECK(options_of("")->hand_over == sensor::FileHandOver::none);
  CHECK(options_of("")->file_bytes_max == sensor::FileLimits{}.kept);
  CHECK_FALSE(keeper_of("").store);
  CHECK(keeper_of("").clamd_socket.empty());
  const std::string stored = "sensor:\n  filestore_directory: /f\n";
  CHECK(options_of(stored)->hand_over == sensor::FileHandOver::wanted);
  CHECK(keeper_of(stored).store->directory == "/f");
  const std::string all =
      "sensor:\n  filestore_directory: /f\n  filestore_mib: 7\n  filestore_free_mib: 3\n"
      "  filestore_days: 2\n  files_waiting_mib: 5\n  file_kib: 32\n"
      "  clamd_socket: /s\n  clamd_seconds: 4\n";
  CHECK(options_of(all)->hand_over == sensor::FileHandOver::all);
  CHECK(options_of(all)->file_bytes_max == 32U << 10U);
  const FileKeeperOptions keeper = keeper_of(all);
  CHECK(keeper.store->directory == "/f");
  CHECK(keeper.store->bytes_max == 7U << 20U);
  CHECK(keeper.store->free_bytes_min == 3U << 20U);
  CHECK(keeper.store->keep_for == std::chrono::hours(48));
  CHECK(keeper.waiting_bytes_max == 5U << 20U);
  CHECK(keeper.clamd_socket == "/s");
  CHECK(keeper.clamd_timeout == std::chrono::seconds(4));
}

}  // namespace menshen::apps
