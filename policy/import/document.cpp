#include "policy/import/document.hpp"

#include <fmt/format.h>

#include <charconv>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

namespace menshen::policy::imports {
namespace {

using nlohmann::json;
using yaml::Node;

// Builds the tree from the parser's events: no recursion, whatever the depth of the text.
class TreeBuilder : public nlohmann::json_sax<json> {
 public:
  bool null() override { return put(Node{}); }
  bool boolean(bool value) override { return scalar(value ? "true" : "false", false); }
  bool number_integer(number_integer_t value) override {
    return scalar(std::to_string(value), false);
  }
  bool number_unsigned(number_unsigned_t value) override {
    return scalar(std::to_string(value), false);
  }
  bool number_float(number_float_t, const string_t& text) override { return scalar(text, false); }
  bool string(string_t& value) override { return scalar(std::move(value), true); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Node::Kind::map); }
  bool start_array(std::size_t) override { return open(Node::Kind::sequence); }
  bool key(string_t& value) override {
    keys_.back() = std::move(value);
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t at, const std::string&,
                   const nlohmann::detail::exception&) override {
    if (!limit) error_at = at;
    return false;
  }

  Node root;
  bool limit = false;
  std::size_t error_at = 0;

 private:
  bool scalar(std::string text, bool quoted) {
    Node node;
    node.kind = Node::Kind::scalar;
    node.quoted = quoted;
    node.text = std::move(text);
    return put(std::move(node));
  }
  bool open(Node::Kind kind) {
    if (open_.size() >= yaml::yaml_depth_max) return refuse();
    open_.emplace_back().kind = kind;
    keys_.emplace_back();
    return true;
  }
  bool close() {
    Node done = std::move(open_.back());
    open_.pop_back();
    keys_.pop_back();
    return put(std::move(done));
  }
  bool put(Node node) {
    if (++nodes_ > yaml::yaml_nodes_max) return refuse();
    if (open_.empty()) {
      root = std::move(node);
    } else if (open_.back().kind == Node::Kind::map) {
      open_.back().entries.push_back({keys_.back(), {}, std::move(node)});
    } else {
      open_.back().items.push_back(std::move(node));
    }
    return true;
  }
  bool refuse() {
    limit = true;
    return false;
  }

  std::vector<Node> open_;
  std::vector<std::string> keys_;
  std::size_t nodes_ = 0;
};

Result<Node> json_of(const Source& source) {
  TreeBuilder builder;
  if (json::sax_parse(source.text, &builder)) return std::move(builder.root);
  if (builder.limit) {
    return fail(ErrorCode::limit, {fmt::format("{}：嵌套过深或内容过多", source.name),
                                   fmt::format("{}: too deep or too much", source.name)});
  }
  return fail(ErrorCode::invalid,
              {fmt::format("{}：第 {} 字节处不是有效的 JSON", source.name, builder.error_at),
               fmt::format("{}: no JSON at byte {}", source.name, builder.error_at)});
}

Result<Node> yaml_of(const Source& source, const std::string& text) {
  Diagnostics diagnostics(source.name, text);
  auto node = yaml::parse(text, diagnostics);
  if (node && !diagnostics.has_errors()) return std::move(*node);
  return fail(ErrorCode::invalid, {diagnostics.render(Lang::zh), diagnostics.render(Lang::en)});
}

}  // namespace

Result<std::vector<Node>> documents_of(const Source& source) {
  std::vector<Node> out;
  const std::string_view text = source.text;
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return out;
  if (text[begin] == '{' || text[begin] == '[') {
    out.push_back(MENSHEN_TRY(json_of(source)));
    return out;
  }
  // Lines before a document are kept empty, so that places are those of the file.
  std::string document;
  std::size_t line = 0;
  const auto finish = [&]() -> Result<void> {
    if (document.find_first_not_of(" \t\r\n") != std::string::npos)
      out.push_back(MENSHEN_TRY(yaml_of(source, document)));
    document.assign(line, '\n');
    return {};
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view each = text.substr(at, end - at);
    at = end + 1;
    ++line;
    if (each.starts_with("---") && each.find_first_not_of("- \t\r") == std::string_view::npos) {
      MENSHEN_CHECK(finish());
      if (out.size() > endpoints_max) break;
    } else {
      document.append(each).push_back('\n');
    }
  }
  MENSHEN_CHECK(finish());
  return out;
}

Result<std::vector<Node>> documents_of(std::span<const Source> sources) {
  std::vector<Node> out;
  for (const Source& source : sources) {
    std::vector<Node> more = MENSHEN_TRY(documents_of(source));
    std::move(more.begin(), more.end(), std::back_inserter(out));
  }
  return out;
}

const Node& member(const Node& node, std::string_view key) {
  static const Node none;
  const Node* found = node.find(key);
  return found == nullptr ? none : *found;
}

const Node& member(const Node& node, std::string_view key, std::string_view inner) {
  return member(member(node, key), inner);
}

const std::string& text_of(const Node& node, std::string_view key) {
  return member(node, key).text;
}

std::optional<std::int64_t> number_of(const Node& node) {
  if (!node.is_scalar() || node.quoted) return std::nullopt;
  std::int64_t value = 0;
  const char* end = node.text.data() + node.text.size();
  const auto [at, error] = std::from_chars(node.text.data(), end, value);
  if (error != std::errc{} || at != end) return std::nullopt;
  return value;
}

bool is_true(const Node& node, bool otherwise) {
  return node.is_scalar() ? node.text == "true" : otherwise;
}

}  // namespace menshen::policy::imports
