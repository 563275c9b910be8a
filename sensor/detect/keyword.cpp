#include "sensor/detect/keyword.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "base/ascii.hpp"

namespace menshen::sensor {

// ---- draft --------------------------------------------------------------------------------------

void RuleDraft::open_buffer(BufferRef buffer, bool many_instances) {
  open_ = buffer;
  opened_ = buffer.kind != BufferKind::payload;
  many_ = many_instances;
  nested_ = false;
  list_ = -1;
  transforms_.clear();
}

// After tests a transform opens the buffer anew, as it then is.
Result<void> RuleDraft::add_transform(Transform transform) {
  if (!opened_ || nested_) {
    return invalid("变换须用于粘滞缓冲区", "a transform needs a sticky buffer");
  }
  list_ = -1;
  transforms_.push_back(std::move(transform));
  return {};
}

Result<void> RuleDraft::open_base64() {
  if (base64_.list < 0) return invalid("此前没有 base64_decode", "no base64_decode before it");
  nested_ = true;
  return {};
}

std::vector<Test>* RuleDraft::tests_at(const Place& place) {
  if (place.list < 0) return nullptr;
  auto& tests = rule.lists[static_cast<std::size_t>(place.list)].tests;
  if (!place.nested) return &tests;
  return &std::get<Base64Decode>(tests[static_cast<std::size_t>(base64_.test)].what).tests;
}

int RuleDraft::find_list(const BufferRef& buffer, const std::vector<Transform>& transforms,
                         bool fresh) {
  if (!fresh) {
    for (std::size_t i = 0; i < rule.lists.size(); ++i) {
      if (rule.lists[i].buffer == buffer && rule.lists[i].transforms == transforms) {
        return static_cast<int>(i);
      }
    }
  }
  TestList list;
  list.buffer = buffer;
  list.transforms = transforms;
  rule.lists.push_back(std::move(list));
  return static_cast<int>(rule.lists.size()) - 1;
}

void RuleDraft::add_test(Test test) {
  Place place;
  if (nested_) {
    place = {base64_.list, 0, true};
  } else if (!opened_ && test.relative() && last_.list >= 0) {
    place = last_;
  } else {
    if (list_ < 0) list_ = find_list(open_, transforms_, many_);
    place = {list_, 0, false};
  }
  const bool is_content = std::holds_alternative<Content>(test.what);
  const bool is_base64 = std::holds_alternative<Base64Decode>(test.what);
  auto& tests = *tests_at(place);
  tests.push_back(std::move(test));
  place.test = static_cast<int>(tests.size()) - 1;
  last_ = place;
  if (is_content) content_ = place;
  if (is_base64) base64_ = place;
}

void RuleDraft::add_test_in(BufferRef buffer, Test test) {
  const int list = find_list(buffer, {}, false);
  auto& tests = rule.lists[static_cast<std::size_t>(list)].tests;
  tests.push_back(std::move(test));
  last_ = {list, static_cast<int>(tests.size()) - 1, false};
  if (opened_ && list_ < 0 && open_ == buffer && transforms_.empty()) list_ = list;
}

Content* RuleDraft::last_content() {
  auto* tests = tests_at(content_);
  return tests == nullptr
             ? nullptr
             : &std::get<Content>((*tests)[static_cast<std::size_t>(content_.test)].what);
}

Result<void> RuleDraft::move_last_content(BufferRef buffer) {
  auto* tests = tests_at(content_);
  if (tests == nullptr) return invalid("此前没有 content", "no content before it");
  if (opened_ || content_.nested ||
      rule.lists[static_cast<std::size_t>(content_.list)].buffer.kind != BufferKind::payload) {
    return invalid("该修饰符不能与粘滞缓冲区混用",
                   "this modifier cannot be used within a sticky buffer, nor twice");
  }
  Test test = std::move((*tests)[static_cast<std::size_t>(content_.test)]);
  tests->erase(tests->begin() + content_.test);
  const bool emptied = tests->empty();
  const int from = content_.list;
  int to = find_list(buffer, {}, false);
  if (emptied) {
    rule.lists.erase(rule.lists.begin() + from);
    if (to > from) --to;
    list_ = -1;
  }
  auto& target = rule.lists[static_cast<std::size_t>(to)].tests;
  target.push_back(std::move(test));
  content_ = last_ = {to, static_cast<int>(target.size()) - 1, false};
  return {};
}

std::uint64_t RuleDraft::named(std::string_view name) {
  const std::uint64_t hash = hash_name(name);
  rule.names.emplace_back(hash, name);
  return hash;
}

Result<Operand> RuleDraft::operand(std::string_view text) const {
  if (const auto number = parse_signed(text)) return Operand{*number, -1};
  const auto found = variables_.find(text);
  if (found == variables_.end()) {
    return invalid(fmt::format("既非数字，也非已提取的变量：\"{}\"", text),
                   fmt::format("neither a number nor an extracted variable: \"{}\"", text));
  }
  return Operand{0, found->second};
}

Result<int> RuleDraft::new_variable(std::string_view name) {
  if (const auto found = variables_.find(name); found != variables_.end()) return found->second;
  if (rule.variables == rule_variables_max) return invalid("变量过多", "too many variables");
  const auto valid = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  if (name.empty() || (name[0] >= '0' && name[0] <= '9') ||
      !std::all_of(name.begin(), name.end(), valid)) {
    return invalid_value(name);
  }
  variables_.emplace(name, rule.variables);
  return rule.variables++;
}

// ---- table --------------------------------------------------------------------------------------

namespace {

const std::unordered_map<std::string_view, const Keyword*>& keyword_index() {
  static const auto index = [] {
    std::unordered_map<std::string_view, const Keyword*> map;
    for (const auto part :
         {meta_keywords(), content_keywords(), byte_keywords(), buffer_keywords(), field_keywords(),
          transform_keywords(), file_keywords(), header_keywords(), network_keywords(),
          service_keywords(), state_keywords(), dataset_keywords(), protocol_keywords(),
          web_keywords(), reputation_keywords()}) {
      for (const Keyword& keyword : part) map.emplace(keyword.name, &keyword);
    }
    return map;
  }();
  return index;
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

}  // namespace

const Keyword* find_keyword(std::string_view name) {
  const auto& index = keyword_index();
  const auto found = index.find(name);
  return found == index.end() ? nullptr : found->second;
}

std::vector<std::string_view> keyword_names() {
  std::vector<std::string_view> names;
  for (const auto& [name, keyword] : keyword_index()) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

// ---- text ---------------------------------------------------------------------------------------

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  if (trim(text).empty()) return parts;
  while (true) {
    const auto at = text.find(separator);
    parts.push_back(trim(text.substr(0, at)));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && !is_blank(text[i])) continue;
    if (i > begin) parts.push_back(text.substr(begin, i - begin));
    begin = i + 1;
  }
  return parts;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::int64_t> parse_signed(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const auto value = parse_number(text);
  if (!value || *value > INT64_MAX) return std::nullopt;
  return negative ? -static_cast<std::int64_t>(*value) : static_cast<std::int64_t>(*value);
}

namespace {

std::optional<std::uint64_t> parse_scaled(std::string_view text) {
  std::uint64_t factor = 1;
  static constexpr std::pair<std::string_view, std::uint64_t> units[] = {
      {"kib", 1U << 10U}, {"mib", 1U << 20U}, {"gib", 1U << 30U},
      {"kb", 1U << 10U},  {"mb", 1U << 20U},  {"gb", 1U << 30U},
      {"k", 1U << 10U},   {"m", 1U << 20U},   {"g", 1U << 30U}};
  std::string lower = ascii_lower(text);
  for (const auto& [unit, scale] : units) {
    if (lower.starts_with("0x") || !lower.ends_with(unit)) continue;
    factor = scale;
    lower.resize(lower.size() - unit.size());
    break;
  }
  const auto value = parse_number(trim(lower));
  if (!value || *value > UINT64_MAX / factor) return std::nullopt;
  return *value * factor;
}

}  // namespace

Result<NumberRange> parse_range(std::string_view text, std::uint64_t max) {
  using Kind = NumberRange::Kind;
  const std::string_view whole = text;
  text = trim(text);
  NumberRange range;
  bool negated = false;
  static constexpr std::pair<std::string_view, Kind> operators[] = {
      {"<=", Kind::less_equal}, {">=", Kind::greater_equal}, {"!=", Kind::not_equal},
      {"<", Kind::less},        {">", Kind::greater},        {"=", Kind::equal},
      {"!", Kind::not_equal}};
  for (const auto& [sign, kind] : operators) {
    if (!text.starts_with(sign)) continue;
    text = trim(text.substr(sign.size()));
    range.kind = kind;
    negated = kind == Kind::not_equal;
    break;
  }
  auto middle = text.find("<>");
  std::size_t width = 2;
  if (middle == std::string_view::npos) {
    middle = text.find('-');
    width = 1;
  }
  if (middle != std::string_view::npos) {
    const auto first = parse_scaled(trim(text.substr(0, middle)));
    const auto second = parse_scaled(trim(text.substr(middle + width)));
    const bool bounded = range.kind == Kind::equal || negated;
    if (!first || !second || !bounded || *first >= *second || *second > max)
      return invalid_value(whole);
    return NumberRange{negated ? Kind::not_between : Kind::between, *first, *second};
  }
  const auto value = parse_scaled(text);
  if (!value || *value > max) return invalid_value(whole);
  range.first = *value;
  return range;
}

std::optional<std::string_view> unquote(std::string_view text) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return std::nullopt;
  return text.substr(1, text.size() - 2);
}

Result<std::string> parse_pattern(std::string_view text) {
  std::string bytes;
  bool hex = false;
  int high = -1;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '|') {
      if (high >= 0) return invalid("十六进制位数为奇数", "odd number of hexadecimal digits");
      hex = !hex;
    } else if (hex) {
      if (is_blank(c)) continue;
      const int digit = hex_digit(c);
      if (digit < 0)
        return invalid("|...| 内只能是十六进制数",
                       "only hexadecimal digits may stand between | and |");
      if (high < 0) {
        high = digit;
      } else {
        bytes.push_back(static_cast<char>(high * 16 + digit));
        high = -1;
      }
    } else if (c == '\\') {
      if (++i == text.size() ||
          std::string_view("\"\\;:").find(text[i]) == std::string_view::npos) {
        return invalid("反斜杠后只能是 \" \\ ; :", "only \" \\ ; : may follow a backslash");
      }
      bytes.push_back(text[i]);
    } else if (c == '"') {
      return invalid("引号须转义", "a quote must be escaped");
    } else {
      bytes.push_back(c);
    }
  }
  if (hex) return invalid("缺少结尾的 |", "the closing | is missing");
  if (bytes.empty()) return invalid("空的匹配内容", "an empty pattern");
  return bytes;
}

std::uint64_t hash_name(std::string_view name) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

tl::unexpected<Error> invalid(std::string zh, std::string en) {
  return fail(ErrorCode::invalid, {std::move(zh), std::move(en)});
}

tl::unexpected<Error> invalid_value(std::string_view value) {
  return invalid(fmt::format("值无效：\"{}\"", value), fmt::format("invalid value: \"{}\"", value));
}

}  // namespace menshen::sensor
