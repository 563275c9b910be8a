#include "audit/store/query.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "audit/store/paths.hpp"
#include "audit/store/segment.hpp"
#include "base/file.hpp"

namespace menshen::audit {
namespace {

constexpr std::size_t public_key_bytes_max = 16U << 10U;

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
constexpr bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// `wanted` is in lower case. Where it begins with a word's character, it must begin a word: that is
// what the index can tell.
bool contains(std::string_view text, std::string_view wanted) {
  const bool whole = is_word(wanted.front());
  const char first = wanted.front();
  for (std::size_t at = 0; at + wanted.size() <= text.size(); ++at) {
    if (lower(text[at]) != first || (whole && at > 0 && is_word(text[at - 1]))) continue;
    if (std::ranges::equal(text.substr(at, wanted.size()), wanted, {}, lower)) return true;
  }
  return false;
}

bool inside(const Prefix& prefix, Bytes address) {
  if (address.size() != 16) return false;
  std::array<std::uint8_t, 16> bytes{};
  std::ranges::transform(address, bytes.begin(),
                         [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
  return prefix.contains(IpAddr::v6(bytes));
}

class Matcher {
 public:
  explicit Matcher(const Filter& filter) : filter_(filter), text_(filter.text) {
    std::ranges::transform(text_, text_.begin(), lower);
    for (const Kind kind : filter.kinds) kinds_ |= 1U << static_cast<unsigned>(kind);
  }

  [[nodiscard]] bool operator()(const RecordView& record) const {
    const auto says = [](const std::string& wanted, std::string_view is) {
      return wanted.empty() || wanted == is;
    };
    return (!filter_.since || record.time >= *filter_.since) &&
           (!filter_.until || record.time < *filter_.until) &&
           (kinds_ == 0 || (kinds_ >> static_cast<unsigned>(record.kind) & 1U) != 0) &&
           record.severity >= filter_.severity_min && says(filter_.source, record.source) &&
           says(filter_.subject, record.subject) && says(filter_.action, record.action) &&
           says(filter_.policy_line, record.policy_line) &&
           (filter_.domain.empty() || filter_.domain == record.domain_src ||
            filter_.domain == record.domain_dst) &&
           (!filter_.outcome || filter_.outcome == record.outcome) &&
           (!filter_.sid || (record.rule && record.rule->sid == *filter_.sid)) &&
           (!filter_.address || inside(*filter_.address, record.src) ||
            inside(*filter_.address, record.dst)) &&
           (text_.empty() || contains(record.message, text_) || contains(record.object, text_) ||
            contains(record.detail, text_));
  }

 private:
  const Filter& filter_;
  std::string text_;
  std::uint32_t kinds_ = 0;
};

// FTS5's language: every term, the last word of a text also as a beginning.
class Match {
 public:
  void term(std::string_view text, bool prefix = false) {
    // Terms hold no quote: terms.cpp keeps none, and words have none.
    match_ += fmt::format("{}\"{}\"{}", match_.empty() ? "" : " AND ", text, prefix ? "*" : "");
  }
  void field(Field field, const std::string& value) {
    if (!value.empty()) term(field_term(field, value));
  }
  void address(const Prefix& prefix) {
    const auto& bytes = prefix.first().bytes();
    const std::string whole = address_term(std::as_bytes(std::span(bytes)));
    const std::size_t digits = prefix.length() / 4;
    const bool all = prefix.length() == (prefix.is_v4() ? 32U : 128U);
    term(all ? whole : whole.substr(0, 3 + digits), !all);
  }
  void words(const std::string& text) {
    std::vector<std::string> found;
    for_each_word(text, [&](std::string_view word) { found.emplace_back(word); });
    // Of a last word or character, the text may hold only the beginning.
    for (std::size_t i = 0; i < found.size(); ++i) {
      const bool last = i + 1 == found.size();
      const bool run = (found[i].front() & 0x80) != 0;
      term(found[i], run ? last : last && is_word(text.back()));
    }
  }
  [[nodiscard]] std::string take() { return std::move(match_); }

 private:
  std::string match_;
};

IndexQuery query_of(const Filter& filter) {
  Match match;
  match.field(Field::source, filter.source);
  match.field(Field::domain, filter.domain);
  if (filter.address) match.address(*filter.address);
  if (filter.sid) match.field(Field::rule, std::to_string(*filter.sid));
  match.field(Field::subject, filter.subject);
  match.field(Field::action, filter.action);
  match.field(Field::policy_line, filter.policy_line);
  if (filter.outcome) match.field(Field::outcome, std::string(name(*filter.outcome)));
  match.words(filter.text);
  IndexQuery query{match.take(), filter.since, filter.until, ~0U, filter.severity_min};
  if (!filter.kinds.empty()) query.kinds = 0;
  for (const Kind kind : filter.kinds) query.kinds |= 1U << static_cast<unsigned>(kind);
  return query;
}

tl::unexpected<Error> fail_damaged(std::uint64_t n) {
  return fail(ErrorCode::corrupt,
              {fmt::format("记录 {} 已损坏", n), fmt::format("record {} is damaged", n)});
}

}  // namespace

class Reader::Impl {
 public:
  explicit Impl(StorePaths paths) : paths_(std::move(paths)) {}

  using Each = std::function<bool(std::uint64_t n, Bytes bytes, const RecordView& seen)>;
  Result<void> scan(const Filter& filter, const Each& each);
  Result<std::vector<HourCount>> hours(WallTime since, WallTime until);
  Result<std::shared_ptr<Segment>> newest();
  [[nodiscard]] const StorePaths& paths() const { return paths_; }

 private:
  struct Part {
    Segment segment;
    std::optional<Index> index;
  };
  // One scan of one segment: what is left to be given, newest first. False: enough.
  class Pass;

  Result<std::shared_ptr<Part>> part(std::uint64_t number);

  StorePaths paths_;
  std::map<std::uint64_t, std::shared_ptr<Part>> parts_;
  std::uint64_t newest_ = 0;
};

class Reader::Impl::Pass {
 public:
  Pass(Part& part, const Filter& filter, const Each& each)
      : part_(part), filter_(filter), matches_(filter), each_(each) {}

  Result<bool> run() {
    MENSHEN_CHECK(part_.segment.snapshot());
    auto going = all();
    MENSHEN_CHECK(part_.segment.release());
    return going;
  }

 private:
  Result<bool> all() {
    const std::uint64_t begin = part_.segment.head().first;
    const std::uint64_t blocks_end = MENSHEN_TRY(part_.segment.blocks_end());
    const auto pending = MENSHEN_TRY(part_.segment.pending());
    for (std::size_t i = pending.size(); i-- > 0;) {
      if (!MENSHEN_TRY(give(blocks_end + 1 + i, as_bytes(pending[i].bytes)))) return false;
    }
    std::uint64_t indexed = begin - 1;
    if (part_.index && !filter_.scan) indexed = part_.index->end().value_or(begin - 1);
    indexed = std::min(indexed, blocks_end);
    for (std::uint64_t end = blocks_end; end > indexed; end -= block_records) {
      if (!MENSHEN_TRY(block(end - block_records + 1))) return false;
    }
    if (indexed < begin) return true;
    bool going = true;
    const auto searched =
        part_.index->blocks(query_of(filter_), [&](std::uint64_t first) -> Result<bool> {
          if (first > indexed) return true;
          lowest_ = first;
          going = MENSHEN_TRY(block(first));
          return going;
        });
    if (!searched) {
      // A damaged index costs time, not an answer: what it has not led to yet is read.
      if (searched.error().code != ErrorCode::corrupt || damaged_) return searched_error(searched);
      std::uint64_t end = lowest_ == 0 ? indexed : lowest_ - 1;
      for (; going && end >= begin; end -= block_records) {
        going = MENSHEN_TRY(block(end - block_records + 1));
      }
    }
    return going;
  }

  static Result<bool> searched_error(const Result<void>& searched) {
    return tl::make_unexpected(searched.error());
  }

  Result<bool> block(std::uint64_t first) {
    if (filter_.before != 0 && first >= filter_.before) return true;
    auto found = part_.segment.block(first);
    if (!found) {
      damaged_ = true;
      return tl::make_unexpected(found.error());
    }
    for (std::size_t i = found->records.size(); i-- > 0;) {
      if (!MENSHEN_TRY(give(first + i, found->records[i]))) return false;
    }
    return true;
  }

  Result<bool> give(std::uint64_t n, Bytes bytes) {
    if (filter_.before != 0 && n >= filter_.before) return true;
    const auto seen = view_stored(bytes);
    if (!seen) {
      damaged_ = true;
      return fail_damaged(n);
    }
    return !matches_(*seen) || each_(n, bytes, *seen);
  }

  Part& part_;
  const Filter& filter_;
  Matcher matches_;
  const Each& each_;
  std::uint64_t lowest_ = 0;
  bool damaged_ = false;  // the records, not the index
};

Result<std::shared_ptr<Reader::Impl::Part>> Reader::Impl::part(std::uint64_t number) {
  // What is written to is opened afresh: it may have been taken as unchanging before.
  if (number >= newest_) parts_.erase(number);
  auto at = parts_.find(number);
  if (at == parts_.end()) {
    Segment segment = MENSHEN_TRY(Segment::open(paths_.segment(number), Database::Mode::read));
    auto index = Index::open(paths_.index(number), Database::Mode::read, segment.head().first);
    auto opened = std::make_shared<Part>(Part{std::move(segment), std::nullopt});
    if (index) opened->index = *std::move(index);
    at = parts_.emplace(number, std::move(opened)).first;
  }
  newest_ = std::max(newest_, number);
  return at->second;
}

Result<std::shared_ptr<Segment>> Reader::Impl::newest() {
  const auto numbers = paths_.segments();
  if (numbers.empty()) {
    if (::access(paths_.directory.c_str(), R_OK | X_OK) != 0) {
      return fail_errno(
          {"无法读取 " + paths_.directory.string(), "cannot read " + paths_.directory.string()});
    }
    return fail(ErrorCode::not_found, {"没有审计库：" + paths_.directory.string(),
                                       "no audit store: " + paths_.directory.string()});
  }
  auto found = MENSHEN_TRY(part(numbers.back()));
  Segment* inside = &found->segment;
  return std::shared_ptr<Segment>(std::move(found), inside);
}

Result<void> Reader::Impl::scan(const Filter& filter, const Each& each) {
  auto numbers = paths_.segments();
  std::ranges::reverse(numbers);
  for (const std::uint64_t number : numbers) {
    auto opened = part(number);
    // Pruned since the folder was listed.
    if (!opened && opened.error().code == ErrorCode::not_found) continue;
    const std::shared_ptr<Part> found = MENSHEN_TRY(std::move(opened));
    if (filter.before != 0 && found->segment.head().first >= filter.before) continue;
    if (!MENSHEN_TRY(Pass(*found, filter, each).run())) return {};
  }
  return {};
}

Result<std::vector<HourCount>> Reader::Impl::hours(WallTime since, WallTime until) {
  std::map<std::tuple<WallTime, Kind, Severity>, std::uint64_t> sums;
  for (const std::uint64_t number : paths_.segments()) {
    auto opened = part(number);
    if (!opened && opened.error().code == ErrorCode::not_found) continue;
    const std::shared_ptr<Part> held = MENSHEN_TRY(std::move(opened));
    Part& found = *held;
    const std::uint64_t begin = found.segment.head().first;
    std::uint64_t indexed = begin - 1;
    MENSHEN_CHECK(found.segment.snapshot());
    if (found.index) {
      indexed = found.index->end().value_or(begin - 1);
      for (const HourCount& c : MENSHEN_TRY(found.index->hours(since, until))) {
        sums[{c.hour, c.kind, c.severity}] += c.records;
      }
    }
    const auto count = [&](Bytes bytes) {
      const auto seen = view_stored(bytes);
      if (!seen) return;
      const WallTime hour = seen->time - (seen->time % hour_ns + hour_ns) % hour_ns;
      if (hour < since - since % hour_ns || hour >= until) return;
      ++sums[{hour, seen->kind, seen->severity}];
    };
    const std::uint64_t blocks_end = MENSHEN_TRY(found.segment.blocks_end());
    for (std::uint64_t at = indexed; at < blocks_end; at += block_records) {
      const Block block = MENSHEN_TRY(found.segment.block(at + 1));
      std::ranges::for_each(block.records, count);
    }
    for (const PendingRecord& record : MENSHEN_TRY(found.segment.pending())) {
      count(as_bytes(record.bytes));
    }
    MENSHEN_CHECK(found.segment.release());
  }
  std::vector<HourCount> counts;
  counts.reserve(sums.size());
  for (const auto& [key, records] : sums) {
    counts.push_back({std::get<0>(key), std::get<1>(key), std::get<2>(key), records});
  }
  return counts;
}

Reader::Reader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

Result<Reader> Reader::open(const std::filesystem::path& directory) {
  auto impl = std::make_unique<Impl>(StorePaths::in(directory));
  static_cast<void>(MENSHEN_TRY(impl->newest()));
  return Reader(std::move(impl));
}

Result<std::uint64_t> Reader::find(const Filter& filter,
                                   const std::function<bool(const Found&)>& each) const {
  std::uint64_t given = 0;
  MENSHEN_CHECK(impl_->scan(filter, [&](std::uint64_t n, Bytes, const RecordView& seen) {
    ++given;
    return each({n, to_record(seen)}) && given != filter.limit;
  }));
  return given;
}

Result<std::vector<Found>> Reader::find(const Filter& filter) const {
  std::vector<Found> all;
  static_cast<void>(MENSHEN_TRY(find(filter, [&](const Found& found) {
    all.push_back(found);
    return true;
  })));
  return all;
}

Result<std::uint64_t> Reader::count(const Filter& filter) const {
  std::uint64_t counted = 0;
  MENSHEN_CHECK(impl_->scan(filter, [&](std::uint64_t, Bytes, const RecordView&) {
    ++counted;
    return true;
  }));
  return counted;
}

Result<std::vector<HourCount>> Reader::hours(WallTime since, WallTime until) const {
  return impl_->hours(since, until);
}

Result<std::uint64_t> Reader::records() const {
  const auto newest = MENSHEN_TRY(impl_->newest());
  return newest->end();
}

Result<std::optional<SignedNote>> Reader::last_checkpoint() const {
  const auto newest = MENSHEN_TRY(impl_->newest());
  auto note = MENSHEN_TRY(newest->last_note());
  if (!note && !newest->head().previous_note.empty()) {
    note = MENSHEN_TRY(parse_note(newest->head().previous_note));
  }
  return note;
}

class Prover::Impl {
 public:
  SignedNote note;
  PublicKey key;
  Tree tree;
};

Prover::Prover(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Prover::Prover(Prover&&) noexcept = default;
Prover& Prover::operator=(Prover&&) noexcept = default;
Prover::~Prover() = default;
const SignedNote& Prover::checkpoint() const { return impl_->note; }
Result<Proof> Prover::prove(std::uint64_t number) const {
  return prove_record(impl_->tree, number, impl_->note, impl_->key);
}
Result<Consistency> Prover::prove_since(const SignedNote& earlier) const {
  return prove_consistency(impl_->tree, earlier, impl_->note, impl_->key);
}

Result<Prover> Reader::prover() const {
  auto note = MENSHEN_TRY(last_checkpoint());
  if (!note) {
    return fail(ErrorCode::unavailable, {"尚无检查点", "there is no checkpoint yet"});
  }
  const StorePaths& paths = impl_->paths();
  const std::string pem = MENSHEN_TRY(read_file(paths.public_key, public_key_bytes_max));
  PublicKey key = MENSHEN_TRY(PublicKey::parse(pem));
  Tree tree = MENSHEN_TRY(Tree::open(paths, key.profile()));
  return Prover(std::unique_ptr<Prover::Impl>(
      new Prover::Impl{*std::move(note), std::move(key), std::move(tree)}));
}

}  // namespace menshen::audit
