// menshen policy check|plan|apply|show|explain|prove|diff, and what becomes of a policy in force:
// command_policy_force.cpp
#include <charconv>
#include <memory>

#include "apps/common/active_policy.hpp"
#include "apps/common/change_json.hpp"
#include "apps/common/proof_json.hpp"
#include "apps/control/client.hpp"
#include "apps/menshen/cli.hpp"
#include "apps/menshen/command_policy_force.hpp"
#include "apps/menshen/command_policy_import.hpp"
#include "apps/menshen/command_policy_preview.hpp"
#include "apps/menshen/policy_source.hpp"
#include "apps/menshen/table.hpp"
#include "base/file.hpp"
#include "policy/model/change.hpp"
#include "policy/model/explain.hpp"
#include "policy/nft/lower.hpp"
#include "policy/prove/prove.hpp"

namespace menshen::apps {
namespace {

constexpr std::chrono::seconds apply_timeout{120};

struct FileArguments {
  std::string file;
  bool json = false;
};
struct ApplyArguments {
  std::string file;
  std::uint32_t confirm_seconds = 0;
  bool json = false;
};
struct ProveArguments {
  std::string file;
  bool live = false;
  bool json = false;
};
struct DiffArguments {
  std::string old_file;
  std::string new_file;
  bool json = false;
};
struct ShowArguments {
  bool source = false;
  bool json = false;
};
struct ExplainArguments {
  std::string file;
  std::string from;
  std::string to;
  std::string proto = "tcp";
  std::uint16_t dport = 0;
  std::string in_interface;
  std::string out_interface;
  bool json = false;
};

std::string text_of(const Json& both, Lang lang) {
  return both.value(lang == Lang::zh ? "zh" : "en", "");
}

Result<ExitCode> check(const Cli& cli, const FileArguments& arguments) {
  const std::string source = MENSHEN_TRY(read_file(arguments.file, policy_source_bytes_max));
  const auto loaded = policy::load(arguments.file, source, {policy::today(system_clock())});
  const Diagnostics& diagnostics = loaded.diagnostics;
  if (arguments.json) {
    const Json json = {
        {"valid", loaded.policy.has_value()},
        {"errors", diagnostics.errors()},
        {"warnings", diagnostics.warnings()},
        {"diagnostics", Json::parse(diagnostics.to_json(cli.lang()), nullptr, false)}};
    print_out(to_pretty(json) + "\n");
  } else {
    print_err(diagnostics.render(cli.lang()));
    if (loaded.policy) {
      print_out(fmt::format(fmt::runtime(cli.say("策略正确：{} 个安全域，{} 条流\n",
                                                 "the policy is right: {} domains, {} flows\n")),
                            loaded.policy->domains().size(), loaded.policy->lines().size()));
    }
  }
  return loaded.policy ? ExitCode::ok : ExitCode::finding;
}

Result<Json> send_policy(Cli& cli, const std::string& op, const std::string& file,
                         std::uint32_t confirm_seconds = 0) {
  const std::string source = MENSHEN_TRY(read_file(file, policy_source_bytes_max));
  const Settings* settings = MENSHEN_TRY(cli.settings());
  return control_call(
      settings->text("general.policyd_socket"),
      {op, {{"name", file}, {"source", source}, {"confirm_seconds", confirm_seconds}}},
      apply_timeout);
}

void print_changes(const Cli& cli, const Json& reply) {
  for (const Json& change : reply.at("changes"))
    print_out("  " + text_of(change, cli.lang()) + "\n");
  const std::size_t total = reply.value("changes_total", std::size_t{0});
  if (total > reply.at("changes").size()) {
    print_out(fmt::format(fmt::runtime(cli.say("  …… 共 {} 处变化\n", "  ... {} changes in all\n")),
                          total));
  }
}

// What both plan and apply answer. The diagnostics' JSON is given in the chosen language.
Json for_programs(const Cli& cli, Json reply) {
  const char* items = cli.lang() == Lang::zh ? "items_zh" : "items_en";
  reply["diagnostics"] = reply.at("diagnostics").at(items);
  return reply;
}

Result<ExitCode> plan(Cli& cli, const FileArguments& arguments) {
  const Json reply = MENSHEN_TRY(send_policy(cli, "plan", arguments.file));
  const bool valid = reply.at("valid").get<bool>();
  if (arguments.json) {
    print_out(to_pretty(for_programs(cli, reply)) + "\n");
    return valid ? ExitCode::ok : ExitCode::finding;
  }
  print_err(text_of(reply.at("diagnostics"), cli.lang()));
  if (!valid) return ExitCode::finding;
  const std::size_t total = reply.value("changes_total", std::size_t{0});
  print_out(fmt::format(fmt::runtime(cli.say("与当前生效策略相比，{} 处变化\n",
                                             "{} changes against the policy in force\n")),
                        total));
  print_changes(cli, reply);
  return ExitCode::ok;
}

void print_proof(const Cli& cli, const Json& proof) {
  print_out(text_of(proof, cli.lang()) + "\n");
  for (const Json& each : proof.at("violations"))
    print_out("  " + text_of(each, cli.lang()) + "\n");
  for (const Json& each : proof.at("unmodelled"))
    print_out("  " + text_of(each, cli.lang()) + "\n");
}

Result<ExitCode> apply(Cli& cli, const ApplyArguments& arguments) {
  const Json reply =
      MENSHEN_TRY(send_policy(cli, "apply", arguments.file, arguments.confirm_seconds));
  const bool applied = reply.at("applied").get<bool>();
  const bool proposed = reply.value("proposed", false);
  if (arguments.json) {
    print_out(to_pretty(for_programs(cli, reply)) + "\n");
    return applied || proposed ? ExitCode::ok : ExitCode::finding;
  }
  print_err(text_of(reply.at("diagnostics"), cli.lang()));
  if (proposed) {
    print_changes(cli, reply);
    print_out(fmt::format(
        fmt::runtime(cli.say("已提交，待另一名管理员批准：menshen policy approve {}\n",
                             "waits for another administrator: menshen policy approve {}\n")),
        reply.at("sha256").get<std::string>().substr(0, 16)));
    return ExitCode::ok;
  }
  if (!applied) {
    print_err(cli.say("策略有误，未下发\n", "the policy has mistakes; nothing was changed\n"));
    return ExitCode::finding;
  }
  print_changes(cli, reply);
  print_out(
      fmt::format(fmt::runtime(cli.say("策略已生效，内核回读一致（第 {} 代，SHA-256 {}）\n",
                                       "in force, and the kernel read back agrees (generation {}, "
                                       "SHA-256 {})\n")),
                  reply.at("generation").get<std::uint32_t>(),
                  reply.at("sha256").get<std::string>().substr(0, 16)));
  if (reply.contains("proof")) print_proof(cli, reply.at("proof"));
  if (arguments.confirm_seconds != 0) {
    print_out(
        fmt::format(fmt::runtime(cli.say(
                        "请在 {} 秒内执行 menshen policy confirm，否则自动回退\n",
                        "run menshen policy confirm within {} seconds, or it is taken back\n")),
                    arguments.confirm_seconds));
  }
  return ExitCode::ok;
}

std::string join(const Json& list) {
  std::string text;
  for (const Json& each : list) text += (text.empty() ? "" : ", ") + each.get<std::string>();
  return text;
}

void print_policy(const Cli& cli, const Json& policy) {
  Table facts({"", ""});
  facts.add({cli.say("策略", "policy"), policy.at("name")});
  facts.add({"SHA-256", policy.at("sha256")});
  facts.add({cli.say("下发时间", "applied at"), policy.at("applied_at")});
  facts.add({cli.say("下发人", "applied by"), policy.at("applied_by")});
  facts.add({cli.say("内核一致", "kernel agrees"),
             policy.at("matches_kernel").get<bool>() ? cli.say("是", "yes") : cli.say("否", "no")});
  print_out(facts.render() + "\n");
  Table domains({cli.say("安全域", "domain"), cli.say("名称", "title"), cli.say("网络", "networks"),
                 cli.say("接口", "interfaces")});
  for (const Json& each : policy.at("domains")) {
    domains.add({each.at("name"), each.at("title"), join(each.at("networks")),
                 join(each.at("interfaces"))});
  }
  print_out(domains.render() + "\n");
  Table flows({cli.say("行", "line"), cli.say("源域", "from"), cli.say("目的域", "to"),
               cli.say("服务", "service"), cli.say("动作", "action"), cli.say("检测", "inspect"),
               cli.say("依据", "reason")});
  const auto names = [](const Json& list) {
    return list.empty() ? std::string("any") : join(list);
  };
  for (const Json& each : policy.at("flows")) {
    flows.add({fmt::format("{}", each.at("line").get<std::size_t>()), names(each.at("from")),
               names(each.at("to")), each.at("service"), each.at("action"), each.at("inspect"),
               each.at("reason")});
  }
  print_out(flows.render());
}

Result<ExitCode> show(Cli& cli, const ShowArguments& arguments) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  const Json policy =
      MENSHEN_TRY(control_call(settings->text("general.policyd_socket"), {"show", Json::object()}));
  if (arguments.json) {
    print_out(to_pretty(policy) + "\n");
  } else if (arguments.source) {
    print_out(policy.at("source").get<std::string>());
  } else {
    print_policy(cli, policy);
  }
  return policy.at("matches_kernel").get<bool>() ? ExitCode::ok : ExitCode::finding;
}

Result<IpProto> parse_proto(const std::string& text) {
  if (text == "tcp") return IpProto::tcp;
  if (text == "udp") return IpProto::udp;
  if (text == "icmp") return IpProto::icmp;
  if (text == "icmpv6") return IpProto::icmpv6;
  if (text == "sctp") return IpProto::sctp;
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number > 255) {
    return fail(ErrorCode::invalid,
                {"协议应为 tcp、udp、icmp、icmpv6、sctp 或 0-255：" + text,
                 "the protocol is tcp, udp, icmp, icmpv6, sctp or 0-255: " + text});
  }
  return static_cast<IpProto>(number);
}

