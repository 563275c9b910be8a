#include "sensor/detect/content_match.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "sensor/detect/dataset.hpp"
#include "sensor/detect/literal_search.hpp"

namespace menshen::sensor {
namespace {

constexpr std::size_t npos = std::string_view::npos;

// The places where a content without variables and not relative to another one may stand.
struct Range {
  std::int64_t first = 0;  // it begins at or after
  std::int64_t last = 0;   // and ends at or before
};
Range range_of(const Content& content, const BufferView& buffer, std::int64_t offset,
               std::int64_t depth) noexcept {
  const auto skipped = static_cast<std::int64_t>(buffer.stream_offset);
  const auto length = static_cast<std::int64_t>(content.pattern.size());
  Range range{std::max<std::int64_t>(0, offset - skipped),
              static_cast<std::int64_t>(buffer.bytes.size())};
  if (content.startswith) range.last = std::min(range.last, length - skipped);
  if (content.depth) range.last = std::min(range.last, offset + depth - skipped);
  return range;
}

bool has_fixed_place(const Content& content) noexcept {
  const auto varies = [](const std::optional<Operand>& operand) {
    return operand && operand->variable >= 0;
  };
  return !content.distance && !content.within && !varies(content.offset) && !varies(content.depth);
}

std::size_t find_within(const Content& content, const BufferView& buffer, Range range,
                        std::size_t start) noexcept {
  const auto size = static_cast<std::int64_t>(buffer.bytes.size());
  const auto length = static_cast<std::int64_t>(content.pattern.size());
  if (content.endswith) {
    range.first = std::max(range.first, size - length);
    if (range.last < size) return npos;
  }
  range.first = std::max(range.first, static_cast<std::int64_t>(start));
  if (range.first < 0 || range.last > size || range.first + length > range.last) return npos;
  return find_pattern(as_text(buffer.bytes), content, static_cast<std::size_t>(range.first),
                      static_cast<std::size_t>(range.last));
}

// Whether the content stands somewhere at or after `start`, wherever earlier tests end.
bool anywhere(const Content& content, const BufferView& buffer, std::size_t start) noexcept {
  if (!has_fixed_place(content)) {
    const std::string_view text = as_text(buffer.bytes);
    return find_pattern(text, content, std::min(start, text.size()), text.size()) != npos;
  }
  const Range range = range_of(content, buffer, content.offset ? content.offset->value : 0,
                               content.depth ? content.depth->value : 0);
  return find_within(content, buffer, range, start) != npos;
}

class Matcher {
 public:
  Matcher(const BufferView& buffer, MatchScratch& scratch,
          std::vector<ReplacedPlace>* replaced = nullptr)
      : buffer_(buffer), scratch_(scratch), replaced_(replaced) {}

  bool run(const std::vector<Test>& tests) {
    scratch_.absent = first_absent(tests);
    if (scratch_.absent) return false;
    const auto* only = tests.size() == 1 ? std::get_if<Content>(&tests[0].what) : nullptr;
    const bool alone = only != nullptr && !only->negated && has_fixed_place(*only);
    if (alone && replaced_ == nullptr) return true;
    const std::size_t captured = scratch_.captured.size();
    const bool holds = from(tests, 0, 0);
    if (!holds) scratch_.captured.resize(captured);
    scratch_.absent.reset();  // that of tests on decoded bytes is another one
    return holds;
  }

 private:
  // Places and expressions are only tried where all contents are there.
  [[nodiscard]] std::optional<std::size_t> first_absent(const std::vector<Test>& tests) const {
    for (std::size_t i = 0; i < tests.size(); ++i) {
      const auto* content = std::get_if<Content>(&tests[i].what);
      if (content != nullptr && !content->negated && !anywhere(*content, buffer_, 0)) return i;
    }
    return std::nullopt;
  }

  // Whether the tests from `index` on hold, the last match having ended at `end`.
  bool from(const std::vector<Test>& tests, std::size_t index, std::size_t end) {
    for (; index < tests.size(); ++index) {
      if (++steps_ > inspection_steps_max) {
        if (steps_ == inspection_steps_max + 1) ++scratch_.limit_hits;
        give_up_ = true;
        return false;
      }
      const Test& test = tests[index];
      if (const auto* content = std::get_if<Content>(&test.what)) {
        if (content->negated) {
          if (find(*content, end, 0) != npos) return false;
          continue;
        }
        if (test.relative_next) return try_places(tests, index, *content, end);
        const std::size_t place = find(*content, end, 0);
        if (place == npos) return false;
        note_replaced(*content, place);
        end = place + content->pattern.size();
        continue;
      }
      if (const auto* regex = std::get_if<RegexTest>(&test.what)) {
        if (test.relative_next && !regex->negated)
          return try_expressions(tests, index, *regex, end);
        const auto match = expression(*regex, end, 0);
        if (match.has_value() == regex->negated) return false;
        if (match) end = match->second;
        if (match && !regex->captures.empty()) keep_captures(*regex, *match);
        continue;
      }
      if (!single(test, end)) return false;
    }
    return true;
  }

