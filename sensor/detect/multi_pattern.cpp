#include "sensor/detect/multi_pattern.hpp"

#include <fmt/format.h>
#include <hs/hs.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <utility>

#include "base/handle.hpp"
#include "sensor/detect/pattern_cache.hpp"

namespace menshen::sensor {
namespace {

using HsDatabase = Handle<hs_database_t, &hs_free_database>;
using HsScratch = Handle<hs_scratch_t, &hs_free_scratch>;
using HsBytes = Handle<char, &std::free>;  // hs_serialize_database allocates with malloc
using HsError = Handle<hs_compile_error_t, &hs_free_compile_error>;

struct Subscriber {
  std::uint32_t rule;
  std::uint32_t end_max;
};

struct ScanContext {
  const std::vector<std::vector<Subscriber>>* subscribers;
  std::vector<std::uint32_t>* rules;
  std::vector<std::uint32_t>* stamps;
  std::uint32_t stamp;
  std::uint64_t offset;
  std::size_t seen;
};

int on_match(unsigned id, unsigned long long, unsigned long long to, unsigned, void* raw) {
  const auto& context = *static_cast<ScanContext*>(raw);
  if (to <= context.seen) return 0;
  if (std::exchange((*context.stamps)[id], context.stamp) == context.stamp) return 0;
  for (const Subscriber& subscriber : (*context.subscribers)[id]) {
    if (to + context.offset <= subscriber.end_max) context.rules->push_back(subscriber.rule);
  }
  return 0;
}

// What Hyperscan compiles: in columns, as it wants them.
struct Literals {
  std::vector<const char*> bytes;
  std::vector<std::size_t> lengths;
  std::vector<unsigned> flags;
  std::vector<unsigned> ids;

  void add(const Pattern& pattern) {
    bytes.push_back(pattern.bytes.data());
    lengths.push_back(pattern.bytes.size());
    flags.push_back(pattern.nocase ? unsigned{HS_FLAG_CASELESS} : 0U);
    ids.push_back(static_cast<unsigned>(ids.size()));
  }
};

Result<HsDatabase> compiled(const Literals& literals) {
  hs_database_t* database = nullptr;
  hs_compile_error_t* raw_error = nullptr;
  const auto rc = hs_compile_lit_multi(
      literals.bytes.data(), literals.flags.data(), literals.ids.data(), literals.lengths.data(),
      static_cast<unsigned>(literals.ids.size()), HS_MODE_BLOCK, nullptr, &database, &raw_error);
  const HsError error(raw_error);
  HsDatabase owned(database);
  if (rc != HS_SUCCESS) {
    const char* why = error && error->message != nullptr ? error->message : "?";
    return fail(ErrorCode::invalid, {fmt::format("无法编译模式库：{}", why),
                                     fmt::format("cannot compile the pattern database: {}", why)});
  }
  return owned;
}

// Everything that the database depends on; the processor's features stand in the database itself,
// and another processor does not take it.
std::string key_of(const Literals& literals) {
  std::string all = fmt::format("{}\n", hs_version());
  for (std::size_t i = 0; i < literals.ids.size(); ++i) {
    all += fmt::format("{} {}:", literals.flags[i], literals.lengths[i]);
    all.append(literals.bytes[i], literals.lengths[i]);
  }
  return cache_digest(all);
}

Result<HsDatabase> cached(const Literals& literals, const PatternCache& cache) {
  const std::string key = key_of(literals);
  hs_database_t* database = nullptr;
  if (const auto bytes = cache.load(key)) {
    if (hs_deserialize_database(bytes->data(), bytes->size(), &database) == HS_SUCCESS) {
      return HsDatabase(database);
    }
  }
  auto made = MENSHEN_TRY(compiled(literals));
  char* bytes = nullptr;
  std::size_t length = 0;
  if (hs_serialize_database(made.get(), &bytes, &length) == HS_SUCCESS) {
    const HsBytes owned(bytes);
    cache.store(key, {bytes, length});
  }
  return made;
}

}  // namespace

struct PatternScratch::State {
  HsScratch scratch;
  std::vector<std::uint32_t> stamps;  // by literal: the last scan that reported it
  std::uint32_t stamp = 0;
};

struct MultiPattern::Database {
  HsDatabase database;
  std::vector<std::vector<Subscriber>> subscribers;  // by literal
  std::size_t longest = 0;
  std::size_t shortest = SIZE_MAX;
};

PatternScratch::PatternScratch() : state_(std::make_unique<State>()) {}
PatternScratch::PatternScratch(PatternScratch&&) noexcept = default;
PatternScratch::~PatternScratch() = default;

Result<void> PatternScratch::prepare(const MultiPattern& patterns) {
  hs_scratch_t* scratch = state_->scratch.release();
  const auto rc = hs_alloc_scratch(patterns.database_->database.get(), &scratch);
  state_->scratch.reset(scratch);
  state_->stamps.resize(std::max(state_->stamps.size(), patterns.size()));
  if (rc != HS_SUCCESS) {
    return fail(ErrorCode::io,
                {"无法分配模式匹配工作区", "cannot allocate the pattern matcher's scratch"});
  }
  return {};
}

MultiPattern::MultiPattern(std::unique_ptr<Database> database) : database_(std::move(database)) {}
MultiPattern::MultiPattern(MultiPattern&&) noexcept = default;
MultiPattern& MultiPattern::operator=(MultiPattern&&) noexcept = default;
MultiPattern::~MultiPattern() = default;

Result<MultiPattern> MultiPattern::compile(std::span<const Pattern> patterns,
                                           const PatternCache* cache) {
  auto built = std::make_unique<Database>();
  std::map<std::pair<std::string_view, bool>, std::size_t> known;
  Literals literals;
  for (const Pattern& pattern : patterns) {
    const auto [entry, fresh] = known.try_emplace({pattern.bytes, pattern.nocase}, known.size());
    if (fresh) {
      literals.add(pattern);
      built->subscribers.emplace_back();
      built->longest = std::max(built->longest, pattern.bytes.size());
      built->shortest = std::min(built->shortest, pattern.bytes.size());
    }
    built->subscribers[entry->second].push_back({pattern.rule, pattern.end_max});
  }
  built->database = MENSHEN_TRY(cache == nullptr ? compiled(literals) : cached(literals, *cache));
  return MultiPattern(std::move(built));
}

void MultiPattern::scan(Bytes bytes, std::uint64_t offset, PatternScratch& scratch,
                        std::vector<std::uint32_t>& rules, std::size_t seen) const {
  if (bytes.size() < database_->shortest) return;
  PatternScratch::State& state = *scratch.state_;
  if (++state.stamp == 0) {
    std::fill(state.stamps.begin(), state.stamps.end(), 0);
    state.stamp = 1;
  }
  ScanContext context{&database_->subscribers, &rules, &state.stamps, state.stamp, offset, seen};
  hs_scan(database_->database.get(), reinterpret_cast<const char*>(bytes.data()),
          static_cast<unsigned>(bytes.size()), 0, state.scratch.get(), &on_match, &context);
}

std::size_t MultiPattern::longest() const noexcept { return database_->longest; }
std::size_t MultiPattern::size() const noexcept { return database_->subscribers.size(); }

}  // namespace menshen::sensor
