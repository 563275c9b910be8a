// Where the sensor's events go: the event file (all of them) and the audit store (alerts and
// drops). Files' contents go to their keeper, which writes their events when it knows what became
// of them.
#pragma once

#include <atomic>
#include <cstdint>

#include "apps/sensord/event_file.hpp"
#include "apps/sensord/file_keeper.hpp"
#include "audit/client/client.hpp"
#include "sensor/engine/eve.hpp"
#include "sensor/engine/event.hpp"

namespace menshen::apps {

class SensorSink final : public sensor::EventSink {
 public:
  // `file` may be null: no event file. So may `keeper`: contents are let go.
  SensorSink(EventFile* file, FileKeeper* keeper, audit::Client& audit,
             const sensor::DomainNames& names)
      : file_(file), keeper_(keeper), audit_(audit), names_(names) {}

  void on_events(std::span<const sensor::Event> events) override;
  [[nodiscard]] std::uint64_t alerts_blocked() const noexcept { return alerts_blocked_; }

 private:
  // True: its keeper has it, and its line.
  bool keep(const sensor::Event& event, std::string& line);

  EventFile* file_;
  FileKeeper* keeper_;
  audit::Client& audit_;
  const sensor::DomainNames& names_;
  std::atomic<std::uint64_t> alerts_blocked_{0};
};

}  // namespace menshen::apps
