// Names and help of nft::Reason.
#pragma once

#include <optional>
#include <string_view>

#include "base/lang.hpp"
#include "policy/nft/ruleset.hpp"

namespace menshen::policy::nft {

struct ReasonInfo {
  std::string_view name;  // of the counter, and in the log prefix: "menshen:spoofed "
  bool drop;              // a packet so counted did not pass
  Text help;
};

[[nodiscard]] const ReasonInfo& info(Reason reason);
// "spoofed", or a whole log prefix; nothing for a name we do not know.
[[nodiscard]] std::optional<Reason> parse_reason(std::string_view text);

}  // namespace menshen::policy::nft
