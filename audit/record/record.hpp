// One audit record, its only byte form, and its JSON form.
//
// The byte form is what is hashed, stored, sent and spooled; docs/formats/audit-store.md describes
// it byte by byte, so that a third party can check a store without this code. It is canonical: a
// record has exactly one form, and decode() refuses every other, so encode(decode(bytes)) == bytes.
//
// Values only; thread-safe. encode and decode are linear in the bytes, at most record_bytes_max.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/byte_reader.hpp"
#include "base/clock.hpp"
#include "base/ip.hpp"
#include "base/result.hpp"

namespace menshen::audit {

// Limits of a record, in bytes of UTF-8. encode() refuses more; fit() cuts to them.
inline constexpr std::size_t record_bytes_max = 64U << 10U;
inline constexpr std::size_t source_bytes_max = 64;  // [a-z0-9._-]+
inline constexpr std::size_t subject_bytes_max = 256;
inline constexpr std::size_t action_bytes_max = 64;
inline constexpr std::size_t object_bytes_max = 1024;
inline constexpr std::size_t domain_bytes_max = 128;
inline constexpr std::size_t policy_line_bytes_max = 1024;
inline constexpr std::size_t record_message_bytes_max = 4096;
inline constexpr std::size_t detail_bytes_max = 48U << 10U;

// Numbers are part of the byte form: never reuse one. From `admin` on, kinds are rare (people, not
// packets).
enum class Kind : std::uint8_t {
  alert = 1,        // inspection saw an attack or misuse
  drop = 2,         // inspection dropped a packet or flow
  isolation = 3,    // something tried to pass between domains and was not allowed to
  flow = 4,         // summary of a finished flow
  admin = 5,        // an administrator's act
  policy = 6,       // a policy was checked, applied, read back
  proof = 7,        // a proof about the policy was made
  system = 8,       // the life of a daemon: start, stop, error
  loss = 9,         // records that were lost, counted
  compliance = 10,  // an assessment or attested document
  external = 11     // collected from another system
};
enum class Severity : std::uint8_t { info = 0, low = 1, medium = 2, high = 3, critical = 4 };
enum class Outcome : std::uint8_t {
  unknown = 0,
  success = 1,
  failure = 2,
  allowed = 3,
  blocked = 4,
  rejected = 5
};

// Random per boot (/proc/sys/kernel/random/boot_id): tells which monotonic times may be compared.
using BootId = std::array<std::uint8_t, 16>;

struct RuleId {
  std::uint32_t gid = 1;
  std::uint32_t sid = 0;
  std::uint32_t rev = 0;
  bool operator==(const RuleId&) const = default;
};

// What the store's server adds: not the sender's word but the kernel's and the server's own
// clock's.
struct Stamp {
  WallTime received = 0;
  std::uint32_t uid = 0;
  std::uint32_t pid = 0;
  bool operator==(const Stamp&) const = default;
};

struct Record {
  WallTime time = 0;            // of the event
  MonotonicTime monotonic = 0;  // of the event, within `boot`
  BootId boot{};
  std::string
      source;  // which program tells: "sensord"; with epoch and sequence it names the record
  std::uint64_t epoch = 0;     // one run of the source; grows. At most 2^63 - 1
  std::uint64_t sequence = 0;  // from 1 within the epoch, without gaps. At most 2^63 - 1
  Kind kind = Kind::system;
  Severity severity = Severity::info;
  Outcome outcome = Outcome::unknown;
  std::string subject;  // who: user, daemon, client
  std::string action;   // did what: "policy.apply", "rule.match"
  std::string object;   // to what
  std::string domain_src;
  std::string domain_dst;
  std::optional<IpAddr> src;
  std::optional<IpAddr> dst;
  std::uint16_t sport = 0;  // ICMP: type
  std::uint16_t dport = 0;  // ICMP: code
  std::uint8_t proto = 0;   // IANA number; 0: not said
  std::optional<RuleId> rule;
  std::string policy_line;     // "demo.yaml:14"
  std::string message;         // for a person
  std::string detail;          // JSON object as text; empty: none
  std::optional<Stamp> stamp;  // absent until the server adds it

  bool operator==(const Record&) const = default;
};

// A record read in place: texts and addresses point into the bytes, which must outlive it.
struct RecordView {
  WallTime time = 0;
  MonotonicTime monotonic = 0;
  Bytes boot;
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
  Kind kind = Kind::system;
  Severity severity = Severity::info;
  Outcome outcome = Outcome::unknown;
  std::uint16_t sport = 0;
  std::uint16_t dport = 0;
  std::uint8_t proto = 0;
  Bytes src;  // 16 bytes; empty: none
  Bytes dst;
  std::optional<RuleId> rule;
  std::string_view source;
  std::string_view subject;
  std::string_view action;
  std::string_view object;
  std::string_view domain_src;
  std::string_view domain_dst;
  std::string_view policy_line;
  std::string_view message;
  std::string_view detail;
  std::optional<Stamp> stamp;
};

// Appends the byte form to `out`. ErrorCode::invalid: a field holds what it may not (source,
// enumerator, UTF-8); ErrorCode::limit: a field or the whole is too long. `out` is as before then.
[[nodiscard]] Result<void> encode(const Record& record, std::string& out);
[[nodiscard]] Result<std::string> encode(const Record& record);
// ErrorCode::invalid with the offset, for anything but one whole canonical record.
[[nodiscard]] Result<Record> decode(Bytes bytes);
// The same without copying: accepts exactly what decode accepts.
[[nodiscard]] Result<RecordView> view(Bytes bytes);
// Of bytes that were accepted once (they come out of a store): only what keeps reads within bounds
// is checked, which makes it about ten times faster. Nothing where even that fails.
[[nodiscard]] std::optional<RecordView> view_stored(Bytes bytes) noexcept;
[[nodiscard]] Record to_record(const RecordView& view);
// Accepted bytes without a stamp, with this stamp put on: appended to `out`.
void put_stamped(Bytes unstamped, const Stamp& stamp, std::string& out);
// The byte form up to its stamp: equal for two deliveries of one record.
[[nodiscard]] Bytes without_stamp(Bytes encoded);

// Makes any record acceptable to encode(), for events that must not be refused because an attacker
// chose their bytes: invalid UTF-8 becomes U+FFFD, long fields are cut at a character, a long
// detail becomes
// {"truncated_bytes": N}. `source`, numbers and enumerators stay as they are.
void fit(Record& record);

// English identifiers, as in JSON and on the command line ("alert", "high", "blocked").
[[nodiscard]] std::string_view name(Kind kind);
[[nodiscard]] std::string_view name(Severity severity);
[[nodiscard]] std::string_view name(Outcome outcome);
[[nodiscard]] std::optional<Kind> parse_kind(std::string_view text);
[[nodiscard]] std::optional<Severity> parse_severity(std::string_view text);
[[nodiscard]] std::optional<Outcome> parse_outcome(std::string_view text);
[[nodiscard]] Text title(Kind kind);
[[nodiscard]] Text title(Severity severity);
[[nodiscard]] Text title(Outcome outcome);

// One line of JSON without a newline; absent and empty fields are left out. A detail that is not
// JSON is given as a string. `number` is the record's place in the store; 0: left out.
[[nodiscard]] std::string to_json(const Record& record, std::uint64_t number = 0);

// Of this boot.
[[nodiscard]] Result<BootId> current_boot_id();

}  // namespace menshen::audit
