#include "audit/verify/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "audit/record/record.hpp"
#include "audit/store/checkpoint_log.hpp"
#include "audit/store/schema.hpp"
#include "audit/store/store.hpp"
#include "audit/store/tail.hpp"
#include "base/file.hpp"

namespace menshen::audit {
namespace {

constexpr std::size_t public_key_bytes_max = 16U << 10U;
constexpr std::size_t sequences_max = 65'536;  // (source, epoch) pairs watched for gaps

// A break travels as the error of the steps, so that each step reads straight on.
using Step = tl::expected<void, Break>;

tl::unexpected<Break> broken(Break found) { return tl::make_unexpected(std::move(found)); }

class Verifier {
 public:
  Verifier(const std::filesystem::path& directory, const VerifyOptions& options,
           const PublicKey& key, CheckpointLogReader log, Chain chain)
      : options_(options),
        paths_(StorePaths::in(directory)),
        key_(key),
        log_(std::move(log)),
        chain_(std::move(chain)) {}

  Result<void> open();
  Step run();
  [[nodiscard]] VerifyReport& report() { return report_; }

 private:
  Step damaged(const Error& error);
  Step check_meta();
  Step check_expected_note();
  Step check_note(const SignedNote& note);
  Step check_checkpoints();
  Step check_log_end();
  Step read_until(std::optional<std::uint64_t> size);
  Step check_row();
  Step misplaced(std::uint64_t n);
  Step wrong_head(std::uint64_t n, const Record* record);
  Step check_pages();
  [[nodiscard]] BreakKind classify(std::uint64_t n, std::uint64_t& last);
  void watch(std::uint64_t n, const Record& record);
  void warn(Text text);
  [[nodiscard]] Break at_record(BreakKind kind, std::uint64_t first, std::uint64_t last,
                                Text text) const;
  [[nodiscard]] Break at_note(BreakKind kind, const Checkpoint& note, Text text) const;

