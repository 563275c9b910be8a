#include "apps/sensord/service.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "base/service.hpp"
#include "sensor/engine/status.hpp"
#include "sensor/packet/drop_reason.hpp"

namespace menshen::apps {
namespace {

constexpr std::size_t rejected_logged_max = 20;
constexpr std::size_t rejected_told_max = 500;

// Packets that wait in the kernel's queue now; nothing where the kernel does not tell.
std::optional<std::uint64_t> queue_depth(const UniqueFd& statistics, std::int64_t queue) {
  std::array<char, 16384> buffer{};
  const ssize_t got = ::pread(statistics.get(), buffer.data(), buffer.size(), 0);
  if (got <= 0) return std::nullopt;
  std::istringstream lines(std::string(buffer.data(), static_cast<std::size_t>(got)));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::int64_t number = 0;
    std::int64_t port = 0;
    std::uint64_t waiting = 0;
    if (fields >> number >> port >> waiting && number == queue) return waiting;
  }
  return std::nullopt;
}

Json counters_json(const sensor::Counters& counters) {
  Json list = Json::array();
  for (const sensor::CounterInfo& info : sensor::counter_table()) {
    list.push_back({{"name", info.name},
                    {"value", counters.*info.member},
                    {"zh", info.help.zh},
                    {"en", info.help.en}});
  }
  return list;
}

Json drops_json(const sensor::Counters& counters) {
  Json list = Json::array();
  for (std::size_t i = 1; i < counters.drops.size(); ++i) {
    const auto& info = sensor::drop_reason_info(static_cast<sensor::DropReason>(i));
    list.push_back(
        {{"name", info.name}, {"packets", counters.drops[i]}, {"zh", info.zh}, {"en", info.en}});
  }
  return list;
}

// Each trigger with the policies that were applied, and how often.
Json exceptions_json(const sensor::Counters& counters) {
  Json list = Json::array();
  for (std::size_t i = 0; i < sensor::exception_triggers; ++i) {
    const auto& info = sensor::exception_info(static_cast<sensor::ExceptionTrigger>(i));
    Json applied = Json::object();
    for (std::size_t j = 0; j < sensor::exception_policies; ++j) {
      const auto policy = static_cast<sensor::ExceptionPolicy>(j);
      const std::uint64_t times = counters.exceptions[i][j];
      if (times != 0) applied[std::string(sensor::exception_policy_name(policy))] = times;
    }
    list.push_back(
        {{"name", info.name}, {"applied", applied}, {"zh", info.help.zh}, {"en", info.help.en}});
  }
  return list;
}

Json port_json(const sensor::PortCounters& port) {
  return {{"packets", port.packets},          {"bytes", port.bytes},
          {"accepted", port.accepted},        {"dropped", port.dropped},
          {"rejected", port.rejected},        {"cut_short", port.cut_short},
          {"lost_queue", port.lost_queue},    {"lost_socket", port.lost_socket},
          {"reset_failed", port.reset_failed}};
}

Json files_json(const FileKeeperStats& files) {
  return {{"bytes", files.bytes},     {"stored", files.stored},     {"known", files.known},
          {"full", files.full},       {"disk_low", files.disk_low}, {"failed", files.failed},
          {"scanned", files.scanned}, {"infected", files.infected}, {"unscanned", files.unscanned},
          {"refused", files.refused}, {"waiting", files.waiting}};
}

std::int64_t age_days(const LoadedRules& rules) {
  if (rules.files.empty()) return 0;
  const auto age = std::filesystem::file_time_type::clock::now() - rules.newest;
  return std::max<std::int64_t>(0,
                                std::chrono::duration_cast<std::chrono::hours>(age).count() / 24);
}

std::size_t blocking_rules(const sensor::RuleSet& rules) {
  const auto all = rules.rules();
  return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [](const auto* rule) {
    return rule->action == sensor::RuleAction::drop || rule->action == sensor::RuleAction::reject;
  }));
}

}  // namespace

Json rules_json(const LoadedRules& rules) {
  Json files = Json::array();
  for (const auto& file : rules.files) files.push_back(file.string());
  const sensor::RuleSetSummary& summary = rules.rules->summary();
  return {{"files", files},
          {"loaded", summary.loaded},
          {"rejected", summary.rejected},
          {"patterns", summary.patterns},
          {"always_checked", summary.always_checked},
          {"loaded_at", format_utc(rules.loaded_at)}};
}

namespace {

Json rejected_json(const LoadedRules& rules) {
  Json list = Json::array();
  for (const Diagnostics& file : rules.rules->diagnostics()) {
    for (const Diagnostic& each : file.all()) {
      if (each.severity != menshen::Severity::error || list.size() >= rejected_told_max) continue;
      list.push_back({{"file", file.name()},
                      {"line", each.range.begin.line},
                      {"zh", each.text.zh},
                      {"en", each.text.en}});
    }
  }
  return list;
}

}  // namespace

void log_rules(const LoadedRules& rules) {
  const auto& summary = rules.rules->summary();
  std::size_t shown = 0;
  for (const Diagnostics& file : rules.rules->diagnostics()) {
    for (const Diagnostic& each : file.all()) {
      if (each.severity != menshen::Severity::error || shown++ >= rejected_logged_max) continue;
      const std::string place = fmt::format("{}:{}", file.name(), each.range.begin.line);
      log(LogLevel::warning, {fmt::format("规则未加载 {}：{}", place, each.text.zh),
                              fmt::format("rule not loaded, {}: {}", place, each.text.en)});
    }
  }
  log(summary.rejected == 0 && summary.loaded != 0 ? LogLevel::info : LogLevel::warning,
      {fmt::format("检测规则：加载 {} 条，未加载 {} 条", summary.loaded, summary.rejected),
       fmt::format("detection rules: {} loaded, {} rejected", summary.loaded, summary.rejected)});
}

