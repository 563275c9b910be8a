// menshen audit witness|backup|restore|recover-key
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "apps/menshen/audit_commands.hpp"
#include "apps/menshen/person.hpp"
#include "audit/backup/backup.hpp"
#include "audit/store/evidence.hpp"
#include "audit/store/recover.hpp"
#include "audit/verify/witness.hpp"
#include "base/file.hpp"
#include "base/users.hpp"

namespace menshen::apps {
namespace {

namespace fs = std::filesystem;

struct WitnessArguments {
  std::string evidence;
  std::string ledger;
  std::string key;
  std::string fingerprint;
  std::string profile = "sm";
};
struct BackupArguments {
  std::string folder;
  std::string store;
  std::string fingerprint;
  bool with_key = false;
};
struct RecoverArguments {
  std::string store;
  std::string reason;
};

Result<fs::path> store_of(Cli& cli, const std::string& store) {
  if (!store.empty()) return fs::path(store);
  const Settings* settings = MENSHEN_TRY(cli.settings());
  return fs::path(settings->text("audit.directory"));
}

// What root made in the store is the store's owner's: auditd must be able to open it.
Result<void> give_to_owner(const fs::path& store, uid_t uid, gid_t gid) {
  if (::geteuid() != 0) return {};
  std::error_code error;
  std::vector<fs::path> paths{store};
  for (const auto& entry : fs::recursive_directory_iterator(store, error)) {
    paths.push_back(entry.path());
  }
  for (const fs::path& path : paths) {
    if (::lchown(path.c_str(), uid, gid) != 0) {
      return fail_errno({"无法设置属主：" + path.string(), "cannot give away " + path.string()});
    }
  }
  return {};
}

// Root works on as who owns the store: what is made there must be auditd's, and nothing that its
// owner put there may lead root elsewhere.
Result<void> become(uid_t uid, gid_t gid) {
  if (::geteuid() != 0 || uid == 0) return {};
  if (::setgroups(0, nullptr) == 0 && ::setgid(gid) == 0 && ::setuid(uid) == 0) return {};
  return fail_errno({"无法切换为审计库的属主", "cannot become the store's owner"});
}

// The witness' own key, made where there is none yet; its public half stands beside it.
Result<audit::SigningKey> witness_key(const WitnessArguments& arguments) {
  const fs::path path = arguments.key;
  std::error_code error;
  if (fs::exists(path, error)) return audit::SigningKey::load(path);
  const auto profile = audit::parse_profile(arguments.profile);
  if (!profile) {
    return fail(ErrorCode::invalid, {"密码套件须为 sm 或 intl", "the profile is sm or intl"});
  }
  audit::SigningKey made = MENSHEN_TRY(audit::SigningKey::generate(*profile));
  MENSHEN_CHECK(made.save(path));
  MENSHEN_CHECK(write_file_atomic(path.string() + ".pub", made.public_key().pem(), 0644));
  return made;
}

Result<ExitCode> witness(Cli& cli, const WitnessArguments& arguments) {
  const std::string json = MENSHEN_TRY(read_file(arguments.evidence, audit::evidence_bytes_max));
  const audit::SigningKey key = MENSHEN_TRY(witness_key(arguments));
  const audit::Witnessed seen = MENSHEN_TRY(
      audit::witness(arguments.ledger, key, json, arguments.fingerprint, system_clock()));
  print_out(fmt::format(
      fmt::runtime(seen.fresh
                       ? cli.say("已见证检查点 {}（{} 条记录，{}）\n",
                                 "witnessed checkpoint {} ({} records, {})\n")
                       : cli.say("检查点 {} 已在账本中（{} 条记录，{}）\n",
                                 "checkpoint {} is in the ledger already ({} records, {})\n")),
      seen.checkpoint.number, seen.checkpoint.size, format_utc(seen.checkpoint.time)));
  return ExitCode::ok;
}

void print_copied(const Cli& cli, const audit::VerifyReport& report, const fs::path& folder) {
  print_out(fmt::format(fmt::runtime(cli.say("{}：{} 条记录，{} 个检查点，校验通过\n",
                                             "{}: {} records, {} checkpoints, intact\n")),
                        folder.string(), report.records, report.checkpoints));
}

Result<ExitCode> backup(Cli& cli, const BackupArguments& arguments) {
  const fs::path store = MENSHEN_TRY(store_of(cli, arguments.store));
  audit::VerifyOptions options;
  options.fingerprint = arguments.fingerprint;
  const auto report = MENSHEN_TRY(
      audit::backup_store(store, arguments.folder,
                          arguments.with_key ? audit::WithKey::yes : audit::WithKey::no, options));
  print_copied(cli, report, arguments.folder);
  return ExitCode::ok;
}

Result<ExitCode> restore(Cli& cli, const BackupArguments& arguments) {
  const fs::path store = MENSHEN_TRY(store_of(cli, arguments.store));
  audit::VerifyOptions options;
  options.fingerprint = arguments.fingerprint;
  const auto report =
      MENSHEN_TRY(audit::restore_store(arguments.folder, store, acting_person(), options));
  if (const auto owner = find_user("menshen-audit")) {
    MENSHEN_CHECK(give_to_owner(store, owner->uid, owner->gid));
  }
  print_copied(cli, report, store);
  std::error_code error;
  if (!fs::exists(store / "signing.key", error)) {
    print_err(cli.say("备份不含签名密钥：放回密钥文件，或用 menshen audit recover-key\n",
                      "the backup has no signing key: put it back, or use menshen audit "
                      "recover-key\n"));
  }
  return ExitCode::ok;
}

Result<ExitCode> recover_key(Cli& cli, const RecoverArguments& arguments) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  audit::StoreOptions options;
  options.directory = MENSHEN_TRY(store_of(cli, arguments.store));
  options.origin = settings->text("general.name");
  struct stat owner {};
  if (::stat(options.directory.c_str(), &owner) != 0) {
    return fail_errno({"没有审计库：" + options.directory.string(),
                       "no audit store: " + options.directory.string()});
  }
  const std::string reason = fmt::format("{}（{}）", arguments.reason, acting_person());
  MENSHEN_CHECK(become(owner.st_uid, owner.st_gid));
  const std::string fingerprint = MENSHEN_TRY(audit::replace_lost_key(std::move(options), reason));
  print_out(fmt::format(
      fmt::runtime(cli.say("已启用新密钥，请另行保管指纹，校验时以 --accept-key 认可：{}\n",
                           "a new key signs; keep its fingerprint elsewhere and accept it when "
                           "verifying (--accept-key): {}\n")),
      fingerprint));
  return ExitCode::ok;
}

void add_store(CLI::App& command, const Cli& cli, std::string& store) {
  command
      .add_option(
          "--store", store,
          cli.say("审计库目录（默认取自配置文件）", "Folder of the store (default: the settings')"))
      ->type_name("DIR");
}

void add_copies(CLI::App& group, Cli& cli) {
  const auto add = [&](const char* name, const Text& help, const char* example, auto run) {
    const auto arguments = std::make_shared<BackupArguments>();
    CLI::App& command = cli.add(group, name, help, example,
                                [&cli, arguments, run] { return run(cli, *arguments); });
    command.add_option("folder", arguments->folder, cli.say("备份目录", "Folder of the backup"))
        ->required()
        ->type_name("DIR");
    add_store(command, cli, arguments->store);
    command
        .add_option("--fingerprint", arguments->fingerprint,
                    cli.say("另行保管的密钥指纹", "Fingerprint of the key, kept elsewhere"))
        ->type_name("FP");
    return std::pair(&command, arguments);
  };
  const auto [command, arguments] =
      add("backup",
          {"在运行中备份审计库并校验副本", "Copy the store while it runs; the copy is verified"},
          "menshen audit backup /mnt/backup/2026-11-23", backup);
  command->add_flag("--with-key", arguments->with_key,
                    cli.say("连同签名私钥（须妥善保管）", "With the signing key: guard the copy"));
  add("restore",
      {"由备份恢复审计库（先停止 menshen-auditd，目标目录须为空）",
       "Restore a backup into an empty folder, with menshen-auditd stopped"},
      "menshen audit restore /mnt/backup/2026-11-23", restore);
}

}  // namespace