  const VerifyOptions& options_;
  StorePaths paths_;
  const PublicKey& key_;
  CheckpointLogReader log_;
  Chain chain_;
  std::optional<Database> database_;
  Statement rows_;
  std::optional<SignedNote> expected_;
  bool expected_met_ = false;
  std::string origin_;
  Digest head_{};
  std::optional<SignedNote> previous_;
  WallTime last_time_ = 0;  // of the last good record
  WallTime last_received_ = 0;
  std::map<std::pair<std::string, std::uint64_t>, std::uint64_t> sequences_;
  VerifyReport report_;
};

void Verifier::warn(Text text) {
  if (report_.warnings.size() < VerifyReport::warnings_max) {
    report_.warnings.push_back(std::move(text));
  }
}

Break Verifier::at_record(BreakKind kind, std::uint64_t first, std::uint64_t last,
                          Text text) const {
  return {kind, first, last, 0, last_time_, std::move(text)};
}
Break Verifier::at_note(BreakKind kind, const Checkpoint& note, Text text) const {
  return {kind, 0, 0, note.number, note.time, std::move(text)};
}

Result<void> Verifier::open() {
  if (!options_.expect_at_least.empty()) {
    expected_ = MENSHEN_TRY(parse_note(options_.expect_at_least));
    if (!verify_note(*expected_, key_)) {
      return fail(ErrorCode::invalid, {"给定的检查点不是由该密钥签署的",
                                       "the given checkpoint is not signed by this key"});
    }
  }
  auto database = Database::open(paths_.database, Database::Mode::read);
  if (!database) {
    // A missing database is a finding where there is a log that speaks of records.
    const auto note = log_.next();
    if (database.error().code == ErrorCode::denied || (note && !*note)) {
      return tl::make_unexpected(database.error());
    }
    return {};
  }
  database_ = *std::move(database);
  return {};
}

Step Verifier::damaged(const Error& error) {
  const std::uint64_t next = report_.records + 1;
  return broken(at_record(
      BreakKind::damaged, next, next,
      {fmt::format("数据库文件损坏，最后可读记录为第 {} 条：{}", report_.records, error.text.zh),
       fmt::format("the database file is damaged; the last readable record is number {}: {}",
                   report_.records, error.text.en)}));
}

// The value of a Result, or a finding that the file is damaged.
#define MENSHEN_READ(...)                                    \
  __extension__({                                            \
    auto&& menshen_read = (__VA_ARGS__);                     \
    if (!menshen_read) return damaged(menshen_read.error()); \
    std::move(menshen_read).value();                         \
  })
#define MENSHEN_STEP(...)                                                           \
  do {                                                                              \
    auto&& menshen_step = (__VA_ARGS__);                                            \
    if (!menshen_step) return tl::make_unexpected(std::move(menshen_step).error()); \
  } while (false)

Step Verifier::check_meta() {
  if (const auto begun = database_->execute("BEGIN"); !begun) return damaged(begun.error());
  if (const auto schema = check_schema(*database_); !schema) return damaged(schema.error());
  Statement select =
      MENSHEN_READ(database_->prepare("SELECT value FROM meta WHERE key = 'origin'"));
  static_cast<void>(MENSHEN_READ(select.step()));
  origin_ = select.text(0);
  select = MENSHEN_READ(database_->prepare("SELECT value FROM meta WHERE key = 'profile'"));
  static_cast<void>(MENSHEN_READ(select.step()));
  if (select.text(0) != name(key_.profile())) {
    return broken(
        {BreakKind::key_changed,
         0,
         0,
         0,
         0,
         {fmt::format("审计库的密码套件与密钥不符（{}）", name(key_.profile())),
          fmt::format("the store's profile is not the key's ({})", name(key_.profile()))}});
  }
  head_ = chain_.first(origin_);
  rows_ = MENSHEN_READ(
      database_->prepare(fmt::format("SELECT {} FROM record ORDER BY n", record_columns)));
  return {};
}

void Verifier::watch(std::uint64_t n, const Record& record) {
  if (record.stamp && record.stamp->received < last_received_) {
    warn(
        {fmt::format("第 {} 条记录的接收时间 {} 早于前一条", n, format_utc(record.stamp->received)),
         fmt::format("record {} was received at {}, before the one ahead of it", n,
                     format_utc(record.stamp->received))});
  }
  if (record.stamp) last_received_ = record.stamp->received;
  last_time_ = record.time;
  const auto key = std::pair(record.source, record.epoch);
  auto at = sequences_.find(key);
  if (at == sequences_.end()) {
    if (sequences_.size() >= sequences_max) return;
    at = sequences_.emplace(key, 0).first;
  }
  if (record.sequence > at->second) {
    report_.sequence_gaps += record.sequence - at->second - 1;
    at->second = record.sequence;
  }
}

// The row that rows_ stands at must follow head_.
Step Verifier::check_row() {
  const std::uint64_t n = report_.records + 1;
  if (rows_.integer(0) != static_cast<std::int64_t>(n)) return misplaced(n);
  const Bytes bytes = rows_.blob(7);
  const auto record = decode(bytes);
  const Digest head = chain_.next(head_, bytes);
  if (!std::ranges::equal(head, rows_.blob(8))) return wrong_head(n, record ? &*record : nullptr);
  if (!record || !columns_agree(rows_, *record)) {
    return broken(at_record(BreakKind::edited, n, n,
                            {fmt::format("第 {} 条记录的检索字段被改动", n),
                             fmt::format("the columns of record {} were changed", n)}));
  }
  watch(n, *record);
  head_ = head;
  report_.records = n;
  return {};
}

Step Verifier::misplaced(std::uint64_t n) {
  const std::int64_t found = rows_.integer(0);
  if (found < static_cast<std::int64_t>(n)) {
    return broken(at_record(BreakKind::inserted, n, n,
                            {fmt::format("编号 {} 的记录是插入的", found),
                             fmt::format("a record numbered {} was put in", found)}));
  }
  const auto last = static_cast<std::uint64_t>(found) - 1;
  return broken(at_record(
      BreakKind::deleted, n, last,
      {fmt::format("第 {} 至 {} 条记录被删除，位于 {} 之后", n, last, format_utc(last_time_)),
       fmt::format("records {} to {} were deleted, after {}", n, last, format_utc(last_time_))}));
}

// What happened at record n, whose head does not follow: compares with the next signed head, and
// looks for the record that ought to stand here. Reads again, but only once, after a break.
BreakKind Verifier::classify(std::uint64_t n, std::uint64_t& last) {
  last = n;
  const Digest stored_head = [&] {
    Digest head{};
    if (rows_.blob(8).size() == head.size()) std::ranges::copy(rows_.blob(8), head.begin());
    return head;
  }();
  std::optional<Checkpoint> next;
  auto notes =
      database_->prepare("SELECT note FROM checkpoint WHERE size >= ?1 ORDER BY number LIMIT 1");
  if (notes && notes->bind(1, static_cast<std::int64_t>(n)).step().value_or(false)) {
    if (const auto note = parse_note(notes->text(0)); note && verify_note(*note, key_)) {
      next = note->checkpoint;
    }
  }
  const std::uint64_t until = next ? next->size : n + append_records_max;
  auto rows = database_->prepare("SELECT n, bytes, head FROM record WHERE n > ?1 ORDER BY n");
  if (!rows) return BreakKind::edited;
  rows->bind(1, static_cast<std::int64_t>(n));
  std::uint64_t signed_at = next && stored_head == next->head ? n : 0;
  std::uint64_t belongs_here = 0;
  bool next_follows = true;  // the last record has none after it
  while (rows->step().value_or(false)) {
    const auto at = static_cast<std::uint64_t>(rows->integer(0));
    if (at > until + append_records_max) break;
    if (at == n + 1) {
      next_follows = std::ranges::equal(chain_.next(stored_head, rows->blob(1)), rows->blob(2));
    }
    const Digest here = chain_.next(head_, rows->blob(1));
    if (belongs_here == 0 && (std::ranges::equal(here, rows->blob(2)) || here == stored_head)) {
      belongs_here = at;
    }
    if (next && std::ranges::equal(next->head, rows->blob(2))) signed_at = at;
  }
  if (next && signed_at != 0 && signed_at > next->size) {
    last = n + (signed_at - next->size) - 1;
    return BreakKind::inserted;
  }
  if (next && signed_at != 0 && signed_at < next->size) {
    last = n + (next->size - signed_at) - 1;
    return BreakKind::deleted;
  }
  if (belongs_here != 0) {
    last = belongs_here;
    return BreakKind::reordered;
  }
  if (next_follows || !next) return BreakKind::edited;
  last = next->size;
  return signed_at != 0 ? BreakKind::edited : BreakKind::rewritten;
}

Step Verifier::wrong_head(std::uint64_t n, const Record* record) {
  std::uint64_t last = n;
  const BreakKind kind = classify(n, last);
  const WallTime time = record != nullptr ? record->time : last_time_;
  const std::string place = last == n ? fmt::format("{}", n) : fmt::format("{}-{}", n, last);
  Break found =
      at_record(kind, n, last,
                {fmt::format("第 {} 条记录（{}）：{}", place, format_utc(time), title(kind).zh),
                 fmt::format("record {} ({}): {}", place, format_utc(time), title(kind).en)});
  found.time = time;
  return broken(std::move(found));
}

// Reads rows up to number `size`, or to the end.
Step Verifier::read_until(std::optional<std::uint64_t> size) {
  while (!size || report_.records < *size) {
    if (!MENSHEN_READ(rows_.step())) return {};
    MENSHEN_STEP(check_row());
  }
  return {};
}

Step Verifier::check_note(const SignedNote& note) {
  const Checkpoint& c = note.checkpoint;
  const std::uint64_t number = report_.checkpoints + 1;
  if (c.key != key_.fingerprint()) {
    return broken(
        at_note(BreakKind::key_changed, c,
                {fmt::format("检查点 {}（{}）由另一密钥签署", c.number, format_utc(c.time)),
                 fmt::format("checkpoint {} ({}) is signed by another key", c.number,
                             format_utc(c.time))}));
  }
  if (!verify_note(note, key_) || c.origin != origin_) {
    return broken(at_note(BreakKind::signature, c,
                          {fmt::format("检查点 {}（{}）的签名无效", c.number, format_utc(c.time)),
                           fmt::format("the signature of checkpoint {} ({}) is wrong", c.number,
                                       format_utc(c.time))}));
  }
  const Digest previous = previous_ ? chain_.of_note(previous_->text) : Digest{};
  if (c.number != number || c.previous != previous ||
      (previous_ && c.size <= previous_->checkpoint.size)) {
    return broken(at_note(
        BreakKind::checkpoint_chain, c,
        {fmt::format("检查点 {} 不接续检查点 {}", c.number, number - 1),
         fmt::format("checkpoint {} does not follow checkpoint {}", c.number, number - 1)}));
  }
  if (previous_ && c.time < previous_->checkpoint.time) {
    warn({fmt::format("检查点 {} 的时间 {} 早于前一检查点", c.number, format_utc(c.time)),
          fmt::format("checkpoint {} is of {}, before the one ahead of it", c.number,
                      format_utc(c.time))});
  }
  return {};
}

// The note whose number and size the row says, checked, with the records it covers.
Step Verifier::check_checkpoints() {
  Statement notes =
      MENSHEN_READ(database_->prepare("SELECT number, size, note FROM checkpoint ORDER BY number"));
  bool log_ended = false;
  while (MENSHEN_READ(notes.step())) {
    const std::string text(notes.text(2));
    const auto note = parse_note(text);
    const auto number = static_cast<std::uint64_t>(notes.integer(0));
    if (!note || note->checkpoint.number != number ||
        static_cast<std::int64_t>(note->checkpoint.size) != notes.integer(1)) {
      return broken({BreakKind::signature,
                     0,
                     0,
                     number,
                     0,
                     {fmt::format("检查点 {} 被改动", number),
                      fmt::format("checkpoint {} was changed", number)}});
    }
    const Checkpoint& c = note->checkpoint;
    MENSHEN_STEP(check_note(*note));
    MENSHEN_STEP(read_until(c.size));
    if (report_.records < c.size) {
      return broken(at_record(
          BreakKind::truncated, report_.records + 1, c.size,
          {fmt::format("末尾缺失：检查点 {}（{}）覆盖 {} 条记录，只有 {} 条", c.number,
                       format_utc(c.time), c.size, report_.records),
           fmt::format("the end is missing: checkpoint {} ({}) covers {} records, there are {}",
                       c.number, format_utc(c.time), c.size, report_.records)}));
    }
    if (head_ != c.head) {
      const std::uint64_t first = report_.records_signed + 1;
      Break found = at_record(
          BreakKind::rewritten, first, c.size,
          {fmt::format("第 {} 至 {} 条记录被重写：与检查点 {}（{}）的签名不符", first, c.size,
                       c.number, format_utc(c.time)),
           fmt::format("records {} to {} were rewritten: checkpoint {} ({}) signed others", first,
                       c.size, c.number, format_utc(c.time))});
      found.checkpoint = c.number;
      return broken(std::move(found));
    }
    if (!log_ended) {
      const auto logged = MENSHEN_READ(log_.next());
      log_ended = !logged;
      if (logged && *logged != text) {
        return broken(at_note(
            BreakKind::checkpoint_chain, c,
            {fmt::format("检查点 {} 与 checkpoints.log 中的不同", c.number),
             fmt::format("checkpoint {} differs from the one in checkpoints.log", c.number)}));
      }
      if (log_ended) {
        warn({fmt::format("checkpoints.log 从检查点 {} 起缺失", c.number),
              fmt::format("checkpoints.log lacks the checkpoints from {} on", c.number)});
      }
    }
    if (expected_ && note->text == expected_->text) expected_met_ = true;
    report_.records_signed = c.size;
    ++report_.checkpoints;
    report_.last_checkpoint = c;
    previous_ = *note;
  }
  return {};
}

// Notes that only the log has: the database was cut back or exchanged for an older one.
Step Verifier::check_log_end() {
  const auto text = MENSHEN_READ(log_.next());
  if (!text) {
    if (!log_.torn().empty()) {
      warn({"checkpoints.log 末尾有不完整的检查点", "checkpoints.log ends with half a checkpoint"});
    }
    return {};
  }
  const auto note = parse_note(*text);
  if (!note || !verify_note(*note, key_)) {
    return broken({BreakKind::checkpoint_chain,
                   0,
                   0,
                   report_.checkpoints + 1,
                   0,
                   {"checkpoints.log 含有未经签署的检查点",
                    "checkpoints.log holds a checkpoint that is not signed"}});
  }
  const Checkpoint& c = note->checkpoint;
  Break found = at_record(
      BreakKind::truncated, report_.records + 1, c.size,
      {fmt::format("末尾缺失：checkpoints.log 有检查点 {}（{}，{} 条记录），数据库止于第 {} 条",
                   c.number, format_utc(c.time), c.size, report_.records),
       fmt::format("the end is missing: checkpoints.log has checkpoint {} ({}, {} records), the "
                   "database ends at record {}",
                   c.number, format_utc(c.time), c.size, report_.records)});
  found.checkpoint = c.number;
  return broken(std::move(found));
}

Step Verifier::check_expected_note() {
  if (!expected_ || expected_met_) return {};
  const Checkpoint& c = expected_->checkpoint;
  const bool there = c.number <= report_.checkpoints;
  Break found =
      at_record(there ? BreakKind::rewritten : BreakKind::truncated,
                there ? 0 : report_.records_signed + 1, there ? 0 : c.size,
                {fmt::format("审计库不含给定的检查点 {}（{}，{} 条记录）", c.number,
                             format_utc(c.time), c.size),
                 fmt::format("the store does not have the given checkpoint {} ({}, {} records)",
                             c.number, format_utc(c.time), c.size)});
  found.checkpoint = c.number;
  return broken(std::move(found));
}

Step Verifier::check_pages() {
  if (!options_.check_pages) return {};
  Statement check = MENSHEN_READ(database_->prepare("PRAGMA integrity_check(1)"));
  static_cast<void>(MENSHEN_READ(check.step()));
  const std::string finding(check.text(0));
  if (finding == "ok") return {};
  return broken(
      {BreakKind::damaged,
       0,
       0,
       0,
       0,
       {fmt::format("数据库文件损坏，但记录完整：{}", finding),
        fmt::format("the database file is damaged, though its records are whole: {}", finding)}});
}

Step Verifier::run() {
  if (!database_) {
    return broken({BreakKind::truncated,
                   0,
                   0,
                   0,
                   0,
                   {"checkpoints.log 有检查点，但数据库缺失",
                    "checkpoints.log has checkpoints, but the database is missing"}});
  }
  MENSHEN_STEP(check_meta());
  MENSHEN_STEP(check_checkpoints());
  MENSHEN_STEP(read_until(std::nullopt));
  MENSHEN_STEP(check_log_end());
  MENSHEN_STEP(check_expected_note());
  if (report_.checkpoints == 0 && report_.records > 0) {
    return broken(at_record(BreakKind::unsigned_records, 1, report_.records,
                            {"有记录但没有任何检查点", "there are records but no checkpoint"}));
  }
  return check_pages();
}

}  // namespace

Result<VerifyReport> verify(const std::filesystem::path& directory, const VerifyOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  const StorePaths paths = StorePaths::in(directory);
  const auto key_path = options.public_key.empty() ? paths.public_key : options.public_key;
  const std::string pem = MENSHEN_TRY(read_file(key_path, public_key_bytes_max));
  const PublicKey key = MENSHEN_TRY(PublicKey::parse(pem));
  // The log before the database: auditd writes the other way round.
  CheckpointLogReader log = MENSHEN_TRY(CheckpointLogReader::open(paths.checkpoints_log));
  Chain chain = MENSHEN_TRY(Chain::make(key.profile()));
  Verifier verifier(directory, options, key, std::move(log), std::move(chain));
  MENSHEN_CHECK(verifier.open());

  VerifyReport& report = verifier.report();
  report.fingerprint = format_fingerprint(key.profile(), key.fingerprint());
  report.pinned = !options.fingerprint.empty();
  if (report.pinned && options.fingerprint != report.fingerprint) {
    report.first_break =
        Break{BreakKind::key_changed,
              0,
              0,
              0,
              0,
              {fmt::format("公钥指纹为 {}，应为 {}", report.fingerprint, options.fingerprint),
               fmt::format("the public key's fingerprint is {}, not {}", report.fingerprint,
                           options.fingerprint)}};
  } else if (auto step = verifier.run(); !step) {
    report.first_break = std::move(step).error();
  }
  report.intact = !report.first_break;
  if (!report.pinned && options.public_key.empty()) {
    report.warnings.push_back({"密钥指纹未指定：只证明与库旁公钥一致",
                               "no fingerprint given: this shows agreement with the public key "
                               "beside the store only"});
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

}  // namespace menshen::audit
