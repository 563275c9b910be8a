#include "base/yaml.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <istream>
#include <streambuf>
#include <unordered_map>
#include <utility>

#include "base/text.hpp"

namespace menshen::yaml {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

// Reads a text in place; std::istringstream would copy it.
class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // the get area is never written to
    setg(begin, begin, begin + text.size());
  }
};

// Byte offsets to lines and columns. Neighbouring questions cost the distance between them, so that
// a long file on one line stays linear.
class Locator {
 public:
  explicit Locator(std::string_view source) : source_(source) {
    for (std::size_t at = source.find('\n'); at != std::string_view::npos;
         at = source.find('\n', at + 1)) {
      line_starts_.push_back(at + 1);
    }
  }

  [[nodiscard]] Position at(std::size_t offset) {
    offset = std::min(offset, source_.size());
    const auto next = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
    const auto line = static_cast<std::size_t>(next - line_starts_.begin());
    const std::size_t line_start = line_starts_[line - 1];
    if (known_.line != line) {
      known_ = {line, 1};
      known_offset_ = line_start;
    }
    if (offset >= known_offset_) {
      known_.column += count_code_points(source_.substr(known_offset_, offset - known_offset_));
    } else {
      known_.column -= count_code_points(source_.substr(offset, known_offset_ - offset));
    }
    known_offset_ = offset;
    return known_;
  }

 private:
  std::string_view source_;
  std::vector<std::size_t> line_starts_{0};
  Position known_{1, 1};
  std::size_t known_offset_ = 0;
};

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// The end of a quoted scalar that begins at `begin`: behind its closing quote, npos where there is
// none.
std::size_t quoted_end(std::string_view source, std::size_t begin) {
  const char quote = source[begin];
  for (std::size_t i = begin + 1; i < source.size(); ++i) {
    if (quote == '"' && source[i] == '\\') {
      ++i;
    } else if (source[i] == quote) {
      if (quote == '"' || source.substr(i + 1, 1) != "'") return i + 1;
      ++i;  // '' stands for one quote
    }
  }
  return std::string_view::npos;
}

bool is_quote(std::string_view source, std::size_t at) {
  return at < source.size() && (source[at] == '"' || source[at] == '\'');
}

// What of the scalar stands on the line where it begins.
std::size_t scalar_end(std::string_view source, std::size_t begin, std::string_view value) {
  if (begin >= source.size()) return begin;
  const std::size_t line_end = std::min(source.find_first_of("\r\n", begin), source.size());
  if (is_quote(source, begin)) return std::min(quoted_end(source, begin), line_end);
  const bool block = source[begin] == '|' || source[begin] == '>';
  if (!block && source.substr(begin, value.size()) == value) return begin + value.size();
  std::size_t end = block ? std::min(source.find_first_of(" \t", begin), line_end) : line_end;
  while (end > begin && is_blank(source[end - 1])) --end;
  return end;
}

Text describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::null:
      return {"空值", "nothing"};
    case Node::Kind::sequence:
      return {"列表", "a list"};
    case Node::Kind::map:
      return {"映射", "a map"};
    case Node::Kind::scalar:
      break;
  }
  constexpr std::size_t shown_bytes_max = 60;
  std::string shown = node.text;
  if (shown.size() > shown_bytes_max) {
    std::size_t end = 0;
    while (end < shown_bytes_max)
      end += first_code_point(std::string_view(shown).substr(end)).bytes;
    shown = shown.substr(0, end) + "…";
  }
  return {fmt::format("“{}”", shown), fmt::format("\"{}\"", shown)};
}

struct Stop {
};  // thrown through yaml-cpp, which has no other way to be stopped; a diagnostic says why

