#include "sensor/proto/events.hpp"

namespace menshen::sensor {
namespace {

constexpr struct {
  ProtoEvent event;
  ProtoEventInfo info;
} rows[] = {
    {ProtoEvent::none, {}},
};

}  // namespace

const ProtoEventInfo& proto_event_info(ProtoEvent event) noexcept {
  for (const auto& row : rows) {
    if (row.event == event) return row.info;
  }
  return rows[0].info;
}

std::optional<ProtoEvent> proto_event_of(std::string_view name) noexcept {
  for (const auto& row : rows) {
    if (!name.empty() && row.info.name == name) return row.event;
  }
  return std::nullopt;
}

}  // namespace menshen::sensor
