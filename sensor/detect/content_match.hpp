// Evaluates a rule's tests on one buffer: the contents with their places, expressions, numbers.
//
// Semantics of the Suricata rule language: a test that is relative to the one before it makes that
// one try its further places; one that is not does not. Work is bounded: inspection_steps_max tests
// per list, and a search of one content is linear in the buffer.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/byte_reader.hpp"
#include "sensor/detect/rule.hpp"
#include "sensor/detect/transform.hpp"

namespace menshen::sensor {

inline constexpr std::uint32_t inspection_steps_max = 3000;

// What a worker needs to evaluate; reused, never shared.
struct MatchScratch {
  RegexScratch regex;
  TransformScratch transforms;
  std::array<std::uint64_t, rule_variables_max> variables{};
  bool little_endian = true;     // the transaction's numbers, for Endian::dce
  std::uint64_t limit_hits = 0;  // lists given up at inspection_steps_max: taken as "no match"
  // After match_tests() said no: the content (its place among the tests) that stands nowhere in the
  // buffer where it could. Until it does, the answer stays no.
  std::optional<std::size_t> absent;
  // What expressions with captures caught in the lists that held, the oldest first; the caller
  // clears it before each rule. At most captured_max.
  struct Captured {
    const Capture* capture = nullptr;
    std::string value;  // cut to captured_bytes_max
  };
  std::vector<Captured> captured;
};
inline constexpr std::size_t captured_max = 64;
inline constexpr std::size_t captured_bytes_max = 256;

struct BufferView {
  Bytes bytes;
  // Where `bytes` begins in its stream: absolute places (offset, depth) count from the stream's
  // beginning.
  std::uint64_t stream_offset = 0;
};

[[nodiscard]] bool match_tests(const std::vector<Test>& tests, const BufferView& buffer,
                               MatchScratch& scratch);

// The same, and where the contents with a replacement stand; empty if the tests do not hold.
struct ReplacedPlace {
  std::size_t place = 0;
  std::string_view replacement;  // the rule's
};
[[nodiscard]] std::vector<ReplacedPlace> find_replaced(const std::vector<Test>& tests,
                                                       const BufferView& buffer,
                                                       MatchScratch& scratch);

// Whether `content` may stand in the buffer now, which has grown since it was found absent from its
// first `searched` bytes. Linear in what is new.
[[nodiscard]] bool appears(const Content& content, Bytes buffer, std::size_t searched) noexcept;

// The first place of `content`'s pattern in [from, to), or npos. Linear.
[[nodiscard]] std::size_t find_pattern(std::string_view text, const Content& content,
                                       std::size_t from, std::size_t to) noexcept;

}  // namespace menshen::sensor
