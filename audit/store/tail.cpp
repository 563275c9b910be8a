#include "audit/store/tail.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "audit/record/record.hpp"

namespace menshen::audit {
namespace {

tl::unexpected<Error> fail_tail(std::string zh, std::string en) {
  return fail(ErrorCode::corrupt, {"审计库校验未通过：" + std::move(zh),
                                   "the audit store does not verify: " + std::move(en)});
}

// What there is to know of a note for a message.
std::string describe(const Checkpoint& c) {
  return fmt::format("#{}, {}, {} records", c.number, format_utc(c.time), c.size);
}

Result<std::optional<SignedNote>> note_number(const Database& database, std::string_view where,
                                              std::int64_t number = 0) {
  Statement select = MENSHEN_TRY(
      database.prepare(fmt::format("SELECT number, size, note FROM checkpoint {}", where)));
  if (number != 0) select.bind(1, number);
  if (!MENSHEN_TRY(select.step())) return std::optional<SignedNote>();
  auto note = parse_note(select.text(2));
  if (!note) return fail_tail(note.error().text.zh, note.error().text.en);
  if (static_cast<std::int64_t>(note->checkpoint.number) != select.integer(0) ||
      static_cast<std::int64_t>(note->checkpoint.size) != select.integer(1)) {
    return fail_tail(fmt::format("检查点 {} 的列与内容不一致", select.integer(0)),
                     fmt::format("columns of checkpoint {} contradict it", select.integer(0)));
  }
  return std::optional(*std::move(note));
}

// The log's last note must be in the database, word for word; notes behind it are then added to the
// log.
Result<void> reconcile(const Database& database, CheckpointLog& log, Tail& tail) {
  const std::optional<SignedNote>& last = tail.last_note;
  std::uint64_t logged = 0;
  if (log.last()) {
    const auto note = parse_note(*log.last());
    if (!note) {
      return fail_tail("checkpoints.log 的末条检查点无法解析",
                       "the last checkpoint in checkpoints.log cannot be read");
    }
    const Checkpoint& c = note->checkpoint;
    logged = c.number;
    if (!last || last->checkpoint.number < logged) {
      return fail_tail(
          fmt::format("数据库被截断：checkpoints.log 有检查点 {}，数据库没有", describe(c)),
          fmt::format("the database was cut back: checkpoints.log has checkpoint {}, the database "
                      "does not",
                      describe(c)));
    }
    const auto same =
        MENSHEN_TRY(note_number(database, "WHERE number = ?1", static_cast<std::int64_t>(logged)));
    if (!same || same->text != *log.last()) {
      return fail_tail(fmt::format("检查点 {} 在数据库与 checkpoints.log 中不同", describe(c)),
                       fmt::format("checkpoint {} differs between the database and checkpoints.log",
                                   describe(c)));
    }
  }
  if (!last) {
    if (log.torn().empty()) return {};
    return fail_tail("checkpoints.log 含有数据库没有的内容",
                     "checkpoints.log holds what the database does not");
  }
  for (std::uint64_t number = logged + 1; number <= last->checkpoint.number; ++number) {
    const auto note =
        MENSHEN_TRY(note_number(database, "WHERE number = ?1", static_cast<std::int64_t>(number)));
    if (!note) {
      return fail_tail(fmt::format("缺少检查点 {}", number),
                       fmt::format("checkpoint {} is missing", number));
    }
    if (!(note->text + "\n").starts_with(log.torn())) break;
    MENSHEN_CHECK(log.append(note->text));
    ++tail.notes_restored;
  }
  if (log.torn().empty()) return {};
  return fail_tail("checkpoints.log 末尾不是检查点", "the end of checkpoints.log is no checkpoint");
}

Result<Digest> stored_head(const Database& database, std::uint64_t n) {
  Statement select = MENSHEN_TRY(database.prepare("SELECT head FROM record WHERE n = ?1"));
  Digest head{};
  if (MENSHEN_TRY(select.bind(1, static_cast<std::int64_t>(n)).step())) {
    const Bytes found = select.blob(0);
    if (found.size() == head.size()) std::ranges::copy(found, head.begin());
  }
  return head;
}

// Follows the chain from the last checkpoint to the end.
Result<void> follow(const Database& database, Chain& chain, Tail& tail) {
  Statement rows = MENSHEN_TRY(database.prepare(
      fmt::format("SELECT {} FROM record WHERE n > ?1 ORDER BY n", record_columns)));
  rows.bind(1, static_cast<std::int64_t>(tail.size));
  while (MENSHEN_TRY(rows.step())) {
    const std::uint64_t n = tail.size + 1;
    if (static_cast<std::uint64_t>(rows.integer(0)) != n) {
      return fail_tail(fmt::format("记录 {} 缺失", n), fmt::format("record {} is missing", n));
    }
    const auto record = decode(rows.blob(7));
    const Digest head = chain.next(tail.head, rows.blob(7));
    if (!record || !columns_agree(rows, *record) || !std::ranges::equal(head, rows.blob(8))) {
      return fail_tail(fmt::format("记录 {}（{}）被改动", n, format_utc(rows.integer(4))),
                       fmt::format("record {} ({}) was changed", n, format_utc(rows.integer(4))));
    }
    tail.size = n;
    tail.head = head;
  }
  return {};
}

}  // namespace

bool columns_agree(const Statement& row, const Record& record) {
  return row.text(1) == record.source &&
         static_cast<std::uint64_t>(row.integer(2)) == record.epoch &&
         static_cast<std::uint64_t>(row.integer(3)) == record.sequence &&
         row.integer(4) == record.time &&
         row.integer(5) == static_cast<std::int64_t>(record.kind) &&
         row.integer(6) == static_cast<std::int64_t>(record.severity);
}

Result<Tail> check_tail(const Database& database, CheckpointLog& log, const PublicKey& key,
                        std::string_view origin) {
  Tail tail;
  Chain chain = MENSHEN_TRY(Chain::make(key.profile()));
  tail.head = chain.first(origin);
  tail.last_note = MENSHEN_TRY(note_number(database, "ORDER BY number DESC LIMIT 1"));
  if (tail.last_note) {
    const Checkpoint& c = tail.last_note->checkpoint;
    if (c.key != key.fingerprint()) {
      return fail_tail(
          fmt::format("检查点 {} 由另一密钥 {} 签署", describe(c), to_hex(c.key)),
          fmt::format("checkpoint {} is signed by another key, {}", describe(c), to_hex(c.key)));
    }
    if (c.origin != origin || !verify_note(*tail.last_note, key)) {
      return fail_tail(fmt::format("检查点 {} 的签名无效", describe(c)),
                       fmt::format("the signature of checkpoint {} is wrong", describe(c)));
    }
    if (MENSHEN_TRY(stored_head(database, c.size)) != c.head) {
      return fail_tail(fmt::format("数据库与检查点 {} 不符", describe(c)),
                       fmt::format("the database is not what checkpoint {} says", describe(c)));
    }
    tail.size = c.size;
    tail.head = c.head;
  }
  MENSHEN_CHECK(follow(database, chain, tail));
  MENSHEN_CHECK(reconcile(database, log, tail));
  return tail;
}

}  // namespace menshen::audit
