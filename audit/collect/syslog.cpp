#include "audit/collect/syslog.hpp"

#include <array>
#include <ctime>

#include "audit/collect/number.hpp"

namespace menshen::audit {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
constexpr WallTime second_ns = 1'000'000'000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes the next word and the space behind it.
std::string_view take_word(std::string_view& rest) {
  const std::size_t end = std::min(rest.find(' '), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return word;
}

std::string_view or_nothing(std::string_view word) {
  return word == "-" ? std::string_view() : word;
}

bool take_priority(std::string_view& rest, SyslogMessage& message) {
  if (!rest.starts_with('<')) return false;
  const std::size_t end = rest.substr(0, 5).find('>');
  if (end == std::string_view::npos || end < 2) return false;
  const auto value = parse_decimal<unsigned>(rest.substr(1, end - 1));
  if (!value || *value > 191) return false;
  message.facility = static_cast<std::uint8_t>(*value / 8);
  message.severity = static_cast<std::uint8_t>(*value % 8);
  rest.remove_prefix(end + 1);
  return true;
}

std::optional<WallTime> rfc3339(std::string_view word) {
  if (word.size() < 20 || word[4] != '-' || word[10] != 'T') return std::nullopt;
  const auto time = parse_time(word);
  return time ? std::optional(*time) : std::nullopt;
}

// "Nov  3 08:15:30", as it stands at the beginning.
std::optional<WallTime> rfc3164_time(std::string_view text, WallTime now) {
  constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (text.size() < 15 || text[3] != ' ' || text[6] != ' ' || text[9] != ':' || text[12] != ':') {
    return std::nullopt;
  }
  const std::size_t month = months.find(text.substr(0, 3));
  const auto day = parse_decimal<unsigned>(text[4] == ' ' ? text.substr(5, 1) : text.substr(4, 2));
  const auto hour = parse_decimal<unsigned>(text.substr(7, 2));
  const auto minute = parse_decimal<unsigned>(text.substr(10, 2));
  const auto second = parse_decimal<unsigned>(text.substr(13, 2));
  if (month == std::string_view::npos || month % 3 != 0 || !day || !hour || !minute || !second ||
      *day < 1 || *day > 31 || *hour > 23 || *minute > 59 || *second > 60) {
    return std::nullopt;
  }
  const std::time_t present = now / second_ns;
  std::tm local{};
  ::localtime_r(&present, &local);
  std::optional<WallTime> nearest;
  for (const int year : {local.tm_year - 1, local.tm_year, local.tm_year + 1}) {
    std::tm guess{};
    guess.tm_year = year;
    guess.tm_mon = static_cast<int>(month / 3);
    guess.tm_mday = static_cast<int>(*day);
    guess.tm_hour = static_cast<int>(*hour);
    guess.tm_min = static_cast<int>(*minute);
    guess.tm_sec = static_cast<int>(*second);
    guess.tm_isdst = -1;
    const WallTime time = std::int64_t{::mktime(&guess)} * second_ns;
    const auto distance = [now](WallTime t) { return t > now ? t - now : now - t; };
    if (!nearest || distance(time) < distance(*nearest)) nearest = time;
  }
  return nearest;
}

// The structured data at the beginning; taken off with the space behind it.
std::string_view take_structured(std::string_view& rest) {
  if (rest.starts_with('-')) {
    rest.remove_prefix(rest.starts_with("- ") ? 2 : 1);
    return {};
  }
  if (!rest.starts_with('[')) return {};
  bool quoted = false;
  std::size_t at = 0;
  for (; at < rest.size(); ++at) {
    if (quoted && rest[at] == '\\') {
      ++at;
    } else if (rest[at] == '"') {
      quoted = !quoted;
    } else if (!quoted && rest[at] == ']' && (at + 1 == rest.size() || rest[at + 1] != '[')) {
      const std::string_view taken = rest.substr(0, at + 1);
      rest.remove_prefix(at + 1);
      if (rest.starts_with(' ')) rest.remove_prefix(1);
      return taken;
    }
  }
  return {};  // without an end it is text
}

void parse_5424(std::string_view rest, SyslogMessage& message) {
  message.rfc5424 = true;
  message.time = rfc3339(take_word(rest));
  message.host = or_nothing(take_word(rest));
  message.app = or_nothing(take_word(rest));
  message.process = or_nothing(take_word(rest));
  message.id = or_nothing(take_word(rest));
  message.structured = take_structured(rest);
  if (rest.starts_with(byte_order_mark)) rest.remove_prefix(byte_order_mark.size());
  // Relays keep the space that stood behind the tag of a message of the older form.
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  message.text = rest;
}

bool is_tag_character(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
         c == '.' || c == '/' || c == '(' || c == ')';
}

// "app[123]: " or "app: " at the beginning.
bool take_tag(std::string_view& rest, SyslogMessage& message) {
  std::size_t at = 0;
  while (at < rest.size() && at < 64 && is_tag_character(rest[at])) ++at;
  if (at == 0 || at == rest.size()) return false;
  const std::string_view app = rest.substr(0, at);
  std::string_view process;
  std::string_view behind = rest.substr(at);
  if (behind.starts_with('[')) {
    const std::size_t end = behind.substr(0, 64).find(']');
    if (end == std::string_view::npos) return false;
    process = behind.substr(1, end - 1);
    behind.remove_prefix(end + 1);
  }
  if (!behind.starts_with(':')) return false;
  behind.remove_prefix(1);
  if (behind.starts_with(' ')) behind.remove_prefix(1);
  message.app = app;
  message.process = process;
  rest = behind;
  return true;
}

void parse_3164(std::string_view rest, WallTime now, SyslogMessage& message) {
  if (const auto time = rfc3164_time(rest, now)) {
    message.time = time;
    rest.remove_prefix(std::min<std::size_t>(16, rest.size()));
  } else if (const auto precise = rfc3339(rest.substr(0, rest.find(' ')))) {
    message.time = precise;
    static_cast<void>(take_word(rest));
  } else {
    static_cast<void>(take_tag(rest, message));
    message.text = rest;
    return;
  }
  // Some senders leave the host out: then the tag comes first.
  if (!take_tag(rest, message)) {
    message.host = take_word(rest);
    static_cast<void>(take_tag(rest, message));
  }
  message.text = rest;
}

}  // namespace

SyslogMessage parse_syslog(std::string_view bytes, WallTime now) {
  while (!bytes.empty() && (bytes.back() == '\n' || bytes.back() == '\r' || bytes.back() == '\0')) {
    bytes.remove_suffix(1);
  }
  SyslogMessage message;
  if (!take_priority(bytes, message)) {
    parse_3164(bytes, now, message);
    return message;
  }
  if (bytes.starts_with("1 ")) {
    parse_5424(bytes.substr(2), message);
  } else {
    parse_3164(bytes, now, message);
  }
  return message;
}

std::string_view structured_value(std::string_view structured, std::string_view id,
                                  std::string_view name) {
  bool inside = false;
  std::size_t at = 0;
  while (at < structured.size()) {
    if (structured[at] == '[') {
      const std::size_t end = std::min(structured.find_first_of(" ]", at), structured.size());
      inside = structured.substr(at + 1, end - at - 1) == id;
      at = end;
      continue;
    }
    if (structured[at] == ' ' || structured[at] == ']') {
      ++at;
      continue;
    }
    const std::size_t equals = structured.find("=\"", at);
    if (equals == std::string_view::npos) return {};
    std::size_t end = equals + 2;
    while (end < structured.size() && structured[end] != '"')
      end += structured[end] == '\\' ? 2 : 1;
    end = std::min(end, structured.size());
    if (inside && structured.substr(at, equals - at) == name) {
      return structured.substr(equals + 2, end - equals - 2);
    }
    at = end + 1;
  }
  return {};
}

}  // namespace menshen::audit
