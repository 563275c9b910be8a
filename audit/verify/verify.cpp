#include "audit/verify/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "audit/store/checkpoint_log.hpp"
#include "audit/store/tail.hpp"
#include "audit/store/upkeep.hpp"
#include "audit/verify/block_check.hpp"
#include "base/file.hpp"

namespace menshen::audit {
namespace {

constexpr std::size_t public_key_bytes_max = 16U << 10U;
constexpr std::size_t sequences_max = 65'536;  // (source, epoch) pairs watched for gaps
constexpr std::size_t blocks_ahead_max = 512;  // checked and not yet looked at

// A break travels as the error of the steps, so that each step reads straight on.
using Step = tl::expected<void, Break>;

tl::unexpected<Break> broken(Break found) { return tl::make_unexpected(std::move(found)); }

#define MENSHEN_STEP(...)                                                           \
  do {                                                                              \
    auto&& menshen_step = (__VA_ARGS__);                                            \
    if (!menshen_step) return tl::make_unexpected(std::move(menshen_step).error()); \
  } while (false)
// The value of a Result, or a finding that the file is damaged.
#define MENSHEN_READ(...)                                    \
  __extension__({                                            \
    auto&& menshen_read = (__VA_ARGS__);                     \
    if (!menshen_read) return damaged(menshen_read.error()); \
    std::move(menshen_read).value();                         \
  })

// Blocks of one segment, checked by several threads and handed out in order.
class BlockQueue {
 public:
  BlockQueue(std::uint64_t first, std::uint64_t end) : next_(first), end_(end), wanted_(first) {}
  ~BlockQueue() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  BlockQueue(const BlockQueue&) = delete;
  BlockQueue& operator=(const BlockQueue&) = delete;

  void start(BlockChecker checker) {
    threads_.emplace_back([this, own = std::make_shared<BlockChecker>(std::move(checker))] {
      while (const auto first = take()) put(*first, own->check(*first));
    });
  }