  bool try_places(const std::vector<Test>& tests, std::size_t index, const Content& content,
                  std::size_t end) {
    const std::size_t noted = replaced_ == nullptr ? 0 : replaced_->size();
    const std::size_t captured = scratch_.captured.size();
    for (std::size_t start = 0;;) {
      const std::size_t place = find(content, end, start);
      if (place == npos) return false;
      forget_replaced(noted);
      scratch_.captured.resize(captured);
      note_replaced(content, place);
      if (from(tests, index + 1, place + content.pattern.size())) return true;
      if (give_up_) return false;
      start = place + 1;
    }
  }

  bool try_expressions(const std::vector<Test>& tests, std::size_t index, const RegexTest& regex,
                       std::size_t end) {
    const std::size_t noted = replaced_ == nullptr ? 0 : replaced_->size();
    const std::size_t captured = scratch_.captured.size();
    for (std::size_t start = 0;;) {
      const auto match = expression(regex, end, start);
      if (!match) return false;
      forget_replaced(noted);
      scratch_.captured.resize(captured);
      if (!regex.captures.empty()) keep_captures(regex, *match);
      if (from(tests, index + 1, match->second)) return true;
      if (give_up_ || ++steps_ > inspection_steps_max) return false;
      start = match->first + 1 - (regex.relative ? end : 0);
    }
  }

  void keep_captures(const RegexTest& regex, std::pair<std::size_t, std::size_t> match) {
    const auto groups = regex.regex->groups_of(buffer_.bytes, match.first, scratch_.regex);
    for (const Capture& capture : regex.captures) {
      if (capture.group >= groups.size() || scratch_.captured.size() == captured_max) continue;
      const auto [begin, end] = groups[capture.group];
      const std::size_t length = std::min(end - begin, captured_bytes_max);
      scratch_.captured.push_back(
          {&capture, std::string(as_text(buffer_.bytes.subspan(begin, length)))});
    }
  }
  void note_replaced(const Content& content, std::size_t place) {
    if (replaced_ == nullptr || content.replacement.empty()) return;
    replaced_->push_back({place, content.replacement});
  }
  // Those that were noted on a way that led nowhere.
  void forget_replaced(std::size_t noted) {
    if (replaced_ != nullptr) replaced_->resize(noted);
  }

  // Where in the buffer; `start` counts from where the search begins.
  std::optional<std::pair<std::size_t, std::size_t>> expression(const RegexTest& regex,
                                                                std::size_t end,
                                                                std::size_t start) {
    const std::size_t base = regex.relative ? end : 0;
    auto match = regex.regex->find(buffer_.bytes.subspan(base), start, scratch_.regex);
    if (match) match = std::pair{match->first + base, match->second + base};
    return match;
  }

  [[nodiscard]] std::int64_t value(const Operand& operand) const {
    if (operand.variable < 0) return operand.value;
    return static_cast<std::int64_t>(std::min<std::uint64_t>(
        scratch_.variables[static_cast<std::size_t>(operand.variable)], INT32_MAX));
  }

  // The first place at or after `start` that the content's modifiers allow.
  std::size_t find(const Content& content, std::size_t end, std::size_t start) const {
    if (!content.distance && !content.within) {
      const Range range = range_of(content, buffer_, content.offset ? value(*content.offset) : 0,
                                   content.depth ? value(*content.depth) : 0);
      return find_within(content, buffer_, range, start);
    }
    const auto from =
        static_cast<std::int64_t>(end) + (content.distance ? value(*content.distance) : 0);
    Range range{std::max<std::int64_t>(0, from), static_cast<std::int64_t>(buffer_.bytes.size())};
    if (content.within) range.last = std::min(range.last, from + value(*content.within));
    return find_within(content, buffer_, range, start);
  }

  // Tests with one answer; `end` moves where they say so.
  bool single(const Test& test, std::size_t& end) {
    return std::visit(
        [&](const auto& what) {
          using T = std::decay_t<decltype(what)>;
          if constexpr (std::is_same_v<T, Content> || std::is_same_v<T, RegexTest>) {
            return false;  // handled by from()
          } else {
            return holds(what, end);
          }
        },
        test.what);
  }

  bool holds(const IsDataAt& at, std::size_t& end) const {
    const auto size = static_cast<std::int64_t>(buffer_.bytes.size());
    const std::int64_t place = value(at.position);
    const bool there = at.relative ? static_cast<std::int64_t>(end) + place <= size : place < size;
    return there != at.negated;
  }

