// Many literals in one pass: which rules' patterns occur in these bytes. Hyperscan behind one file.
//
// A database is immutable and shared; the scratch is a worker's own. Patterns shorter than
// pattern_bytes_min belong in a database of their own: a few of them beside thousands of longer
// ones cost more than these.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/byte_reader.hpp"
#include "base/result.hpp"

namespace menshen::sensor {

inline constexpr std::size_t pattern_bytes_min = 4;
inline constexpr std::size_t short_pattern_bytes_min = 2;

struct Pattern {
  std::string bytes;
  bool nocase = false;
  std::uint32_t rule = 0;
  std::uint32_t end_max =
      UINT32_MAX;  // the match must end at or before this place, counted from the stream's begin
};

class MultiPattern;
class PatternCache;

// Grows to fit every database that it is prepared for.
class PatternScratch {
 public:
  PatternScratch();
  PatternScratch(PatternScratch&&) noexcept;
  ~PatternScratch();
  [[nodiscard]] Result<void> prepare(const MultiPattern& patterns);

 private:
  friend class MultiPattern;
  struct State;
  std::unique_ptr<State> state_;
};

class MultiPattern {
 public:
  // Equal literals share one entry. `cache`, if any, is asked before and told after compilation;
  // safe to call from several threads.
  [[nodiscard]] static Result<MultiPattern> compile(std::span<const Pattern> patterns,
                                                    const PatternCache* cache = nullptr);
  MultiPattern(MultiPattern&&) noexcept;
  MultiPattern& operator=(MultiPattern&&) noexcept;
  ~MultiPattern();

  // Appends the rules whose pattern occurs, each pattern once. `offset`: where `bytes` begins in
  // its stream. The first `seen` bytes were scanned before: what ends among them is not reported
  // again.
  void scan(Bytes bytes, std::uint64_t offset, PatternScratch& scratch,
            std::vector<std::uint32_t>& rules, std::size_t seen = 0) const;
  [[nodiscard]] std::size_t longest() const noexcept;  // bytes of the longest pattern
  [[nodiscard]] std::size_t size() const noexcept;     // distinct literals

 private:
  friend class PatternScratch;
  struct Database;
  explicit MultiPattern(std::unique_ptr<Database> database);
  std::unique_ptr<Database> database_;
};

}  // namespace menshen::sensor
