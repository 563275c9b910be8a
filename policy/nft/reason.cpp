#include "policy/nft/reason.hpp"

#include <array>

namespace menshen::policy::nft {
namespace {

constexpr std::string_view prefix = "menshen:";

const std::array<ReasonInfo, reasons>& table() {
  static const std::array<ReasonInfo, reasons> infos{{
      {"allowed", false, {"放行，未检测", "passed without inspection"}},
      {"inspected", false, {"交由检测引擎", "handed to the sensor"}},
      {"denied_line", true, {"策略明确拒绝", "a line of the policy denies it"}},
      {"denied_default", true, {"无放行策略，默认拒绝", "no line of the policy allows it"}},
      {"spoofed",
       true,
       {"源地址伪造：源地址所属安全域不接在入接口上",
        "spoofed: the source's domain is not attached to the incoming interface"}},
      {"misrouted",
       true,
       {"路由错误：目的安全域不接在出接口上",
        "misrouted: the destination's domain is not attached to the outgoing interface"}},
      {"unknown_source", true, {"源地址不属于任何安全域", "the source is in no domain"}},
      {"unknown_destination",
       true,
       {"目的地址不属于任何安全域", "the destination is in no domain"}},
      {"invalid", true, {"不属于有效连接", "belongs to no valid connection"}},
      {"logged", false, {"已发出的日志条数", "log messages sent"}},
  }};
  return infos;
}

}  // namespace

const ReasonInfo& info(Reason reason) { return table().at(static_cast<std::size_t>(reason)); }

std::optional<Reason> parse_reason(std::string_view text) {
  if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  for (std::size_t i = 0; i < reasons; ++i)
    if (table()[i].name == text) return static_cast<Reason>(i);
  return std::nullopt;
}

}  // namespace menshen::policy::nft
