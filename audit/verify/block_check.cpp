#include "audit/verify/block_check.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "audit/store/tail.hpp"

namespace menshen::audit {
namespace {

constexpr std::size_t back_max = 16;

std::string place(std::uint64_t first, std::uint64_t last) {
  return first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
}

// A break of this kind in records first to last, in the words of its title.
Break at_records(BreakKind kind, std::uint64_t first, std::uint64_t last, WallTime time) {
  const std::string where = place(first, last);
  const std::string when = time == 0 ? std::string() : format_utc(time);
  return break_at(kind, first, last, time,
                  {fmt::format("第 {} 条记录（{}）：{}", where, when, title(kind).zh),
                   fmt::format("record {} ({}): {}", where, when, title(kind).en)});
}

// Of two lists that ought to be equal: the kind of difference, and where it begins and ends.
struct Difference {
  BreakKind kind = BreakKind::edited;
  std::size_t first = 0;
  std::size_t last = 0;
};

Difference difference(const std::vector<Tag>& expected, const std::vector<Tag>& found) {
  const auto [want, have] = std::ranges::mismatch(expected, found);
  const auto first = static_cast<std::size_t>(have - found.begin());
  Difference out{BreakKind::edited, first, first};
  if (found.size() < expected.size()) {
    out.kind = BreakKind::deleted;
    out.last = first + (expected.size() - found.size()) - 1;
    return out;
  }
  if (have == found.end()) return out;
  // Which record stands here, and does it belong elsewhere?
  const auto elsewhere = std::ranges::find(expected, *have);
  if (elsewhere != expected.end() && std::ranges::find(found, *want) != found.end()) {
    out.kind = BreakKind::reordered;
    const auto [want_end, have_end] =
        std::mismatch(expected.rbegin(), expected.rend(), found.rbegin(), found.rend());
    out.last = found.size() - 1 - static_cast<std::size_t>(have_end - found.rbegin());
    return out;
  }
  const auto back =
      std::find(found.begin() + static_cast<std::ptrdiff_t>(first), found.end(), *want);
  if (back != found.end()) {
    out.kind = BreakKind::inserted;
    out.last = static_cast<std::size_t>(back - found.begin()) - 1;
  }
  return out;
}

}  // namespace

Break break_at(BreakKind kind, std::uint64_t first, std::uint64_t last, WallTime time, Text text) {
  return {kind, first, last, 0, time, std::move(text)};
}

void RecordsSeen::add(std::uint64_t n, const RecordView& record) {
  if (record.stamp) {
    const WallTime received = record.stamp->received;
    if (first_received == 0) first_received = received;
    if (received < last_received && back.size() < back_max) back.push_back({n, received});
    last_received = received;
  }
  last_time = record.time;
  if (record.source == "auditd" &&
      (record.action == action_rotate || record.action == action_key_lost ||
       record.action == "segment.prune")) {
    acts.push_back(
        {n, std::string(record.action), std::string(record.object), std::string(record.detail)});
  }
  // Sources take turns: look a few runs back.
  const std::size_t look = std::min<std::size_t>(runs.size(), 1);
  for (std::size_t i = 0; i < look; ++i) {
    NameRun& run = runs[runs.size() - 1 - i];
    if (run.epoch == record.epoch && run.last + 1 == record.sequence &&
        run.n + (record.sequence - run.first) == n && run.source == record.source) {
      run.last = record.sequence;
      return;
    }
  }
  runs.push_back({std::string(record.source), record.epoch, record.sequence, record.sequence, n});
}

std::optional<Break> BlockChecker::compare(const Block& block, std::uint64_t first) {
  std::vector<Tag> found;
  found.reserve(leaves_.size());
  for (const Digest& leaf : leaves_) found.push_back(tag_of(leaf));
  const auto time_of = [&](std::size_t i) {
    const auto seen = i < block.records.size() ? view_stored(block.records[i]) : std::nullopt;
    return seen ? seen->time : 0;
  };
  if (found != block.tags) {
    const Difference d = difference(block.tags, found);
    return at_records(d.kind, first + d.first, first + d.last, time_of(d.first));
  }
  if (found.size() != block_records) {
    return at_records(BreakKind::deleted, first, first + block_records - 1, time_of(0));
  }
  return std::nullopt;
}

std::optional<Break> BlockChecker::check_names(const std::vector<NameRun>& runs) {
  for (const NameRun& run : runs) {
    const auto first = segment_.find_name(run.source, run.epoch, run.first);
    const auto last = segment_.find_name(run.source, run.epoch, run.last);
    if (!first || *first != run.n || !last || *last != run.n + (run.last - run.first)) {
      return break_at(BreakKind::edited, run.n, run.n + (run.last - run.first), 0,
                      {fmt::format("第 {} 条起的记录在名称表中被改动", run.n),
                       fmt::format("the table of names was changed for record {} on", run.n)});
    }
  }
  return std::nullopt;
}

// The peaks of the block's beginning at every size that somebody signed within it.
void BlockChecker::cut(std::uint64_t first, BlockResult& result) {
  auto next = std::ranges::upper_bound(cuts_, first - 1);
  Frontier frontier;
  for (; next != cuts_.end() && *next < first + block_records - 1; ++next) {
    while (frontier.size() < *next - (first - 1)) {
      frontier.append(leaves_[frontier.size()], hasher_);
    }
    result.cuts.push_back({*next, frontier.peaks()});
  }
}

BlockResult BlockChecker::check(std::uint64_t first) {
  BlockResult result;
  const std::uint64_t last = first + block_records - 1;
  auto stored = segment_.block_bytes(first);
  if (stored && !*stored) {
    result.broken = at_records(BreakKind::deleted, first, last, 0);
    return result;
  }
  auto block = stored ? decode_block(as_bytes(**stored))
                      : Result<Block>(tl::make_unexpected(stored.error()));
  if (!block) {
    result.broken = break_at(
        BreakKind::damaged, first, last, 0,
        {fmt::format("第 {}-{} 条记录无法读取：{}", first, last, block.error().text.zh),
         fmt::format("records {}-{} cannot be read: {}", first, last, block.error().text.en)});
    return result;
  }
  leaves_.resize(block->records.size());
  hasher_.leaves(block->records, leaves_);
  result.broken = compare(*block, first);
  if (result.broken) return result;
  for (std::size_t i = 0; i < block->records.size(); ++i) {
    const auto seen = view_stored(block->records[i]);
    if (seen) {
      result.seen.add(first + i, *seen);
    } else {
      result.broken = at_records(BreakKind::edited, first + i, first + i, 0);
      return result;
    }
  }
  result.broken = check_names(result.seen.runs);
  if (result.broken) return result;
  cut(first, result);
  result.root = hasher_.perfect(leaves_);
  return result;
}

}  // namespace menshen::audit