class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view source, Diagnostics& diagnostics)
      : source_(source), locator_(source), diagnostics_(diagnostics) {
    root_.range = {{1, 1}, {1, 1}};  // of a text without a value
  }

  [[nodiscard]] Node take_root() { return std::move(root_); }

  // Where yaml-cpp gave up: at what this layer refuses anyway (an alias of nothing), or at a
  // mistake.
  void fail_at(const YAML::Mark& mark, Text text) {
    const std::size_t offset = offset_of(mark);
    if (source_.substr(offset, 1) == "*") {
      refuse_alias(offset);
    } else {
      error("yaml-syntax", mark.pos < 0 ? SourceRange{} : range(offset, offset), std::move(text));
    }
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ == 1) return;
    const std::size_t begin = offset_of(mark);
    if (source_.substr(begin, 3) == "---") {
      error("second-document", range(begin, begin + 3),
            {"一个文件只能有一个 YAML 文档", "a file holds one YAML document"});
    } else {
      error("second-document", range(begin, begin + 1),
            {"文档已经结束，此后不应再有内容", "the document has ended; nothing may follow it"});
    }
    throw Stop{};
  }
  void OnDocumentEnd() override { tell_missing_colon(); }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    Node node;
    node.range = null_range(offset_of(mark));
    deliver(std::move(node));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Node node;
    node.kind =
        Node::Kind::scalar;  // stands for something: no second complaint about an empty value
    node.range = refuse_alias(offset_of(mark));
    deliver(std::move(node));
  }
  void OnAnchor(const YAML::Mark& mark, const std::string& name) override {
    std::size_t begin = source_.find('&' + name, offset_of(mark));
    if (begin == std::string_view::npos) begin = offset_of(mark);
    error("anchor", range(begin, begin + 1 + name.size()),
          {"不支持锚点（&）：请在用到处写出内容",
           "anchors (&) are not supported: write the content where it is used"});
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    tell_missing_colon();
    const std::size_t begin = offset_of(mark);
    const char first = begin < source_.size() ? source_[begin] : '\0';
    // yaml-cpp gives quoted scalars the tag "!", which is also how a person would write it.
    if ((tag != "?" && tag != "!") || first == '!') refuse_tag(begin);
    Node node;
    node.kind = Node::Kind::scalar;
    node.quoted = first == '"' || first == '\'' || first == '|' || first == '>';
    scalar_end_ = scalar_end(source_, begin, value);
    node.range = range(begin, scalar_end_);
    // yaml-cpp takes the end of the text for a closing quote if a line break stands before it.
    if (is_quote(source_, begin) && quoted_end(source_, begin) == std::string_view::npos) {
      error("yaml-syntax", node.range, {"引号没有闭合", "the closing quote is missing"});
    }
    if (value.find('\0') != std::string::npos) {
      error("control-character", node.range,
            {"不允许空字符（\\0）", "a NUL character is not allowed"});
    }
    node.text = value;
    deliver(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(Node::Kind::sequence, mark, tag);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    open(Node::Kind::map, mark, tag);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Node node;
    bool has_key = false;
    bool drop_value = false;  // its key was refused
    Node::Entry entry;        // being read: its value comes next
    std::unordered_map<std::string, SourceRange> keys;
  };

  void error(std::string code, SourceRange where, Text text, std::vector<Note> notes = {}) {
    diagnostics_.error(std::move(code), where, std::move(text), std::move(notes));
  }

  [[nodiscard]] std::size_t offset_of(const YAML::Mark& mark) const {
    return mark.pos < 0 ? source_.size()
                        : std::min(static_cast<std::size_t>(mark.pos), source_.size());
  }

  // Both ends on one line: [begin, end) never holds a line break.
  [[nodiscard]] SourceRange range(std::size_t begin, std::size_t end) {
    const Position first = locator_.at(begin);
    end = std::min(end, source_.size());
    const std::size_t width =
        end > begin ? count_code_points(source_.substr(begin, end - begin)) : 0;
    return {first, {first.line, first.column + width}};
  }

  // A null that is not written has the mark of whatever token comes next, so its own place is found
  // here.
  [[nodiscard]] SourceRange null_range(std::size_t offset) {
    for (const std::string_view word : {"null", "Null", "NULL", "~"}) {
      if (source_.substr(offset, word.size()) == word) return range(offset, offset + word.size());
    }
    if (!stack_.empty() && stack_.back().has_key) {
      const Position after = stack_.back().entry.key_range.end;
      return {after, {after.line, after.column + 1}};
    }
    while (offset > 0 && is_blank(source_[offset - 1])) --offset;
    return offset > 0 ? range(offset - 1, offset) : range(0, 0);
  }

  SourceRange refuse_alias(std::size_t begin) {
    scalar_end_ = std::min(source_.find_first_of(" \t\r\n,]}", begin), source_.size());
    const SourceRange where = range(begin, scalar_end_);
    error("alias", where,
          {"不支持别名（*）：请写出内容", "aliases (*) are not supported: write the content out"});
    return where;
  }

  void refuse_tag(std::size_t begin) {
    const std::size_t end = std::min(source_.find_first_of(" \t\r\n", begin), source_.size());
    error("tag", range(begin, end), {"不支持标签（!）", "tags (!) are not supported"});
  }

  void open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag) {
    tell_missing_colon();
    const std::size_t begin = offset_of(mark);
    if (!tag.empty() && tag != "?") refuse_tag(begin);
    if (stack_.size() == yaml_depth_max) {
      error("too-deep", range(begin, begin + 1),
            {fmt::format("嵌套超过 {} 层", yaml_depth_max),
             fmt::format("nested deeper than {} levels", yaml_depth_max)});
      throw Stop{};
    }
    Frame& frame = stack_.emplace_back();
    frame.node.kind = kind;
    frame.node.range = range(begin, begin + 1);
  }

  void close() {
    Node node = std::move(stack_.back().node);
    stack_.pop_back();
    deliver(std::move(node));
  }

  void deliver(Node node) {
    if (++nodes_ > yaml_nodes_max) {
      error("too-many-nodes", node.range,
            {fmt::format("内容超过 {} 项", yaml_nodes_max),
             fmt::format("more than {} values", yaml_nodes_max)});
      throw Stop{};
    }
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = stack_.back();
    if (frame.node.is_sequence()) {
      frame.node.items.push_back(std::move(node));
    } else if (!frame.has_key) {
      take_key(frame, std::move(node));
    } else {
      frame.has_key = false;
      if (frame.drop_value) return;
      frame.entry.value = std::move(node);
      frame.node.entries.push_back(std::move(frame.entry));
    }
  }

  void take_key(Frame& frame, Node key) {
    frame.has_key = true;
    frame.drop_value = true;
    frame.entry = {key.text, key.range, {}};
    if (!key.is_scalar()) {
      const Text what = describe(key);
      error("key-not-scalar", key.range,
            {fmt::format("键必须是文本，这里是{}", what.zh),
             fmt::format("a key is a text, this is {}", what.en)});
      return;
    }
    if (!has_colon()) {
      missing_colon_ = std::move(key);
      return;
    }
    if (key.text == "<<" && !key.quoted) {
      error("merge-key", key.range,
            {"不支持合并键（<<）：请写出内容",
             "merge keys (<<) are not supported: write the content out"});
      return;
    }
    const auto [first, added] = frame.keys.emplace(key.text, key.range);
    if (!added) {
      error("duplicate-key", key.range,
            {fmt::format("键“{}”重复", key.text),
             fmt::format("the key \"{}\" is there twice", key.text)},
            {{{"首次出现在此", "first here"}, first->second}});
      return;
    }
    frame.drop_value = false;
  }

  // Not told at once: before an unclosed '[' or '{' ends the parse, yaml-cpp makes a key of the
  // last item.
  void tell_missing_colon() {
    if (!missing_colon_) return;
    const Node key = *std::exchange(missing_colon_, std::nullopt);
    error("missing-colon", key.range,
          {fmt::format("键“{}”之后缺少“:”", key.text),
           fmt::format("':' is missing after the key \"{}\"", key.text)});
  }

  // yaml-cpp also takes `key` and `? key` for a key, its value being nothing.
  [[nodiscard]] bool has_colon() const {
    const std::size_t next = source_.find_first_not_of(" \t", scalar_end_);
    return next != std::string_view::npos && source_[next] == ':';
  }

  std::string_view source_;
  Locator locator_;
  Diagnostics& diagnostics_;
  std::size_t scalar_end_ = 0;  // of the last scalar's part on its first line
  std::optional<Node> missing_colon_;
  std::vector<Frame> stack_;
  Node root_;
  std::size_t nodes_ = 0;
  std::size_t documents_ = 0;
};

