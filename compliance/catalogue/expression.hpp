// The small vocabulary in which a check says what must hold. Data, not a language: no variables, no
// calls, and no negation of a whole expression, so that nothing unknown can turn into "conforming".
//
//   all_of: [EXPR...]
//   any_of: [EXPR...]
//   {fact: PATH, OPERATOR: VALUE, default: VALUE}
//   {file_setting: FILE, key: KEY, OPERATOR: VALUE, default: VALUE}  FILE as in Sources::settings
//   {sysctl: KEY, OPERATOR: VALUE}
//   {package: NAME, installed: true|false}
//   {service: NAME, running: true|false}          NAME as the process calls itself (15 bytes)
//   {permission: PATH, mode_at_most: "0640", owner: USER, group: GROUP}
//   {command: NAME, OPERATOR: VALUE}              NAME as in Sources::commands
//   {text: NAME, OPERATOR: VALUE}                 the lines of Sources::texts
//
// The last seven are short for facts under host.file, host.sysctl, host.packages, host.processes,
// host.modes, host.command and host.text. PATH is dotted: the longest fact name that begins it,
// then object keys. `default` stands for a key that a collected file or object does not hold: what
// the program itself would use then.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/yaml.hpp"
#include "compliance/catalogue/sources.hpp"

namespace menshen::compliance {

enum class Operator : unsigned char {
  equals,  // scalars, or lists in order
  not_equals,
  at_least,  // numbers; a whole number as text is one, a list counts as its length
  at_most,
  contains,      // list: each of the values is in it; text: substring
  lacks,         // list: none of the values is in it; text: not a substring
  one_of,        // the value is one of these
  matches,       // PCRE2, at most regex_bytes_max long, under fixed limits, unanchored; list: any
  matches_none,  // text: no match; list: no element matches
  exists,        // the key is there (true) or not (false) in a fact that was collected
  empty,         // list, object or text without (true) or with (false) content
  mode_at_most,  // octal file mode without bits beyond these
};

struct Predicate {
  std::string path;
  Operator op = Operator::equals;
  nlohmann::json expected;
  std::optional<nlohmann::json> fallback;
  bool absent_is_unmet =
      false;  // file settings: a key that is not there is a plain "no", not "unknown"
};

struct Expression {
  enum class Kind : unsigned char { predicate, all_of, any_of };
  static constexpr std::size_t depth_max = 8;
  static constexpr std::size_t children_max = 64;
  static constexpr std::size_t regex_bytes_max = 512;

  Kind kind = Kind::predicate;
  Predicate predicate;               // of kind predicate
  std::vector<Expression> children;  // of the others, never empty
};

// Each mistake is one diagnostic with its place; nothing is returned then.
[[nodiscard]] std::optional<Expression> parse_expression(const yaml::Node& node,
                                                         const Sources& sources,
                                                         Diagnostics& diagnostics);

// "at_least" and so on, as the files write it.
[[nodiscard]] std::string_view operator_name(Operator op);

}  // namespace menshen::compliance