Result<IpAddr> parse_address(const std::string& text) {
  const auto address = IpAddr::parse(text);
  if (!address)
    return fail(ErrorCode::invalid, {"不是 IP 地址：" + text, "no IP address: " + text});
  return *address;
}

// Of a file: its ruleset as it would be committed. Without one: of the policy in force, as
// compiled, or (live) as the kernel holds it.
Result<ExitCode> prove(Cli& cli, const ProveArguments& arguments) {
  Json proof;
  if (arguments.live) {
    if (!arguments.file.empty()) {
      return fail(ErrorCode::invalid, {"--live 证明生效策略，不接受策略文件",
                                       "--live proves the policy in force and takes no file"});
    }
    const Settings* settings = MENSHEN_TRY(cli.settings());
    proof = MENSHEN_TRY(control_call(settings->text("general.policyd_socket"),
                                     {"prove", Json::object()}, apply_timeout));
  } else {
    const policy::Policy policy = MENSHEN_TRY(policy_from(cli, arguments.file));
    const policy::nft::LowerOptions lowered;
    proof = to_json(policy::prove::prove(policy, policy::nft::lower(policy, lowered), lowered));
  }
  if (arguments.json) {
    print_out(to_pretty(proof) + "\n");
  } else {
    print_proof(cli, proof);
  }
  return proof.at("conclusion") == "proved" ? ExitCode::ok : ExitCode::finding;
}

