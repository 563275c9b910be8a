// What the documents call things, and the figures that all of them show. Internal to report/.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "compliance/assess/assess.hpp"

namespace menshen::compliance {

[[nodiscard]] Text automation_text(Automation automation);
[[nodiscard]] Text responsible_text(Responsible responsible);
[[nodiscard]] Text method_text(Method method);
[[nodiscard]] Text outcome_text(Outcome outcome);
[[nodiscard]] Text weight_text(int weight);
// How soon a finding is to be closed: within 1, 3 or 6 months.
[[nodiscard]] int months_for(const Item& item);
// "访谈、核查": names in the language's own list.
[[nodiscard]] std::string join(const std::vector<Text>& texts, Lang lang);

// One figure of a result: its name in every document, and its value as text.
struct Figure {
  Text name;
  std::string value;
};
// The figures that every format shows, from one place, in order.
[[nodiscard]] std::vector<Figure> figures(const Assessment& assessment);

// The part of a finding that its checks and its task tell: one line each.
struct FindingLine {
  std::string object;  // where it was seen; empty: a person's answer
  Text reason;
  const Remediation* remediation = nullptr;
};
[[nodiscard]] std::vector<FindingLine> finding_lines(const Assessment& a, const ItemResult& result);

}  // namespace menshen::compliance
