#include "audit/store/tail.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace menshen::audit {
namespace {

tl::unexpected<Error> fail_tail(std::string zh, std::string en) {
  return fail(ErrorCode::corrupt, {"审计库校验未通过：" + std::move(zh),
                                   "the audit store does not verify: " + std::move(en)});
}
tl::unexpected<Error> fail_tail(const Error& error) {
  return fail_tail(error.text.zh, error.text.en);
}

// What there is to know of a note for a message.
std::string describe(const Checkpoint& c) {
  return fmt::format("#{}, {}, {} records", c.number, format_utc(c.time), c.size);
}

// The log's last note must be in the database, word for word; notes behind it are then added to the
// log.
Result<void> reconcile(Segment& segment, CheckpointLog& log, Tail& tail) {
  const std::optional<SignedNote>& last = tail.last_note;
  const bool any = last && last->checkpoint.size >= segment.head().first;
  std::uint64_t logged = 0;
  if (log.last()) {
    const auto note = parse_note(*log.last());
    if (!note) {
      return fail_tail("检查点文件的末条检查点无法解析",
                       "the last checkpoint in the notes file cannot be read");
    }
    const Checkpoint& c = note->checkpoint;
    logged = c.number;
    if (!any || last->checkpoint.number < logged) {
      return fail_tail(
          fmt::format("数据库被截断：检查点文件有检查点 {}，数据库没有", describe(c)),
          fmt::format("the database was cut back: the notes file has checkpoint {}, the database "
                      "does not",
                      describe(c)));
    }
    const auto same = MENSHEN_TRY(segment.note(logged));
    if (!same || same->text != *log.last()) {
      return fail_tail(fmt::format("检查点 {} 在数据库与检查点文件中不同", describe(c)),
                       fmt::format("checkpoint {} differs between the database and the notes file",
                                   describe(c)));
    }
  }
  if (!any) {
    if (log.torn().empty()) return {};
    return fail_tail("检查点文件含有数据库没有的内容",
                     "the notes file holds what the database does not");
  }
  if (logged == 0) {
    Statement first = MENSHEN_TRY(segment.database().prepare("SELECT MIN(number) FROM checkpoint"));
    static_cast<void>(MENSHEN_TRY(first.step()));
    logged = static_cast<std::uint64_t>(first.integer(0)) - 1;
  }
  for (std::uint64_t number = logged + 1; number <= last->checkpoint.number; ++number) {
    const auto note = MENSHEN_TRY(segment.note(number));
    if (!note) {
      return fail_tail(fmt::format("缺少检查点 {}", number),
                       fmt::format("checkpoint {} is missing", number));
    }
    if (!(note->text + "\n").starts_with(log.torn())) break;
    MENSHEN_CHECK(log.append(note->text));
    ++tail.notes_restored;
  }
  if (log.torn().empty()) return {};
  return fail_tail("检查点文件末尾不是检查点", "the end of the notes file is no checkpoint");
}

// The frontier of the whole blocks up to `size`, from the nodes that the segment keeps.
Result<Frontier> frontier_at(Segment& segment, std::uint64_t size) {
  std::vector<Digest> peaks;
  const Frontier& before = segment.head().before;
  std::uint64_t begin = 0;
  std::size_t shared = 0;  // peaks of `before` that are still peaks
  for (unsigned bit = 64; bit-- > block_level;) {
    if ((size >> bit & 1U) == 0) continue;
    const std::uint64_t end = begin + (std::uint64_t{1} << bit);
    if (end <= before.size()) {
      peaks.push_back(before.peaks()[shared++]);
    } else {
      const auto node = MENSHEN_TRY(segment.node(bit, begin >> bit));
      if (!node) return fail_tail("缺少树节点", "a node of the tree is missing");
      peaks.push_back(*node);
    }
    begin = end;
  }
  return Frontier::make(size, std::move(peaks));
}

// Hashes every record behind `from` whole blocks, up to `until`, on top of the frontier.
class Follower {
 public:
  Follower(Segment& segment, TreeHasher& hasher) : segment_(segment), hasher_(hasher) {}

  Result<void> follow(Frontier& frontier, std::uint64_t until) {
    const std::uint64_t blocks_end = MENSHEN_TRY(segment_.blocks_end());
    while (frontier.size() < until && frontier.size() < blocks_end) {
      const std::uint64_t first = frontier.size() - frontier.size() % block_records + 1;
      const auto block = segment_.block(first);
      if (!block) return fail_tail(block.error());
      if (block->records.size() != block_records) {
        return fail_tail(fmt::format("第 {} 条起的记录块被改动", first),
                         fmt::format("the block from record {} on was changed", first));
      }
      MENSHEN_CHECK(add(frontier, *block, first, until));
    }
    if (frontier.size() >= until) return {};
    const auto pending = segment_.pending();
    if (!pending) return fail_tail(pending.error());
    for (std::size_t i = frontier.size() - blocks_end; i < pending->size(); ++i) {
      const Digest leaf = hasher_.leaf(as_bytes((*pending)[i].bytes));
      if (leaf != (*pending)[i].leaf) {
        return fail_tail(fmt::format("记录 {} 被改动", blocks_end + 1 + i),
                         fmt::format("record {} was changed", blocks_end + 1 + i));
      }
      frontier.append(leaf, hasher_);
      if (frontier.size() == until) break;
    }
    return {};
  }

