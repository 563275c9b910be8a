#include "apps/sensord/engine_settings.hpp"

namespace menshen::apps {
namespace {

constexpr std::size_t fragment_page_bytes = 512;  // defrag.hpp

std::uint32_t number(const Settings& settings, std::string_view key) {
  return static_cast<std::uint32_t>(settings.integer(key));
}

sensor::FlowTimeouts timeouts(const Settings& settings) {
  sensor::FlowTimeouts result;
  result.tcp = {number(settings, "sensor.timeout_tcp_new"),
                number(settings, "sensor.timeout_tcp_established"),
                number(settings, "sensor.timeout_tcp_closed")};
  result.udp = {number(settings, "sensor.timeout_udp_new"),
                number(settings, "sensor.timeout_udp_established"), 0};
  result.icmp = {number(settings, "sensor.timeout_icmp_new"),
                 number(settings, "sensor.timeout_icmp_established"), 0};
  result.other = {number(settings, "sensor.timeout_other_new"),
                  number(settings, "sensor.timeout_other_established"), 0};
  return result;
}

sensor::DefragBounds defrag_bounds(const Settings& settings) {
  sensor::DefragBounds bounds;
  const auto pages = [](std::int64_t bytes) {
    return static_cast<std::uint32_t>(bytes / static_cast<std::int64_t>(fragment_page_bytes));
  };
  bounds.datagrams_max = number(settings, "sensor.defrag_datagrams_max");
  bounds.pages_max = pages(settings.integer("sensor.defrag_mib") << 20U);
  bounds.source_pages_max = pages(settings.integer("sensor.defrag_source_kib") << 10U);
  bounds.timeout_seconds = number(settings, "sensor.timeout_defrag");
  return bounds;
}

sensor::UrgentPolicy urgent_policy(const std::string& name) {
  if (name == "in-line") return sensor::UrgentPolicy::in_line;
  return name == "drop" ? sensor::UrgentPolicy::drop : sensor::UrgentPolicy::out_of_band;
}

template <class List>
Result<List> parse_list(const Settings& settings, const std::string& key) {
  auto parsed = List::parse(settings.list(key));
  if (!parsed) return fail_while({key, key}, parsed.error());
  return parsed;
}

}  // namespace

Result<sensor::EngineOptions> engine_options(const Settings& settings) {
  sensor::EngineOptions options;
  options.inline_mode = true;
  options.verify_checksums = settings.boolean("sensor.verify_checksums");
  options.log_flows = settings.boolean("sensor.log_flows");
  options.log_transactions = settings.boolean("sensor.log_transactions");
  options.log_payload = settings.boolean("sensor.log_payload");
  options.stats_seconds = static_cast<std::uint32_t>(settings.integer("sensor.stats_seconds"));
  options.flows_max = static_cast<std::size_t>(settings.integer("sensor.flows_max"));
  options.timeouts = timeouts(settings);
  options.stream_bytes_max = static_cast<std::size_t>(settings.integer("sensor.stream_mib")) << 20U;
  options.stream_flow_bytes_max =
      static_cast<std::size_t>(settings.integer("sensor.stream_flow_kib")) << 10U;
  options.stream_depth_bytes = static_cast<std::size_t>(settings.integer("sensor.stream_depth_kib"))
                               << 10U;
  options.midstream = settings.boolean("sensor.midstream");
  options.urgent = urgent_policy(settings.text("sensor.urgent_policy"));
  options.hosts = MENSHEN_TRY(parse_list<sensor::HostPolicies>(settings, "sensor.host_os_policy"));
  options.exceptions =
      MENSHEN_TRY(parse_list<sensor::ExceptionPolicies>(settings, "sensor.exception_policies"));
  options.defrag = defrag_bounds(settings);
  options.file_bytes_max = number(settings, "sensor.file_kib") << 10U;
  const bool stored = !settings.text("sensor.filestore_directory").empty();
  const bool scanned = !settings.text("sensor.clamd_socket").empty();
  options.hand_over = scanned  ? sensor::FileHandOver::all
                      : stored ? sensor::FileHandOver::wanted
                               : sensor::FileHandOver::none;
  return options;
}

FileKeeperOptions file_keeper_options(const Settings& settings) {
  const auto mebibytes = [&](const char* key) {
    return static_cast<std::uint64_t>(settings.integer(key)) << 20U;
  };
  FileKeeperOptions options;
  if (const auto& directory = settings.text("sensor.filestore_directory"); !directory.empty()) {
    options.store = {
        .directory = directory,
        .bytes_max = mebibytes("sensor.filestore_mib"),
        .free_bytes_min = mebibytes("sensor.filestore_free_mib"),
        .keep_for = std::chrono::hours(24 * settings.integer("sensor.filestore_days"))};
  }
  options.clamd_socket = settings.text("sensor.clamd_socket");
  options.clamd_timeout = std::chrono::seconds(settings.integer("sensor.clamd_seconds"));
  options.waiting_bytes_max = mebibytes("sensor.files_waiting_mib");
  return options;
}

}  // namespace menshen::apps