void SensorService::finish_rule_reload() {
  auto loaded = parts_.reloader.take();
  if (!loaded) {
    log(LogLevel::error, loaded.error().text);
    record({audit::Kind::system,
            audit::Severity::high,
            audit::Outcome::failure,
            "sensord",
            "rules.reload",
            "rules",
            loaded.error().text,
            {}});
    return;
  }
  rules_ = std::move(*loaded);
  parts_.worker.set_rules(rules_.rules);
  log_rules(rules_);
  const auto& summary = rules_.rules->summary();
  record({audit::Kind::system,
          audit::Severity::info,
          audit::Outcome::success,
          "sensord",
          "rules.reload",
          "rules",
          {fmt::format("检测规则已更新：{} 条", summary.loaded),
           fmt::format("detection rules replaced: {} loaded", summary.loaded)},
          rules_json(rules_)});
}

void SensorService::take_policy() {
  parts_.watch.clear();
  auto read = parts_.watch.read(system_clock());
  if (!read) {
    // Once for each reason: the folder changes with every write of policyd's.
    if (!policy_error_ || policy_error_->text != read.error().text) {
      log(LogLevel::error, read.error().text);
    }
    policy_error_ = read.error();
    return;
  }
  policy_error_.reset();
  if (!*read) return;
  const bool same = policy_ && policy_->sha256 == (*read)->active.sha256 &&
                    policy_->generation == (*read)->active.generation;
  if (same) return;
  policy_ = std::move((*read)->active);
  parts_.worker.set_policy(std::move((*read)->policy));
  log(LogLevel::info,
      {"流标签采用策略 " + policy_->name, "flows are labelled by the policy " + policy_->name});
}

Json SensorService::status() const {
  const WorkerCounters counters = parts_.worker.counters();
  Json json = {{"version", MENSHEN_VERSION},
               {"inline", true},
               {"counters", counters_json(counters.engine)},
               {"drops", drops_json(counters.engine)},
               {"exceptions", exceptions_json(counters.engine)},
               {"port", port_json(counters.port)},
               {"rules", rules_json(rules_)},
               {"alerts_blocked", parts_.sink.alerts_blocked()},
               {"audit", to_json(parts_.audit.stats())}};
  const auto queue = settings_.integer("inspection.queue");
  json["queue"] = {{"number", queue}, {"limit", settings_.integer("inspection.queue_packets_max")}};
  if (const auto waiting = queue_depth(parts_.queue_statistics, queue))
    json["queue"]["waiting"] = *waiting;
  json["policy"] = policy_ ? Json{{"name", policy_->name}, {"sha256", policy_->sha256}} : Json();
  if (policy_error_) {
    json["policy_error"] = {{"zh", policy_error_->text.zh}, {"en", policy_error_->text.en}};
  }
  if (parts_.events != nullptr) {
    const EventFileStats events = parts_.events->stats();
    json["events"] = {{"file", settings_.text("sensor.events_file")},
                      {"written", events.written},
                      {"dropped", events.dropped},
                      {"waiting", events.waiting}};
  }
  if (parts_.files != nullptr) json["files"] = files_json(parts_.files->stats());
  return json;
}

Json SensorService::facts() const {
  const WorkerCounters counters = parts_.worker.counters();
  const auto& summary = rules_.rules->summary();
  const bool closed = settings_.text("inspection.when_sensor_absent") == "block" &&
                      settings_.text("inspection.when_queue_full") == "block";
  Json drops = Json::object();
  for (const Json& drop : drops_json(counters.engine)) {
    drops[drop["name"].get<std::string>()] = drop["packets"];
  }
  return {{"running", true},
          {"inline", true},
          {"fail_mode", closed ? "closed" : "open"},
          {"rules_loaded", summary.loaded},
          {"rules_rejected", summary.rejected},
          {"rules_block", blocking_rules(*rules_.rules)},
          {"rules_age_days", age_days(rules_)},
          {"protocols", {"http", "dns", "tls"}},
          {"packets", counters.engine.packets},
          {"queue_lost", counters.port.lost_queue + counters.port.lost_socket},
          {"alerts", counters.engine.alerts},
          {"alerts_blocked", parts_.sink.alerts_blocked()},
          {"alarm_outputs", Json::array()},
          {"drops_by_reason", drops}};
}

void SensorService::add_operations(ControlServer& server, const std::function<void()>& reload) {
  server.add("status", Access::status,
             [this](const Json&, const Caller&) -> Result<Json> { return status(); });
  server.add("facts", Access::status,
             [this](const Json&, const Caller&) -> Result<Json> { return facts(); });
  server.add("rules", Access::status, [this](const Json&, const Caller&) -> Result<Json> {
    Json json = rules_json(rules_);
    json["errors"] = rejected_json(rules_);
    return json;
  });
  server.add(
      "reload", Access::admin, [this, reload](const Json&, const Caller& caller) -> Result<Json> {
        record({audit::Kind::admin,
                audit::Severity::info,
                audit::Outcome::success,
                caller.name,
                "sensor.reload",
                "sensord",
                {"管理员要求重新加载规则", "an administrator asked for the rules to be reloaded"},
                {{"uid", caller.peer.uid}}});
        reload();
        return Json::object();
      });
}

}  // namespace menshen::apps
