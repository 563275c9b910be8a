#include "audit/store/segment.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace menshen::audit {
namespace {

std::int64_t as_signed(std::uint64_t value) { return static_cast<std::int64_t>(value); }
std::uint64_t as_number(std::int64_t value) { return static_cast<std::uint64_t>(value); }

tl::unexpected<Error> fail_record(std::uint64_t n) {
  return fail(ErrorCode::corrupt,
              {fmt::format("记录 {} 缺失", n), fmt::format("record {} is missing", n)});
}

Result<std::optional<SignedNote>> note_at(Statement& row) {
  if (!MENSHEN_TRY(row.step())) return std::optional<SignedNote>();
  auto note = parse_note(row.text(2));
  if (!note || as_signed(note->checkpoint.number) != row.integer(0) ||
      as_signed(note->checkpoint.size) != row.integer(1)) {
    return fail(ErrorCode::corrupt,
                {fmt::format("检查点 {} 无法解析或被改动", row.integer(0)),
                 fmt::format("checkpoint {} cannot be read or was changed", row.integer(0))});
  }
  return std::optional(*std::move(note));
}

}  // namespace

Result<Segment> Segment::open(const std::filesystem::path& path, Database::Mode mode,
                              const char* vfs) {
  Database database = MENSHEN_TRY(Database::open(path, mode, vfs));
  MENSHEN_CHECK(check_schema(database));
  SegmentHead head = MENSHEN_TRY(read_head(database));
  Segment segment(std::move(database), std::move(head));
  segment.select_block_ =
      MENSHEN_TRY(segment.database_.prepare("SELECT data FROM block WHERE first = ?1"));
  segment.select_node_ = MENSHEN_TRY(
      segment.database_.prepare("SELECT hash FROM node WHERE level = ?1 AND position = ?2"));
  segment.select_name_ = MENSHEN_TRY(segment.database_.prepare(
      "SELECT first, last, n FROM span WHERE source = ?1 AND epoch = ?2 AND first <= ?3 "
      "ORDER BY first DESC LIMIT 1"));
  return segment;
}

Result<std::uint64_t> Segment::blocks_end() {
  Statement last = MENSHEN_TRY(database_.prepare("SELECT MAX(first) FROM block"));
  static_cast<void>(MENSHEN_TRY(last.step()));
  if (last.is_null(0)) return head_.first - 1;
  return as_number(last.integer(0)) + block_records - 1;
}

Result<std::uint64_t> Segment::end() {
  Statement last = MENSHEN_TRY(database_.prepare("SELECT MAX(n) FROM pending"));
  static_cast<void>(MENSHEN_TRY(last.step()));
  if (!last.is_null(0)) return as_number(last.integer(0));
  last.reset();
  return blocks_end();
}

Result<std::optional<std::string>> Segment::block_bytes(std::uint64_t first) {
  if (!MENSHEN_TRY(select_block_.bind(1, as_signed(first)).step())) {
    return std::optional<std::string>();
  }
  std::string data(as_text(select_block_.blob(0)));
  select_block_.reset();
  return std::optional(std::move(data));
}

Result<Block> Segment::block(std::uint64_t first) {
  const auto bytes = MENSHEN_TRY(block_bytes(first));
  if (!bytes) return fail_record(first);
  return decode_block(as_bytes(*bytes));
}

Result<std::vector<PendingRecord>> Segment::pending() {
  std::uint64_t n = MENSHEN_TRY(blocks_end());
  std::vector<PendingRecord> records;
  Statement rows = MENSHEN_TRY(database_.prepare("SELECT n, bytes, leaf FROM pending ORDER BY n"));
  while (MENSHEN_TRY(rows.step())) {
    if (as_number(rows.integer(0)) != ++n) return fail_record(n);
    PendingRecord& record = records.emplace_back();
    record.bytes = as_text(rows.blob(1));
    if (rows.blob(2).size() == record.leaf.size()) {
      std::ranges::copy(rows.blob(2), record.leaf.begin());
    }
  }
  return records;
}

Result<std::string> Segment::record(std::uint64_t n) {
  if (n >= head_.first && n <= MENSHEN_TRY(blocks_end())) {
    const std::uint64_t first = n - (n - 1) % block_records;
    if (recent_first_ != first) {
      recent_first_ = 0;
      recent_ = MENSHEN_TRY(block(first));
      recent_first_ = first;
    }
    if (n - first >= recent_.records.size()) return fail_record(n);
    return std::string(as_text(recent_.records[n - first]));
  }
  Statement row = MENSHEN_TRY(database_.prepare("SELECT bytes FROM pending WHERE n = ?1"));
  if (MENSHEN_TRY(row.bind(1, as_signed(n)).step())) return std::string(as_text(row.blob(0)));
  return fail(ErrorCode::not_found,
              {fmt::format("没有记录 {}", n), fmt::format("there is no record {}", n)});
}

Result<std::optional<Digest>> Segment::node(unsigned level, std::uint64_t position) {
  select_node_.bind(1, std::int64_t{level}).bind(2, as_signed(position));
  if (!MENSHEN_TRY(select_node_.step())) return std::optional<Digest>();
  Digest hash{};
  const Bytes stored = select_node_.blob(0);
  if (stored.size() == hash.size()) std::ranges::copy(stored, hash.begin());
  select_node_.reset();
  return std::optional(hash);
}

