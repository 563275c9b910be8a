#include "audit/store/names.hpp"

namespace menshen::audit {
namespace {

std::int64_t as_signed(std::uint64_t value) { return static_cast<std::int64_t>(value); }
std::uint64_t as_number(std::int64_t value) { return static_cast<std::uint64_t>(value); }

}  // namespace

Result<Names> Names::make(const Segment& live, StorePaths paths) {
  Names names(std::move(paths));
  const Database& db = live.database();
  names.live_number_ = live.head().number;
  names.profile_ = live.head().profile;
  names.insert_ = MENSHEN_TRY(db.prepare("INSERT INTO span VALUES (?1, ?2, ?3, ?4, ?5)"));
  names.extend_ = MENSHEN_TRY(
      db.prepare("UPDATE span SET last = ?4 WHERE source = ?1 AND epoch = ?2 AND first = ?3"));
  names.last_run_ =
      MENSHEN_TRY(db.prepare("SELECT first, last, n FROM span WHERE source = ?1 AND epoch = ?2 "
                             "ORDER BY first DESC LIMIT 1"));
  names.newest_ = MENSHEN_TRY(db.prepare("SELECT MAX(epoch) FROM span WHERE source = ?1"));
  return names;
}

Result<Names::Run*> Names::run_of(std::string_view source, std::uint64_t epoch) {
  if (last_found_ != nullptr && last_key_.second == epoch && last_key_.first == source) {
    return last_found_;
  }
  Key key(source, epoch);
  auto at = runs_.find(key);
  if (at == runs_.end()) {
    if (runs_.size() >= sources_max) {
      MENSHEN_CHECK(flush());
      runs_.clear();
    }
    Run run;
    last_run_.bind(1, source).bind(2, as_signed(epoch));
    if (MENSHEN_TRY(last_run_.step())) {
      run = {as_number(last_run_.integer(0)), as_number(last_run_.integer(1)),
             as_number(last_run_.integer(2)), true, false};
      last_run_.reset();
    }
    at = runs_.emplace(key, run).first;
  }
  last_key_ = std::move(key);
  last_found_ = &at->second;
  return last_found_;
}

Result<std::uint64_t> Names::newest_epoch(std::string_view source) {
  static_cast<void>(MENSHEN_TRY(newest_.bind(1, source).step()));
  const std::uint64_t epoch = newest_.is_null(0) ? 0 : as_number(newest_.integer(0));
  newest_.reset();
  return epoch;
}

Result<std::uint64_t> Names::find(Segment& live, std::string_view source, std::uint64_t epoch,
                                  std::uint64_t sequence) {
  const Run& run = *MENSHEN_TRY(run_of(source, epoch));
  if (run.n != 0 && sequence > run.last) return std::uint64_t{0};
  if (run.n != 0 && sequence >= run.first) return run.n + sequence - run.first;
  if (run.n == 0) {
    // An epoch beyond all that are known has no record yet: the usual case of a daemon's start.
    const std::uint64_t newest = MENSHEN_TRY(newest_epoch(source));
    if (newest != 0 && epoch > newest) return std::uint64_t{0};
  }
  if (const auto n = MENSHEN_TRY(live.find_name(source, epoch, sequence)); n != 0) return n;
  Tree* before = MENSHEN_TRY(older());
  return before->find_name(live_number_, source, epoch, sequence);
}

Result<Tree*> Names::older() {
  if (!older_) older_ = MENSHEN_TRY(Tree::open(paths_, profile_));
  return &*older_;
}

Result<void> Names::write(const Key& key, Run& run) {
  if (!run.changed) return {};
  Statement& statement = run.in_segment ? extend_ : insert_;
  statement.bind(1, std::string_view(key.first))
      .bind(2, as_signed(key.second))
      .bind(3, as_signed(run.first))
      .bind(4, as_signed(run.last));
  if (!run.in_segment) statement.bind(5, as_signed(run.n));
  MENSHEN_CHECK(statement.run());
  run.in_segment = true;
  run.changed = false;
  return {};
}

Result<void> Names::add(std::string_view source, std::uint64_t epoch, std::uint64_t sequence,
                        std::uint64_t n) {
  Run& run = *MENSHEN_TRY(run_of(source, epoch));
  if (run.n != 0 && sequence == run.last + 1 && n == run.n + (sequence - run.first)) {
    run.last = sequence;
    run.changed = true;
    return {};
  }
  MENSHEN_CHECK(write(last_key_, run));
  const Run fresh{sequence, sequence, n, false, true};
  if (run.n != 0 && sequence < run.first) {
    // Out of order: the run with the greatest sequence stays the one in memory.
    Run late = fresh;
    return write(last_key_, late);
  }
  run = fresh;
  return {};
}

Result<void> Names::flush() {
  for (auto& [key, run] : runs_) MENSHEN_CHECK(write(key, run));
  return {};
}

Result<void> Names::carry(const Segment& from, const Database& to) {
  Statement rows = MENSHEN_TRY(from.database().prepare(
      "SELECT source, epoch, MAX(first), last, n FROM span GROUP BY source, epoch "
      "ORDER BY epoch DESC LIMIT 4096"));
  Statement insert = MENSHEN_TRY(to.prepare("INSERT INTO span VALUES (?1, ?2, ?3, ?4, ?5)"));
  while (MENSHEN_TRY(rows.step())) {
    MENSHEN_CHECK(insert.bind(1, rows.text(0))
                      .bind(2, rows.integer(1))
                      .bind(3, rows.integer(2))
                      .bind(4, rows.integer(3))
                      .bind(5, rows.integer(4))
                      .run());
  }
  return {};
}

}  // namespace menshen::audit
