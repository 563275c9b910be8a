#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "audit/store/store_impl.hpp"

namespace menshen::audit {

// What to do with an item whose name record n has already.
Result<Appended> Store::Impl::compare(const Item& item, std::uint64_t n,
                                      std::span<const Bytes> fresh) {
  Bytes there;
  std::string stored;
  if (n > tail_.size()) {
    there = fresh[n - tail_.size() - 1];
  } else if (n > tail_.size() - tail_.pending.size()) {
    there = as_bytes(tail_.pending[n - 1 - (tail_.size() - tail_.pending.size())].bytes);
  } else if (n >= connection_->segment.head().first) {
    stored = MENSHEN_TRY(connection_->segment.record(n));
    there = as_bytes(stored);
  } else {
    Tree* older = MENSHEN_TRY(connection_->names.older());
    stored = MENSHEN_TRY(older->record(n));
    there = as_bytes(stored);
  }
  const bool same = std::ranges::equal(without_stamp(there), without_stamp(item.bytes));
  return same ? Appended::duplicate : Appended::conflict;
}

Result<void> Store::Impl::insert_nodes(const std::vector<TreeNode>& nodes) {
  for (const TreeNode& node : nodes) {
    MENSHEN_CHECK(connection_->insert_node.bind(1, std::int64_t{node.level})
                      .bind(2, static_cast<std::int64_t>(node.position))
                      .bind(3, Bytes(node.hash))
                      .run());
  }
  return {};
}

Result<void> Store::Impl::insert_block(std::span<const Bytes> records,
                                       std::span<const Digest> leaves) {
  const std::string data = MENSHEN_TRY(encode_block(records, leaves));
  const std::uint64_t before = tail_.size() - tail_.size() % block_records;
  const std::uint64_t first = (tail_.pending.empty() ? before : before - block_records) + 1;
  return connection_->insert_block.bind(1, static_cast<std::int64_t>(first))
      .bind(2, as_bytes(data))
      .run();
}

Result<void> Store::Impl::place_block(std::span<const Bytes> records,
                                      std::span<const Digest> leaves) {
  MENSHEN_CHECK(insert_block(records, leaves));
  std::vector<Digest> digests(leaves.begin(), leaves.end());
  std::vector<TreeNode> nodes;
  tail_.frontier.append(block_level, hasher_.perfect(digests), hasher_,
                        [&](const TreeNode& node) { nodes.push_back(node); });
  return insert_nodes(nodes);
}

Result<void> Store::Impl::place_pending(std::span<const Bytes> records,
                                        std::span<const Digest> leaves) {
  std::vector<TreeNode> nodes;
  for (std::size_t i = 0; i < records.size(); ++i) {
    tail_.pending.push_back({std::string(as_text(records[i])), leaves[i]});
    tail_.frontier.append(0, leaves[i], hasher_, [&](const TreeNode& node) {
      if (node.level >= block_level) nodes.push_back(node);
    });
  }
  if (tail_.pending.size() < block_records) return {};
  std::vector<Bytes> whole;
  std::vector<Digest> digests;
  for (const PendingRecord& record : tail_.pending) {
    whole.push_back(as_bytes(record.bytes));
    digests.push_back(record.leaf);
  }
  MENSHEN_CHECK(insert_block(whole, digests));
  MENSHEN_CHECK(insert_nodes(nodes));
  if (tail_.stored > 0) MENSHEN_CHECK(connection_->fold_pending.run());
  tail_.pending.clear();
  tail_.stored = 0;
  return {};
}

// Reads: pending records and the tree's frontier. Writes: whole blocks, and what is left as rows of
// its own, so that a commit of few records stays small.
Result<void> Store::Impl::place(std::span<const Bytes> fresh) {
  std::vector<Digest> leaves(fresh.size());
  hasher_.leaves(fresh, leaves);
  const std::span<const Digest> digests(leaves);
  for (std::size_t at = 0; at < fresh.size();) {
    const std::size_t room = block_records - tail_.pending.size();
    const std::size_t n = std::min(room, fresh.size() - at);
    if (n == block_records) {
      MENSHEN_CHECK(place_block(fresh.subspan(at, n), digests.subspan(at, n)));
    } else {
      MENSHEN_CHECK(place_pending(fresh.subspan(at, n), digests.subspan(at, n)));
    }
    at += n;
  }
  const std::uint64_t before = tail_.size() - tail_.pending.size();
  for (; tail_.stored < tail_.pending.size(); ++tail_.stored) {
    const PendingRecord& record = tail_.pending[tail_.stored];
    MENSHEN_CHECK(
        connection_->insert_pending.bind(1, static_cast<std::int64_t>(before + 1 + tail_.stored))
            .bind(2, as_bytes(record.bytes))
            .bind(3, Bytes(record.leaf))
            .run());
  }
  return {};
}

// The size at which the live segment ends: of whole blocks.
std::uint64_t Store::Impl::roll_at() const {
  const std::uint64_t begin = connection_->segment.head().first - 1;
  const std::uint64_t most = std::max<std::uint64_t>(options_.segment_records_max, 1);
  const std::uint64_t full = begin + (most + block_records - 1) / block_records * block_records;
  if (clock_.wall() / day_ns <= segment_day_) return full;
  const std::uint64_t next = std::max(tail_.size(), begin + 1);
  return std::min(full, (next + block_records - 1) / block_records * block_records);
}

Result<std::size_t> Store::Impl::store_some(std::span<const Item> items,
                                            std::vector<Appended>& answers) {
  const std::uint64_t room = roll_at() - tail_.size();
  Names& names = connection_->names;
  MENSHEN_CHECK(connection_->segment.database().execute("BEGIN IMMEDIATE"));
  std::vector<Bytes> fresh;
  fresh.reserve(items.size());
  std::size_t taken = 0;
  for (; taken < items.size() && fresh.size() < room; ++taken) {
    const Item& item = items[taken];
    const RecordView& seen = item.view;
    const std::uint64_t there =
        MENSHEN_TRY(names.find(connection_->segment, seen.source, seen.epoch, seen.sequence));
    if (there != 0) {
      answers.push_back(MENSHEN_TRY(compare(item, there, fresh)));
      continue;
    }
    fresh.push_back(item.bytes);
    answers.push_back(Appended::stored);
    MENSHEN_CHECK(names.add(seen.source, seen.epoch, seen.sequence, tail_.size() + fresh.size()));
  }
  MENSHEN_CHECK(place(fresh));
  MENSHEN_CHECK(names.flush());
  MENSHEN_CHECK(connection_->segment.database().execute("COMMIT"));
  if (!fresh.empty() && waiting_since_ == 0) waiting_since_ = clock_.monotonic();
  return taken;
}

Result<std::vector<Appended>> Store::Impl::store(std::span<const Item> items) {
  std::vector<Appended> answers;
  answers.reserve(items.size());
  if (items.empty()) return answers;
  MENSHEN_CHECK(connect());
  for (std::size_t done = 0; done < items.size();) {
    if (tail_.size() >= roll_at()) {
      if (auto rolled = roll(); !rolled) {
        return broken(Result<std::vector<Appended>>(tl::make_unexpected(rolled.error())));
      }
    }
    const auto taken = store_some(items.subspan(done), answers);
    if (!taken) return broken(Result<std::vector<Appended>>(tl::make_unexpected(taken.error())));
    done += *taken;
  }
  acknowledged_ = tail_.size();
  if (indexer_) indexer_->wake();
  MENSHEN_CHECK(record_conflicts(items, answers));
  return answers;
}

// One record for all conflicts of a batch: a hostile source must not multiply records.
Result<void> Store::Impl::record_conflicts(std::span<const Item> items,
                                           const std::vector<Appended>& answers) {
  const auto first = std::ranges::find(answers, Appended::conflict);
  if (first == answers.end()) return {};
  const RecordView& offending = items[static_cast<std::size_t>(first - answers.begin())].view;
  if (offending.source == own_source) return {};
  Record record;
  record.severity = Severity::high;
  record.outcome = Outcome::rejected;
  record.action = "record.conflict";
  record.subject = offending.source;
  record.object = fmt::format("{}/{}/{}", offending.source, offending.epoch, offending.sequence);
  record.message = "同一编号已有不同的记录，新记录被拒绝 / another record has this name, refused";
  record.detail =
      fmt::format(R"({{"conflicts":{}}})", std::ranges::count(answers, Appended::conflict));
  return append_own(std::move(record));
}

Result<std::vector<Appended>> Store::Impl::append(std::span<const Record> records) {
  if (records.size() > append_records_max) {
    return fail(ErrorCode::limit,
                {fmt::format("一批最多 {} 条记录", append_records_max),
                 fmt::format("a batch has at most {} records", append_records_max)});
  }
  const Stamp stamp{clock_.wall(), ::getuid(), static_cast<std::uint32_t>(::getpid())};
  std::vector<std::string> encoded(records.size());
  std::vector<Item> items;
  items.reserve(records.size());
  std::string bare;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (records[i].stamp) {
      MENSHEN_CHECK(encode(records[i], encoded[i]));
    } else {
      bare.clear();
      MENSHEN_CHECK(encode(records[i], bare));
      put_stamped(as_bytes(bare), stamp, encoded[i]);
    }
    items.push_back({as_bytes(encoded[i]), *view_stored(as_bytes(encoded[i]))});
  }
  return store(items);
}

Result<std::vector<Appended>> Store::Impl::append(std::span<const Incoming> records) {
  if (records.size() > append_records_max) {
    return fail(ErrorCode::limit,
                {fmt::format("一批最多 {} 条记录", append_records_max),
                 fmt::format("a batch has at most {} records", append_records_max)});
  }
  std::string encoded;
  std::vector<std::size_t> ends;
  std::size_t bytes = 0;
  for (const Incoming& record : records) bytes += record.bytes.size() + 16;
  encoded.reserve(bytes);  // so that what points into it stays
  ends.reserve(records.size());
  for (const Incoming& record : records) {
    put_stamped(record.bytes, record.stamp, encoded);
    ends.push_back(encoded.size());
  }
  std::vector<Item> items;
  items.reserve(records.size());
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    const Bytes one = as_bytes(std::string_view(encoded).substr(begin, end - begin));
    items.push_back({one, *view_stored(one)});
    begin = end;
  }
  return store(items);
}

}  // namespace menshen::audit
