#include "compliance/collect/host.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <map>
#include <optional>

#include "compliance/collect/parse.hpp"

namespace menshen::compliance {
namespace {

using nlohmann::json;

constexpr WallTime day = WallTime{86'400} * 1'000'000'000;

constexpr std::array<std::string_view, 19> sysctls{"net.ipv4.ip_forward",
                                                   "net.ipv4.tcp_syncookies",
                                                   "net.ipv4.icmp_echo_ignore_broadcasts",
                                                   "net.ipv4.conf.all.accept_redirects",
                                                   "net.ipv4.conf.all.accept_source_route",
                                                   "net.ipv4.conf.all.send_redirects",
                                                   "net.ipv4.conf.all.rp_filter",
                                                   "net.ipv4.conf.all.log_martians",
                                                   "net.ipv6.conf.all.accept_redirects",
                                                   "net.ipv6.conf.all.accept_source_route",
                                                   "kernel.randomize_va_space",
                                                   "kernel.kptr_restrict",
                                                   "kernel.dmesg_restrict",
                                                   "kernel.unprivileged_bpf_disabled",
                                                   "kernel.yama.ptrace_scope",
                                                   "kernel.sysrq",
                                                   "fs.protected_hardlinks",
                                                   "fs.protected_symlinks",
                                                   "fs.suid_dumpable"};

constexpr std::array<std::string_view, 13> mode_paths{"/etc/passwd",
                                                      "/etc/shadow",
                                                      "/etc/group",
                                                      "/etc/gshadow",
                                                      "/etc/ssh/sshd_config",
                                                      "/etc/sudoers",
                                                      "/etc/crontab",
                                                      "/var/log",
                                                      "/var/log/audit",
                                                      "/etc/menshen",
                                                      "/var/lib/menshen",
                                                      "/var/lib/menshen/audit",
                                                      "/var/lib/menshen/policy"};

constexpr std::array<std::string_view, 8> pam_files{
    "/etc/pam.d/common-auth",    "/etc/pam.d/common-account", "/etc/pam.d/common-password",
    "/etc/pam.d/common-session", "/etc/pam.d/system-auth",    "/etc/pam.d/password-auth",
    "/etc/pam.d/sshd",           "/etc/pam.d/login"};

// Raw text of one subject: several files under their names, so that the digest covers them all.
struct Raw {
  std::string source;
  std::string text;
  void add(std::string_view name, std::string_view content) {
    source += source.empty() ? std::string(name) : fmt::format(", {}", name);
    text += fmt::format("== {} ==\n{}\n", name, content);
  }
};

// A file that is not there is an empty optional; anything else that goes wrong is an error.
Result<std::optional<std::string>> read_if_there(const HostAccess& host, const std::string& path) {
  auto content = host.read(path);
  if (content) return std::optional<std::string>(*std::move(content));
  if (content.error().code == ErrorCode::not_found) return std::optional<std::string>();
  return tl::make_unexpected(std::move(content).error());
}

Result<std::vector<std::string>> list_if_there(const HostAccess& host, const std::string& path) {
  auto names = host.list(path);
  if (names || names.error().code != ErrorCode::not_found) return names;
  return std::vector<std::string>();
}

const HostCommand& command_named(std::string_view name) {
  const auto all = host_commands();
  return *std::find_if(all.begin(), all.end(),
                       [&](const HostCommand& c) { return c.name == name; });
}

// One collection run: results of commands and the process list are used by more than one subject.
class Collector {
 public:
  Collector(const HostAccess& host, const Clock& clock, const std::string& object)
      : host_(host), clock_(clock), object_(object) {}

  Facts run() {
    for (const HostCommand& command : host_commands()) run_command(command);
    subject("host.identity", &Collector::identity);
    for (const SettingsFile& file : settings_files()) settings_file(file);
    subject("host.processes", &Collector::processes);
    subject("host.accounts", &Collector::accounts);
    subject("host.pam", &Collector::pam);
    subject("host.session", &Collector::session);
    subject("host.sudo", &Collector::sudo);
    subject("host.sshd", &Collector::sshd);
    subject("host.sysctl", &Collector::sysctl);
    subject("host.modes", &Collector::modes);
    subject("host.listening", &Collector::listening);
    subject("host.packages", &Collector::packages);
    subject("host.updates", &Collector::updates);
    subject("host.time", &Collector::time);
    subject("host.auditd", &Collector::auditd);
    subject("host.logging", &Collector::logging);
    subject("host.malware", &Collector::malware);
    subject("host.lsm", &Collector::lsm);
    subject("host.trusted", &Collector::trusted);
    return std::move(facts_);
  }

 private:
  using Collected = Result<json>;

  Provenance provenance(const Raw& raw) const {
    return make_provenance(object_, raw.source, clock_.wall(), raw.text);
  }

  void subject(const std::string& name, Collected (Collector::*collect)(Raw&)) {
    Raw raw;
    auto value = (this->*collect)(raw);
    if (raw.source.empty()) raw.source = name;
    if (value) {
      facts_.add(name, *std::move(value), provenance(raw));
    } else {
      facts_.fail(name, value.error().text, provenance(raw));
    }
  }

  // host.command.NAME: {"installed": true, "status": 0, "out": ...}
  void run_command(const HostCommand& command) {
    Raw raw;
    raw.source = fmt::format("command {}", fmt::join(command.arguments, " "));
    const std::string name = fmt::format("host.command.{}", command.name);
    auto output = host_.run(command);
    if (output) raw.text = output->out;
    if (!output && output.error().code == ErrorCode::not_found) {
      facts_.add(name, {{"installed", false}}, provenance(raw));
    } else if (!output) {
      facts_.fail(name, output.error().text, provenance(raw));
    } else {
      facts_.add(name, {{"installed", true}, {"status", output->status}, {"out", output->out}},
                 provenance(raw));
    }
  }

  // The output of a command that ran and ended well; nothing where its program is not installed.
  Result<std::optional<std::string>> output(std::string_view name, Raw& raw) {
    const Facts::Found found = facts_.find(fmt::format("host.command.{}", name));
    const HostCommand& command = command_named(name);
    const std::string shown = fmt::format("command {}", fmt::join(command.arguments, " "));
    if (found.fact->failure) {
      raw.add(shown, "");
      return fail(ErrorCode::unavailable, *found.fact->failure);
    }
    const json& value = found.fact->value;
    if (!value.at("installed").get<bool>()) {
      raw.add(shown, "(not installed)");
      return std::optional<std::string>();
    }
    const std::string out = value.at("out").get<std::string>();
    raw.add(shown, out);
    if (const int status = value.at("status").get<int>(); status != 0) {
      return fail(ErrorCode::unavailable, {fmt::format("{} 以状态 {} 结束", shown, status),
                                           fmt::format("{} ended with status {}", shown, status)});
    }
    return std::optional<std::string>(out);
  }

  Collected identity(Raw& raw) {
    json value = json::object();
    for (const auto& [key, path] :
         {std::pair{"hostname", "/proc/sys/kernel/hostname"},
          std::pair{"kernel", "/proc/sys/kernel/osrelease"}, std::pair{"os", "/etc/os-release"}}) {
      const auto content = MENSHEN_TRY(read_if_there(host_, path));
      if (!content) continue;
      raw.add(path, *content);
      std::string text = *content;
      if (std::string_view(key) == "os") {
        text = parse::settings(*content, SettingsStyle::equals).value("PRETTY_NAME", "");
        text.erase(std::remove(text.begin(), text.end(), '"'), text.end());
      }
      value[key] = text.substr(0, text.find('\n'));
    }
    return value;
  }

  void settings_file(const SettingsFile& file) {
    Raw raw;
    raw.source = fmt::format("file {}", file.path);
    const std::string name = fmt::format("host.file.{}", file.path);
    auto content = read_if_there(host_, std::string(file.path));
    if (!content) {
      facts_.fail(name, content.error().text, provenance(raw));
      return;
    }
    json value = {{"present", content->has_value()}};
    if (*content) {
      raw.text = **content;
      value["settings"] = parse::settings(**content, file.style);
    }
    facts_.add(name, std::move(value), provenance(raw));
  }

  Collected processes(Raw& raw) {
    std::map<std::string, int> counts;
    for (const std::string& name : MENSHEN_TRY(host_.list("/proc"))) {
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      const auto comm = host_.read("/proc/" + name + "/comm");
      if (!comm) continue;  // it ended meanwhile
      std::string text = *comm;
      text.erase(std::remove(text.begin(), text.end(), '\n'), text.end());
      ++counts[text];
    }
    if (counts.empty()) {
      return fail(ErrorCode::unavailable,
                  {"/proc 中没有可见的进程", "no process is visible in /proc"});
    }
    std::string listing;
    for (const auto& [name, count] : counts) listing += fmt::format("{} {}\n", count, name);
    raw.add("/proc/*/comm", listing);
    for (const auto& [name, count] : counts) running_.push_back(name);
    return json(counts);
  }

  [[nodiscard]] bool runs(std::string_view name) const {
    return std::find(running_.begin(), running_.end(), name) != running_.end();
  }

  Collected accounts(Raw& raw) {
    const std::string passwd = MENSHEN_TRY(host_.read("/etc/passwd"));
    const std::string shadow = MENSHEN_TRY(host_.read("/etc/shadow"));
    raw.add("file /etc/passwd", passwd);
    raw.add("file /etc/shadow (password fields replaced by their kind)",
            parse::redact_shadow(shadow));
    return parse::accounts(passwd, shadow, static_cast<long>(clock_.wall() / day));
  }

  Collected pam(Raw& raw) {
    json value = {{"modules", json::object()}, {"options", json::object()}};
    std::size_t found = 0;
    for (const std::string_view path : pam_files) {
      const auto content = MENSHEN_TRY(read_if_there(host_, std::string(path)));
      if (!content) continue;
      ++found;
      raw.add(fmt::format("file {}", path), *content);
      parse::pam(*content, value);
    }
    if (found == 0) return fail(ErrorCode::not_found, {"没有 PAM 配置", "no PAM configuration"});
    for (const char* kind : {"auth", "account", "password", "session"})
      if (!value["modules"].contains(kind)) value["modules"][kind] = json::array();
    return value;
  }

  // The smallest idle timeout that a login shell sets; 0: none.
  Collected session(Raw& raw) {
    std::vector<std::string> paths{"/etc/profile", "/etc/bash.bashrc"};
    for (const std::string& name : MENSHEN_TRY(list_if_there(host_, "/etc/profile.d")))
      if (name.size() > 3 && name.substr(name.size() - 3) == ".sh")
        paths.push_back("/etc/profile.d/" + name);
    long tmout = 0;
    for (const std::string& path : paths) {
      const auto content = MENSHEN_TRY(read_if_there(host_, path));
      if (!content) continue;
      raw.add("file " + path, *content);
      for (const std::string_view line : parse::lines(*content)) {
        const std::size_t at = line.find("TMOUT=");
        if (at == std::string_view::npos) continue;
        long seconds = 0;
        std::from_chars(line.data() + at + 6, line.data() + line.size(), seconds);
        if (seconds > 0 && (tmout == 0 || seconds < tmout)) tmout = seconds;
      }
    }
    return json{{"tmout", tmout}};
  }

  Collected sudo(Raw& raw) {
    std::vector<std::string> paths{"/etc/sudoers"};
    for (const std::string& name : MENSHEN_TRY(list_if_there(host_, "/etc/sudoers.d")))
      paths.push_back("/etc/sudoers.d/" + name);
    json value = {{"installed", false}, {"without_password", json::array()}};
    for (const std::string& path : paths) {
      const auto content = MENSHEN_TRY(read_if_there(host_, path));
      if (!content) continue;
      value["installed"] = true;
      raw.add("file " + path, *content);
      parse::sudo_without_password(*content, value["without_password"]);
    }
    if (raw.source.empty()) raw.add("file /etc/sudoers", "(not present)");
    return value;
  }

  Collected sshd(Raw& raw) {
    const auto text = MENSHEN_TRY(output("sshd", raw));
    if (!text) return json{{"installed", false}, {"running", runs("sshd")}};
    return json{{"installed", true}, {"running", runs("sshd")}, {"settings", parse::sshd(*text)}};
  }

  Collected sysctl(Raw& raw) {
    json value = json::object();
    std::string listing;
    for (const std::string_view key : sysctls) {
      std::string path = fmt::format("/proc/sys/{}", key);
      std::replace(path.begin() + 10, path.end(), '.', '/');
      auto content = MENSHEN_TRY(read_if_there(host_, path));
      if (!content) continue;
      content->erase(std::remove(content->begin(), content->end(), '\n'), content->end());
      listing += fmt::format("{} = {}\n", key, *content);
      value[std::string(key)] = *content;
    }
    raw.add("/proc/sys", listing);
    return value;
  }

  Collected modes(Raw& raw) {
    json value = json::object();
    std::string listing;
    for (const std::string_view path : mode_paths) {
      const auto status = host_.status(std::string(path));
      if (!status && status.error().code == ErrorCode::not_found) continue;
      if (!status) return tl::make_unexpected(status.error());
      const std::string mode = fmt::format("{:04o}", status->mode);
      listing += fmt::format("{} {} {} {}\n", mode, status->owner, status->group, path);
      value[std::string(path)] = {
          {"mode", mode}, {"owner", status->owner}, {"group", status->group}};
    }
    raw.add("stat", listing);
    return value;
  }

  Collected listening(Raw& raw) {
    json value = json::object();
    for (const auto& [protocol, state] : {std::pair{"tcp", "0A"}, std::pair{"udp", "07"}}) {
      std::vector<int> all;
      std::vector<int> exposed;
      for (const char* family : {"", "6"}) {
        const std::string path = fmt::format("/proc/net/{}{}", protocol, family);
        const auto content = MENSHEN_TRY(read_if_there(host_, path));
        if (!content && *family == '\0')
          return fail(ErrorCode::not_found, {path + " 不存在", path + " is not there"});
        if (!content) continue;  // IPv6 may be switched off
        raw.add("file " + path, *content);
        const parse::Sockets found = parse::listening(*content, state);
        all.insert(all.end(), found.all.begin(), found.all.end());
        exposed.insert(exposed.end(), found.exposed.begin(), found.exposed.end());
      }
      for (auto* ports : {&all, &exposed}) {
        std::sort(ports->begin(), ports->end());
        ports->erase(std::unique(ports->begin(), ports->end()), ports->end());
      }
      value[protocol] = all;
      value[fmt::format("exposed_{}", protocol)] = exposed;
    }
    return value;
  }

  Collected packages(Raw& raw) {
    const auto text = MENSHEN_TRY(output("packages", raw));
    if (!text) {
      return fail(ErrorCode::not_found,
                  {"没有 dpkg-query，无法列出软件包", "no dpkg-query: packages cannot be listed"});
    }
    return parse::packages(*text);
  }

  // Without package lists apt would say "nothing to do": nothing is known, and nothing is said.
  Collected updates(Raw& raw) {
    const auto names = MENSHEN_TRY(list_if_there(host_, "/var/lib/apt/lists"));
    WallTime newest = 0;
    for (const std::string& name : names) {
      if (name.find("_Packages") == std::string::npos &&
          name.find("InRelease") == std::string::npos)
        continue;
      const auto status = host_.status("/var/lib/apt/lists/" + name);
      if (status) newest = std::max(newest, status->modified);
    }
    const auto text = MENSHEN_TRY(output("updates", raw));
    if (!text || newest == 0) {
      return fail(ErrorCode::not_found, {"没有软件包索引，无法得知待装更新",
                                         "no package lists: pending updates are not known"});
    }
    int pending = 0;
    int security = 0;
    for (const std::string_view line : parse::lines(*text)) {
      if (line.substr(0, 5) != "Inst ") continue;
      ++pending;
      if (line.find("ecurity") != std::string_view::npos) ++security;
    }
    return json{{"list_age_days", (clock_.wall() - newest) / day},
                {"pending", pending},
                {"security", security}};
  }

  Collected time(Raw& raw) {
    json value = {{"daemons", json::array()}};
    for (const char* name : {"chronyd", "ntpd", "ntpd-rs", "systemd-timesyn", "ptp4l"})
      if (runs(name)) value["daemons"].push_back(name);
    const auto chrony = output("time_chrony", raw);
    const auto systemd = output("time_systemd", raw);
    if (chrony && *chrony) {
      const std::size_t leap = (*chrony)->find("Leap status");
      const bool good =
          leap != std::string::npos && (*chrony)->find("Normal", leap) != std::string::npos;
      value["synchronised"] = good;
    } else if (systemd && *systemd) {
      value["synchronised"] = (*systemd)->find("NTPSynchronized=yes") != std::string::npos;
    }
    return value;
  }

  Collected auditd(Raw& raw) {
    json value = {{"running", runs("auditd")}};
    const auto status = MENSHEN_TRY(output("audit_status", raw));
    const auto rules = MENSHEN_TRY(output("audit_rules", raw));
    value["installed"] = status.has_value();
    if (!status || !rules) return value;
    for (const std::string_view line : parse::lines(*status)) {
      int enabled = 0;
      if (line.substr(0, 8) != "enabled ") continue;
      std::from_chars(line.data() + 8, line.data() + line.size(), enabled);
      value["enabled"] = enabled;
    }
    int count = 0;
    for (const std::string_view line : parse::lines(*rules))
      if (line[0] == '-') ++count;
    value["rules"] = count;
    return value;
  }

  Collected logging(Raw& raw) {
    json targets = json::array();
    std::vector<std::string> paths{"/etc/rsyslog.conf"};
    for (const std::string& name : MENSHEN_TRY(list_if_there(host_, "/etc/rsyslog.d")))
      paths.push_back("/etc/rsyslog.d/" + name);
    for (const std::string& path : paths) {
      const auto content = MENSHEN_TRY(read_if_there(host_, path));
      if (!content) continue;
      raw.add("file " + path, *content);
      parse::rsyslog_targets(*content, targets);
    }
    if (raw.source.empty()) raw.add("file /etc/rsyslog.conf", "(not present)");
    json daemons = json::array();
    for (const char* name : {"rsyslogd", "systemd-journal", "syslog-ng"})
      if (runs(name)) daemons.push_back(name);
    return json{{"daemons", daemons}, {"forward_targets", targets}};
  }

  Collected malware(Raw& raw) {
    json value = {{"engine_running", runs("clamd")}, {"updater_running", runs("freshclam")}};
    WallTime newest = 0;
    std::string listing;
    for (const char* name : {"daily.cvd", "daily.cld"}) {
      const std::string path = fmt::format("/var/lib/clamav/{}", name);
      const auto status = host_.status(path);
      if (!status && status.error().code == ErrorCode::not_found) continue;
      if (!status) return tl::make_unexpected(status.error());
      listing += fmt::format("{} {}\n", path, format_utc(status->modified));
      newest = std::max(newest, status->modified);
    }
    raw.add("stat /var/lib/clamav", listing.empty() ? "(no signatures)" : listing);
    value["signatures_present"] = newest != 0;
    if (newest != 0) value["signature_age_days"] = (clock_.wall() - newest) / day;
    return value;
  }

  Collected lsm(Raw& raw) {
    json value = json::object();
    const auto active = MENSHEN_TRY(read_if_there(host_, "/sys/kernel/security/lsm"));
    if (active) {
      raw.add("file /sys/kernel/security/lsm", *active);
      value["active"] = *active;
    }
    const auto apparmor =
        MENSHEN_TRY(read_if_there(host_, "/sys/module/apparmor/parameters/enabled"));
    const auto selinux = MENSHEN_TRY(read_if_there(host_, "/sys/fs/selinux/enforce"));
    raw.add("file /sys/module/apparmor/parameters/enabled", apparmor.value_or("(not present)"));
    raw.add("file /sys/fs/selinux/enforce", selinux.value_or("(not present)"));
    value["enforcing"] =
        (apparmor && apparmor->substr(0, 1) == "Y") || (selinux && selinux->substr(0, 1) == "1");
    return value;
  }

  Collected trusted(Raw& raw) {
    const auto boot = MENSHEN_TRY(read_if_there(
        host_, "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"));
    const bool tpm = host_.status("/sys/class/tpm/tpm0").has_value();
    const bool ima =
        host_.status("/sys/kernel/security/ima/ascii_runtime_measurements").has_value();
    // EFI variables begin with four bytes of attributes.
    const bool secure = boot && boot->size() == 5 && (*boot)[4] == 1;
    raw.add("/sys/class/tpm, SecureBoot, IMA",
            fmt::format("tpm {}\nsecure boot {}\nima {}\n", tpm, secure, ima));
    return json{{"tpm", tpm}, {"secure_boot", secure}, {"ima", ima}};
  }

  const HostAccess& host_;
  const Clock& clock_;
  const std::string& object_;
  Facts facts_;
  std::vector<std::string> running_;
};

}  // namespace

Facts collect_host(const HostAccess& host, const Clock& clock, const std::string& object) {
  return Collector(host, clock, object).run();
}

}  // namespace menshen::compliance
