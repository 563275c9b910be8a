// What the sensor saw on the wire, as far as compliance asks for it: facts of the space `wire`,
// from the event file (EVE JSON). collect/product_facts.md names them.
#pragma once

#include <string>

#include "apps/control/message.hpp"
#include "base/clock.hpp"
#include "base/settings.hpp"
#include "compliance/collect/facts.hpp"
#include "compliance/scope/inventory.hpp"

namespace menshen::apps {

// Only the newest part of the file is read.
inline constexpr std::size_t wire_bytes_max = 64U << 20U;

// Pure: lines of EVE JSON. A line that is no JSON object is counted, not believed.
[[nodiscard]] Json wire_facts(std::string_view lines, const compliance::Inventory& inventory);

// Reads the file that the settings name. No event file configured: no facts. A file that cannot be
// read: the space as a whole is a failed fact.
void add_wire_facts(compliance::Facts& facts, const Settings& settings,
                    const compliance::Inventory& inventory, const std::string& host, WallTime now);

}  // namespace menshen::apps
