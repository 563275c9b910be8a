// menshen comply inventory|script|import
#include <memory>

#include "apps/menshen/attest.hpp"
#include "apps/menshen/comply_commands.hpp"
#include "apps/menshen/comply_run.hpp"
#include "apps/menshen/table.hpp"
#include "base/file.hpp"

namespace menshen::apps {
namespace fs = std::filesystem;
namespace {

using compliance::Inventory;
using compliance::InventoryObject;

struct InventoryArguments {
  std::string file;
  bool json = false;
};
struct ScriptArguments {
  std::string object;
  std::string out;
};
struct ImportArguments {
  std::string file;
};

std::string_view collect_name(compliance::CollectBy by) {
  switch (by) {
    case compliance::CollectBy::ssh:
      return "ssh";
    case compliance::CollectBy::offline:
      return "offline";
    case compliance::CollectBy::manual:
      break;
  }
  return "manual";
}

Result<ExitCode> take_inventory(Cli& cli, const Settings& settings,
                                const compliance::Catalogue& catalogue, const std::string& file) {
  const std::string text = MENSHEN_TRY(read_file(file, compliance::inventory_bytes_max));
  Diagnostics diagnostics(file, text);
  const auto inventory = compliance::parse_inventory(text, catalogue.classes, diagnostics);
  if (!inventory) {
    print_err(diagnostics.render(cli.lang()));
    return fail(ErrorCode::invalid, {"资产清单有误，未导入", "the inventory is wrong: not taken"});
  }
  const ComplyPaths paths = ComplyPaths::of(settings);
  MENSHEN_CHECK(make_directories(paths.root));
  MENSHEN_CHECK(write_file_atomic(paths.inventory, compliance::to_csv(*inventory)));
  print_out(fmt::format(fmt::runtime(cli.say("已导入 {} 个对象\n", "{} objects taken\n")),
                        inventory->objects.size()));
  return ExitCode::ok;
}

Result<ExitCode> inventory(Cli& cli, const InventoryArguments& arguments) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  const compliance::Catalogue catalogue = MENSHEN_TRY(load_comply_catalogue(cli, *settings));
  if (!arguments.file.empty()) return take_inventory(cli, *settings, catalogue, arguments.file);
  const Inventory listed = MENSHEN_TRY(load_inventory(cli, *settings, catalogue));
  if (arguments.json) {
    Json list = Json::array();
    for (const InventoryObject& o : listed.objects) {
      list.push_back({{"id", o.id},
                      {"name", o.name},
                      {"class", o.class_id},
                      {"addresses", o.addresses},
                      {"collect", collect_name(o.collect)}});
    }
    print_out(to_pretty(list) + "\n");
    return ExitCode::ok;
  }
  Table table({cli.say("编号", "id"), cli.say("名称", "name"), cli.say("类别", "class"),
               cli.say("地址", "address"), cli.say("采集方式", "collect")});
  for (const InventoryObject& o : listed.objects) {
    const compliance::ObjectClass* known = catalogue.find_class(o.class_id);
    table.add({o.id, o.name, known == nullptr ? o.class_id : cli.in(known->title),
               fmt::format("{}", fmt::join(o.addresses, " ")),
               std::string(collect_name(o.collect))});
  }
  print_out(table.render(""));
  return ExitCode::ok;
}

Result<ExitCode> script(Cli& cli, const ScriptArguments& arguments) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  const compliance::Catalogue catalogue = MENSHEN_TRY(load_comply_catalogue(cli, *settings));
  const Inventory listed = MENSHEN_TRY(load_inventory(cli, *settings, catalogue));
  if (listed.find(arguments.object) == nullptr) {
    return fail(ErrorCode::not_found,
                {"资产清单中没有 " + arguments.object, "the inventory has no " + arguments.object});
  }
  const ComplyPaths paths = ComplyPaths::of(*settings);
  MENSHEN_CHECK(make_directories(paths.offline, 0700));
  const std::string collection = arguments.object + "-" + random_hex(8);
  const std::string key = random_hex(compliance::seal_key_bytes);
  const Json meta = {
      {"object", arguments.object}, {"key", key}, {"made_at", format_utc(system_clock().wall())}};
  MENSHEN_CHECK(write_file_atomic(paths.offline / (collection + ".json"), to_pretty(meta), 0600));
  MENSHEN_CHECK(write_file_atomic(
      arguments.out, compliance::collection_script(catalogue.sources, {collection, key, ""}),
      0700));
  print_out(
      fmt::format(fmt::runtime(cli.say(
                      "{0}\n在目标主机上以 root 运行：sh {1} {2}.capture\n再导入：menshen comply "
                      "import {2}.capture\n",
                      "{0}\non the host, as root: sh {1} {2}.capture\nthen: menshen comply "
                      "import {2}.capture\n")),
                  arguments.out, fs::path(arguments.out).filename().string(), arguments.object));
  return ExitCode::ok;
}