struct Message {
  std::string_view original;
  Text text;
};

// yaml-cpp's messages in words for people who do not know its grammar.
Text explain(const std::string& original) {
  static const std::array messages = {
      Message{"illegal map value",
              {"此处不能有“:”：检查上一行的缩进，或给含冒号的文本加引号",
               "a ':' is not possible here: check the indentation above, or quote a text that has "
               "one"}},
      Message{"illegal map key",
              {"此处不能有键：检查缩进", "a key is not possible here: check the indentation"}},
      Message{"illegal block entry",
              {"此处不能有列表项（-）：检查缩进，或给“-”加引号",
               "a list item (-) is not possible here: check the indentation, or quote the '-'"}},
      Message{"illegal flow end", {"多余的括号", "a bracket that nothing has opened"}},
      Message{"end of sequence flow not found", {"缺少“]”", "']' is missing"}},
      Message{"end of map flow not found", {"缺少“}”", "'}' is missing"}},
      Message{"end of map not found",
              {"映射在此中断：检查缩进", "the map breaks off here: check the indentation"}},
      Message{"end of sequence not found",
              {"列表在此中断：检查缩进", "the list breaks off here: check the indentation"}},
      Message{"illegal EOF in scalar", {"引号没有闭合", "the closing quote is missing"}},
      Message{"illegal document indicator in scalar",
              {"引号没有闭合", "the closing quote is missing"}},
      Message{"illegal tab when looking for indentation",
              {"缩进只能用空格，不能用制表符", "indent with spaces, not tabs"}},
      Message{
          "unknown token",
          {"文本不能以此字符开头：请加引号", "a text cannot begin with this character: quote it"}},
  };
  const auto* known = std::find_if(messages.begin(), messages.end(),
                                   [&](const Message& m) { return m.original == original; });
  if (known != messages.end()) return known->text;
  return {fmt::format("YAML 语法错误（{}）", original), fmt::format("YAML syntax: {}", original)};
}

