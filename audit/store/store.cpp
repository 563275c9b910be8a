#include "audit/store/store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "audit/store/tail.hpp"
#include "audit/store/evidence.hpp"
#include "base/file.hpp"

namespace menshen::audit {
namespace {

constexpr std::string_view insert_record =
    "INSERT INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
constexpr std::size_t public_key_bytes_max = 16U << 10U;

WallTime whole_microseconds(WallTime time) { return time - time % 1000; }

Result<UniqueFd> take_lock(const std::filesystem::path& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno({"无法打开 " + path.string(), "cannot open " + path.string()});
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorCode::exists,
                {"另一进程正在使用审计库 " + path.parent_path().string(),
                 "another process uses the audit store " + path.parent_path().string()});
  }
  return fd;
}

// SQLite gives its WAL and shared memory the database's mode.
Result<void> make_with_mode(const std::filesystem::path& path, mode_t mode) {
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd || ::fchmod(fd.get(), mode) != 0) {
    return fail_errno({"无法创建 " + path.string(), "cannot make " + path.string()});
  }
  return {};
}

std::uint64_t file_bytes(const std::filesystem::path& path) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  return error ? 0 : bytes;
}

Result<std::string> meta(const Database& database, std::string_view key) {
  Statement select = MENSHEN_TRY(database.prepare("SELECT value FROM meta WHERE key = ?1"));
  if (!MENSHEN_TRY(select.bind(1, key).step())) return std::string();
  return std::string(select.text(0));
}

struct Encoded {
  Record record;
  std::string bytes;
};

}  // namespace

StorePaths StorePaths::in(const std::filesystem::path& directory) {
  return {directory / "audit.db",    directory / "checkpoints.log", directory / "signing.key",
          directory / "signing.pub", directory / "fingerprint",     directory / "lock"};
}

class Store::Impl {
 public:
  Impl(StoreOptions options, UniqueFd lock, SigningKey key, BootId boot, Chain chain)
      : options_(std::move(options)),
        paths_(StorePaths::in(options_.directory)),
        clock_(options_.clock != nullptr ? *options_.clock : system_clock()),
        lock_(std::move(lock)),
        key_(std::move(key)),
        boot_(boot),
        chain_(std::move(chain)) {}

  static Result<std::unique_ptr<Impl>> open(StoreOptions options);

  Result<void> connect();
  Result<std::vector<Appended>> append(std::span<const Record> records);
  Result<void> append_own(Record record);
  Result<SignedNote> checkpoint();
  Result<std::string> attest(const Attestation& attestation);
  Result<void> close();
  [[nodiscard]] bool checkpoint_due() const;
  [[nodiscard]] StoreStatus status() const;
  [[nodiscard]] const PublicKey& public_key() const { return key_.public_key(); }
  [[nodiscard]] const StoreOptions& options() const { return options_; }

 private:
  struct Connection {
    Database database;
    CheckpointLog log;
    Statement insert;
    Statement find;
    Statement insert_note;
  };

  Result<void> open_database();
  Result<void> begin_own_epoch();
  Result<Record> own(Record record);
  Result<Appended> insert(const Record& record, Bytes bytes, Tail& tail);
  Result<std::vector<Appended>> insert_all(const std::vector<Encoded>& batch, Tail& tail);
  Result<void> record_conflicts(const std::vector<Encoded>& batch,
                                const std::vector<Appended>& answers, Tail& tail);
  Result<void> sign_and_store();
  Result<void> write_log();
  // After a write failed: what the disk holds is known only after opening it afresh.
  template <class T>
  Result<T> broken(Result<T> result) {
    connection_.reset();
    healthy_ = false;
    return result;
  }