Result<Json> seal_of(const ComplyPaths& paths, const std::string& collection) {
  const bool plain = collection.find_first_of("/") == std::string::npos && !collection.empty() &&
                     collection[0] != '.';
  if (plain) {
    const auto stored = read_file(paths.offline / (collection + ".json"), 64U << 10U);
    const Json meta = stored ? Json::parse(*stored, nullptr, false) : Json();
    if (meta.is_object()) return meta;
  }
  return fail(ErrorCode::not_found,
              {"没有为该采集生成过脚本，或其结果已导入",
               "no script was made here for this collection, or its output was taken before"});
}

Result<ExitCode> import(Cli& cli, const ImportArguments& arguments) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  const ComplyPaths paths = ComplyPaths::of(*settings);
  const std::string text = MENSHEN_TRY(read_file(arguments.file, compliance::capture_bytes_max));
  const std::string collection = compliance::collection_of(text);
  const Json meta = MENSHEN_TRY(seal_of(paths, collection));
  const auto capture = MENSHEN_TRY(compliance::Capture::parse(text, meta.value("key", "")));
  if (!capture.as_root()) {
    print_err(cli.say("  ! 脚本不是以 root 运行的，部分事实将采集失败\n",
                      "  ! the script did not run as root: some facts will be errors\n"));
  }
  const std::string object = meta.value("object", "");
  MENSHEN_CHECK(make_directories(paths.captures));
  const fs::path file = paths.captures / (object + ".capture");
  MENSHEN_CHECK(write_file_atomic(file, text, 0640));
  MENSHEN_CHECK(write_file_atomic(paths.captures / (object + ".json"), to_pretty(meta), 0600));
  // A script's output is taken once: what comes later under its name is not believed.
  std::error_code error;
  fs::remove(paths.offline / (collection + ".json"), error);
  print_out(
      fmt::format(fmt::runtime(cli.say("已导入 {}（主机 {}，{}）\n", "{} taken (host {}, {})\n")),
                  object, capture.host(), format_local(capture.time())));
  const Result<void> attested = attest_beside(*settings, {file});
  if (attested) return ExitCode::ok;
  return fail_while({"已导入，但未能取得审计证据", "taken, but the audit did not vouch for it"},
                    attested.error());
}

}  // namespace

void add_comply_hosts_commands(CLI::App& group, Cli& cli) {
  const auto listing = std::make_shared<InventoryArguments>();
  CLI::App& list = cli.add(group, "inventory",
                           {"列出测评对象，或从 CSV 导入资产清单",
                            "List the assessed objects, or take an inventory from CSV"},
                           "menshen comply inventory --import assets.csv",
                           [&cli, listing] { return inventory(cli, *listing); });
  list.add_option("--import", listing->file,
                  cli.say("要导入的 CSV 文件（替换现有清单）",
                          "CSV file that takes the place of the present one"))
      ->type_name("FILE");
  list.add_flag("--json", listing->json, cli.say("输出 JSON", "Print JSON"));

  const auto making = std::make_shared<ScriptArguments>();
  CLI::App& make = cli.add(group, "script",
                           {"生成离线采集脚本，供无法联网的主机使用",
                            "Make the collection script for a host that no network reaches"},
                           "menshen comply script db-03 --out collect-db-03.sh",
                           [&cli, making] { return script(cli, *making); });
  make.add_option("OBJECT", making->object,
                  cli.say("清单中的对象编号", "Id of the object in the inventory"))
      ->required()
      ->type_name("");
  make.add_option("--out", making->out, cli.say("脚本文件", "The script's file"))
      ->required()
      ->type_name("FILE");

  const auto importing = std::make_shared<ImportArguments>();
  CLI::App& take = cli.add(
      group, "import",
      {"导入离线采集结果：校验封签，每个脚本只接受一次",
       "Take an offline collection: its seal is checked, a script's output is taken once"},
      "menshen comply import db-03.capture", [&cli, importing] { return import(cli, *importing); });
  take.add_option("FILE", importing->file, cli.say("采集结果文件", "The script's output"))
      ->required()
      ->type_name("");
}

}  // namespace menshen::apps
