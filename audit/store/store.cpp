#include "audit/store/store_impl.hpp"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "audit/store/evidence.hpp"
#include "base/file.hpp"

namespace menshen::audit {
namespace {

WallTime whole_microseconds(WallTime time) { return time - time % 1000; }

Result<void> check_options(const StoreOptions& options) {
  if (!is_origin(options.origin)) {
    return fail(ErrorCode::invalid, {"审计库名称须为 1 至 128 个可打印 ASCII 字符（无空格）",
                                     "the store's origin must be 1 to 128 printable ASCII "
                                     "characters without space"});
  }
  if (options.retention_days != 0 && options.retention_days < retention_days_min &&
      options.retention_reason.empty()) {
    return fail(
        ErrorCode::invalid,
        {fmt::format("审计记录须至少保存 {} 天；更短须说明理由并记录在案", retention_days_min),
         fmt::format("audit records are kept for {} days at least; a shorter time needs a "
                     "reason, which is recorded",
                     retention_days_min)});
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Store::Impl>> Store::Impl::open(StoreOptions options) {
  MENSHEN_CHECK(check_options(options));
  MENSHEN_CHECK(make_directories(options.directory, 0750));
  const StorePaths paths = StorePaths::in(options.directory);
  UniqueFd lock = MENSHEN_TRY(take_lock(paths.lock));
  SigningKey key = MENSHEN_TRY(load_key(paths, options.profile));
  MENSHEN_CHECK(publish_key(key.public_key(), paths, options.file_mode));
  TreeHasher hasher = MENSHEN_TRY(TreeHasher::make(options.profile));
  const BootId boot = MENSHEN_TRY(current_boot_id());
  auto impl = std::make_unique<Impl>(std::move(options), std::move(lock), std::move(key), boot,
                                     std::move(hasher));
  impl->retired_ = retired_keys(paths);
  MENSHEN_CHECK(impl->open_segment());
  MENSHEN_CHECK(impl->begin_own_epoch());
  if (impl->options_.index) impl->indexer_ = std::make_unique<Indexer>(paths);
  return impl;
}

Result<void> Store::Impl::open_segment() {
  const auto numbers = paths_.segments();
  const std::uint64_t number = numbers.empty() ? 1 : numbers.back();
  const auto path = paths_.segment(number);
  const bool empty = file_bytes(path) == 0 && file_bytes(path.string() + "-wal") == 0;
  if (empty && (file_bytes(paths_.notes(number)) != 0 || number > 1)) {
    return fail(ErrorCode::corrupt,
                {"审计库校验未通过：有检查点，但数据库缺失或为空",
                 "the audit store does not verify: there are checkpoints, but the database is "
                 "missing or empty"});
  }
  MENSHEN_CHECK(make_with_mode(path, options_.file_mode));
  {
    const Database database =
        MENSHEN_TRY(Database::open(path, Database::Mode::write, options_.sqlite_vfs));
    MENSHEN_CHECK(database.execute("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL"));
    Statement tables =
        MENSHEN_TRY(database.prepare("SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table'"));
    static_cast<void>(MENSHEN_TRY(tables.step()));
    if (tables.integer(0) == 0) {
      tables.reset();
      if (file_bytes(paths_.notes(number)) != 0 || number > 1) {
        return fail(ErrorCode::corrupt,
                    {"审计库校验未通过：有检查点，但数据库为空",
                     "the audit store does not verify: there are checkpoints, but the database is "
                     "empty"});
      }
      SegmentHead head;
      head.origin = options_.origin;
      head.profile = options_.profile;
      MENSHEN_CHECK(create_schema(database, head));
    }
  }
  Segment segment = MENSHEN_TRY(Segment::open(path, Database::Mode::write, options_.sqlite_vfs));
  const SegmentHead& head = segment.head();
  if (head.origin != options_.origin || head.profile != options_.profile) {
    return fail(ErrorCode::invalid,
                {fmt::format("审计库属于 {}（{}），设置为 {}（{}）", head.origin,
                             name(head.profile), options_.origin, name(options_.profile)),
                 fmt::format("the store is {} ({}), the settings say {} ({})", head.origin,
                             name(head.profile), options_.origin, name(options_.profile))});
  }
  MENSHEN_CHECK(segment.database().execute(
      "PRAGMA synchronous = FULL; PRAGMA secure_delete = OFF; PRAGMA wal_autocheckpoint = 4000; "
      "PRAGMA cache_size = -16384"));
  CheckpointLog log =
      MENSHEN_TRY(CheckpointLog::open(paths_.notes(number), options_.file_mode, options_.disk));
  tail_ = MENSHEN_TRY(
      check_tail(segment, log, key_.public_key(), retired_, !options_.key_lost_reason.empty()));
  if (tail_.size() < acknowledged_) {
    return fail(
        ErrorCode::corrupt,
        {fmt::format("审计库丢失了已确认的记录：{} 条，只剩 {} 条", acknowledged_, tail_.size()),
         fmt::format("the store lost acknowledged records: of {} only {} are left", acknowledged_,
                     tail_.size())});
  }
  // From here on the file changes: a seal that a clean stop left no longer holds.
  std::error_code none;
  if (std::filesystem::remove(paths_.seal(number), none)) {
    MENSHEN_CHECK(sync_folder(paths_.directory));
  }
  return prepare_statements(std::move(segment), std::move(log));
}

Result<void> Store::Impl::prepare_statements(Segment segment, CheckpointLog log) {
  const Database& db = segment.database();
  segment_day_ = clock_.wall() / day_ns;
  if (tail_.size() >= segment.head().first) {
    const std::string first = MENSHEN_TRY(segment.record(segment.head().first));
    const auto seen = view_stored(as_bytes(first));
    if (seen && seen->stamp) segment_day_ = seen->stamp->received / day_ns;
  }
  Names names = MENSHEN_TRY(Names::make(segment, paths_));
  Statement insert_block = MENSHEN_TRY(db.prepare("INSERT INTO block VALUES (?1, ?2)"));
  Statement insert_pending = MENSHEN_TRY(db.prepare("INSERT INTO pending VALUES (?1, ?2, ?3)"));
  Statement fold_pending = MENSHEN_TRY(db.prepare("DELETE FROM pending"));
  Statement insert_node = MENSHEN_TRY(db.prepare("INSERT INTO node VALUES (?1, ?2, ?3)"));
  Statement insert_note = MENSHEN_TRY(db.prepare("INSERT INTO checkpoint VALUES (?1, ?2, ?3)"));
  // A commit that failed may have happened: its number is taken then.
  Statement last_own = MENSHEN_TRY(
      db.prepare("SELECT COALESCE(MAX(last), 0) FROM span WHERE source = ?1 AND epoch = ?2"));
  last_own.bind(1, own_source).bind(2, static_cast<std::int64_t>(own_epoch_));
  static_cast<void>(MENSHEN_TRY(last_own.step()));
  own_sequence_ = static_cast<std::uint64_t>(last_own.integer(0));
  last_own.reset();
  const std::uint64_t signed_size = tail_.last_note ? tail_.last_note->checkpoint.size : 0;
  if (tail_.size() > signed_size && waiting_since_ == 0) waiting_since_ = clock_.monotonic();
  connection_ = Connection{std::move(segment),        std::move(log),
                           std::move(names),          std::move(insert_block),
                           std::move(insert_pending), std::move(fold_pending),
                           std::move(insert_node),    std::move(insert_note)};
  healthy_ = true;
  return {};
}

Result<void> Store::Impl::connect() {
  if (connection_) return {};
  return open_segment();
}

Result<void> Store::Impl::begin_own_epoch() {
  own_epoch_ = MENSHEN_TRY(connection_->names.newest_epoch(own_source)) + 1;
  own_sequence_ = 0;
  const std::uint64_t restored = tail_.notes_restored;
  if (tail_.size() == 0) {
    Record made;
    made.action = "key.make";
    made.object = format_fingerprint(key_.public_key().profile(), key_.public_key().fingerprint());
    made.message = "签名密钥已生成 / signing key made";
    MENSHEN_CHECK(append_own(std::move(made)));
  }
  if (!options_.key_lost_reason.empty()) {
    Record lost;
    lost.kind = Kind::admin;
    lost.severity = Severity::critical;
    lost.action = action_key_lost;
    lost.object = format_fingerprint(key_.public_key().profile(), key_.public_key().fingerprint());
    lost.message = "签名密钥丢失，改用新密钥 / the signing key was lost, a new one follows: " +
                   options_.key_lost_reason;
    MENSHEN_CHECK(append_own(std::move(lost)));
  }
  Record start;
  start.action = "store.start";
  start.object = options_.origin;
  start.message = "审计库已打开 / audit store opened";
  start.detail =
      fmt::format(R"({{"records":{},"profile":"{}"}})", tail_.size(), name(options_.profile));
  MENSHEN_CHECK(append_own(std::move(start)));
  if (options_.retention_days != 0 && options_.retention_days < retention_days_min) {
    Record shorter;
    shorter.severity = Severity::high;
    shorter.action = "retention.short";
    shorter.object = fmt::format("{} days", options_.retention_days);
    shorter.message =
        "保存期短于法定下限 / kept for less than the law asks: " + options_.retention_reason;
    MENSHEN_CHECK(append_own(std::move(shorter)));
  }
  // One may be missing after a crash; more were removed, or the disk refused them.
  if (restored > 1) {
    Record told;
    told.severity = Severity::medium;
    told.action = "log.restore";
    told.object = paths_.notes(connection_->segment.head().number).filename();
    told.message = "检查点文件缺少条目，已由数据库补写 / notes were missing in the notes file";
    told.detail = fmt::format(R"({{"notes":{}}})", restored);
    MENSHEN_CHECK(append_own(std::move(told)));
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

Result<void> Store::Impl::append_own(Record record) {
  MENSHEN_CHECK(connect());
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
  next.size = tail_.size();
  next.root = tail_.frontier.root(hasher_);
  next.time = whole_microseconds(clock_.wall());
  if (tail_.last_note) next.previous = hasher_.plain(as_bytes(tail_.last_note->text));
  next.key = key_.public_key().fingerprint();
  SignedNote note = MENSHEN_TRY(sign_note(next, key_));
  MENSHEN_CHECK(connection_->insert_note.bind(1, static_cast<std::int64_t>(next.number))
                    .bind(2, static_cast<std::int64_t>(next.size))
                    .bind(3, std::string_view(note.text))
                    .run());
  tail_.last_note = std::move(note);
  // The database first: a note that only the log holds would look like a database cut back.
  return connection_->log.append(tail_.last_note->text);
}

// A checkpoint that covers everything, if the last one does not.
Result<void> Store::Impl::note_at_end() {
  if (tail_.last_note && tail_.last_note->checkpoint.size == tail_.size()) return {};
  MENSHEN_CHECK(sign_and_store());
  waiting_since_ = 0;
  return {};
}

Result<SignedNote> Store::Impl::checkpoint() {
  MENSHEN_CHECK(connect());
  if (tail_.last_note && tail_.last_note->checkpoint.size == tail_.size()) return *tail_.last_note;
  if (tail_.last_note && clock_.wall() < tail_.last_note->checkpoint.time) {
    Record back;
    back.severity = Severity::medium;
    back.action = "clock.back";
    back.object = format_utc(tail_.last_note->checkpoint.time);
    back.message = "系统时钟早于上一检查点 / the clock is behind the last checkpoint";
    MENSHEN_CHECK(append_own(std::move(back)));
  }
  if (auto noted = note_at_end(); !noted) {
    return broken(Result<SignedNote>(tl::make_unexpected(noted.error())));
  }
  return *tail_.last_note;
}

// The live segment ends here, with a checkpoint that covers it; the next one begins.
Result<void> Store::Impl::roll() {
  MENSHEN_CHECK(note_at_end());
  const std::uint64_t number = connection_->segment.head().number;
  SegmentHead head;
  head.origin = options_.origin;
  head.profile = options_.profile;
  head.number = number + 1;
  head.first = tail_.size() + 1;
  head.before = tail_.frontier;
  head.previous_note = tail_.last_note->text;
  MENSHEN_CHECK(make_next_segment(paths_, connection_->segment, head, options_.file_mode,
                                  options_.sqlite_vfs));
  connection_.reset();
  return open_segment();
}

std::vector<const PublicKey*> Store::Impl::keys() const {
  std::vector<const PublicKey*> all{&key_.public_key()};
  for (const PublicKey& key : retired_) all.push_back(&key);
  return all;
}

// One finished segment at a time: its digest is made in the background, the seal is signed here.
Result<void> Store::Impl::seal_finished() {
  if (sealing_.valid()) {
    if (sealing_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return {};
    auto examined = sealing_.get();
    if (!examined) return tl::make_unexpected(examined.error());
    examined->key = key_.public_key().fingerprint();
    const std::string text = MENSHEN_TRY(sign_seal(*examined, key_));
    MENSHEN_CHECK(write_file_atomic(paths_.seal(examined->segment), text, 0440));
  }
  const std::uint64_t live = connection_->segment.head().number;
  for (const std::uint64_t number : paths_.segments()) {
    if (number >= live || file_bytes(paths_.seal(number)) != 0) continue;
    const auto path = paths_.segment(number);
    if (!MENSHEN_TRY(fold_segment(path, options_.sqlite_vfs))) continue;
    // Nobody writes it again; the permission says so to everybody but root.
    std::filesystem::permissions(path, std::filesystem::perms(options_.file_mode & 0444U));
    sealing_ = std::async(std::launch::async,
                          [path, vfs = options_.sqlite_vfs] { return examine_segment(path, vfs); });
    return {};
  }
  return {};
}

// At most one segment a call: a clock that jumped ahead takes one, and its record, at a time.
Result<void> Store::Impl::prune() {
  if (options_.retention_days == 0) return {};
  const auto numbers = paths_.segments();
  const std::uint64_t live = connection_->segment.head().number;
  if (numbers.empty() || numbers.front() >= live) return {};
  const auto seal = read_seal(paths_, numbers.front(), keys());
  if (!seal || clock_.wall() - seal->time <= options_.retention_days * day_ns) return {};
  Record record;
  record.severity = Severity::low;
  record.action = "segment.prune";
  record.object = paths_.segment(seal->segment).filename();
  record.message = fmt::format("保存期 {} 天已满，清理旧分段 / kept for {} days, pruned",
                               options_.retention_days, options_.retention_days);
  record.detail = fmt::format(R"({{"segment":{},"first":{},"last":{},"until":"{}","digest":"{}"}})",
                              seal->segment, seal->first, seal->last, format_utc(seal->time),
                              to_hex(seal->digest));
  MENSHEN_CHECK(append_own(std::move(record)));
  static_cast<void>(MENSHEN_TRY(checkpoint()));
  if (indexer_) indexer_->forget(seal->segment);
  connection_->names.forget_older();
  remove_segment(paths_, seal->segment);
  return sync_folder(paths_.directory);
}

Result<void> Store::Impl::tend() {
  MENSHEN_CHECK(connect());
  if (checkpoint_due()) static_cast<void>(MENSHEN_TRY(checkpoint()));
  MENSHEN_CHECK(seal_finished());
  return prune();
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
  MENSHEN_CHECK(append_own(std::move(record)));
  const std::uint64_t number = tail_.size();
  const SignedNote note = MENSHEN_TRY(checkpoint());
  Tree tree = MENSHEN_TRY(Tree::open(paths_, options_.profile));
  const Proof proof = MENSHEN_TRY(prove_record(tree, number, note, key_.public_key()));
  return proof.to_json();
}

Result<void> Store::Impl::rotate_key(std::string_view subject) {
  MENSHEN_CHECK(connect());
  SigningKey next = MENSHEN_TRY(SigningKey::generate(options_.profile));
  const PublicKey& pub = next.public_key();
  const auto fresh = paths_.directory / "signing.key.new";
  std::error_code none;
  std::filesystem::remove(fresh, none);  // of a rotation that a crash interrupted
  MENSHEN_CHECK(next.save(fresh));
  MENSHEN_CHECK(retire_key(paths_, key_.public_key(), options_.file_mode));
  Record record;
  record.kind = Kind::admin;
  record.severity = Severity::medium;
  record.subject = subject;
  record.action = action_rotate;
  record.object = format_fingerprint(pub.profile(), pub.fingerprint());
  record.message = "签名密钥轮换，由旧密钥签署 / signing key rotated, signed by the old one";
  record.detail = nlohmann::ordered_json{{"public_key", pub.pem()}}.dump();
  MENSHEN_CHECK(append_own(std::move(record)));
  // The old key's last: the hand-over must be the last record it covers, so no word about the clock
  // may come between.
  if (auto noted = note_at_end(); !noted) return broken(std::move(noted));
  std::filesystem::rename(fresh, paths_.signing_key, none);
  if (none) {
    return fail_errno({"无法启用新密钥", "cannot put the new key in place"}, none.value());
  }
  MENSHEN_CHECK(sync_folder(paths_.directory));
  key_ = std::move(next);
  retired_ = retired_keys(paths_);
  MENSHEN_CHECK(publish_key(key_.public_key(), paths_, options_.file_mode));
  Record used;
  used.action = "key.use";
  used.object = format_fingerprint(key_.public_key().profile(), key_.public_key().fingerprint());
  used.message = "新签名密钥启用 / the new signing key signs from here on";
  MENSHEN_CHECK(append_own(std::move(used)));
  static_cast<void>(MENSHEN_TRY(checkpoint()));
  return {};
}

bool Store::Impl::checkpoint_due() const {
  const auto interval =
      std::chrono::duration_cast<std::chrono::nanoseconds>(options_.checkpoint_interval).count();
  return waiting_since_ != 0 && clock_.monotonic() - waiting_since_ >= interval;
}

std::uint64_t Store::Impl::disk_free() const {
  if (options_.disk_free) return options_.disk_free();
  struct statvfs disk {};
  if (::statvfs(options_.directory.c_str(), &disk) != 0) return ~std::uint64_t{0};
  return static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
}

StoreStatus Store::Impl::status() const {
  StoreStatus status;
  status.records = tail_.size();
  if (tail_.last_note) {
    status.last_checkpoint = tail_.last_note->checkpoint;
    status.checkpoints = tail_.last_note->checkpoint.number;
  }
  const auto numbers = paths_.segments();
  status.segments = numbers.size();
  WallTime begun = segment_day_ * day_ns;
  if (numbers.size() > 1) {
    if (const auto oldest = read_seal(paths_, numbers.front(), keys())) {
      status.first_record = oldest->first;
      begun = std::min(begun, oldest->time);
    }
  }
  status.bytes = folder_bytes(options_.directory);
  status.disk_free = disk_free();
  status.disk_full_at = forecast_full(
      {status.bytes, status.disk_free, clock_.wall() - begun, options_.retention_days * day_ns},
      clock_.wall());
  status.profile = options_.profile;
  status.origin = options_.origin;
  status.fingerprint =
      format_fingerprint(key_.public_key().profile(), key_.public_key().fingerprint());
  status.healthy = healthy_;
  return status;
}

Result<void> Store::Impl::close() {
  indexer_.reset();
  Record stop;
  stop.action = "store.stop";
  stop.object = options_.origin;
  stop.message = "审计库已关闭 / audit store closed";
  MENSHEN_CHECK(append_own(std::move(stop)));
  static_cast<void>(MENSHEN_TRY(checkpoint()));
  const std::uint64_t number = connection_->segment.head().number;
  connection_.reset();
  const auto path = paths_.segment(number);
  if (MENSHEN_TRY(fold_segment(path, options_.sqlite_vfs))) {
    Seal seal = MENSHEN_TRY(examine_segment(path, options_.sqlite_vfs));
    seal.key = key_.public_key().fingerprint();
    const std::string text = MENSHEN_TRY(sign_seal(seal, key_));
    MENSHEN_CHECK(write_file_atomic(paths_.seal(number), text, options_.file_mode));
  }
  lock_.reset();
  return {};
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
Result<std::vector<Appended>> Store::append(std::span<const Incoming> records) {
  return impl_->append(records);
}
Result<void> Store::append_own(Record record) { return impl_->append_own(std::move(record)); }
Result<SignedNote> Store::checkpoint() { return impl_->checkpoint(); }
bool Store::checkpoint_due() const { return impl_->checkpoint_due(); }
Result<void> Store::tend() { return impl_->tend(); }
Result<std::string> Store::attest(const Attestation& attestation) {
  return impl_->attest(attestation);
}
Result<void> Store::rotate_key(std::string_view subject) { return impl_->rotate_key(subject); }
StoreStatus Store::status() const { return impl_->status(); }
std::uint64_t Store::disk_free() const { return impl_->disk_free(); }
const PublicKey& Store::public_key() const { return impl_->public_key(); }
const StoreOptions& Store::options() const { return impl_->options(); }
Result<void> Store::close() { return impl_->close(); }

}  // namespace menshen::audit
