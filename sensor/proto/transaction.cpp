#include "sensor/proto/transaction.hpp"

#include <algorithm>

#include "sensor/proto/file.hpp"

namespace menshen::sensor {

Transaction::Transaction() = default;
Transaction::~Transaction() = default;

void Transaction::add_event(ProtoEvent event) {
  if (std::ranges::find(events, event) == events.end()) events.push_back(event);
}

}  // namespace menshen::sensor
