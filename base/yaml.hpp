// Strict YAML: what a person reads is what the program gets.
//
// A subset of YAML 1.2 by refusal: one document; block and flow maps, sequences and scalars; no
// anchor, alias, tag or merge key; a key twice in one map is an error. A scalar keeps its text and
// whether it was quoted: `yes` is the text "yes", `010` the text "010"; the reader of the value
// decides, with the helpers below, and an unquoted 010 is not a number (octal in YAML 1.1, ten in
// 1.2: an error in either reading). Limits: yaml_bytes_max, yaml_depth_max, yaml_nodes_max; beyond
// them a diagnostic, never a crash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/diagnostic.hpp"

namespace menshen::yaml {

inline constexpr std::size_t yaml_bytes_max = 64U << 20U;
inline constexpr std::size_t yaml_depth_max = 64;
inline constexpr std::size_t yaml_nodes_max =
    4U << 20U;  // an empty item costs one byte there, a node here

class Node {
 public:
  enum class Kind : unsigned char { null, scalar, sequence, map };
  struct Entry;

  Kind kind = Kind::null;
  bool quoted = false;         // scalar: written in quotes or as a block
  std::string text;            // scalar
  std::vector<Node> items;     // sequence
  std::vector<Entry> entries;  // map, in the order of the file
  SourceRange range;           // of the scalar (quotes too), or of a collection's first character

  [[nodiscard]] bool is_map() const { return kind == Kind::map; }
  [[nodiscard]] bool is_sequence() const { return kind == Kind::sequence; }
  [[nodiscard]] bool is_scalar() const { return kind == Kind::scalar; }
  // The value of a key; nullptr where this is no map or has no such key. Linear in the entries.
  [[nodiscard]] const Node* find(std::string_view key) const;
};

struct Node::Entry {
  std::string key;
  SourceRange key_range;
  Node value;
};

// The document, or nothing where it has errors (each is in `diagnostics`). An empty text is a null
// node.
[[nodiscard]] std::optional<Node> parse(std::string_view source, Diagnostics& diagnostics);

// Typed reading. Each adds one diagnostic (code "wrong-type" or "out-of-range") and returns nothing
// on failure.
[[nodiscard]] std::optional<std::string> as_string(const Node&, Diagnostics&);
[[nodiscard]] std::optional<std::int64_t> as_integer(const Node&, std::int64_t min,
                                                     std::int64_t max, Diagnostics&);
[[nodiscard]] std::optional<bool> as_bool(const Node&, Diagnostics&);  // true, false; nothing else
// A scalar or a sequence of scalars as a list.
[[nodiscard]] std::optional<std::vector<const Node*>> as_list(const Node&, Diagnostics&);

// One error "unknown-key" for each key of the map that is not allowed, with the nearest allowed one
// as a hint.
void reject_unknown_keys(const Node& map, std::initializer_list<std::string_view> allowed,
                         Diagnostics&);

}  // namespace menshen::yaml