  StoreOptions options_;
  StorePaths paths_;
  const Clock& clock_;
  UniqueFd lock_;
  SigningKey key_;
  BootId boot_;
  Chain chain_;
  std::optional<Connection> connection_;
  Tail tail_;
  std::uint64_t acknowledged_ = 0;  // records that a caller knows to be stored
  std::uint64_t own_epoch_ = 0;
  std::uint64_t own_sequence_ = 0;
  MonotonicTime waiting_since_ = 0;  // of the oldest record without a checkpoint; 0: none
  bool healthy_ = true;
};

Result<std::unique_ptr<Store::Impl>> Store::Impl::open(StoreOptions options) {
  if (!is_origin(options.origin)) {
    return fail(ErrorCode::invalid, {"审计库名称须为 1 至 128 个可打印 ASCII 字符（无空格）",
                                     "the store's origin must be 1 to 128 printable ASCII "
                                     "characters without space"});
  }
  MENSHEN_CHECK(make_directories(options.directory, 0750));
  const StorePaths paths = StorePaths::in(options.directory);
  UniqueFd lock = MENSHEN_TRY(take_lock(paths.lock));
  if (!std::filesystem::exists(paths.signing_key)) {
    if (file_bytes(paths.database) != 0 || file_bytes(paths.checkpoints_log) != 0) {
      return fail(
          ErrorCode::corrupt,
          {"审计库有记录，但签名密钥缺失：" + paths.signing_key.string(),
           "the store has records but its signing key is missing: " + paths.signing_key.string()});
    }
    const SigningKey made = MENSHEN_TRY(SigningKey::generate(options.profile));
    MENSHEN_CHECK(made.save(paths.signing_key));
  }
  SigningKey key = MENSHEN_TRY(SigningKey::load(paths.signing_key));
  if (key.public_key().profile() != options.profile) {
    return fail(ErrorCode::invalid,
                {fmt::format("签名密钥属于密码套件 {}，设置为 {}", name(key.public_key().profile()),
                             name(options.profile)),
                 fmt::format("the signing key is of profile {}, the setting says {}",
                             name(key.public_key().profile()), name(options.profile))});
  }
  // Written each time: a crash after the key was made may have kept them back.
  const PublicKey& pub = key.public_key();
  const std::string fingerprint = format_fingerprint(pub.profile(), pub.fingerprint()) + "\n";
  const auto current = read_file(paths.public_key, public_key_bytes_max);
  if (!current || *current != pub.pem()) {
    MENSHEN_CHECK(write_file_atomic(paths.public_key, pub.pem(), options.file_mode));
  }
  const auto current_fingerprint = read_file(paths.fingerprint, public_key_bytes_max);
  if (!current_fingerprint || *current_fingerprint != fingerprint) {
    MENSHEN_CHECK(write_file_atomic(paths.fingerprint, fingerprint, options.file_mode));
  }
  Chain chain = MENSHEN_TRY(Chain::make(options.profile));
  const BootId boot = MENSHEN_TRY(current_boot_id());
  auto impl = std::make_unique<Impl>(std::move(options), std::move(lock), std::move(key), boot,
                                     std::move(chain));
  MENSHEN_CHECK(impl->open_database());
  MENSHEN_CHECK(impl->begin_own_epoch());
  return impl;
}

