#include "sensor/proto/dns_fields.hpp"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/ascii.hpp"
#include "sensor/proto/events.hpp"

namespace menshen::sensor {

namespace {

using Json = nlohmann::ordered_json;

constexpr unsigned opcode_known_max = 6;  // stateful operations (RFC 8490)

struct SectionBuffers {
  Buffer queries;
  Buffer answers;
  Buffer authorities;
  Buffer additionals;
  Buffer response = Buffer::count;  // every name of a response
};
constexpr SectionBuffers of_requests{Buffer::dns_query, Buffer::dns_answer_name_request,
                                     Buffer::dns_authorities_rrname_request,
                                     Buffer::dns_additionals_rrname_request};
constexpr SectionBuffers of_responses{Buffer::dns_query_response, Buffer::dns_answer_name,
                                      Buffer::dns_authorities_rrname,
                                      Buffer::dns_additionals_rrname, Buffer::dns_response_rrname};
constexpr SectionBuffers of_mdns{Buffer::mdns_queries_rrname, Buffer::mdns_answers_rrname,
                                 Buffer::mdns_authorities_rrname, Buffer::mdns_additionals_rrname,
                                 Buffer::mdns_response_rrname};
constexpr SectionBuffers of_llmnr{Buffer::llmnr_queries_rrname, Buffer::llmnr_answers_rrname,
                                  Buffer::llmnr_authorities_rrname,
                                  Buffer::llmnr_additionals_rrname, Buffer::llmnr_response_rrname};

const SectionBuffers& buffers_of(AppProto proto, Direction direction) {
  if (proto == AppProto::mdns) return of_mdns;
  if (proto == AppProto::llmnr) return of_llmnr;
  return direction == Direction::to_server ? of_requests : of_responses;
}

Json record_json(const DnsRecord& record, bool resource) {
  Json json{{"rrname", record.name}, {"rrtype", dns_type_name(record.type)}};
  if (!resource) return json;
  json["ttl"] = record.ttl;
  if (!record.rdata.empty()) json["rdata"] = record.rdata;
  if (!record.details.empty()) {
    // "soa", "srv": the object is named after its type.
    json[ascii_lower(dns_type_name(record.type))] = Json::parse(record.details, nullptr, false);
  }
  return json;
}

void add_section(Json& json, const char* key, const std::vector<DnsRecord>& records,
                 bool resource) {
  for (const DnsRecord& record : records) json[key].push_back(record_json(record, resource));
}

}  // namespace

void add_dns_fields(const DnsMessage& message, AppProto proto, Direction direction,
                    BufferSet& buffers, NumberSet& numbers) {
  const SectionBuffers& wanted = buffers_of(proto, direction);
  const auto add = [&](const std::vector<DnsRecord>& records, Buffer buffer) {
    for (const DnsRecord& record : records) {
      buffers.add(buffer, record.name);
      if (wanted.response == Buffer::count || !message.is_response()) continue;
      buffers.add(wanted.response, record.name);
      if (record.rdata_is_name) buffers.add(wanted.response, record.rdata);
    }
  };
  add(message.questions, wanted.queries);
  add(message.answers, wanted.answers);
  add(message.authorities, wanted.authorities);
  add(message.additionals, wanted.additionals);
  if (proto == AppProto::mdns && message.is_response()) {
    numbers.set(Number::mdns_response_code, message.rcode());
  }
  if (proto != AppProto::dns) return;
  const bool request = direction == Direction::to_server;
  numbers.set(request ? Number::dns_opcode : Number::dns_opcode_response, message.opcode());
  numbers.set(request ? Number::dns_rcode_request : Number::dns_rcode, message.rcode());
  const Number type = request ? Number::dns_rrtype : Number::dns_rrtype_response;
  for (const DnsRecord& record : request ? message.questions : message.answers) {
    numbers.add(type, record.type);
  }
}

void add_dns_events(const DnsMessage& message, Transaction& transaction) {
  constexpr std::array<std::pair<DnsFault, ProtoEvent>, 4> events{
      {{DnsFault::malformed, ProtoEvent::dns_malformed_data},
       {DnsFault::invalid_authorities, ProtoEvent::dns_invalid_authorities},
       {DnsFault::invalid_additionals, ProtoEvent::dns_invalid_additionals},
       {DnsFault::name_too_long, ProtoEvent::dns_name_too_long}}};
  for (const auto& [fault, event] : events) {
    if (message.has(fault)) transaction.add_event(event);
  }
  constexpr unsigned reserved_flag = 0x0040;
  if ((message.flags & reserved_flag) != 0) transaction.add_event(ProtoEvent::dns_z_flag_set);
  if (message.opcode() > opcode_known_max) transaction.add_event(ProtoEvent::dns_invalid_opcode);
}

std::string dns_eve(const DnsMessage& message, std::uint64_t transaction_id) {
  Json json{{"version", 3},
            {"type", message.is_response() ? "response" : "request"},
            {"tx_id", transaction_id},
            {"id", message.id},
            {"flags", fmt::format("{:x}", message.flags)}};
  constexpr std::array<std::pair<std::string_view, unsigned>, 6> flags{{{"qr", 0x8000},
                                                                        {"aa", 0x0400},
                                                                        {"tc", 0x0200},
                                                                        {"rd", 0x0100},
                                                                        {"ra", 0x0080},
                                                                        {"z", 0x0040}}};
  for (const auto& [name, bit] : flags) {
    if ((message.flags & bit) != 0) json[std::string(name)] = true;
  }
  json["opcode"] = message.opcode();
  json["rcode"] = dns_rcode_name(message.rcode());
  if (!message.questions.empty()) {
    json["rrname"] = message.questions.front().name;
    json["rrtype"] = dns_type_name(message.questions.front().type);
  }
  add_section(json, "queries", message.questions, false);
  add_section(json, "answers", message.answers, true);
  for (const DnsRecord& record : message.answers) {
    if (!record.rdata.empty()) json["grouped"][dns_type_name(record.type)].push_back(record.rdata);
  }
  add_section(json, "authorities", message.authorities, true);
  add_section(json, "additionals", message.additionals, true);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace menshen::sensor