void add_audit_keep_commands(CLI::App& group, Cli& cli) {
  const auto seeing = std::make_shared<WitnessArguments>();
  CLI::App& witness_command = cli.add(
      group, "witness",
      {"在另一台主机上见证：校验检查点接续账本中的上一个，签署并追加",
       "On another host: check that a checkpoint follows the ledger's last, sign and append it"},
      "menshen audit witness step.json --ledger gov-a.ledger --key witness.key --fingerprint "
      "sm3:..",
      [&cli, seeing] { return witness(cli, *seeing); });
  witness_command
      .add_option(
          "evidence", seeing->evidence,
          cli.say("被见证方给出的证据：首次为 audit prove 1，其后为 audit prove --since-note",
                  "Evidence of the store: audit prove 1 at first, then audit prove "
                  "--since-note"))
      ->required()
      ->type_name("FILE");
  witness_command.add_option("--ledger", seeing->ledger, cli.say("见证账本", "The ledger"))
      ->required()
      ->type_name("FILE");
  witness_command
      .add_option("--key", seeing->key,
                  cli.say("见证方私钥；没有则新建，公钥存于其旁（.pub）",
                          "The witness' own key, made where absent; its public half beside it"))
      ->required()
      ->type_name("FILE");
  witness_command
      .add_option("--fingerprint", seeing->fingerprint,
                  cli.say("被见证审计库的密钥指纹", "Fingerprint of the store's key"))
      ->type_name("FP");
  witness_command
      .add_option("--profile", seeing->profile,
                  cli.say("新建私钥的密码套件：sm 或 intl", "Profile of a new key: sm or intl"))
      ->capture_default_str();
  add_copies(group, cli);
  const auto recovering = std::make_shared<RecoverArguments>();
  CLI::App& recover_command =
      cli.add(group, "recover-key",
              {"签名密钥丢失后启用新密钥（先停止 menshen-auditd）；此后校验须以 --accept-key 认可",
               "Go on with a new key after the signing key was lost, with menshen-auditd stopped; "
               "verifying "
               "then needs --accept-key"},
              "menshen audit recover-key --reason 'disk of the key failed'",
              [&cli, recovering] { return recover_key(cli, *recovering); });
  recover_command
      .add_option("--reason", recovering->reason,
                  cli.say("原因，写入审计记录", "How it was lost; it is recorded"))
      ->required()
      ->type_name("TEXT");
  add_store(recover_command, cli, recovering->store);
}

}  // namespace menshen::apps