 private:
  Result<void> add(Frontier& frontier, const Block& block, std::uint64_t first,
                   std::uint64_t until) {
    for (std::size_t i = frontier.size() + 1 - first; i < block_records; ++i) {
      if (frontier.size() == until) return {};
      const Digest leaf = hasher_.leaf(block.records[i]);
      if (tag_of(leaf) != block.tags[i]) {
        return fail_tail(fmt::format("记录 {} 被改动", first + i),
                         fmt::format("record {} was changed", first + i));
      }
      std::optional<Digest> wrong;
      const auto compare = [&](const TreeNode& node) {
        if (node.level < block_level || wrong) return;
        const auto kept = segment_.node(node.level, node.position);
        if (!kept || !*kept || **kept != node.hash) wrong = node.hash;
      };
      frontier.append(0, leaf, hasher_, compare);
      if (wrong) {
        return fail_tail(
            fmt::format("第 {} 条起的记录块与树不符", first),
            fmt::format("the block from record {} on is not what the tree says", first));
      }
    }
    return {};
  }

  Segment& segment_;
  TreeHasher& hasher_;
};

Result<void> check_signature(const SignedNote& note, const PublicKey& key,
                             const std::vector<PublicKey>& retired, Segment& segment,
                             bool key_lost) {
  const Checkpoint& c = note.checkpoint;
  const PublicKey* signer = c.key == key.fingerprint() ? &key : nullptr;
  if (signer == nullptr) {
    // The key was rotated and nothing has been signed since: the last record says so.
    const auto record = segment.record(c.size);
    const auto old = std::ranges::find(retired, c.key, &PublicKey::fingerprint);
    const bool follows = key_lost || (record && hands_over(as_bytes(*record), key));
    if (old != retired.end() && follows) signer = &*old;
  }
  if (signer == nullptr) {
    return fail_tail(
        fmt::format("检查点 {} 由另一密钥 {} 签署", describe(c), to_hex(c.key)),
        fmt::format("checkpoint {} is signed by another key, {}", describe(c), to_hex(c.key)));
  }
  if (c.origin != segment.head().origin || !verify_note(note, *signer)) {
    return fail_tail(fmt::format("检查点 {} 的签名无效", describe(c)),
                     fmt::format("the signature of checkpoint {} is wrong", describe(c)));
  }
  return {};
}

}  // namespace

bool hands_over(Bytes record, const PublicKey& key) {
  const auto seen = view_stored(record);
  return seen && seen->source == "auditd" && seen->action == action_rotate &&
         seen->object == format_fingerprint(key.profile(), key.fingerprint());
}

Result<Tail> check_tail(Segment& segment, CheckpointLog& log, const PublicKey& key,
                        const std::vector<PublicKey>& retired, bool key_lost) {
  Tail tail;
  TreeHasher hasher = MENSHEN_TRY(TreeHasher::make(key.profile()));
  const SegmentHead& head = segment.head();
  auto last = segment.last_note();
  if (!last) return fail_tail(last.error());
  tail.last_note = *std::move(last);
  if (!tail.last_note && !head.previous_note.empty()) {
    auto previous = parse_note(head.previous_note);
    if (!previous || previous->checkpoint.size != head.first - 1) {
      return fail_tail("分段的前一检查点无效", "the segment's previous checkpoint is not valid");
    }
    tail.last_note = *std::move(previous);
  }
  std::uint64_t at = head.first - 1;
  if (tail.last_note) {
    const Checkpoint& c = tail.last_note->checkpoint;
    at = c.size;
    if (at + 1 < head.first) {
      return fail_tail("检查点早于其分段", "a checkpoint is older than its segment");
    }
    if (at >= head.first) {
      MENSHEN_CHECK(check_signature(*tail.last_note, key, retired, segment, key_lost));
    } else if (c.key != key.fingerprint() &&
               std::ranges::find(retired, c.key, &PublicKey::fingerprint) == retired.end()) {
      return fail_tail(
          fmt::format("检查点 {} 由另一密钥 {} 签署", describe(c), to_hex(c.key)),
          fmt::format("checkpoint {} is signed by another key, {}", describe(c), to_hex(c.key)));
    }
  }
  Frontier frontier =
      MENSHEN_TRY(frontier_at(segment, std::max(at - at % block_records, head.first - 1)));
  Follower follower(segment, hasher);
  MENSHEN_CHECK(follower.follow(frontier, at));
  if (tail.last_note &&
      (frontier.size() != at || frontier.root(hasher) != tail.last_note->checkpoint.root)) {
    const Checkpoint& c = tail.last_note->checkpoint;
    return fail_tail(fmt::format("数据库与检查点 {} 不符", describe(c)),
                     fmt::format("the database is not what checkpoint {} says", describe(c)));
  }
  const auto end = segment.end();
  if (!end) return fail_tail(end.error());
  MENSHEN_CHECK(follower.follow(frontier, *end));
  if (frontier.size() != *end) return fail_tail("末尾记录缺失", "records at the end are missing");
  tail.frontier = std::move(frontier);
  tail.pending = MENSHEN_TRY(segment.pending());
  tail.stored = tail.pending.size();
  MENSHEN_CHECK(reconcile(segment, log, tail));
  return tail;
}

}  // namespace menshen::audit
