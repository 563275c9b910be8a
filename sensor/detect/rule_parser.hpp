// One rule's text to a Rule, or the reason why not, with its place.
#pragma once

#include <optional>

#include "base/diagnostic.hpp"
#include "sensor/detect/keyword.hpp"
#include "sensor/detect/rule_lexer.hpp"

namespace menshen::sensor {

struct ParseContext {
  Variables variables;
  Classifications classifications;
  Datasets* datasets = nullptr;                    // null: no rule may use one
  std::filesystem::path folder{};                  // of the rules' file
  std::shared_ptr<const Reputation> reputation{};  // null: no rule may ask for it
};

// The rule; or nothing and one error in `diagnostics`. Codes: "rule-syntax", "unknown-keyword",
// "keyword-value", "unknown-protocol", "rule-address", "rule-conflict".
[[nodiscard]] std::optional<Rule> parse_rule(const RuleText& text, const ParseContext& context,
                                             Diagnostics& diagnostics);

// classification.config: "config classification: name,description,priority". Other lines are
// errors.
[[nodiscard]] Classifications parse_classifications(std::string_view source,
                                                    Diagnostics& diagnostics);
// What rules commonly name, where no file is given.
[[nodiscard]] const Classifications& default_classifications();

}  // namespace menshen::sensor
