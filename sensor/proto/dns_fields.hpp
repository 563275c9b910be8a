// What rules and events see of a DNS message, whatever carried it: DNS itself, mDNS, LLMNR, HTTP.
#pragma once

#include <optional>
#include <string>

#include "sensor/proto/buffer_set.hpp"
#include "sensor/proto/dns_message.hpp"

namespace menshen::sensor {

// Its names and numbers; `proto` is dns, mdns or llmnr.
void add_dns_fields(const DnsMessage& message, AppProto proto, Direction direction,
                    BufferSet& buffers, NumberSet& numbers);
// What is wrong with it (events of dns alone).
void add_dns_events(const DnsMessage& message, Transaction& transaction);
// EVE's object (version 3) of a query or of an answer, as JSON text.
[[nodiscard]] std::string dns_eve(const DnsMessage& message, std::uint64_t transaction_id);

}  // namespace menshen::sensor
