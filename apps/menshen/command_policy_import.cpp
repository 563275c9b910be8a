#include "apps/menshen/command_policy_import.hpp"

#include <memory>

#include "base/file.hpp"
#include "policy/import/import.hpp"

namespace menshen::apps {
namespace {

namespace imports = policy::imports;

struct ImportArguments {
  std::string from;
  std::vector<std::string> files;
  std::vector<std::string> networks;
  std::string out;
  bool json = false;
};

Result<imports::ImportOptions> options_of(const ImportArguments& arguments) {
  imports::ImportOptions options;
  for (const std::string& each : arguments.networks) {
    const std::size_t equals = each.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail(ErrorCode::invalid,
                  {"应写作 接口=网段：" + each, "write INTERFACE=PREFIX, not " + each});
    }
    const Prefix prefix = MENSHEN_TRY(Prefix::parse(each.substr(equals + 1)));
    options.interfaces.emplace_back(each.substr(0, equals), prefix);
  }
  return options;
}

std::string effect_text(const Cli& cli, imports::Effect effect) {
  switch (effect) {
    case imports::Effect::none:
      return cli.say("无影响", "no effect");
    case imports::Effect::more_closed:
      return cli.say("更严", "more closed");
    case imports::Effect::more_open:
      break;
  }
  return cli.say("更松", "more open");
}

Json to_json(const Cli& cli, const imports::Imported& made) {
  Json losses = Json::array();
  for (const imports::Loss& each : made.losses) {
    losses.push_back({{"effect", imports::name_of(each.effect)},
                      {"place", each.place},
                      {"text", each.text.in(cli.lang())}});
  }
  return {
      {"policy", made.yaml}, {"domains", made.domains}, {"lines", made.lines}, {"losses", losses}};
}

Result<ExitCode> import_files(const Cli& cli, const ImportArguments& arguments) {
  const auto format = imports::parse_format(arguments.from);
  if (!format) {
    return fail(ErrorCode::invalid,
                {"--from 应为 iptables、nft、kubernetes 或 openstack：" + arguments.from,
                 "--from is iptables, nft, kubernetes or openstack, not " + arguments.from});
  }
  const imports::ImportOptions options = MENSHEN_TRY(options_of(arguments));
  std::vector<imports::Source> sources;
  for (const std::string& file : arguments.files) {
    sources.push_back({std::filesystem::path(file).filename().string(),
                       MENSHEN_TRY(read_file(file, imports::source_bytes_max))});
  }
  const imports::Imported made = MENSHEN_TRY(imports::import_rules(*format, sources, options));
  bool changes = false;
  for (const imports::Loss& each : made.losses) changes |= each.effect != imports::Effect::none;
  if (!arguments.out.empty()) MENSHEN_CHECK(write_file_atomic(arguments.out, made.yaml));
  if (arguments.json) {
    print_out(to_pretty(to_json(cli, made)) + "\n");
    return changes ? ExitCode::finding : ExitCode::ok;
  }
  if (arguments.out.empty()) print_out(made.yaml);
  for (const imports::Loss& each : made.losses) {
    print_err(fmt::format("[{}] {}{}{}\n", effect_text(cli, each.effect), each.place,
                          each.place.empty() ? "" : ": ", each.text.in(cli.lang())));
  }
  print_err(fmt::format(
      fmt::runtime(cli.say("{} 个安全域，{} 条流，{} 项未能导入\n",
                           "{} domains, {} flows, {} things could not be carried over\n")),
      made.domains, made.lines, made.losses.size()));
  return changes ? ExitCode::finding : ExitCode::ok;
}

}  // namespace

void add_policy_import_command(CLI::App& group, Cli& cli) {
  const auto arguments = std::make_shared<ImportArguments>();
  CLI::App& command = cli.add(
      group, "import",
      {"由其他系统的规则生成策略文件，并列出未能导入的内容及其影响（更严或更松）",
       "Make a policy file from another system's rules, and list what could not be carried over "
       "and whether that is more open or more closed"},
      "menshen policy import --from iptables rules.v4 rules.v6 --network eth1=10.1.0.0/16 --out "
      "p.yaml\n"
      "menshen policy import --from kubernetes pods.json namespaces.json networkpolicies.json",
      [&cli, arguments] { return import_files(cli, *arguments); });
  command
      .add_option("--from", arguments->from,
                  cli.say("来源：iptables（iptables-save 输出）、nft（nft -j list ruleset 输出）、"
                          "kubernetes（对象，JSON 或 YAML）、openstack（Neutron API 答复）",
                          "iptables (of iptables-save), nft (of nft -j list ruleset), kubernetes "
                          "(objects, JSON or YAML), openstack (replies of Neutron's API)"))
      ->required()
      ->type_name("FORMAT");
  command.add_option("FILE", arguments->files, cli.say("来源文件", "Files to read"))
      ->required()
      ->type_name("");
  command
      .add_option("--network", arguments->networks,
                  cli.say("接口后的网段，用于按接口匹配的规则；可多次给出",
                          "What lies behind an interface, for rules that name it; may be repeated"))
      ->allow_extra_args(false)  // one each time: what follows are files
      ->type_name("INTERFACE=PREFIX");
  command
      .add_option("--out", arguments->out,
                  cli.say("写入该文件；缺省为标准输出", "Write to this file, not standard output"))
      ->type_name("FILE");
  command.add_flag("--json", arguments->json, cli.say("输出 JSON", "Print JSON"));
}

}  // namespace menshen::apps
