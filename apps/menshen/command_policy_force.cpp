#include "apps/menshen/command_policy_force.hpp"

#include <memory>

#include "apps/control/client.hpp"
#include "apps/menshen/table.hpp"

namespace menshen::apps {
namespace {

constexpr std::chrono::seconds answer_timeout{120};

Result<Json> ask(Cli& cli, const std::string& op, const Json& args) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  return control_call(settings->text("general.policyd_socket"), {op, args}, answer_timeout);
}

Result<ExitCode> approve(Cli& cli, const std::string& digest) {
  const Json reply = MENSHEN_TRY(ask(cli, "approve", {{"sha256", digest}}));
  print_out(fmt::format(fmt::runtime(cli.say("策略已批准并生效（第 {} 代）\n",
                                             "approved and in force (generation {})\n")),
                        reply.at("generation").get<std::uint32_t>()));
  return ExitCode::ok;
}

Result<ExitCode> confirm(Cli& cli) {
  static_cast<void>(MENSHEN_TRY(ask(cli, "confirm", Json::object())));
  print_out(cli.say("已确认，不再自动回退\n", "confirmed: it stays\n"));
  return ExitCode::ok;
}

Result<ExitCode> rollback(Cli& cli, std::uint32_t number) {
  const Json reply = MENSHEN_TRY(ask(cli, "rollback", {{"number", number}}));
  const Json& active = reply.at("active");
  print_out(active.is_null()
                ? cli.say("已回退到无策略状态\n", "went back to no policy\n")
                : fmt::format(fmt::runtime(cli.say("已回退到第 {} 号策略 {}\n",
                                                   "went back to policy number {}, {}\n")),
                              reply.at("number").get<std::uint32_t>(),
                              active.at("name").get<std::string>()));
  return ExitCode::ok;
}

Result<ExitCode> history(Cli& cli, bool json) {
  const Json reply = MENSHEN_TRY(ask(cli, "history", Json::object()));
  if (json) {
    print_out(to_pretty(reply) + "\n");
    return ExitCode::ok;
  }
  Table table({cli.say("编号", "number"), cli.say("策略", "policy"), "SHA-256",
               cli.say("生效时间", "in force since"), cli.say("操作人", "by")});
  for (const Json& each : reply.at("entries")) {
    table.add({fmt::format("{}", each.at("number").get<std::uint32_t>()), each.at("name"),
               each.at("sha256").get<std::string>().substr(0, 16), each.at("applied_at"),
               each.at("applied_by")});
  }
  print_out(table.render());
  return ExitCode::ok;
}

}  // namespace

void add_policy_force_commands(CLI::App& group, Cli& cli) {
  const auto digest = std::make_shared<std::string>();
  CLI::App& approving = cli.add(
      group, "approve",
      {"批准另一名管理员提交的策略并使其生效（policy.four_eyes）",
       "Approve the policy that another administrator proposed (policy.four_eyes)"},
      "menshen policy approve 5f0c2b1a9d3e4f60", [&cli, digest] { return approve(cli, *digest); });
  approving
      .add_option("SHA256", *digest,
                  cli.say("策略摘要（至少前 8 位）", "Its digest, or at least the first 8 digits"))
      ->required()
      ->type_name("");
  cli.add(group, "confirm",
          {"确认以 --confirm 下发的策略", "Confirm the policy that was applied with --confirm"},
          "menshen policy confirm", [&cli] { return confirm(cli); });
  const auto number = std::make_shared<std::uint32_t>(0);
  CLI::App& back = cli.add(group, "rollback", {"回退到先前的策略", "Go back to an earlier policy"},
                           "menshen policy rollback\nmenshen policy rollback 12",
                           [&cli, number] { return rollback(cli, *number); });
  back.add_option("NUMBER", *number,
                  cli.say("历史编号；留空则为上一份",
                          "Its number in the history; the one before "
                          "without it"))
      ->type_name("");
  const auto json = std::make_shared<bool>(false);
  CLI::App& list =
      cli.add(group, "history", {"列出曾经生效的策略", "List the policies that were in force"},
              "menshen policy history", [&cli, json] { return history(cli, *json); });
  list.add_flag("--json", *json, cli.say("输出 JSON", "Print JSON"));
}

}  // namespace menshen::apps
