// Events as EVE JSON, one object a line, in the field names of Suricata's eve-log
// (https://docs.suricata.io/en/latest/output/eve/eve-json-format.html), with our own under
// "menshen".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sensor/engine/event.hpp"

namespace menshen::sensor {

// The policy's names for what FlowLabel counts. Implemented in apps/. "" for an unknown index.
class DomainNames {
 public:
  virtual ~DomainNames() = default;
  [[nodiscard]] virtual std::string_view domain(std::uint16_t index) const = 0;
  [[nodiscard]] virtual std::string_view policy_line(std::uint32_t index) const = 0;
};

// Without a line end. `names` may be null: indices stand in their place.
[[nodiscard]] std::string to_eve_json(const Event& event, const DomainNames* names = nullptr);

}  // namespace menshen::sensor
