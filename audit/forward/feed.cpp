#include "audit/forward/feed.hpp"

#include <algorithm>

namespace menshen::audit {
namespace {

// Takes records one after another, as far as the limits go.
class Taker {
 public:
  Taker(std::uint64_t after, std::size_t most) : after_(after), most_(most) {}
  // False: enough.
  bool take(std::uint64_t n, std::string_view bytes) {
    if (n <= after_) return true;
    taken_.push_back({n, std::string(bytes)});
    bytes_ += bytes.size();
    return taken_.size() < most_ && bytes_ < Feed::batch_bytes_max;
  }
  [[nodiscard]] std::vector<FeedRecord> result() { return std::move(taken_); }

 private:
  std::uint64_t after_;
  std::size_t most_;
  std::size_t bytes_ = 0;
  std::vector<FeedRecord> taken_;
};

Result<void> read_on(Segment& segment, std::uint64_t next, Taker& taker) {
  const std::uint64_t blocks_end = MENSHEN_TRY(segment.blocks_end());
  const std::uint64_t from = std::max(next, segment.head().first);
  for (std::uint64_t first = from - (from - 1) % block_records; first <= blocks_end;
       first += block_records) {
    const Block block = MENSHEN_TRY(segment.block(first));
    for (std::size_t i = 0; i < block.records.size(); ++i) {
      if (!taker.take(first + i, as_text(block.records[i]))) return {};
    }
  }
  std::uint64_t n = blocks_end;
  for (const PendingRecord& record : MENSHEN_TRY(segment.pending())) {
    if (!taker.take(++n, record.bytes)) return {};
  }
  return {};
}

}  // namespace

Result<Segment> Feed::newest() {
  return Segment::open(paths_.newest_segment(), Database::Mode::read);
}

Result<Segment> Feed::segment_of(std::uint64_t n) {
  const auto numbers = paths_.segments();
  for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) {
    const auto known = first_.find(*number);
    const bool oldest = *number == numbers.front();
    if (known != first_.end() && known->second > n && !oldest) continue;
    Segment segment = MENSHEN_TRY(Segment::open(paths_.segment(*number), Database::Mode::read));
    first_[*number] = segment.head().first;
    if (segment.head().first <= n || oldest) return segment;
  }
  return fail(ErrorCode::not_found, {"没有审计库：" + paths_.directory.string(),
                                     "no audit store: " + paths_.directory.string()});
}

Result<std::vector<FeedRecord>> Feed::records(std::uint64_t after, std::size_t most) {
  std::uint64_t next = after + 1;
  // At a segment's end the records go on in the one behind it.
  while (true) {
    Segment segment = MENSHEN_TRY(segment_of(next));
    Taker taker(after, most);
    MENSHEN_CHECK(segment.snapshot());
    MENSHEN_CHECK(read_on(segment, next, taker));
    const std::uint64_t end = MENSHEN_TRY(segment.end());
    MENSHEN_CHECK(segment.release());
    auto taken = taker.result();
    if (!taken.empty() || end < next) return taken;
    next = end + 1;
  }
}

Result<std::optional<SignedNote>> Feed::note_within(std::uint64_t size) {
  if (size == 0) return std::optional<SignedNote>();
  const Segment segment = MENSHEN_TRY(segment_of(size));
  Statement row = MENSHEN_TRY(segment.database().prepare(
      "SELECT note FROM checkpoint WHERE size <= ?1 ORDER BY number DESC LIMIT 1"));
  std::string text = segment.head().previous_note;
  if (MENSHEN_TRY(row.bind(1, static_cast<std::int64_t>(size)).step())) text = row.text(0);
  if (text.empty()) return std::optional<SignedNote>();
  return std::optional(MENSHEN_TRY(parse_note(text)));
}

Result<std::uint64_t> Feed::end() {
  Segment segment = MENSHEN_TRY(newest());
  return segment.end();
}

Result<std::string> Feed::origin() {
  const Segment segment = MENSHEN_TRY(newest());
  return segment.head().origin;
}

}  // namespace menshen::audit
