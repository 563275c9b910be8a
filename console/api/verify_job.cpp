#include "console/api/verify_job.hpp"

#include <nlohmann/json.hpp>

#include "audit/verify/verify.hpp"
#include "base/clock.hpp"

namespace menshen::console {

VerifyJob::~VerifyJob() {
  if (thread_.joinable()) thread_.join();
}

bool VerifyJob::start(const std::string& who) {
  const std::lock_guard lock(mutex_);
  if (running_) return false;
  if (thread_.joinable()) thread_.join();
  running_ = true;
  started_at_ = format_utc(system_clock().wall());
  started_by_ = who;
  thread_ = std::thread([this] { run(); });
  return true;
}

void VerifyJob::run() {
  audit::VerifyOptions options;
  options.threads = 1;  // the daemons need the other cores
  const auto report = audit::verify(directory_, options);
  const std::lock_guard lock(mutex_);
  running_ = false;
  error_.reset();
  report_zh_.clear();
  report_en_.clear();
  if (!report) {
    error_ = report.error();
    return;
  }
  report_zh_ = audit::to_json(*report, Lang::zh);
  report_en_ = audit::to_json(*report, Lang::en);
}

nlohmann::json VerifyJob::state() const {
  using Json = nlohmann::json;
  const std::lock_guard lock(mutex_);
  Json out = {{"state", "none"}, {"started_at", started_at_}, {"started_by", started_by_}};
  if (running_) {
    out["state"] = "running";
  } else if (error_) {
    out["state"] = "failed";
    out["error"] = {{"zh", error_->text.zh}, {"en", error_->text.en}};
  } else if (!report_zh_.empty()) {
    out["state"] = "done";
    out["report_zh"] = Json::parse(report_zh_, nullptr, false);
    out["report_en"] = Json::parse(report_en_, nullptr, false);
  }
  return out;
}

}  // namespace menshen::console