Result<std::optional<SignedNote>> Segment::note(std::uint64_t number) {
  Statement row =
      MENSHEN_TRY(database_.prepare("SELECT number, size, note FROM checkpoint WHERE number = ?1"));
  row.bind(1, as_signed(number));
  return note_at(row);
}

Result<std::optional<SignedNote>> Segment::last_note() {
  Statement row = MENSHEN_TRY(
      database_.prepare("SELECT number, size, note FROM checkpoint ORDER BY number DESC LIMIT 1"));
  return note_at(row);
}

Result<std::uint64_t> Segment::find_name(std::string_view source, std::uint64_t epoch,
                                         std::uint64_t sequence) {
  select_name_.bind(1, source).bind(2, as_signed(epoch)).bind(3, as_signed(sequence));
  std::uint64_t n = 0;
  if (!MENSHEN_TRY(select_name_.step())) return n;
  if (as_number(select_name_.integer(1)) >= sequence) {
    n = as_number(select_name_.integer(2)) + sequence - as_number(select_name_.integer(0));
  }
  select_name_.reset();
  return n;
}

Result<Tree> Tree::open(const StorePaths& paths, Profile profile) {
  Tree tree(MENSHEN_TRY(TreeHasher::make(profile)));
  for (const std::uint64_t number : paths.segments()) {
    tree.segments_.push_back(
        MENSHEN_TRY(Segment::open(paths.segment(number), Database::Mode::read)));
  }
  return tree;
}

Segment* Tree::segment_of(std::uint64_t n) {
  const auto after =
      std::ranges::upper_bound(segments_, n, {}, [](const Segment& s) { return s.head().first; });
  return after == segments_.begin() ? nullptr : &*std::prev(after);
}

Result<Digest> Tree::perfect(unsigned level, std::uint64_t position) {
  const std::uint64_t end = (position + 1) << level;
  if (Segment* segment = segment_of(end)) {
    if (const auto node = MENSHEN_TRY(segment->node(level, position))) return *node;
  }
  // What was pruned, or stands before a folder's first segment, is told by that segment's head.
  for (const Segment& segment : segments_) {
    const Frontier& before = segment.head().before;
    std::uint64_t begin = 0;
    std::size_t i = 0;
    for (unsigned bit = 64; bit-- > 0;) {
      if ((before.size() >> bit & 1U) == 0) continue;
      if (bit == level && begin == position << level) return before.peaks()[i];
      begin += std::uint64_t{1} << bit;
      ++i;
    }
  }
  return fail(ErrorCode::not_found,
              {"所需的树节点已随旧分段清理", "a node of the tree that is needed was pruned"});
}

// The whole block that record n lies in; null where it lies behind the blocks.
Result<const Tree::Opened*> Tree::open_block(std::uint64_t n) {
  const std::uint64_t first = n - (n - 1) % block_records;
  if (opened_.first == first) return &opened_;
  Segment* segment = segment_of(first);
  if (segment == nullptr || first > MENSHEN_TRY(segment->blocks_end())) {
    return static_cast<const Opened*>(nullptr);
  }
  opened_.first = 0;
  opened_.block = MENSHEN_TRY(segment->block(first));
  if (opened_.block.records.size() != block_records) return fail_record(first);
  opened_.leaves.resize(block_records);
  hasher_.leaves(opened_.block.records, opened_.leaves);
  opened_.first = first;
  return &opened_;
}

Result<Digest> Tree::small(std::uint64_t begin, std::uint64_t end) {
  Frontier frontier;
  const Opened* whole = MENSHEN_TRY(open_block(begin + 1));
  for (std::uint64_t n = begin + 1; n <= end; ++n) {
    if (whole != nullptr) {
      frontier.append(whole->leaves[n - whole->first], hasher_);
    } else {
      frontier.append(hasher_.leaf(as_bytes(MENSHEN_TRY(record(n)))), hasher_);
    }
  }
  return frontier.root(hasher_);
}

Result<Digest> Tree::range(std::uint64_t begin, std::uint64_t end) {
  return range_root(
      begin, end, block_level, hasher_,
      [this](unsigned level, std::uint64_t position) { return perfect(level, position); },
      [this](std::uint64_t from, std::uint64_t to) { return small(from, to); });
}

Result<std::uint64_t> Tree::find_name(std::uint64_t number, std::string_view source,
                                      std::uint64_t epoch, std::uint64_t sequence) {
  for (auto segment = segments_.rbegin(); segment != segments_.rend(); ++segment) {
    if (segment->head().number >= number) continue;
    const auto n = MENSHEN_TRY(segment->find_name(source, epoch, sequence));
    if (n != 0) return n;
  }
  return std::uint64_t{0};
}

Result<std::string> Tree::record(std::uint64_t n) {
  Segment* segment = segment_of(n);
  if (segment == nullptr) {
    return fail(ErrorCode::not_found, {fmt::format("记录 {} 已超过保存期并清理", n),
                                       fmt::format("record {} was pruned", n)});
  }
  if (const Opened* whole = MENSHEN_TRY(open_block(n))) {
    return std::string(as_text(whole->block.records[n - whole->first]));
  }
  return segment->record(n);
}

}  // namespace menshen::audit