  bool holds(const DatasetTest& test, std::size_t&) const {
    using Operation = DatasetTest::Operation;
    switch (test.operation) {
      case Operation::set:
        return test.set->add(buffer_.bytes);
      case Operation::unset:
        return test.set->remove(buffer_.bytes);
      case Operation::is_set:
        return test.set->contains(buffer_.bytes);
      case Operation::is_not_set:
        return !test.set->contains(buffer_.bytes);
      case Operation::reputation:
        break;
    }
    const auto reputation = test.set->reputation(buffer_.bytes);
    return reputation && test.reputation.contains(*reputation);
  }

  bool holds(const SizeTest& size, std::size_t&) const {
    return size.size.contains(buffer_.bytes.size());
  }
  bool holds(const Absent& absent, std::size_t&) const {
    return absent.or_else;
  }  // the buffer is there

  bool holds(const Entropy& entropy, std::size_t&) const {
    const auto whole = buffer_.bytes;
    if (entropy.offset >= whole.size()) return false;
    const auto length = entropy.bytes == 0
                            ? whole.size() - entropy.offset
                            : std::min<std::size_t>(entropy.bytes, whole.size() - entropy.offset);
    std::array<std::uint32_t, 256> counts{};
    for (const std::byte b : whole.subspan(entropy.offset, length))
      ++counts[std::to_integer<std::size_t>(b)];
    double bits = 0;
    for (const auto count : counts) {
      if (count == 0) continue;
      const double share = static_cast<double>(count) / static_cast<double>(length);
      bits -= share * std::log2(share);
    }
    return entropy.thousandths.contains(static_cast<std::uint64_t>(bits * 1000));
  }

  // The number that `at` names and the place behind it.
  std::optional<std::uint64_t> number(const NumberAt& at, std::size_t end,
                                      std::size_t& behind) const {
    const std::int64_t place =
        (at.relative ? static_cast<std::int64_t>(end) : 0) + value(at.offset);
    const std::int64_t bytes = value(at.bytes);
    const auto size = static_cast<std::int64_t>(buffer_.bytes.size());
    const bool text = at.base != 0;
    if (place < 0 || bytes < 0 || bytes > (text ? 23 : 8) || place > size) return std::nullopt;
    // Digits may end before the wanted number of bytes does, at the buffer's end too.
    if (!text && place + bytes > size) return std::nullopt;
    const auto field = buffer_.bytes.subspan(
        static_cast<std::size_t>(place), static_cast<std::size_t>(std::min(bytes, size - place)));
    std::uint64_t result = 0;
    behind = static_cast<std::size_t>(place) + field.size();
    if (text) {
      const auto digits = parse_digits(as_text(field), at.base);
      if (!digits) return std::nullopt;
      result = *digits;
    } else {
      const bool little =
          at.endian == Endian::little || (at.endian == Endian::dce && scratch_.little_endian);
      for (std::size_t i = 0; i < field.size(); ++i) {
        const auto byte = std::to_integer<std::uint64_t>(field[little ? field.size() - 1 - i : i]);
        result = result << 8U | byte;
      }
    }
    if (at.bitmask != 0)
      result = (result & at.bitmask) >> static_cast<unsigned>(std::countr_zero(at.bitmask));
    return result;
  }

  static std::optional<std::uint64_t> parse_digits(std::string_view text, unsigned base) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    if (base == 16 && (text.starts_with("0x") || text.starts_with("0X"))) text.remove_prefix(2);
    std::uint64_t value = 0;
    const auto [stop, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, static_cast<int>(base));
    if (error != std::errc{}) return std::nullopt;
    return value;
  }

  bool holds(const ByteTest& test, std::size_t& end) const {
    std::size_t behind = 0;
    const auto found = number(test.number, end, behind);
    if (!found) return false;
    const auto wanted = test.value.variable < 0
                            ? static_cast<std::uint64_t>(test.value.value)
                            : scratch_.variables[static_cast<std::size_t>(test.value.variable)];
    bool answer = false;
    switch (test.comparison) {
      case Comparison::equal:
        answer = *found == wanted;
        break;
      case Comparison::not_equal:
        answer = *found != wanted;
        break;
      case Comparison::less:
        answer = *found < wanted;
        break;
      case Comparison::less_equal:
        answer = *found <= wanted;
        break;
      case Comparison::greater:
        answer = *found > wanted;
        break;
      case Comparison::greater_equal:
        answer = *found >= wanted;
        break;
      case Comparison::bit_and:
        answer = (*found & wanted) != 0;
        break;
      case Comparison::bit_or:
        answer = (*found ^ wanted) != 0;
        break;
    }
    return answer != test.negated;
  }

