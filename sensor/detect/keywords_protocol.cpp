// Keywords of single protocols with a syntax of their own, as tests on their numbers: Modbus, DNP3,
// EtherNet/IP, IKE, Kerberos, MQTT.
#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

#include "base/ascii.hpp"
#include "sensor/detect/keyword.hpp"
#include "sensor/proto/dnp3.hpp"
#include "sensor/proto/enip.hpp"
#include "sensor/proto/krb5.hpp"
#include "sensor/proto/modbus.hpp"

namespace menshen::sensor {
namespace {

using Kind = NumberRange::Kind;

constexpr Number none = Number::count;

void ask(RuleDraft& draft, Number to_server, Number to_client, std::vector<NumberRange> any_of) {
  NumberTest test;
  test.to_server = to_server;
  test.to_client = to_client;
  test.any_of = std::move(any_of);
  draft.rule.asks.emplace_back(std::move(test));
}

bool take_negation(std::string_view& text) {
  if (!text.starts_with('!')) return false;
  text = trim(text.substr(1));
  return true;
}

// ---- MQTT, WebSocket-like flags -----------------------------------------------------------------

struct FlagName {
  std::string_view name;
  std::uint64_t bit;
};
constexpr FlagName mqtt_flags[] = {{"dup", 8}, {"retain", 1}};
constexpr FlagName mqtt_connect_flags[] = {{"username", 0x80},
                                           {"password", 0x40},
                                           {"will_retain", 0x20},
                                           {"will", 4},
                                           {"clean_session", 2}};

// "retain,!dup": each named flag is set, or with ! not set; or a number.
Result<NumberRange> parse_flags(std::span<const FlagName> names, std::string_view text) {
  if (auto range = parse_range(text, 0xff)) return range;
  NumberRange range{Kind::masked, 0, 0};
  for (std::string_view part : split(text, ',')) {
    const bool negated = take_negation(part);
    const auto found = std::ranges::find(names, part, &FlagName::name);
    if (found == names.end() || (range.first & found->bit) != 0) return invalid_value(part);
    range.first |= found->bit;
    if (!negated) range.second |= found->bit;
  }
  return range;
}

Result<void> parse_mqtt_flags(RuleDraft& draft, const KeywordUse& use) {
  const NumberRange range = MENSHEN_TRY(parse_flags(mqtt_flags, use.value));
  ask(draft, Number::mqtt_flags, Number::mqtt_flags, {range});
  return {};
}

Result<void> parse_mqtt_connect_flags(RuleDraft& draft, const KeywordUse& use) {
  const NumberRange range = MENSHEN_TRY(parse_flags(mqtt_connect_flags, use.value));
  ask(draft, Number::mqtt_connect_flags, Number::mqtt_connect_flags, {range});
  return {};
}

// ---- Kerberos -----------------------------------------------------------------------------------

Result<std::uint64_t> parse_encryption(std::string_view text) {
  if (const auto number = parse_signed(text)) return static_cast<std::uint64_t>(*number);
  const auto names = krb5_encryptions();
  const auto found = std::ranges::find(names, text, &Krb5Encryption::name);
  if (found == names.end()) return invalid_value(text);
  return static_cast<std::uint64_t>(found->type);
}

// "weak", or types by number and name between commas or blanks.
Result<void> parse_ticket_encryption(RuleDraft& draft, const KeywordUse& use) {
  std::string_view text = trim(use.value);
  const bool negated = take_negation(text);
  constexpr Number number = Number::krb5_ticket_encryption;
  std::vector<NumberRange> wanted;
  if (text == "weak") {
    // What is strong: 17 to 20, 25 and 26.
    if (negated) {
      wanted = {{Kind::between, 16, 21}, {Kind::between, 24, 27}};
    } else {
      wanted = {{Kind::less, 17, 0}, {Kind::between, 20, 25}, {Kind::greater, 26, 0}};
    }
  } else {
    for (const auto part : split(text, ',')) {
      for (const auto word : words(part)) {
        const std::uint64_t type = MENSHEN_TRY(parse_encryption(word));
        if (negated) ask(draft, none, number, {{Kind::not_equal, type, 0}});
        wanted.push_back({Kind::equal, type, 0});
      }
    }
    if (wanted.empty()) return invalid_value(use.value);
    if (negated) return {};
  }
  ask(draft, none, number, std::move(wanted));
  return {};
}

// ---- Modbus -------------------------------------------------------------------------------------

struct Bits {
  std::string_view name;
  unsigned bits;
};
constexpr Bits modbus_categories[] = {
    {"assigned", modbus::public_assigned},
    {"unassigned", modbus::public_unassigned},
    {"public", modbus::public_assigned | modbus::public_unassigned},
    {"user", modbus::user},
    {"reserved", modbus::reserved},
    {"all", modbus::public_assigned | modbus::public_unassigned | modbus::user | modbus::reserved},
};
constexpr Bits modbus_access[] = {{"read", modbus::read},           {"write", modbus::write},
                                  {"discretes", modbus::discretes}, {"coils", modbus::coils},
                                  {"input", modbus::input},         {"holding", modbus::holding}};

Result<void> ask_modbus(RuleDraft& draft, Number number, std::string_view text, std::uint64_t max) {
  const NumberRange range = MENSHEN_TRY(parse_range(text, max));
  ask(draft, number, none, {range});
  return {};
}

Result<void> parse_modbus_function(RuleDraft& draft, std::string_view text) {
  if (parse_range(text, 0xff)) return ask_modbus(draft, Number::modbus_function, text, 0xff);
  std::string_view name = text;
  const bool negated = take_negation(name);
  const auto* found = std::ranges::find(modbus_categories, name, &Bits::name);
  if (found == std::end(modbus_categories)) return invalid_value(text);
  std::vector<NumberRange> any_of;
  for (unsigned bit = 1; bit <= modbus::reserved; bit *= 2) {
    if (((found->bits & bit) != 0) != negated) any_of.push_back({Kind::equal, bit, 0});
  }
  // "!all" can match nothing.
  if (any_of.empty()) return invalid_value(text);
  ask(draft, Number::modbus_category, none, std::move(any_of));
  return {};
}

Result<void> parse_modbus_access(RuleDraft& draft, std::span<const std::string_view> names) {
  unsigned bits = 0;
  for (const auto name : names) {
    const auto* found = std::ranges::find(modbus_access, name, &Bits::name);
    if (found == std::end(modbus_access)) return invalid_value(name);
    bits |= found->bits;
  }
  if (bits == 0) return invalid("access 缺少取值", "access needs a value");
  ask(draft, Number::modbus_access, none, {{Kind::masked, bits, bits}});
  return {};
}

// A request touches a range of addresses: one of them must be wanted.
Result<void> parse_modbus_address(RuleDraft& draft, std::string_view text) {
  const NumberRange range = MENSHEN_TRY(parse_range(text, 0xffff));
  constexpr Number first = Number::modbus_address;
  constexpr Number last = Number::modbus_address_last;
  switch (range.kind) {
    case Kind::equal:
      ask(draft, first, none, {{Kind::less_equal, range.first, 0}});
      ask(draft, last, none, {{Kind::greater_equal, range.first, 0}});
      return {};
    case Kind::less:
    case Kind::less_equal:
      ask(draft, first, none, {range});
      return {};
    case Kind::greater:
    case Kind::greater_equal:
      ask(draft, last, none, {range});
      return {};
    case Kind::between:
      ask(draft, first, none, {{Kind::less, range.second, 0}});
      ask(draft, last, none, {{Kind::greater, range.first, 0}});
      return {};
    default:
      return invalid_value(text);
  }
}

// "function 8, subfunction 4", "unit >9, access read coils, address 0<>2".
Result<void> parse_modbus(RuleDraft& draft, const KeywordUse& use) {
  const auto parts = split(use.value, ',');
  if (parts.empty()) return invalid_value(use.value);
  for (const auto part : parts) {
    const auto named = words(part);
    const std::string_view name = named[0];
    const std::string_view rest = trim(part.substr(name.size()));
    if (name == "access") {
      MENSHEN_CHECK(parse_modbus_access(draft, std::span(named).subspan(1)));
    } else if (name == "function") {
      MENSHEN_CHECK(parse_modbus_function(draft, rest));
    } else if (name == "subfunction") {
      MENSHEN_CHECK(ask_modbus(draft, Number::modbus_subfunction, rest, 0xffff));
    } else if (name == "unit") {
      MENSHEN_CHECK(ask_modbus(draft, Number::modbus_unit, rest, 0xff));
    } else if (name == "address") {
      MENSHEN_CHECK(parse_modbus_address(draft, rest));
    } else if (name == "value") {
      MENSHEN_CHECK(ask_modbus(draft, Number::modbus_value, rest, 0xffff));
    } else {
      return invalid_value(part);
    }
  }
  return {};
}

// ---- DNP3 ---------------------------------------------------------------------------------------

template <class Names>
Result<std::uint64_t> number_or_name(const Names& names, std::string_view text) {
  if (const auto number = parse_number(text)) return *number;
  const auto same = [&](const auto& row) { return ascii_equal_nocase(row.name, text); };
  const auto found = std::ranges::find_if(names, same);
  if (found == names.end()) return invalid_value(text);
  return found->number;
}

Result<void> parse_dnp3_function(RuleDraft& draft, const KeywordUse& use) {
  const auto function = MENSHEN_TRY(number_or_name(dnp3_functions(), trim(use.value)));
  ask(draft, Number::dnp3_func, Number::dnp3_func_response, {{Kind::equal, function, 0}});
  return {};
}

// Any of the named indications, or of a number's bits.
Result<void> parse_dnp3_indication(RuleDraft& draft, const KeywordUse& use) {
  std::vector<NumberRange> any_of;
  for (const auto part : split(use.value, ',')) {
    const std::uint64_t bits = MENSHEN_TRY(number_or_name(dnp3_indications(), part));
    for (std::uint64_t bit = 1; bit <= 0x8000; bit *= 2) {
      if ((bits & bit) != 0) any_of.push_back({Kind::masked, bit, bit});
    }
  }
  if (any_of.empty()) return invalid_value(use.value);
  ask(draft, none, Number::dnp3_ind, std::move(any_of));
  return {};
}

// "GROUP,VARIATION".
Result<void> parse_dnp3_object(RuleDraft& draft, const KeywordUse& use) {
  const auto parts = split(use.value, ',');
  if (parts.size() != 2) return invalid_value(use.value);
  const auto group = parse_number(parts[0]);
  const auto variation = parse_number(parts[1]);
  if (!group || !variation || *group > 0xff || *variation > 0xff) return invalid_value(use.value);
  ask(draft, Number::dnp3_obj, Number::dnp3_obj_response,
      {{Kind::equal, *group << 8U | *variation, 0}});
  return {};
}

// ---- EtherNet/IP and CIP ------------------------------------------------------------------------

Result<void> parse_enip_command(RuleDraft& draft, const KeywordUse& use) {
  NumberRange range;
  if (auto parsed = parse_range(use.value, 0xffff)) {
    range = *parsed;
  } else {
    range.first = MENSHEN_TRY(number_or_name(enip_commands(), trim(use.value)));
  }
  ask(draft, Number::enip_command, Number::enip_command_response, {range});
  return {};
}

// "SERVICE[,CLASS[,ATTRIBUTE]]".
Result<void> parse_cip_service(RuleDraft& draft, const KeywordUse& use) {
  const auto parts = split(use.value, ',');
  if (parts.empty() || parts.size() > 3) return invalid_value(use.value);
  const std::uint64_t service = MENSHEN_TRY(number_or_name(cip_services(), parts[0]));
  ask(draft, Number::cip_service, Number::cip_service_response, {{Kind::equal, service, 0}});
  constexpr Number further[] = {Number::enip_cip_class, Number::enip_cip_attribute};
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const NumberRange range = MENSHEN_TRY(parse_range(parts[i], 0xffff));
    ask(draft, further[i - 1], further[i - 1], {range});
  }
  return {};
}

// ---- IKE ----------------------------------------------------------------------------------------

constexpr std::pair<std::string_view, Number> ike_attributes[] = {
    {"alg_enc", Number::ike_sa_alg_enc},
    {"alg_hash", Number::ike_sa_alg_hash},
    {"alg_auth", Number::ike_sa_alg_auth},
    {"alg_prf", Number::ike_sa_alg_prf},
    {"alg_dh", Number::ike_sa_alg_dh},
    {"alg_esn", Number::ike_sa_alg_esn},
    {"sa_key_length", Number::ike_sa_key_length},
    {"sa_life_type", Number::ike_sa_life_type},
    {"sa_life_duration", Number::ike_sa_life_duration},
};

// "alg_hash=2": what the responder chose.
Result<void> parse_ike_attribute(RuleDraft& draft, const KeywordUse& use) {
  const std::size_t equals = use.value.find('=');
  if (equals == std::string_view::npos) return invalid_value(use.value);
  const auto name = trim(use.value.substr(0, equals));
  const auto value = parse_number(trim(use.value.substr(equals + 1)));
  const auto* found =
      std::ranges::find(ike_attributes, name, &std::pair<std::string_view, Number>::first);
  if (found == std::end(ike_attributes) || !value) return invalid_value(use.value);
  ask(draft, none, found->second, {{Kind::equal, *value, 0}});
  return {};
}

using Value = Keyword::Value;
constexpr Keyword table[] = {
    {"mqtt.flags", Value::required, &parse_mqtt_flags},
    {"mqtt.connect.flags", Value::required, &parse_mqtt_connect_flags},
    {"krb5.ticket_encryption", Value::required, &parse_ticket_encryption},
    {"modbus", Value::required, &parse_modbus},
    {"dnp3.func", Value::required, &parse_dnp3_function},
    {"dnp3_func", Value::required, &parse_dnp3_function},
    {"dnp3.ind", Value::required, &parse_dnp3_indication},
    {"dnp3_ind", Value::required, &parse_dnp3_indication},
    {"dnp3.obj", Value::required, &parse_dnp3_object},
    {"dnp3_obj", Value::required, &parse_dnp3_object},
    {"enip.command", Value::required, &parse_enip_command},
    {"enip_command", Value::required, &parse_enip_command},
    {"cip_service", Value::required, &parse_cip_service},
    {"ike.chosen_sa_attribute", Value::required, &parse_ike_attribute},
};

}  // namespace

std::span<const Keyword> protocol_keywords() { return table; }

}  // namespace menshen::sensor