Result<void> Store::Impl::open_database() {
  if (file_bytes(paths_.database) == 0 && file_bytes(paths_.checkpoints_log) != 0) {
    return fail(ErrorCode::corrupt,
                {"审计库校验未通过：checkpoints.log 有检查点，但数据库缺失",
                 "the audit store does not verify: checkpoints.log has checkpoints, but the "
                 "database is missing"});
  }
  MENSHEN_CHECK(make_with_mode(paths_.database, options_.file_mode));
  Database database =
      MENSHEN_TRY(Database::open(paths_.database, Database::Mode::write, options_.sqlite_vfs));
  MENSHEN_CHECK(
      database.execute("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; "
                       "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON"));
  Statement tables =
      MENSHEN_TRY(database.prepare("SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table'"));
  static_cast<void>(MENSHEN_TRY(tables.step()));
  const bool empty = tables.integer(0) == 0;
  tables.reset();
  if (empty) {
    if (file_bytes(paths_.checkpoints_log) != 0) {
      return fail(ErrorCode::corrupt,
                  {"审计库校验未通过：checkpoints.log 有检查点，但数据库为空",
                   "the audit store does not verify: checkpoints.log has checkpoints, but the "
                   "database is empty"});
    }
    MENSHEN_CHECK(create_schema(database, options_.origin, options_.profile));
  }
  MENSHEN_CHECK(check_schema(database));
  const std::string origin = MENSHEN_TRY(meta(database, "origin"));
  const std::string profile = MENSHEN_TRY(meta(database, "profile"));
  if (origin != options_.origin || profile != name(options_.profile)) {
    return fail(ErrorCode::invalid,
                {fmt::format("审计库属于 {}（{}），设置为 {}（{}）", origin, profile,
                             options_.origin, name(options_.profile)),
                 fmt::format("the store is {} ({}), the settings say {} ({})", origin, profile,
                             options_.origin, name(options_.profile))});
  }
  CheckpointLog log =
      MENSHEN_TRY(CheckpointLog::open(paths_.checkpoints_log, options_.file_mode, options_.disk));
  Tail tail = MENSHEN_TRY(check_tail(database, log, key_.public_key(), options_.origin));
  if (tail.size < acknowledged_) {
    return fail(
        ErrorCode::corrupt,
        {fmt::format("审计库丢失了已确认的记录：{} 条，只剩 {} 条", acknowledged_, tail.size),
         fmt::format("the store lost acknowledged records: of {} only {} are left", acknowledged_,
                     tail.size)});
  }
  Statement insert = MENSHEN_TRY(database.prepare(insert_record));
  Statement find = MENSHEN_TRY(database.prepare(
      "SELECT bytes FROM record WHERE source = ?1 AND epoch = ?2 AND sequence = ?3"));
  Statement insert_note =
      MENSHEN_TRY(database.prepare("INSERT INTO checkpoint VALUES (?1, ?2, ?3)"));
  // A commit that failed may have happened: its number is taken then.
  Statement last_own = MENSHEN_TRY(database.prepare(
      "SELECT COALESCE(MAX(sequence), 0) FROM record WHERE source = ?1 AND epoch = ?2"));
  last_own.bind(1, own_source).bind(2, static_cast<std::int64_t>(own_epoch_));
  static_cast<void>(MENSHEN_TRY(last_own.step()));
  own_sequence_ = static_cast<std::uint64_t>(last_own.integer(0));
  last_own.reset();
  const std::uint64_t signed_size = tail.last_note ? tail.last_note->checkpoint.size : 0;
  if (tail.size > signed_size && waiting_since_ == 0) waiting_since_ = clock_.monotonic();
  tail_ = std::move(tail);
  connection_ = Connection{std::move(database), std::move(log), std::move(insert), std::move(find),
                           std::move(insert_note)};
  healthy_ = true;
  return {};
}

Result<void> Store::Impl::connect() {
  if (connection_) return {};
  return open_database();
}

Result<void> Store::Impl::begin_own_epoch() {
  Statement last = MENSHEN_TRY(connection_->database.prepare(
      "SELECT COALESCE(MAX(epoch), 0) FROM record WHERE source = ?1"));
  static_cast<void>(MENSHEN_TRY(last.bind(1, own_source).step()));
  own_epoch_ = static_cast<std::uint64_t>(last.integer(0)) + 1;
  last.reset();
  if (tail_.size == 0) {
    Record made;
    made.action = "key.make";
    made.object = format_fingerprint(key_.public_key().profile(), key_.public_key().fingerprint());
    made.message = "签名密钥已生成 / signing key made";
    MENSHEN_CHECK(append_own(std::move(made)));
  }
  Record start;
  start.action = "store.start";
  start.object = options_.origin;
  start.message = "审计库已打开 / audit store opened";
  start.detail =
      fmt::format(R"({{"records":{},"profile":"{}"}})", tail_.size, name(options_.profile));
  MENSHEN_CHECK(append_own(std::move(start)));
  // One may be missing after a crash; more were removed, or the disk refused them.
  if (tail_.notes_restored > 1) {
    Record restored;
    restored.severity = Severity::medium;
    restored.action = "log.restore";
    restored.object = paths_.checkpoints_log.filename();
    restored.message = "检查点日志缺少条目，已由数据库补写 / notes were missing in checkpoints.log";
    restored.detail = fmt::format(R"({{"notes":{}}})", tail_.notes_restored);
    MENSHEN_CHECK(append_own(std::move(restored)));
  }
  static_cast<void>(MENSHEN_TRY(checkpoint()));
  return {};
}