  bool holds(const ByteJump& jump, std::size_t& end) const {
    std::size_t behind = 0;
    const auto found = number(jump.number, end, behind);
    if (!found || *found > UINT32_MAX) return false;
    std::uint64_t length = *found * jump.multiplier;
    if (jump.align) length = (length + 3U) & ~std::uint64_t{3};
    const auto size = static_cast<std::int64_t>(buffer_.bytes.size());
    std::int64_t target = static_cast<std::int64_t>(length) + value(jump.post_offset);
    if (jump.from == ByteJump::From::here) target += static_cast<std::int64_t>(behind);
    if (jump.from == ByteJump::From::end) target += size;
    if (target < 0 || target >= size) return false;
    end = static_cast<std::size_t>(target);
    return true;
  }

  bool holds(const ByteExtract& extract, std::size_t& end) {
    std::size_t behind = 0;
    const auto found = number(extract.number, end, behind);
    if (!found) return false;
    std::uint64_t result = *found * extract.multiplier;
    if (extract.align != 0) result = (result + extract.align - 1) / extract.align * extract.align;
    scratch_.variables[static_cast<std::size_t>(extract.variable)] = result;
    end = behind;
    return true;
  }

  bool holds(const ByteMath& math, std::size_t& end) {
    std::size_t behind = 0;
    const auto found = number(math.number, end, behind);
    if (!found) return false;
    const auto right = math.operand.variable < 0
                           ? static_cast<std::uint64_t>(math.operand.value)
                           : scratch_.variables[static_cast<std::size_t>(math.operand.variable)];
    std::uint64_t result = *found;
    switch (math.operation) {
      case ByteMath::Operation::add:
        result += right;
        break;
      case ByteMath::Operation::subtract:
        result -= right;
        break;
      case ByteMath::Operation::multiply:
        result *= right;
        break;
      case ByteMath::Operation::divide:
        if (right == 0) return false;
        result /= right;
        break;
      case ByteMath::Operation::shift_left:
        result = right < 64 ? result << right : 0;
        break;
      case ByteMath::Operation::shift_right:
        result = right < 64 ? result >> right : 0;
        break;
    }
    scratch_.variables[static_cast<std::size_t>(math.variable)] = result;
    end = behind;
    return true;
  }

  bool holds(const Asn1Test& test, std::size_t& end) const {
    const std::int64_t place = (test.relative ? static_cast<std::int64_t>(end) : 0) + test.offset;
    if (place < 0 || place >= static_cast<std::int64_t>(buffer_.bytes.size())) return false;
    return asn1_suspicious(buffer_.bytes.subspan(static_cast<std::size_t>(place)), test.checks);
  }

  bool holds(const Base64Decode& decode, std::size_t& end) {
    const std::int64_t place =
        (decode.relative ? static_cast<std::int64_t>(end) : 0) + value(decode.offset);
    if (place < 0 || place >= static_cast<std::int64_t>(buffer_.bytes.size())) return false;
    auto input = buffer_.bytes.subspan(static_cast<std::size_t>(place));
    if (decode.bytes != 0) input = input.first(std::min<std::size_t>(decode.bytes, input.size()));
    std::string decoded;
    if (!decode_base64(input, Base64Mode::rfc4648, 65'535, decoded)) return false;
    return Matcher({as_bytes(decoded), 0}, scratch_).run(decode.tests);
  }

  BufferView buffer_;
  MatchScratch& scratch_;
  std::vector<ReplacedPlace>* replaced_;
  std::uint32_t steps_ = 0;
  bool give_up_ = false;
};

}  // namespace

std::size_t find_pattern(std::string_view text, const Content& content, std::size_t from,
                         std::size_t to) noexcept {
  const std::size_t found =
      find_literal(text.substr(0, to).substr(from), content.pattern, content.nocase);
  return found == npos ? npos : found + from;
}

bool appears(const Content& content, Bytes buffer, std::size_t searched) noexcept {
  const std::size_t again = std::min(searched, content.pattern.size() - 1);
  return anywhere(content, {buffer, 0}, searched - again);
}

bool match_tests(const std::vector<Test>& tests, const BufferView& buffer, MatchScratch& scratch) {
  return Matcher(buffer, scratch).run(tests);
}

std::vector<ReplacedPlace> find_replaced(const std::vector<Test>& tests, const BufferView& buffer,
                                         MatchScratch& scratch) {
  std::vector<ReplacedPlace> replaced;
  if (!Matcher(buffer, scratch, &replaced).run(tests)) replaced.clear();
  return replaced;
}

}  // namespace menshen::sensor
