// The messages between clients and auditd, over base/channel.hpp. Version 1. Integers are big
// endian.
//
// records   client -> auditd
//   u8 0x01, u8 version, u64 id, u16 count, then count times: u32 length, record bytes (record.hpp,
//   no stamp)
// answer    auditd -> client, after COMMIT, one for each records message, in the order received
//   u8 0x02, u8 version, u64 id, u16 count, then count times: u8 status (Status)
// failure   auditd -> client: nothing of that message is stored; deliver it again later
//   u8 0x03, u8 version, u64 id, then English text to the end
// control   either way: JSON, begins with '{'
//   {"op": "status"}      -> {"ok": true, "records", "checkpoints", "size_bytes",
//                             "disk_free_bytes", "first_record", "segments", "disk_full_at" (time
//                             or null), "profile", "origin", "fingerprint", "healthy",
//                             "last_checkpoint": {"number", "size", "time", "root"} or null,
//                             "connections", "accepted", "duplicates", "conflicts", "refused",
//                             "shed"}
//   {"op": "checkpoint"}  -> {"ok": true, "checkpoint": note}
//   {"op": "attest", "name", "digest" (hex), "bytes", "subject"} -> {"ok": true, "evidence": {...}}
//   {"op": "told", "action" (audit.find, audit.export), "subject", "filter", "records"}
//                         -> {"ok": true}: a search or export of the asking user, recorded
//   {"op": "rotate_key", "subject"} -> {"ok": true, "fingerprint"} of the new key
//   any failure           -> {"ok": false, "code", "zh", "en"}
// Anything else closes the connection.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/byte_reader.hpp"
#include "base/channel.hpp"
#include "base/result.hpp"

namespace menshen::audit {

inline constexpr std::uint8_t protocol_version = 1;
inline constexpr std::size_t message_records_max = 1'000;
inline constexpr std::size_t control_bytes_max = 16U << 10U;  // of a request

enum class Status : std::uint8_t {
  stored = 0,
  duplicate = 1,
  conflict = 2,  // another record has this name
  refused = 3,   // malformed, or this user may not use this source
};

struct RecordsMessage {
  std::uint64_t id = 0;
  std::vector<Bytes> records;  // views into the message
};
struct AnswerMessage {
  std::uint64_t id = 0;
  std::vector<Status> statuses;
};
struct FailureMessage {
  std::uint64_t id = 0;
  std::string text;
};

// Grows a records message until it is full.
class RecordsBuilder {
 public:
  explicit RecordsBuilder(std::uint64_t id);
  // False where it does not fit any more (count or menshen::message_bytes_max).
  [[nodiscard]] bool add(Bytes record);
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] std::string take() &&;

 private:
  std::string message_;
  std::size_t count_ = 0;
};

[[nodiscard]] Result<RecordsMessage> parse_records(Bytes message);
[[nodiscard]] std::string build_answer(const AnswerMessage& answer);
[[nodiscard]] std::string build_failure(const FailureMessage& failure);
[[nodiscard]] Result<std::variant<AnswerMessage, FailureMessage>> parse_answer(Bytes message);
[[nodiscard]] bool is_control(std::string_view message);

}  // namespace menshen::audit
