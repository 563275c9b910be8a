#include <catch2/catch.hpp>

#include "sensor/detect/keyword.hpp"

namespace menshen::sensor {
namespace {

// Do numbers, each with its values, answer what a keyword asks?
struct Value {
  Number number;
  std::vector<std::uint64_t> values;
};

bool answered(std::string_view name, std::string_view text, const std::vector<Value>& values) {
  const Classifications classifications;
  RuleDraft draft(classifications);
  const Keyword* keyword = find_keyword(name);
  REQUIRE(keyword != nullptr);
  REQUIRE(keyword->parse(draft, {name, text}));
  REQUIRE_FALSE(draft.rule.asks.empty());
  for (const TransactionTest& ask : draft.rule.asks) {
    const auto& test = std::get<NumberTest>(ask);
    bool yes = false;
    for (const Value& value : values) {
      if (value.number != test.to_server && value.number != test.to_client) continue;
      for (const std::uint64_t one : value.values) {
        for (const NumberRange& range : test.any_of) yes = yes || range.contains(one);
      }
    }
    if (!yes) return false;
  }
  return true;
}

bool refused(std::string_view name, std::string_view text) {
  const Classifications classifications;
  RuleDraft draft(classifications);
  return !find_keyword(name)->parse(draft, {name, text});
}

}  // namespace

TEST_CASE("modbus asks for functions, units, access and addresses") {
  const std::vector<Value> coils{
      {Number::modbus_function, {1}}, {Number::modbus_category, {1}},
      {Number::modbus_unit, {10}},    {Number::modbus_access, {1 | 8}},
      {Number::modbus_address, {5}},  {Number::modbus_address_last, {12}}};
  CHECK(answered("modbus", "function 1", coils));
  CHECK_FALSE(answered("modbus", "function 2", coils));
  CHECK(answered("modbus", "function assigned", coils));
  CHECK_FALSE(answered("modbus", "function !assigned", coils));
  CHECK(answered("modbus", "unit >9, access read coils, address 11<>20", coils));
  CHECK_FALSE(answered("modbus", "unit >9, access read coils, address 12<>20", coils));
  CHECK(answered("modbus", "access read, address 7", coils));
  CHECK_FALSE(answered("modbus", "access read, address 13", coils));
  CHECK_FALSE(answered("modbus", "access write", coils));
  CHECK(refused("modbus", "function nothing"));
  CHECK(refused("modbus", "access read walls"));
  CHECK(refused("modbus", "unit 300"));
  CHECK(refused("modbus", ""));
}

TEST_CASE("DNP3, EtherNet/IP and IKE ask by name or number") {
  CHECK(answered("dnp3_func", "unsolicited_response", {{Number::dnp3_func_response, {130}}}));
  CHECK(answered("dnp3.func", "1", {{Number::dnp3_func, {1}}}));
  CHECK(answered("dnp3_ind", "need_time,device_restart", {{Number::dnp3_ind, {0x8000}}}));
  CHECK_FALSE(answered("dnp3_ind", "need_time", {{Number::dnp3_ind, {0x8000}}}));
  CHECK(answered("dnp3_obj", "22,01", {{Number::dnp3_obj_response, {22U << 8U | 1U}}}));
  CHECK(refused("dnp3_obj", "22"));
  CHECK(refused("dnp3_func", "dance"));
  CHECK(answered("enip_command", "99", {{Number::enip_command, {99}}}));
  CHECK(answered("enip.command", "ListIdentity", {{Number::enip_command, {99}}}));
  CHECK(answered("cip_service", "14,1,5",
                 {{Number::cip_service, {14}},
                  {Number::enip_cip_class, {1}},
                  {Number::enip_cip_attribute, {5}}}));
  CHECK(answered("ike.chosen_sa_attribute", "alg_hash=2", {{Number::ike_sa_alg_hash, {2}}}));
  CHECK(refused("ike.chosen_sa_attribute", "alg_hash"));
}

TEST_CASE("MQTT flags are set or not set, ticket encryption is weak or named") {
  CHECK(answered("mqtt.flags", "!retain,!dup", {{Number::mqtt_flags, {0}}}));
  CHECK_FALSE(answered("mqtt.flags", "!retain,!dup", {{Number::mqtt_flags, {1}}}));
  CHECK(answered("mqtt.connect.flags", "username,password,clean_session",
                 {{Number::mqtt_connect_flags, {0xc2}}}));
  CHECK(refused("mqtt.flags", "retain,retain"));
  CHECK(refused("mqtt.flags", "sticky"));
  const auto ticket = [](std::string_view text, std::int64_t type) {
    return answered("krb5.ticket_encryption", text,
                    {{Number::krb5_ticket_encryption, {static_cast<std::uint64_t>(type)}}});
  };
  CHECK(ticket("weak", 23));
  CHECK(ticket("weak", -128));
  CHECK_FALSE(ticket("weak", 18));
  CHECK(ticket("!weak", 18));
  CHECK(ticket("rc4-hmac", 23));
  CHECK(ticket("1, 23", 23));
  CHECK_FALSE(ticket("!23", 23));
  CHECK(refused("krb5.ticket_encryption", "rot13"));
}

}  // namespace menshen::sensor