// yaml-cpp takes EOT for the end of the text, guesses at UTF-16 and replaces what is not UTF-8: all
// of that is refused here, before it sees the text. Also what would show a reader something else
// than the program gets.
bool check_characters(std::string_view source, Diagnostics& diagnostics) {
  bool good = true;
  Position at{1, 1};
  for (std::size_t i = 0; i < source.size(); ++at.column) {
    const CodePoint c = first_code_point(source.substr(i));
    const SourceRange here{at, {at.line, at.column + 1}};
    if (!c.valid) {
      diagnostics.error("not-utf8", here, {"文件不是 UTF-8 编码", "the text is not UTF-8"});
      return false;
    }
    const bool line_break = c.value == '\n' || (c.value == '\r' && source.substr(i + 1, 1) == "\n");
    if (is_control(c.value) && !line_break && c.value != '\t') {
      good = false;
      const auto number = static_cast<unsigned>(c.value);
      diagnostics.error("control-character", here,
                        {fmt::format("不允许控制字符或不可见字符 U+{:04X}", number),
                         fmt::format("control or invisible character U+{:04X}", number)});
    }
    i += c.bytes;
    if (c.value == '\n') at = {at.line + 1, 0};
  }
  return good;
}

// Directives change how the rest is read, or, between the lines of a document too, are dropped
// without a word.
bool check_directives(std::string_view source, Diagnostics& diagnostics) {
  for (std::size_t line = 1;; ++line) {
    const std::size_t size = source.find('\n');
    const std::string_view text = source.substr(0, size);
    if (text.substr(0, 1) == "%") {
      const std::size_t width =
          count_code_points(text.substr(0, text.find_last_not_of(" \t\r") + 1));
      diagnostics.error("directive", {{line, 1}, {line, 1 + width}},
                        {"行首不能是“%”（不支持 YAML 指令）",
                         "no line begins with '%' (YAML directives are not supported)"});
      return false;
    }
    if (size == std::string_view::npos) return true;
    source.remove_prefix(size + 1);
  }
}

void wrong_type(const Node& node, Text wanted, Diagnostics& diagnostics) {
  const Text found = describe(node);
  diagnostics.error("wrong-type", node.range,
                    {fmt::format("应为{}，这里是{}", wanted.zh, found.zh),
                     fmt::format("expected {}, found {}", wanted.en, found.en)});
}

bool is_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

const Node* Node::find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

