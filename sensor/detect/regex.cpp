#include "sensor/detect/regex.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/handle.hpp"

namespace menshen::sensor {

using Pcre2Code = Handle<pcre2_code, &pcre2_code_free>;
using Pcre2MatchData = Handle<pcre2_match_data, &pcre2_match_data_free>;
using Pcre2MatchContext = Handle<pcre2_match_context, &pcre2_match_context_free>;

struct RegexScratch::State {
  Pcre2MatchData data{pcre2_match_data_create(2, nullptr)};
  Pcre2MatchContext context{pcre2_match_context_create(nullptr)};
};

RegexScratch::RegexScratch() : state_(std::make_unique<State>()) {
  pcre2_set_match_limit(state_->context.get(), regex_match_limit);
  pcre2_set_depth_limit(state_->context.get(), regex_depth_limit);
}
RegexScratch::RegexScratch(RegexScratch&&) noexcept = default;
RegexScratch::~RegexScratch() = default;

struct Regex::Code {
  Pcre2Code code;
};

Regex::Regex(std::unique_ptr<Code> code) : code_(std::move(code)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex::~Regex() = default;

Result<Regex> Regex::compile(std::string_view pattern, Flags flags) {
  if (pattern.size() > regex_pattern_bytes_max) {
    return fail(ErrorCode::limit, {"正则表达式过长", "the regular expression is too long"});
  }
  std::uint32_t options = 0;
  if (flags.caseless) options |= PCRE2_CASELESS;
  if (flags.multiline) options |= PCRE2_MULTILINE;
  if (flags.dotall) options |= PCRE2_DOTALL;
  if (flags.extended) options |= PCRE2_EXTENDED;
  if (flags.anchored) options |= PCRE2_ANCHORED;
  if (flags.dollar_endonly) options |= PCRE2_DOLLAR_ENDONLY;
  if (flags.ungreedy) options |= PCRE2_UNGREEDY;
  int error = 0;
  PCRE2_SIZE where = 0;
  Pcre2Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                               options, &error, &where, nullptr));
  if (!code) {
    std::array<PCRE2_UCHAR, 256> text{};
    pcre2_get_error_message(error, text.data(), text.size());
    const auto* message = reinterpret_cast<const char*>(text.data());
    return fail(ErrorCode::invalid,
                {fmt::format("正则表达式第 {} 字节处有误：{}", where, message),
                 fmt::format("regular expression, byte {}: {}", where, message)});
  }
  // Without JIT (memory that may not be executable) it is interpreted: same answers, slower.
  static_cast<void>(pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE));
  return Regex(std::make_unique<Code>(Code{std::move(code)}));
}

std::optional<std::pair<std::size_t, std::size_t>> Regex::find(
    Bytes subject, std::size_t from, RegexScratch& scratch) const noexcept {
  if (from > subject.size()) return std::nullopt;
  static constexpr PCRE2_UCHAR nothing = 0;
  const auto* text = subject.empty() ? &nothing : reinterpret_cast<PCRE2_SPTR>(subject.data());
  const int rc = pcre2_match(code_->code.get(), text, subject.size(), from, 0,
                             scratch.state_->data.get(), scratch.state_->context.get());
  if (rc < 0) {
    if (rc != PCRE2_ERROR_NOMATCH) ++scratch.limit_hits;
    return std::nullopt;
  }
  const PCRE2_SIZE* ovector = pcre2_get_ovector_pointer(scratch.state_->data.get());
  if (ovector[1] < ovector[0]) return std::nullopt;  // \K inside a look-ahead
  return std::pair{ovector[0], ovector[1]};
}

std::optional<std::pair<std::size_t, std::size_t>> Regex::capture(
    Bytes subject, RegexScratch& scratch) const noexcept {
  if (!find(subject, 0, scratch)) return std::nullopt;
  const PCRE2_SIZE* ovector = pcre2_get_ovector_pointer(scratch.state_->data.get());
  if (pcre2_get_ovector_count(scratch.state_->data.get()) < 2 || ovector[2] == PCRE2_UNSET ||
      ovector[3] < ovector[2]) {
    return std::nullopt;
  }
  return std::pair{ovector[2], ovector[3]};
}

std::vector<std::pair<std::size_t, std::size_t>> Regex::groups_of(Bytes subject, std::size_t from,
                                                                  RegexScratch& scratch) const {
  // Beside the match data that only tells where a match begins and ends, which is faster.
  Pcre2MatchData data{pcre2_match_data_create(regex_groups_max, nullptr)};
  std::vector<std::pair<std::size_t, std::size_t>> found;
  if (!data || subject.empty() || from > subject.size()) return found;
  const int rc = pcre2_match(code_->code.get(), reinterpret_cast<PCRE2_SPTR>(subject.data()),
                             subject.size(), from, 0, data.get(), scratch.state_->context.get());
  if (rc < 0) return found;
  const PCRE2_SIZE* ovector = pcre2_get_ovector_pointer(data.get());
  const std::uint32_t count = std::min(pcre2_get_ovector_count(data.get()), groups() + 1);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::size_t begin = ovector[std::size_t{2} * i];
    const std::size_t end = ovector[std::size_t{2} * i + 1];
    const bool took_part = begin != PCRE2_UNSET && begin <= end;
    found.emplace_back(took_part ? begin : 0, took_part ? end : 0);
  }
  return found;
}

std::uint32_t Regex::groups() const noexcept {
  std::uint32_t count = 0;
  static_cast<void>(pcre2_pattern_info(code_->code.get(), PCRE2_INFO_CAPTURECOUNT, &count));
  return count;
}

}  // namespace menshen::sensor