  // The next block's result, in order.
  BlockResult wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return results_.contains(wanted_); });
    BlockResult result = std::move(results_.extract(wanted_).mapped());
    wanted_ += block_records;
    lock.unlock();
    changed_.notify_all();
    return result;
  }

 private:
  std::optional<std::uint64_t> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] {
      return stop_ || next_ > end_ || next_ < wanted_ + blocks_ahead_max * block_records;
    });
    if (stop_ || next_ > end_) return std::nullopt;
    const std::uint64_t first = next_;
    next_ += block_records;
    return first;
  }
  void put(std::uint64_t first, BlockResult result) {
    {
      const std::lock_guard lock(mutex_);
      results_.emplace(first, std::move(result));
    }
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t next_;
  const std::uint64_t end_;
  std::uint64_t wanted_;
  std::map<std::uint64_t, BlockResult> results_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

class Verifier {
 public:
  Verifier(const std::filesystem::path& directory, const VerifyOptions& options,
           const PublicKey& key, TreeHasher hasher)
      : options_(options),
        paths_(StorePaths::in(directory)),
        key_(key),
        retired_(retired_keys(paths_)),
        hasher_(std::move(hasher)) {}

  Result<void> prepare();
  Step run();
  [[nodiscard]] VerifyReport& report() { return report_; }

 private:
  struct Notes {
    std::vector<SignedNote> all;  // of the segment, in order
    std::size_t next = 0;
    std::vector<std::uint64_t> sizes;  // at which a root is wanted
  };

  Step damaged(const Error& error);
  Step check_segment(std::uint64_t number, bool newest);
  Step check_head(Segment& segment, std::uint64_t number);
  Step check_first_head(const SegmentHead& head);
  Step read_notes(Segment& segment, std::uint64_t number);
  Step check_log(std::uint64_t number);
  Step check_blocks(Segment& segment, std::uint64_t number, std::uint64_t blocks_end);
  Step check_numbers(const Segment& segment);
  Step check_pending(Segment& segment);
  Step grow(Segment& segment, const Digest& root);
  Step check_notes_at(std::uint64_t size, const std::vector<Digest>& behind_blocks);
  Step check_note(const SignedNote& note, const Digest& root);
  Step check_signer(const SignedNote& note);
  Step check_seal(std::uint64_t number, bool newest);
  Step check_pages(const Database& database);
  Step check_end();
  Step check_expected_notes();
  Step check_pin();
  void watch(const RecordsSeen& seen);
  void warn(Text text);
  [[nodiscard]] bool lost_to(const std::string& fingerprint, std::uint64_t size) const;
  [[nodiscard]] const PublicKey* key_of(const Digest& fingerprint) const;

  const VerifyOptions& options_;
  StorePaths paths_;
  const PublicKey& key_;
  std::vector<PublicKey> retired_;
  TreeHasher hasher_;
  // Notes that the store must contain, by the size they cover.
  struct Expected {
    SignedNote note;
    bool met = false;
  };
  std::multimap<std::uint64_t, Expected> expected_;
  std::string origin_;
  bool begun_ = false;
  Frontier frontier_;  // of the whole blocks so far, then of the records behind them, too
  Notes notes_;
  std::optional<SignedNote> previous_;
  std::map<std::uint64_t, std::string> rotations_;  // record -> fingerprint it hands over to
  std::map<std::uint64_t, std::string> losses_;     // record -> fingerprint that follows a lost key
  std::uint64_t pruned_to_ = 0;                     // by the store's own word
  std::map<Digest, bool> signers_;
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

Break break_of_note(BreakKind kind, const Checkpoint& note, Text text) {
  return {kind, 0, 0, note.number, note.time, std::move(text)};
}

const PublicKey* Verifier::key_of(const Digest& fingerprint) const {
  if (key_.fingerprint() == fingerprint) return &key_;
  const auto old = std::ranges::find(retired_, fingerprint, &PublicKey::fingerprint);
  return old == retired_.end() ? nullptr : &*old;
}

Result<void> Verifier::prepare() {
  std::vector<SignedNote> notes = options_.witnessed;
  if (!options_.expect_at_least.empty()) {
    notes.push_back(MENSHEN_TRY(parse_note(options_.expect_at_least)));
  }
  for (SignedNote& note : notes) {
    const PublicKey* key = key_of(note.checkpoint.key);
    if (key == nullptr || !verify_note(note, *key)) {
      return fail(ErrorCode::invalid,
                  {fmt::format("给定的检查点 {} 不是由该密钥签署的", note.checkpoint.number),
                   fmt::format("the given checkpoint {} is not signed by this key",
                               note.checkpoint.number)});
    }
    const std::uint64_t size = note.checkpoint.size;
    expected_.emplace(size, Expected{std::move(note), false});
  }
  return {};
}

Step Verifier::damaged(const Error& error) {
  const std::uint64_t next = report_.records + 1;
  return broken(break_at(
      BreakKind::damaged, next, next, last_time_,
      {fmt::format("数据库文件损坏，最后可读记录为第 {} 条：{}", report_.records, error.text.zh),
       fmt::format("the database file is damaged; the last readable record is number {}: {}",
                   report_.records, error.text.en)}));
}

// The first segment there is: the store's first, or what stands behind the pruned ones.
Step Verifier::check_first_head(const SegmentHead& head) {
  begun_ = true;
  origin_ = head.origin;
  if (head.profile != key_.profile()) {
    return broken(
        break_at(BreakKind::key_changed, 0, 0, 0,
                 {fmt::format("审计库的密码套件与密钥不符（{}）", name(key_.profile())),
                  fmt::format("the store's profile is not the key's ({})", name(key_.profile()))}));
  }
  report_.first_record = head.first;
  report_.records = head.first - 1;
  report_.records_signed = head.first - 1;
  frontier_ = head.before;
  if (head.first == 1) return {};
  const auto note = parse_note(head.previous_note);
  const PublicKey* key = note ? key_of(note->checkpoint.key) : nullptr;
  if (key == nullptr || !verify_note(*note, *key) || note->checkpoint.origin != origin_ ||
      note->checkpoint.size != head.first - 1 || note->checkpoint.root != frontier_.root(hasher_)) {
    return broken(break_at(
        BreakKind::deleted, 1, head.first - 1, 0,
        {fmt::format("第 1 至 {} 条记录缺失，没有签署的检查点为其作证", head.first - 1),
         fmt::format("records 1 to {} are missing, and no signed checkpoint vouches for them",
                     head.first - 1)}));
  }
  signers_[note->checkpoint.key] = true;
  previous_ = *note;
  report_.checkpoints = note->checkpoint.number;
  return {};
}

Step Verifier::check_head(Segment& segment, std::uint64_t number) {
  const SegmentHead& head = segment.head();
  if (!begun_) MENSHEN_STEP(check_first_head(head));
  const std::uint64_t expected = report_.records + 1;
  if (head.first > expected) {
    return broken(
        break_at(BreakKind::deleted, expected, head.first - 1, last_time_,
                 {fmt::format("第 {} 至 {} 条记录缺失：分段之间有缺口", expected, head.first - 1),
                  fmt::format("records {} to {} are missing between two segments", expected,
                              head.first - 1)}));
  }
  const bool follows = head.number == number && head.first == expected && head.origin == origin_ &&
                       head.profile == key_.profile() && head.before == frontier_ &&
                       (head.first == 1 || (previous_ && head.previous_note == previous_->text));
  if (!follows) {
    return broken(break_at(BreakKind::rewritten, head.first, head.first, last_time_,
                           {fmt::format("分段 {} 不接续其前一分段", number),
                            fmt::format("segment {} does not follow the one before it", number)}));
  }
  return {};
}

Step Verifier::read_notes(Segment& segment, std::uint64_t number) {
  notes_ = {};
  Statement rows = MENSHEN_READ(
      segment.database().prepare("SELECT number, size, note FROM checkpoint ORDER BY number"));
  while (MENSHEN_READ(rows.step())) {
    auto note = parse_note(rows.text(2));
    if (!note || static_cast<std::int64_t>(note->checkpoint.number) != rows.integer(0) ||
        static_cast<std::int64_t>(note->checkpoint.size) != rows.integer(1)) {
      const auto changed = static_cast<std::uint64_t>(rows.integer(0));
      Break found = break_at(BreakKind::signature, 0, 0, 0,
                             {fmt::format("检查点 {} 被改动", changed),
                              fmt::format("checkpoint {} was changed", changed)});
      found.checkpoint = changed;
      return broken(std::move(found));
    }
    notes_.sizes.push_back(note->checkpoint.size);
    notes_.all.push_back(*std::move(note));
  }
  const auto behind = expected_.lower_bound(segment.head().first);
  const auto end = expected_.upper_bound(MENSHEN_READ(segment.end()));
  for (auto each = behind; each != end; ++each) notes_.sizes.push_back(each->first);
  std::ranges::sort(notes_.sizes);
  notes_.sizes.erase(std::unique(notes_.sizes.begin(), notes_.sizes.end()), notes_.sizes.end());
  return check_log(number);
}

// The notes file says what the database says, word for word; it may be behind.
Step Verifier::check_log(std::uint64_t number) {
  CheckpointLogReader log = MENSHEN_READ(CheckpointLogReader::open(paths_.notes(number)));
  std::size_t i = 0;
  while (const auto text = MENSHEN_READ(log.next())) {
    if (i < notes_.all.size() && *text == notes_.all[i].text) {
      ++i;
      continue;
    }
    const auto note = parse_note(*text);
    const PublicKey* key = note ? key_of(note->checkpoint.key) : nullptr;
    if (i < notes_.all.size() && notes_.all[i].checkpoint.key != key_.fingerprint()) {
      MENSHEN_STEP(check_signer(notes_.all[i]));
    }
    if (key == nullptr || !verify_note(*note, *key) || i < notes_.all.size()) {
      const std::uint64_t at =
          i < notes_.all.size() ? notes_.all[i].checkpoint.number : report_.checkpoints + i + 1;
      Break found =
          break_at(BreakKind::checkpoint_chain, 0, 0, note ? note->checkpoint.time : 0,
                   {fmt::format("检查点 {} 与检查点文件中的不同", at),
                    fmt::format("checkpoint {} differs from the one in the notes file", at)});
      found.checkpoint = at;
      return broken(std::move(found));
    }
    // Signed, and the database does not have it: it is judged when the end is known.
    expected_.emplace(note->checkpoint.size, Expected{*note, false});
  }
  if (i < notes_.all.size()) {
    const std::uint64_t from = notes_.all[i].checkpoint.number;
    warn({fmt::format("检查点文件从检查点 {} 起缺失", from),
          fmt::format("the notes file lacks the checkpoints from {} on", from)});
  }
  if (!log.torn().empty()) {
    warn({"检查点文件末尾有不完整的检查点", "the notes file ends with half a checkpoint"});
  }
  return {};
}

void Verifier::watch(const RecordsSeen& seen) {
  for (const ReceivedBack& back : seen.back) {
    warn({fmt::format("第 {} 条记录的接收时间 {} 早于前一条", back.n, format_utc(back.received)),
          fmt::format("record {} was received at {}, before the one ahead of it", back.n,
                      format_utc(back.received))});
  }
  if (seen.first_received != 0 && seen.first_received < last_received_) {
    warn({fmt::format("第 {} 条记录的接收时间 {} 早于前一条", report_.records + 1,
                      format_utc(seen.first_received)),
          fmt::format("record {} was received at {}, before the one ahead of it",
                      report_.records + 1, format_utc(seen.first_received))});
  }
  if (seen.last_received != 0) last_received_ = seen.last_received;
  last_time_ = seen.last_time;
  for (const OwnAct& act : seen.acts) {
    if (act.action == action_rotate) rotations_[act.n] = act.object;
    if (act.action == action_key_lost) losses_[act.n] = act.object;
    if (act.action != "segment.prune") continue;
    const auto detail = nlohmann::json::parse(act.detail, nullptr, false);
    const auto last = detail.is_object() ? detail.find("last") : detail.end();
    if (detail.is_object() && last != detail.end() && last->is_number_unsigned()) {
      pruned_to_ = std::max(pruned_to_, last->get<std::uint64_t>());
    }
  }
  for (const NameRun& run : seen.runs) {
    const auto key = std::pair(run.source, run.epoch);
    auto at = sequences_.find(key);
    if (at == sequences_.end()) {
      if (sequences_.size() >= sequences_max) continue;
      // What was pruned may have had the numbers before.
      at = sequences_.emplace(key, report_.first_record == 1 ? 0 : run.first - 1).first;
    }
    if (run.first > at->second) report_.sequence_gaps += run.first - at->second - 1;
    at->second = std::max(at->second, run.last);
  }
}

// The next whole block joins the tree; each subtree that becomes whole by it is what is stored.
Step Verifier::grow(Segment& segment, const Digest& root) {
  std::optional<Break> wrong;
  std::optional<Error> failed;
  frontier_.append(block_level, root, hasher_, [&](const TreeNode& node) {
    if (wrong || failed) return;
    const auto stored = segment.node(node.level, node.position);
    if (!stored) {
      failed = stored.error();
      return;
    }
    if (*stored && **stored == node.hash) return;
    const std::uint64_t first = (node.position << node.level) + 1;
    const std::uint64_t last = (node.position + 1) << node.level;
    wrong = break_at(BreakKind::rewritten, first, last, last_time_,
                     {fmt::format("第 {} 至 {} 条记录与散列树不符：{}", first, last,
                                  title(BreakKind::rewritten).zh),
                      fmt::format("records {} to {} are not what the tree says: {}", first, last,
                                  title(BreakKind::rewritten).en)});
  });
  if (failed) return damaged(*failed);
  if (wrong) return broken(std::move(*wrong));
  return {};
}

// A record before `size` says that the key was lost and this one follows, and whoever verifies
// agrees.
bool Verifier::lost_to(const std::string& fingerprint, std::uint64_t size) const {
  return std::ranges::find(options_.accept_keys, fingerprint) != options_.accept_keys.end() &&
         std::ranges::any_of(losses_, [&](const auto& loss) {
           return loss.first <= size && loss.second == fingerprint;
         });
}

Step Verifier::check_signer(const SignedNote& note) {
  const Checkpoint& c = note.checkpoint;
  const PublicKey* key = key_of(c.key);
  if (key != nullptr && previous_ && previous_->checkpoint.key != c.key) {
    const auto handed = rotations_.find(previous_->checkpoint.size);
    const std::string fingerprint = format_fingerprint(key->profile(), key->fingerprint());
    const bool handed_over = handed != rotations_.end() && handed->second == fingerprint;
    if (!handed_over && !lost_to(fingerprint, c.size)) key = nullptr;
  }
  if (key == nullptr) {
    return broken(
        break_of_note(BreakKind::key_changed, c,
                      {fmt::format("检查点 {}（{}）由另一密钥签署", c.number, format_utc(c.time)),
                       fmt::format("checkpoint {} ({}) is signed by another key", c.number,
                                   format_utc(c.time))}));
  }
  if (!verify_note(note, *key) || c.origin != origin_) {
    return broken(
        break_of_note(BreakKind::signature, c,
                      {fmt::format("检查点 {}（{}）的签名无效", c.number, format_utc(c.time)),
                       fmt::format("the signature of checkpoint {} ({}) is wrong", c.number,
                                   format_utc(c.time))}));
  }
  signers_[c.key] = true;
  return {};
}

Step Verifier::check_note(const SignedNote& note, const Digest& root) {
  const Checkpoint& c = note.checkpoint;
  MENSHEN_STEP(check_signer(note));
  const std::uint64_t number = previous_ ? previous_->checkpoint.number + 1 : 1;
  const Digest previous = previous_ ? hasher_.plain(as_bytes(previous_->text)) : Digest{};
  if (c.number != number || c.previous != previous ||
      (previous_ && c.size <= previous_->checkpoint.size)) {
    return broken(break_of_note(
        BreakKind::checkpoint_chain, c,
        {fmt::format("检查点 {} 不接续检查点 {}", c.number, number - 1),
         fmt::format("checkpoint {} does not follow checkpoint {}", c.number, number - 1)}));
  }
  if (root != c.root) {
    const std::uint64_t first = report_.records_signed + 1;
    Break found =
        break_at(BreakKind::rewritten, first, c.size, last_time_,
                 {fmt::format("第 {} 至 {} 条记录被重写：与检查点 {}（{}）的签名不符", first,
                              c.size, c.number, format_utc(c.time)),
                  fmt::format("records {} to {} were rewritten: checkpoint {} ({}) signed others",
                              first, c.size, c.number, format_utc(c.time))});
    found.checkpoint = c.number;
    return broken(std::move(found));
  }
  if (previous_ && c.time < previous_->checkpoint.time) {
    warn({fmt::format("检查点 {} 的时间 {} 早于前一检查点", c.number, format_utc(c.time)),
          fmt::format("checkpoint {} is of {}, before the one ahead of it", c.number,
                      format_utc(c.time))});
  }
  report_.records_signed = c.size;
  report_.checkpoints = c.number;
  report_.last_checkpoint = c;
  previous_ = note;
  return {};
}

// Every note of that size, and the one that was kept elsewhere. `behind_blocks`: the tree's peaks
// behind the whole blocks of frontier_.
Step Verifier::check_notes_at(std::uint64_t size, const std::vector<Digest>& behind_blocks) {
  std::vector<Digest> peaks = frontier_.peaks();
  peaks.insert(peaks.end(), behind_blocks.begin(), behind_blocks.end());
  const Frontier there = MENSHEN_READ(Frontier::make(size, std::move(peaks)));
  const Digest root = there.root(hasher_);
  const auto [first, last] = expected_.equal_range(size);
  for (auto expected = first; expected != last; ++expected) {
    if (expected->second.note.checkpoint.root == root) expected->second.met = true;
  }
  while (notes_.next < notes_.all.size() && notes_.all[notes_.next].checkpoint.size <= size) {
    const SignedNote& note = notes_.all[notes_.next++];
    MENSHEN_STEP(check_note(note, note.checkpoint.size == size ? root : Digest{}));
  }
  return {};
}

Step Verifier::check_blocks(Segment& segment, std::uint64_t number, std::uint64_t blocks_end) {
  const std::uint64_t first = segment.head().first;
  if (blocks_end < first) return {};
  Statement count = MENSHEN_READ(segment.database().prepare("SELECT COUNT(*) FROM block"));
  static_cast<void>(MENSHEN_READ(count.step()));
  const auto blocks = static_cast<std::uint64_t>(count.integer(0));
  count.reset();
  BlockQueue queue(first, blocks_end);
  const unsigned cores = std::max(std::thread::hardware_concurrency(), 1U);
  const std::uint64_t wanted = options_.threads != 0 ? options_.threads : cores;
  const std::uint64_t threads = std::min(wanted, (blocks_end + 1 - first) / block_records);
  for (std::uint64_t i = 0; i < std::max<std::uint64_t>(threads, 1); ++i) {
    Segment own = MENSHEN_READ(Segment::open(paths_.segment(number), Database::Mode::read));
    TreeHasher hasher = MENSHEN_READ(TreeHasher::make(key_.profile()));
    queue.start(BlockChecker(std::move(own), std::move(hasher), notes_.sizes));
  }
  for (std::uint64_t at = first; at <= blocks_end; at += block_records) {
    BlockResult result = queue.wait();
    if (result.broken) {
      if (result.broken->time == 0) result.broken->time = last_time_;
      return broken(std::move(*result.broken));
    }
    watch(result.seen);
    for (const Cut& cut : result.cuts) {
      report_.records = cut.size;
      MENSHEN_STEP(check_notes_at(cut.size, cut.peaks));
    }
    MENSHEN_STEP(grow(segment, result.root));
    report_.records = at + block_records - 1;
    MENSHEN_STEP(check_notes_at(report_.records, {}));
  }
  if (blocks != (blocks_end + 1 - first) / block_records) {
    return broken(break_at(BreakKind::inserted, first, blocks_end, last_time_,
                           {"分段中有多余的记录块", "the segment has blocks that belong nowhere"}));
  }
  return {};
}

// The records behind the blocks are numbered without gaps.
Step Verifier::check_numbers(const Segment& segment) {
  Statement rows =
      MENSHEN_READ(segment.database().prepare("SELECT n FROM pending ORDER BY n LIMIT 1000"));
  std::uint64_t n = report_.records;
  while (MENSHEN_READ(rows.step())) {
    const auto found = static_cast<std::uint64_t>(rows.integer(0));
    if (found == ++n) continue;
    if (found < n) {
      return broken(break_at(BreakKind::inserted, n, n, last_time_,
                             {fmt::format("编号 {} 的记录是插入的", found),
                              fmt::format("a record numbered {} was put in", found)}));
    }
    return broken(break_at(BreakKind::deleted, n, found - 1, last_time_,
                           {fmt::format("第 {} 至 {} 条记录被删除，位于 {} 之后", n, found - 1,
                                        format_utc(last_time_)),
                            fmt::format("records {} to {} were deleted, after {}", n, found - 1,
                                        format_utc(last_time_))}));
  }
  return {};
}

Step Verifier::check_pending(Segment& segment) {
  MENSHEN_STEP(check_numbers(segment));
  const auto pending = MENSHEN_READ(segment.pending());
  const std::uint64_t before = report_.records;
  Frontier behind;
  RecordsSeen seen;
  auto size = std::ranges::upper_bound(notes_.sizes, before);
  for (std::size_t i = 0; i < pending.size(); ++i) {
    const std::uint64_t n = before + 1 + i;
    const auto view = view_stored(as_bytes(pending[i].bytes));
    const Digest leaf = hasher_.leaf(as_bytes(pending[i].bytes));
    if (leaf != pending[i].leaf || !view) {
      const WallTime time = view ? view->time : last_time_;
      const bool swapped = std::ranges::find(pending, leaf, &PendingRecord::leaf) != pending.end();
      const BreakKind kind = swapped ? BreakKind::reordered : BreakKind::edited;
      return broken(
          break_at(kind, n, n, time,
                   {fmt::format("第 {} 条记录（{}）：{}", n, format_utc(time), title(kind).zh),
                    fmt::format("record {} ({}): {}", n, format_utc(time), title(kind).en)}));
    }
    behind.append(leaf, hasher_);
    seen.add(n, *view);
    last_time_ = view->time;
    if (size == notes_.sizes.end() || *size != n) continue;
    ++size;
    watch(std::exchange(seen, {}));
    report_.records = n;
    MENSHEN_STEP(check_notes_at(n, behind.peaks()));
  }
  watch(seen);
  report_.records = before + pending.size();
  return {};
}

Step Verifier::check_seal(std::uint64_t number, bool newest) {
  const auto text = read_file(paths_.seal(number), note_bytes_max);
  if (!text) {
    if (!newest) {
      warn({fmt::format("分段 {} 尚未封存", number),
            fmt::format("segment {} is not sealed yet", number)});
    }
    return {};
  }
  const auto changed = [&](std::string_view zh, std::string_view en) {
    return broken(break_at(
        BreakKind::damaged, 0, 0, last_time_,
        {fmt::format("分段 {}：{}", number, zh), fmt::format("segment {}: {}", number, en)}));
  };
  const auto seal = parse_seal(*text);
  const PublicKey* key = seal ? key_of(seal->seal.key) : nullptr;
  if (key == nullptr || !verify_seal(*seal, *key) || seal->seal.segment != number) {
    return changed("封存文件的签名无效", "the signature of its seal is wrong");
  }
  const auto path = paths_.segment(number);
  const Digest digest = MENSHEN_READ(digest_pieces(key_.profile(), path));
  if (seal->seal.bytes != file_bytes(path) || seal->seal.digest != digest) {
    return changed("文件自封存后被改动，记录本身完整",
                   "the file was changed after it was sealed, though its records are whole");
  }
  return {};
}

Step Verifier::check_pages(const Database& database) {
  Statement check = MENSHEN_READ(database.prepare("PRAGMA integrity_check(1)"));
  static_cast<void>(MENSHEN_READ(check.step()));
  const std::string finding(check.text(0));
  if (finding == "ok") return {};
  return broken(break_at(
      BreakKind::damaged, 0, 0, 0,
      {fmt::format("数据库文件损坏，但记录完整：{}", finding),
       fmt::format("the database file is damaged, though its records are whole: {}", finding)}));
}

Step Verifier::check_segment(std::uint64_t number, bool newest) {
  // The log before the database is what auditd writes last: read the database's state first.
  Segment segment = MENSHEN_READ(Segment::open(paths_.segment(number), Database::Mode::read));
  MENSHEN_READ(segment.snapshot().map([] { return true; }));
  MENSHEN_STEP(check_head(segment, number));
  const std::uint64_t blocks_end = MENSHEN_READ(segment.blocks_end());
  MENSHEN_STEP(read_notes(segment, number));
  MENSHEN_STEP(check_blocks(segment, number, blocks_end));
  MENSHEN_STEP(check_pending(segment));
  if (notes_.next < notes_.all.size()) {
    const Checkpoint& c = notes_.all[notes_.next].checkpoint;
    MENSHEN_STEP(check_signer(notes_.all[notes_.next]));
    Break found = break_at(
        BreakKind::truncated, report_.records + 1, c.size, last_time_,
        {fmt::format("末尾缺失：检查点 {}（{}）覆盖 {} 条记录，只有 {} 条", c.number,
                     format_utc(c.time), c.size, report_.records),
         fmt::format("the end is missing: checkpoint {} ({}) covers {} records, there are {}",
                     c.number, format_utc(c.time), c.size, report_.records)});
    found.checkpoint = c.number;
    return broken(std::move(found));
  }
  // What is missing says more than that the file is not what it was.
  if (newest) MENSHEN_STEP(check_end());
  if (!options_.check_pages) return {};
  const bool sealed = file_bytes(paths_.seal(number)) != 0;
  if (!sealed) MENSHEN_STEP(check_pages(segment.database()));
  return check_seal(number, newest);
}

Step Verifier::check_expected_notes() {
  for (const auto& [size, expected] : expected_) {
    if (expected.met) continue;
    const Checkpoint& c = expected.note.checkpoint;
    if (c.size + 1 < report_.first_record) {
      warn({fmt::format("给定的检查点 {} 早于保存期，无从比对", c.number),
            fmt::format("the given checkpoint {} is older than what is kept", c.number)});
      continue;
    }
    const bool there = c.size <= report_.records;
    Break found =
        break_at(there ? BreakKind::rewritten : BreakKind::truncated,
                 there ? 0 : report_.records + 1, there ? 0 : c.size, c.time,
                 {fmt::format("审计库不含已签署的检查点 {}（{}，{} 条记录）", c.number,
                              format_utc(c.time), c.size),
                  fmt::format("the store does not have the signed checkpoint {} ({}, {} records)",
                              c.number, format_utc(c.time), c.size)});
    found.checkpoint = c.number;
    return broken(std::move(found));
  }
  return {};
}

Step Verifier::check_pin() {
  if (options_.fingerprint.empty()) return {};
  const auto pinned = [&](const PublicKey& key) {
    return signers_.contains(key.fingerprint()) &&
           format_fingerprint(key.profile(), key.fingerprint()) == options_.fingerprint;
  };
  if (pinned(key_) || std::ranges::any_of(retired_, pinned)) return {};
  return broken(
      break_at(BreakKind::key_changed, 0, 0, 0,
               {fmt::format("公钥指纹为 {}，应为 {}", report_.fingerprint, options_.fingerprint),
                fmt::format("the public key's fingerprint is {}, not {}", report_.fingerprint,
                            options_.fingerprint)}));
}

Step Verifier::check_end() {
  MENSHEN_STEP(check_pin());
  MENSHEN_STEP(check_expected_notes());
  if (report_.first_record > 1 && pruned_to_ + 1 < report_.first_record) {
    return broken(
        break_at(BreakKind::deleted, 1, report_.first_record - 1, 0,
                 {fmt::format("第 1 至 {} 条记录缺失，没有清理记录", report_.first_record - 1),
                  fmt::format("records 1 to {} are missing, and no record tells of their pruning",
                              report_.first_record - 1)}));
  }
  if (!previous_ && report_.records > 0) {
    return broken(break_at(BreakKind::unsigned_records, 1, report_.records, 0,
                           {"有记录但没有任何检查点", "there are records but no checkpoint"}));
  }
  return {};
}

Step Verifier::run() {
  const auto numbers = paths_.segments();
  if (numbers.empty()) {
    return broken(
        break_at(BreakKind::truncated, 0, 0, 0,
                 {"有检查点，但数据库缺失", "there are checkpoints, but the database is missing"}));
  }
  for (const std::uint64_t number : numbers) {
    MENSHEN_STEP(check_segment(number, number == numbers.back()));
  }
  return {};
}

// A folder without segments is no store, unless something in it says that there was one.
bool was_store(const StorePaths& paths) {
  if (!paths.segments().empty()) return true;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(paths.directory, error)) {
    if (entry.path().extension() == ".notes") return true;
  }
  return false;
}

}  // namespace

Result<VerifyReport> verify(const std::filesystem::path& directory, const VerifyOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  const StorePaths paths = StorePaths::in(directory);
  const auto key_path = options.public_key.empty() ? paths.public_key : options.public_key;
  const std::string pem = MENSHEN_TRY(read_file(key_path, public_key_bytes_max));
  const PublicKey key = MENSHEN_TRY(PublicKey::parse(pem));
  if (!was_store(paths)) {
    return fail(ErrorCode::not_found,
                {"没有审计库：" + directory.string(), "no audit store: " + directory.string()});
  }
  TreeHasher hasher = MENSHEN_TRY(TreeHasher::make(key.profile()));
  Verifier verifier(directory, options, key, std::move(hasher));
  MENSHEN_CHECK(verifier.prepare());
  VerifyReport& report = verifier.report();
  report.fingerprint = format_fingerprint(key.profile(), key.fingerprint());
  report.pinned = !options.fingerprint.empty();
  if (auto step = verifier.run(); !step) report.first_break = std::move(step).error();
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