// The packets on which two policies differ, pair by pair and service by service.
Result<ExitCode> diff(Cli& cli, const DiffArguments& arguments) {
  const policy::Policy before = MENSHEN_TRY(policy_from(cli, arguments.old_file));
  const policy::Policy after = MENSHEN_TRY(policy_from(cli, arguments.new_file));
  const auto changes = policy::changes_between(before, after);
  if (arguments.json) {
    print_out(to_pretty(changes_json(changes)) + "\n");
  } else {
    for (const policy::Change& each : changes) print_out(each.text.in(cli.lang()) + "\n");
    if (changes.empty()) print_out(cli.say("两份策略等价\n", "the policies are equal\n"));
  }
  return changes.empty() ? ExitCode::ok : ExitCode::finding;
}

Result<ExitCode> explain(Cli& cli, const ExplainArguments& arguments) {
  policy::FlowQuery query;
  query.src = MENSHEN_TRY(parse_address(arguments.from));
  query.dst = MENSHEN_TRY(parse_address(arguments.to));
  query.proto = MENSHEN_TRY(parse_proto(arguments.proto));
  query.dport = arguments.dport;
  query.in_interface = arguments.in_interface;
  query.out_interface = arguments.out_interface;
  const policy::Policy policy = MENSHEN_TRY(policy_from(cli, arguments.file));
  const policy::Explanation why = policy::explain(policy, query);
  const bool passes = why.decision.action == policy::Action::allow;
  const std::string place = why.line.line == 0 ? ""
                                               : fmt::format("{}:{}:{}", policy.source_name(),
                                                             why.line.line, why.line.column);
  if (arguments.json) {
    Json json = {{"action", policy::name_of(why.decision.action)},
                 {"inspect", policy::name_of(why.decision.inspect)},
                 {"decided_by", policy::name_of(why.decision.by)},
                 {"from", why.from},
                 {"to", why.to},
                 {"line", why.line.line},
                 {"place", place},
                 {"reason", why.reason.in(cli.lang())},
                 {"why_not", Json::array()}};
    for (const Text& each : why.why_not) json["why_not"].push_back(each.in(cli.lang()));
    print_out(to_pretty(json) + "\n");
    return ExitCode::ok;
  }
  const std::string verdict = passes ? cli.say("放行", "passes") : cli.say("阻断", "blocked");
  print_out(fmt::format("{}: {}\n", verdict, why.reason.in(cli.lang())));
  const auto domain = [&](const std::string& name) {
    return name.empty() ? cli.say("（无）", "(none)") : name;
  };
  print_out(fmt::format("  {} -> {}  {}\n", domain(why.from), domain(why.to), place));
  if (passes) {
    print_out(fmt::format("  {}: {}\n", cli.say("检测", "inspection"),
                          policy::name_of(why.decision.inspect)));
  }
  for (const Text& each : why.why_not) print_out("  " + each.in(cli.lang()) + "\n");
  return ExitCode::ok;
}

