// A sensor's event as an audit record: what the store keeps of an alert or a drop.
#pragma once

#include <optional>

#include "audit/record/record.hpp"
#include "sensor/engine/eve.hpp"
#include "sensor/engine/event.hpp"

namespace menshen::apps {

// Nothing for events that the store does not keep: flow and transaction records, and the packets
// that follow a flow's first drop (the event file has them).
[[nodiscard]] std::optional<audit::Record> to_audit_record(const sensor::Event& event,
                                                           const sensor::DomainNames* names);

// Of a fileinfo event, for what is found in the file later: says everything but what that is.
[[nodiscard]] audit::Record to_file_record(const sensor::Event& event,
                                           const sensor::DomainNames* names);

// EVE's alert.severity 1..255 -> ours.
[[nodiscard]] audit::Severity severity_of_priority(std::uint32_t priority) noexcept;

}  // namespace menshen::apps
