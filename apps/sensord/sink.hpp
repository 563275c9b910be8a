// Where the sensor's events go: the event file (all of them) and the audit store (alerts and
// drops).
#pragma once

#include <atomic>
#include <cstdint>

#include "apps/sensord/event_file.hpp"
#include "audit/client/client.hpp"
#include "sensor/engine/eve.hpp"
#include "sensor/engine/event.hpp"

namespace menshen::apps {

class SensorSink final : public sensor::EventSink {
 public:
  // `file` may be null: no event file.
  SensorSink(EventFile* file, audit::Client& audit, const sensor::DomainNames& names)
      : file_(file), audit_(audit), names_(names) {}

  void on_events(std::span<const sensor::Event> events) override;
  [[nodiscard]] std::uint64_t alerts_blocked() const noexcept { return alerts_blocked_; }

 private:
  EventFile* file_;
  audit::Client& audit_;
  const sensor::DomainNames& names_;
  std::atomic<std::uint64_t> alerts_blocked_{0};
};

}  // namespace menshen::apps
