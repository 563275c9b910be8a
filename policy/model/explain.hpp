// Which rule decides a given flow, in words.
#pragma once

#include <string>
#include <vector>

#include "base/lang.hpp"
#include "policy/model/policy.hpp"

namespace menshen::policy {

struct Explanation {
  Decision decision;
  std::string from;  // domain name; empty: in no domain
  std::string to;
  Position line;  // of the deciding line; line 0: none
  Text reason;    // one sentence: what decides
  // Lines that are near but do not decide, each with why not ("line 12: covers tcp/80, not
  // tcp/22"). At most explanation_notes_max.
  std::vector<Text> why_not;
};

inline constexpr std::size_t explanation_notes_max = 8;

// Linear in the lines. Never fails.
[[nodiscard]] Explanation explain(const Policy& policy, const FlowQuery& query);

[[nodiscard]] std::string_view name_of(Action action);      // allow, deny
[[nodiscard]] std::string_view name_of(Inspect inspect);    // none, alert, block
[[nodiscard]] std::string_view name_of(DecidedBy decided);  // as the enumerator

}  // namespace menshen::policy