void add_file_command(CLI::App& group, Cli& cli, const std::string& name, const Text& help,
                      const std::string& example,
                      Result<ExitCode> (*run)(Cli&, const FileArguments&)) {
  const auto arguments = std::make_shared<FileArguments>();
  CLI::App& command =
      cli.add(group, name, help, example, [&cli, arguments, run] { return run(cli, *arguments); });
  command.add_option("FILE", arguments->file, cli.say("策略文件", "Policy file"))
      ->required()
      ->type_name("");
  command.add_flag("--json", arguments->json, cli.say("输出 JSON", "Print JSON"));
}

void add_apply(CLI::App& group, Cli& cli) {
  const auto arguments = std::make_shared<ApplyArguments>();
  CLI::App& command =
      cli.add(group, "apply",
              {"下发策略：要么整体生效并经内核回读核对，要么不做任何更改",
               "Put a policy in force: all of it, read back from the kernel, or nothing at all"},
              "menshen policy apply policy.yaml --confirm 120",
              [&cli, arguments] { return apply(cli, *arguments); });
  command.add_option("FILE", arguments->file, cli.say("策略文件", "Policy file"))
      ->required()
      ->type_name("");
  command
      .add_option("--confirm", arguments->confirm_seconds,
                  cli.say("须在此秒数内确认（menshen policy confirm），否则自动回退",
                          "Take it back unless it is confirmed (menshen policy confirm) in time"))
      ->type_name("SECONDS");
  command.add_flag("--json", arguments->json, cli.say("输出 JSON", "Print JSON"));
}

void add_prove(CLI::App& group, Cli& cli) {
  const auto arguments = std::make_shared<ProveArguments>();
  CLI::App& command =
      cli.add(group, "prove",
              {"证明任意两个安全域之间恰好放行策略允许的报文；不成立时给出反例报文",
               "Prove that exactly the allowed packets pass between every two domains, or show a "
               "packet"},
              "menshen policy prove policy.yaml\nmenshen policy prove --live --json",
              [&cli, arguments] { return prove(cli, *arguments); });
  command
      .add_option(
          "FILE", arguments->file,
          cli.say("策略文件；留空则为生效策略", "Policy file; without one, the policy in force"))
      ->type_name("");
  command.add_flag("--live", arguments->live,
                   cli.say("证明内核中现有的规则集", "Prove the ruleset that the kernel holds"));
  command.add_flag("--json", arguments->json, cli.say("输出 JSON", "Print JSON"));
}

