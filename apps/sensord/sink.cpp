#include "apps/sensord/sink.hpp"

#include "apps/sensord/event_record.hpp"

namespace menshen::apps {

void SensorSink::on_events(std::span<const sensor::Event> events) {
  std::vector<std::string> lines;
  if (file_ != nullptr) lines.reserve(events.size());
  for (const sensor::Event& event : events) {
    if (file_ != nullptr) lines.push_back(sensor::to_eve_json(event, &names_));
    if (event.kind == sensor::EventKind::alert && event.blocked) ++alerts_blocked_;
    // Lost where the queue is full: the client counts that and records the loss itself.
    if (auto record = to_audit_record(event, &names_)) audit_.submit(std::move(*record));
  }
  if (!lines.empty()) file_->push(std::move(lines));
}

}  // namespace menshen::apps
