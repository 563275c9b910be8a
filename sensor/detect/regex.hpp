// Perl-compatible regular expressions for rules: PCRE2 with hard limits, since a rule's author and
// a packet's sender together could otherwise make one match take minutes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/byte_reader.hpp"
#include "base/result.hpp"

namespace menshen::sensor {

inline constexpr std::uint32_t regex_match_limit = 20'000;  // internal calls of one match
inline constexpr std::uint32_t regex_depth_limit = 2'000;   // nested backtracking
inline constexpr std::size_t regex_pattern_bytes_max = 8192;
inline constexpr std::uint32_t regex_groups_max = 16;  // looked at; the whole match is one

// What one worker needs to run any Regex; not shared between threads.
class RegexScratch {
 public:
  RegexScratch();
  RegexScratch(RegexScratch&&) noexcept;
  ~RegexScratch();
  std::uint64_t limit_hits = 0;  // matches cut off by a limit: taken as "no match"

 private:
  friend class Regex;
  struct State;
  std::unique_ptr<State> state_;
};

// Immutable, shared between threads.
class Regex {
 public:
  struct Flags {
    bool caseless = false, multiline = false, dotall = false, extended = false, anchored = false,
         dollar_endonly = false, ungreedy = false;
  };
  [[nodiscard]] static Result<Regex> compile(std::string_view pattern, Flags flags);
  Regex(Regex&&) noexcept;
  ~Regex();

  // The first match at or after `from` in `subject`; its begin and end.
  [[nodiscard]] std::optional<std::pair<std::size_t, std::size_t>> find(
      Bytes subject, std::size_t from, RegexScratch& scratch) const noexcept;
  // What the first group of the first match caught; nothing where it took no part.
  [[nodiscard]] std::optional<std::pair<std::size_t, std::size_t>> capture(
      Bytes subject, RegexScratch& scratch) const noexcept;
  // What the groups of the match at `from` caught, by their number, the whole match first; empty:
  // no match. Of a group that took no part: begin and end 0. At most regex_groups_max.
  [[nodiscard]] std::vector<std::pair<std::size_t, std::size_t>> groups_of(
      Bytes subject, std::size_t from, RegexScratch& scratch) const;
  [[nodiscard]] std::uint32_t groups() const noexcept;

 private:
  struct Code;
  explicit Regex(std::unique_ptr<Code> code);
  std::unique_ptr<Code> code_;
};

}  // namespace menshen::sensor