Result<Record> Store::Impl::own(Record record) {
  record.time = clock_.wall();
  record.monotonic = clock_.monotonic();
  record.boot = boot_;
  record.source = own_source;
  record.epoch = own_epoch_;
  record.sequence = own_sequence_ + 1;
  if (record.subject.empty()) record.subject = own_source;
  if (record.outcome == Outcome::unknown) record.outcome = Outcome::success;
  record.stamp = Stamp{record.time, ::getuid(), static_cast<std::uint32_t>(::getpid())};
  fit(record);
  return record;
}

Result<Appended> Store::Impl::insert(const Record& record, Bytes bytes, Tail& tail) {
  const Digest head = chain_.next(tail.head, bytes);
  const auto n = static_cast<std::int64_t>(tail.size + 1);
  MENSHEN_CHECK(connection_->insert.bind(1, n)
                    .bind(2, std::string_view(record.source))
                    .bind(3, static_cast<std::int64_t>(record.epoch))
                    .bind(4, static_cast<std::int64_t>(record.sequence))
                    .bind(5, record.time)
                    .bind(6, static_cast<std::int64_t>(record.kind))
                    .bind(7, static_cast<std::int64_t>(record.severity))
                    .bind(8, bytes)
                    .bind(9, Bytes(head))
                    .run());
  if (connection_->database.changes() == 1) {
    ++tail.size;
    tail.head = head;
    return Appended::stored;
  }
  Statement& find = connection_->find;
  find.bind(1, std::string_view(record.source))
      .bind(2, static_cast<std::int64_t>(record.epoch))
      .bind(3, static_cast<std::int64_t>(record.sequence));
  if (!MENSHEN_TRY(find.step())) {
    return fail(ErrorCode::corrupt,
                {"审计库索引与记录不一致", "the audit store's index contradicts its records"});
  }
  const bool same = std::ranges::equal(without_stamp(find.blob(0)), without_stamp(bytes));
  find.reset();
  return same ? Appended::duplicate : Appended::conflict;
}

// One record for all conflicts of a batch: a hostile source must not multiply records.
Result<void> Store::Impl::record_conflicts(const std::vector<Encoded>& batch,
                                           const std::vector<Appended>& answers, Tail& tail) {
  const auto first = std::ranges::find(answers, Appended::conflict);
  if (first == answers.end()) return {};
  const Record& offending = batch[static_cast<std::size_t>(first - answers.begin())].record;
  Record record;
  record.severity = Severity::high;
  record.outcome = Outcome::rejected;
  record.action = "record.conflict";
  record.subject = offending.source;
  record.object = fmt::format("{}/{}/{}", offending.source, offending.epoch, offending.sequence);
  record.message = "同一编号已有不同的记录，新记录被拒绝 / another record has this name, refused";
  record.detail =
      fmt::format(R"({{"conflicts":{}}})", std::ranges::count(answers, Appended::conflict));
  record = MENSHEN_TRY(own(std::move(record)));
  const std::string bytes = MENSHEN_TRY(encode(record));
  static_cast<void>(MENSHEN_TRY(insert(record, as_bytes(bytes), tail)));
  return {};
}

