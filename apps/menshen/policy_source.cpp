#include "apps/menshen/policy_source.hpp"

#include "apps/common/active_policy.hpp"
#include "apps/control/client.hpp"
#include "base/file.hpp"

namespace menshen::apps {

Result<policy::Policy> policy_from(Cli& cli, const std::string& file) {
  std::string name = file;
  std::string source;
  auto expired = policy::Expired::error;
  if (file.empty()) {
    const Settings* settings = MENSHEN_TRY(cli.settings());
    const Json shown = MENSHEN_TRY(
        control_call(settings->text("general.policyd_socket"), {"show", Json::object()}));
    name = shown.at("name").get<std::string>();
    source = shown.at("source").get<std::string>();
    expired = policy::Expired::omit;
  } else {
    source = MENSHEN_TRY(read_file(file, policy_source_bytes_max));
  }
  auto loaded = policy::load(name, source, {policy::today(system_clock()), expired});
  if (loaded.policy) return std::move(*loaded.policy);
  print_err(loaded.diagnostics.render(cli.lang()));
  return fail(ErrorCode::invalid, {"策略有误：" + name, "the policy has mistakes: " + name});
}

}  // namespace menshen::apps
