// What parsers find wrong or worth a rule: the `app-layer-event` names of the rule language.
//
// Included by the parsers and by the one keyword; a parser adds each event to its transaction once
// (Transaction::add_event).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "sensor/proto/transaction.hpp"

namespace menshen::sensor {

enum class ProtoEvent : std::uint16_t {
  none,
  count,
};

struct ProtoEventInfo {
  std::string_view name;  // "http.request_too_long", as rules write it
  AppProto proto = AppProto::unknown;
};

[[nodiscard]] const ProtoEventInfo& proto_event_info(ProtoEvent event) noexcept;
// No such event: nothing.
[[nodiscard]] std::optional<ProtoEvent> proto_event_of(std::string_view name) noexcept;

}  // namespace menshen::sensor