Result<std::vector<Appended>> Store::Impl::insert_all(const std::vector<Encoded>& batch,
                                                      Tail& tail) {
  MENSHEN_CHECK(connection_->database.execute("BEGIN IMMEDIATE"));
  std::vector<Appended> answers;
  answers.reserve(batch.size());
  for (const Encoded& item : batch) {
    answers.push_back(MENSHEN_TRY(insert(item.record, as_bytes(item.bytes), tail)));
  }
  MENSHEN_CHECK(record_conflicts(batch, answers, tail));
  MENSHEN_CHECK(connection_->database.execute("COMMIT"));
  return answers;
}

Result<std::vector<Appended>> Store::Impl::append(std::span<const Record> records) {
  if (records.size() > append_records_max) {
    return fail(ErrorCode::limit,
                {fmt::format("一批最多 {} 条记录", append_records_max),
                 fmt::format("a batch has at most {} records", append_records_max)});
  }
  std::vector<Encoded> batch;
  batch.reserve(records.size());
  const Stamp stamp{clock_.wall(), ::getuid(), static_cast<std::uint32_t>(::getpid())};
  for (const Record& record : records) {
    Encoded& item = batch.emplace_back(Encoded{record, {}});
    if (!item.record.stamp) item.record.stamp = stamp;
    MENSHEN_CHECK(encode(item.record, item.bytes));
  }
  if (batch.empty()) return std::vector<Appended>{};
  MENSHEN_CHECK(connect());
  Tail tail = tail_;
  auto answers = insert_all(batch, tail);
  if (!answers) return broken(std::move(answers));
  const bool conflict = std::ranges::find(*answers, Appended::conflict) != answers->end();
  if (conflict) ++own_sequence_;
  if (tail.size > tail_.size && waiting_since_ == 0) waiting_since_ = clock_.monotonic();
  tail_ = std::move(tail);
  acknowledged_ = tail_.size;
  return answers;
}

Result<void> Store::Impl::append_own(Record record) {
  const Record filled = MENSHEN_TRY(own(std::move(record)));
  const auto answers = MENSHEN_TRY(append(std::span(&filled, 1)));
  ++own_sequence_;
  if (answers.front() == Appended::conflict) {
    return fail(ErrorCode::corrupt,
                {"审计库自身的记录编号已被占用", "the store's own record number is taken"});
  }
  return {};
}

Result<void> Store::Impl::sign_and_store() {
  Checkpoint next;
  next.origin = options_.origin;
  next.profile = options_.profile;
  next.number = tail_.last_note ? tail_.last_note->checkpoint.number + 1 : 1;
  next.size = tail_.size;
  next.head = tail_.head;
  next.time = whole_microseconds(clock_.wall());
  if (tail_.last_note) next.previous = chain_.of_note(tail_.last_note->text);
  next.key = key_.public_key().fingerprint();
  SignedNote note = MENSHEN_TRY(sign_note(next, key_));
  MENSHEN_CHECK(connection_->insert_note.bind(1, static_cast<std::int64_t>(next.number))
                    .bind(2, static_cast<std::int64_t>(next.size))
                    .bind(3, std::string_view(note.text))
                    .run());
  tail_.last_note = std::move(note);
  return {};
}

Result<SignedNote> Store::Impl::checkpoint() {
  MENSHEN_CHECK(connect());
  if (tail_.last_note && tail_.last_note->checkpoint.size == tail_.size) return *tail_.last_note;
  if (tail_.last_note && clock_.wall() < tail_.last_note->checkpoint.time) {
    Record back;
    back.severity = Severity::medium;
    back.action = "clock.back";
    back.object = format_utc(tail_.last_note->checkpoint.time);
    back.message = "系统时钟早于上一检查点 / the clock is behind the last checkpoint";
    MENSHEN_CHECK(append_own(std::move(back)));
  }
  if (auto stored = sign_and_store(); !stored) {
    return broken(Result<SignedNote>(tl::make_unexpected(stored.error())));
  }
  // The database first: a note that only the log holds would look like a database cut back.
  if (auto logged = connection_->log.append(tail_.last_note->text); !logged) {
    return broken(Result<SignedNote>(tl::make_unexpected(logged.error())));
  }
  waiting_since_ = 0;
  return *tail_.last_note;
}

