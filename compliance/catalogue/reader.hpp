// Reads the maps of the catalogue's files. Internal to catalogue/.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/yaml.hpp"

namespace menshen::compliance {

inline constexpr std::size_t catalogue_text_bytes_max = 4096;

// Reads keys of one map; every failure is a diagnostic, the result is then a default value.
class Reader {
 public:
  Reader(const yaml::Node& node, Diagnostics& diagnostics,
         std::initializer_list<std::string_view> allowed)
      : node_(node), diagnostics_(diagnostics) {
    if (!node.is_map()) {
      error(node.range, "wrong-type", {"此处应为映射", "a map is expected here"});
    } else {
      yaml::reject_unknown_keys(node, allowed, diagnostics);
    }
  }

  [[nodiscard]] const yaml::Node* find(std::string_view key) const {
    const yaml::Node* value = node_.find(key);
    return value != nullptr && value->kind == yaml::Node::Kind::null ? nullptr : value;
  }
  const yaml::Node* need(std::string_view key) {
    const yaml::Node* value = find(key);
    if (value == nullptr && node_.is_map()) {
      error(node_.range, "missing-key",
            {fmt::format("缺少 {}", key), fmt::format("{} is missing", key)});
    }
    return value;
  }
  std::string text(std::string_view key) {
    const yaml::Node* value = need(key);
    return value == nullptr ? std::string() : text_of(*value);
  }
  std::string text_or(std::string_view key, std::string fallback) {
    const yaml::Node* value = find(key);
    return value == nullptr ? std::move(fallback) : text_of(*value);
  }
  Text both(std::string_view key) {
    const yaml::Node* value = need(key);
    return value == nullptr ? Text{} : both_of(*value);
  }
  Text both_or_empty(std::string_view key) {
    const yaml::Node* value = find(key);
    return value == nullptr ? Text{} : both_of(*value);
  }
  Text both_of(const yaml::Node& value) {
    Reader inner(value, diagnostics_, {"zh", "en"});
    return {inner.text("zh"), inner.text("en")};
  }
  std::vector<Text> both_list(std::string_view key) {
    std::vector<Text> result;
    for (const yaml::Node* item : list(key)) result.push_back(both_of(*item));
    return result;
  }
  std::vector<std::string> text_list(std::string_view key) {
    std::vector<std::string> result;
    for (const yaml::Node* item : list(key)) result.push_back(text_of(*item));
    return result;
  }
  std::vector<const yaml::Node*> list(std::string_view key) {
    std::vector<const yaml::Node*> result;
    const yaml::Node* value = find(key);
    if (value == nullptr) return result;
    if (!value->is_sequence()) {
      error(value->range, "wrong-type",
            {fmt::format("{} 应为列表", key), fmt::format("{} is a list", key)});
      return result;
    }
    for (const yaml::Node& item : value->items) result.push_back(&item);
    return result;
  }
  std::int64_t integer(std::string_view key, std::int64_t min, std::int64_t max) {
    const yaml::Node* value = need(key);
    return value == nullptr ? min : yaml::as_integer(*value, min, max, diagnostics_).value_or(min);
  }
  bool flag(std::string_view key) {
    const yaml::Node* value = find(key);
    return value != nullptr && yaml::as_bool(*value, diagnostics_).value_or(false);
  }
  // The index of the value among `names`.
  std::size_t choice(std::string_view key, std::initializer_list<std::string_view> names) {
    const yaml::Node* value = need(key);
    return value == nullptr ? 0 : choice_of(*value, names);
  }
  std::size_t choice_of(const yaml::Node& value, std::initializer_list<std::string_view> names) {
    const std::string name = text_of(value);
    const auto* found = std::find(names.begin(), names.end(), name);
    if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
    error(value.range, "unknown-value",
          {fmt::format("“{}”不是可用的取值（{}）", name, fmt::join(names, "、")),
           fmt::format("\"{}\" is none of {}", name, fmt::join(names, ", "))});
    return 0;
  }
  std::string text_of(const yaml::Node& value) {
    std::string result = yaml::as_string(value, diagnostics_).value_or("");
    if (value.is_scalar() && (result.empty() || result.size() > catalogue_text_bytes_max)) {
      error(value.range, "out-of-range",
            {fmt::format("文本应为 1 至 {} 字节", catalogue_text_bytes_max),
             fmt::format("a text takes 1 to {} bytes", catalogue_text_bytes_max)});
    }
    return result;
  }
  void error(SourceRange range, std::string code, Text text) {
    diagnostics_.error(std::move(code), range, std::move(text));
  }
  [[nodiscard]] const yaml::Node& node() const { return node_; }
  Diagnostics& diagnostics() { return diagnostics_; }

 private:
  const yaml::Node& node_;
  Diagnostics& diagnostics_;
};

}  // namespace menshen::compliance
