#include "apps/sensord/sink.hpp"

#include "apps/sensord/event_record.hpp"

namespace menshen::apps {

void SensorSink::on_events(std::span<const sensor::Event> events) {
  std::vector<std::string> lines;
  if (file_ != nullptr) lines.reserve(events.size());
  for (const sensor::Event& event : events) {
    const bool kept = keeper_ != nullptr && event.file != nullptr;
    if (file_ != nullptr || kept) {
      std::string line = sensor::to_eve_json(event, &names_);
      if (!kept || !keep(event, line)) lines.push_back(std::move(line));
    }
    if (event.kind == sensor::EventKind::alert && event.blocked) ++alerts_blocked_;
    // Lost where the queue is full: the client counts that and records the loss itself.
    if (auto record = to_audit_record(event, &names_)) audit_.submit(std::move(*record));
  }
  if (file_ != nullptr && !lines.empty()) file_->push(std::move(lines));
}

bool SensorSink::keep(const sensor::Event& event, std::string& line) {
  FileJob job{std::move(line), event.file, {}, {}};
  if (keeper_->scans()) job.record = to_file_record(event, &names_);
  if (keeper_->take(job)) return true;
  line = std::move(job.line);
  return false;
}

}  // namespace menshen::apps