Result<std::string> Store::Impl::attest(const Attestation& attestation) {
  MENSHEN_CHECK(connect());
  Record record;
  record.kind = Kind::compliance;
  record.action = "attest";
  record.subject = attestation.subject;
  record.object = attestation.name;
  record.message = "文件摘要已存证 / document attested";
  record.detail = nlohmann::ordered_json{{"algorithm", digest_name(options_.profile)},
                                         {"digest", to_hex(attestation.digest)},
                                         {"bytes", attestation.bytes}}
                      .dump();
  Evidence evidence;
  evidence.previous_head = tail_.head;
  evidence.number = tail_.size + 1;
  MENSHEN_CHECK(append_own(std::move(record)));
  evidence.checkpoint = MENSHEN_TRY(checkpoint());
  Statement select =
      MENSHEN_TRY(connection_->database.prepare("SELECT bytes FROM record WHERE n = ?1"));
  static_cast<void>(MENSHEN_TRY(select.bind(1, static_cast<std::int64_t>(evidence.number)).step()));
  evidence.record = as_text(select.blob(0));
  evidence.public_key = key_.public_key().pem();
  return evidence.to_json();
}

bool Store::Impl::checkpoint_due() const {
  const auto interval =
      std::chrono::duration_cast<std::chrono::nanoseconds>(options_.checkpoint_interval).count();
  return waiting_since_ != 0 && clock_.monotonic() - waiting_since_ >= interval;
}

StoreStatus Store::Impl::status() const {
  StoreStatus status;
  status.records = tail_.size;
  if (tail_.last_note) {
    status.last_checkpoint = tail_.last_note->checkpoint;
    status.checkpoints = tail_.last_note->checkpoint.number;
  }
  status.bytes = file_bytes(paths_.database) + file_bytes(paths_.database.string() + "-wal");
  struct statvfs disk {};
  if (::statvfs(options_.directory.c_str(), &disk) == 0) {
    status.disk_free = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  }
  status.profile = options_.profile;
  status.origin = options_.origin;
  status.fingerprint =
      format_fingerprint(key_.public_key().profile(), key_.public_key().fingerprint());
  status.healthy = healthy_;
  return status;
}

Result<void> Store::Impl::close() {
  Record stop;
  stop.action = "store.stop";
  stop.object = options_.origin;
  stop.message = "审计库已关闭 / audit store closed";
  MENSHEN_CHECK(append_own(std::move(stop)));
  static_cast<void>(MENSHEN_TRY(checkpoint()));
  auto folded = connection_->database.execute("PRAGMA wal_checkpoint(TRUNCATE)");
  connection_.reset();
  lock_.reset();
  return folded;
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Result<Store> Store::open(StoreOptions options) {
  return Store(MENSHEN_TRY(Impl::open(std::move(options))));
}
Result<std::vector<Appended>> Store::append(std::span<const Record> records) {
  return impl_->append(records);
}
Result<void> Store::append_own(Record record) { return impl_->append_own(std::move(record)); }
Result<SignedNote> Store::checkpoint() { return impl_->checkpoint(); }
bool Store::checkpoint_due() const { return impl_->checkpoint_due(); }
Result<std::string> Store::attest(const Attestation& attestation) {
  return impl_->attest(attestation);
}
StoreStatus Store::status() const { return impl_->status(); }
const PublicKey& Store::public_key() const { return impl_->public_key(); }
const StoreOptions& Store::options() const { return impl_->options(); }
Result<void> Store::close() { return impl_->close(); }

}  // namespace menshen::audit
