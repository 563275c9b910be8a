// A syslog message taken apart: RFC 5424, RFC 3164 and what senders make of it.
//
// Never fails: what is not there stays empty, and bytes that are no syslog at all are the text.
// Views point into the message. Linear; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.hpp"

namespace menshen::audit {

struct SyslogMessage {
  std::uint8_t facility = 1;  // user, and
  std::uint8_t severity = 5;  // notice, where the message does not say (RFC 3164 section 4.3.3)
  bool rfc5424 = false;
  std::optional<WallTime> time;
  std::string_view host;
  std::string_view app;
  std::string_view process;
  std::string_view id;          // MSGID
  std::string_view structured;  // RFC 5424's structured data as it stands, without "-"
  std::string_view text;
};

// `now` gives times without a year theirs (RFC 3164; local zone): the year that comes nearest.
[[nodiscard]] SyslogMessage parse_syslog(std::string_view bytes, WallTime now);

// The value of NAME in [ID ... NAME="value"], as it stands (escapes kept); empty: not there.
[[nodiscard]] std::string_view structured_value(std::string_view structured, std::string_view id,
                                                std::string_view name);

}  // namespace menshen::audit