std::optional<Node> parse(std::string_view source, Diagnostics& diagnostics) {
  const std::size_t errors_before = diagnostics.errors();
  if (source.size() > yaml_bytes_max) {
    diagnostics.error("too-long", {},
                      {fmt::format("文件超过 {} 字节", yaml_bytes_max),
                       fmt::format("the text is longer than {} bytes", yaml_bytes_max)});
    return std::nullopt;
  }
  if (source.substr(0, byte_order_mark.size()) == byte_order_mark) {
    source.remove_prefix(byte_order_mark.size());
  }
  if (!check_characters(source, diagnostics) || !check_directives(source, diagnostics)) {
    return std::nullopt;
  }
  // At the very end of a text yaml-cpp folds lines in another way than before a line break.
  const std::string ended =
      source.empty() || source.back() == '\n' ? std::string() : std::string(source) + '\n';
  if (!ended.empty()) source = ended;
  TreeBuilder builder(source, diagnostics);
  try {
    ViewBuffer buffer(source);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Stop&) {
    return std::nullopt;
  } catch (const YAML::Exception& e) {
    builder.fail_at(e.mark, explain(e.msg));
  } catch (const std::exception& e) {
    diagnostics.error("yaml-syntax", {}, explain(e.what()));
  }
  if (diagnostics.errors() != errors_before) return std::nullopt;
  return builder.take_root();
}

std::optional<std::string> as_string(const Node& node, Diagnostics& diagnostics) {
  if (node.is_scalar()) return node.text;
  wrong_type(node, {"文本", "a text"}, diagnostics);
  return std::nullopt;
}

std::optional<std::int64_t> as_integer(const Node& node, std::int64_t min, std::int64_t max,
                                       Diagnostics& diagnostics) {
  std::string_view digits = node.text;
  if (digits.substr(0, 1) == "-") digits.remove_prefix(1);
  if (!node.is_scalar() || node.quoted || !is_digits(digits)) {
    wrong_type(node, {"整数", "an integer"}, diagnostics);
    return std::nullopt;
  }
  if (digits.size() > 1 && digits.front() == '0') {
    wrong_type(node, {"不带前导零的整数", "an integer without leading zeros"}, diagnostics);
    return std::nullopt;
  }
  std::int64_t value = 0;
  const char* end = node.text.data() + node.text.size();
  const bool fits = std::from_chars(node.text.data(), end, value).ec == std::errc();
  if (fits && value >= min && value <= max) return value;
  diagnostics.error("out-of-range", node.range,
                    {fmt::format("{} 超出范围 {} 至 {}", node.text, min, max),
                     fmt::format("{} is not between {} and {}", node.text, min, max)});
  return std::nullopt;
}

std::optional<bool> as_bool(const Node& node, Diagnostics& diagnostics) {
  if (node.is_scalar() && !node.quoted && node.text == "true") return true;
  if (node.is_scalar() && !node.quoted && node.text == "false") return false;
  wrong_type(node, {" true 或 false", "true or false"}, diagnostics);
  return std::nullopt;
}

std::optional<std::vector<const Node*>> as_list(const Node& node, Diagnostics& diagnostics) {
  if (node.is_scalar()) return std::vector<const Node*>{&node};
  if (!node.is_sequence()) {
    wrong_type(node, {"文本或文本列表", "a text or a list of texts"}, diagnostics);
    return std::nullopt;
  }
  std::vector<const Node*> list;
  bool good = true;
  for (const Node& item : node.items) {
    if (item.is_scalar()) {
      list.push_back(&item);
    } else {
      wrong_type(item, {"文本", "a text"}, diagnostics);
      good = false;
    }
  }
  if (!good) return std::nullopt;
  return list;
}

void reject_unknown_keys(const Node& map, std::initializer_list<std::string_view> allowed,
                         Diagnostics& diagnostics) {
  for (const Node::Entry& entry : map.entries) {
    if (std::find(allowed.begin(), allowed.end(), entry.key) != allowed.end()) continue;
    std::vector<Note> notes;
    if (const std::string_view near = nearest(entry.key, allowed); !near.empty()) {
      notes.push_back(
          {{fmt::format("是否想写“{}”？", near), fmt::format("did you mean \"{}\"?", near)}, {}});
    }
    diagnostics.error(
        "unknown-key", entry.key_range,
        {fmt::format("未知的键“{}”", entry.key), fmt::format("unknown key \"{}\"", entry.key)},
        std::move(notes));
  }
}

}  // namespace menshen::yaml