void add_diff(CLI::App& group, Cli& cli) {
  const auto arguments = std::make_shared<DiffArguments>();
  CLI::App& command = cli.add(
      group, "diff",
      {"比较两份策略：对哪些报文处置不同", "Compare two policies: on which packets they differ"},
      "menshen policy diff old.yaml new.yaml", [&cli, arguments] { return diff(cli, *arguments); });
  command.add_option("OLD", arguments->old_file, cli.say("原策略文件", "The policy before"))
      ->required()
      ->type_name("");
  command.add_option("NEW", arguments->new_file, cli.say("新策略文件", "The policy after"))
      ->required()
      ->type_name("");
  command.add_flag("--json", arguments->json, cli.say("输出 JSON", "Print JSON"));
}

void add_explain(CLI::App& group, Cli& cli) {
  const auto arguments = std::make_shared<ExplainArguments>();
  CLI::App& command =
      cli.add(group, "explain",
              {"说明某条流由哪一行策略决定；不指定文件时使用当前生效策略",
               "Say which line decides a flow; without a file, of the policy in force"},
              "menshen policy explain --from 10.10.0.10 --to 10.30.0.10 --proto tcp --dport 443 "
              "--interface fin0",
              [&cli, arguments] { return explain(cli, *arguments); });
  command.add_option("FILE", arguments->file, cli.say("策略文件", "Policy file"))->type_name("");
  command.add_option("--from", arguments->from, cli.say("源地址", "Source address"))
      ->required()
      ->type_name("ADDR");
  command.add_option("--to", arguments->to, cli.say("目的地址", "Destination address"))
      ->required()
      ->type_name("ADDR");
  command
      .add_option("--proto", arguments->proto,
                  cli.say("协议：tcp、udp、icmp 或协议号", "tcp, udp, icmp or a number"))
      ->type_name("PROTO")
      ->capture_default_str();
  command.add_option("--dport", arguments->dport, cli.say("目的端口", "Destination port"))
      ->type_name("PORT");
  command
      .add_option("--interface", arguments->in_interface,
                  cli.say("入接口；留空则不核对", "Incoming interface; not checked if left out"))
      ->type_name("NAME");
  command
      .add_option("--out-interface", arguments->out_interface,
                  cli.say("出接口；留空则不核对", "Outgoing interface; not checked if left out"))
      ->type_name("NAME");
  command.add_flag("--json", arguments->json, cli.say("输出 JSON", "Print JSON"));
}

}  // namespace

void add_policy_commands(CLI::App& app, Cli& cli) {
  CLI::App& group = cli.add_group(app, "policy", {"隔离策略", "The isolation policy"});
  add_file_command(
      group, cli, "check",
      {"检查策略文件，列出全部错误及位置", "Check a policy file: every mistake with its place"},
      "menshen policy check policy.yaml",
      [](Cli& c, const FileArguments& arguments) { return check(c, arguments); });
  add_file_command(group, cli, "plan",
                   {"预览：与当前生效策略相比有哪些变化，不做更改",
                    "Preview: what would change against the policy in force; changes nothing"},
                   "menshen policy plan policy.yaml", &plan);
  add_apply(group, cli);
  add_policy_force_commands(group, cli);
  const auto arguments = std::make_shared<ShowArguments>();
  CLI::App& command = cli.add(group, "show", {"显示当前生效策略", "Show the policy in force"},
                              "menshen policy show --source > in-force.yaml",
                              [&cli, arguments] { return show(cli, *arguments); });
  command.add_flag("--source", arguments->source,
                   cli.say("输出策略原文", "Print the policy's own text"));
  command.add_flag("--json", arguments->json, cli.say("输出 JSON", "Print JSON"));
  add_explain(group, cli);
  add_prove(group, cli);
  add_diff(group, cli);
  add_policy_import_command(group, cli);
  add_policy_preview_commands(group, cli);
}

}  // namespace menshen::apps
