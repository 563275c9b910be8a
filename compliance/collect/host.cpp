#include "compliance/collect/host.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <map>
#include <optional>

#include "compliance/collect/parse.hpp"
#include "compliance/collect/utf8.hpp"

namespace menshen::compliance {
namespace {

using nlohmann::json;

constexpr WallTime day = WallTime{86'400} * 1'000'000'000;

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

std::string text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// `*` matches any run of characters but a leading dot.
bool matches(std::string_view pattern, std::string_view name) {
  if (name.empty() || (name[0] == '.' && pattern[0] != '.')) return false;
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;
  std::size_t after = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      after = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++after;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// Paths that a pattern stands for, sorted; one without `*` stands for itself, there or not.
Result<std::vector<std::string>> expand(const HostAccess& host, const std::string& pattern) {
  const std::size_t star = pattern.find('*');
  if (star == std::string::npos) return std::vector<std::string>{pattern};
  const std::size_t begin = pattern.rfind('/', star);
  const std::size_t end = pattern.find('/', star);
  const std::string folder = pattern.substr(0, begin);
  const std::string part =
      pattern.substr(begin + 1, end == std::string::npos ? end : end - begin - 1);
  std::vector<std::string> paths;
  for (const std::string& name : MENSHEN_TRY(list_if_there(host, folder))) {
    if (!matches(part, name)) continue;
    const std::string path = folder + "/" + name;
    if (end == std::string::npos) {
      paths.push_back(path);
      continue;
    }
    for (std::string& inner : MENSHEN_TRY(expand(host, path + pattern.substr(end))))
      paths.push_back(std::move(inner));
  }
  return paths;
}

// One collection run: results of commands and the process list are used by more than one subject.
class Collector {
 public:
  Collector(const HostAccess& host, const Sources& sources, const Clock& clock,
            const std::string& object)
      : host_(host), sources_(sources), clock_(clock), object_(object) {}

  Facts run() {
    for (const HostCommand& command : sources_.commands) run_command(command);
    subject("host.identity", &Collector::identity);
    for (const SettingsFile& file : sources_.settings) settings_file(file);
    for (const SettingsFile& file : sources_.texts) text_file(file);
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
    subject("host.groups", &Collector::groups);
    subject("host.storage", &Collector::storage);
    subject("host.firewall", &Collector::firewall);
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

  // The output of a command that ran and ended well (or with `also`); nothing where its program is
  // not installed.
  Result<std::optional<std::string>> output(std::string_view name, Raw& raw, int also = 0) {
    const Facts::Found found = facts_.find(fmt::format("host.command.{}", name));
    const HostCommand* command = sources_.command(name);
    if (found.fact == nullptr || command == nullptr) {
      return fail(ErrorCode::invalid, {fmt::format("采集清单中没有命令 {}", name),
                                       fmt::format("the sources name no command {}", name)});
    }
    const std::string shown = fmt::format("command {}", fmt::join(command->arguments, " "));
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
    if (const int status = value.at("status").get<int>(); status != 0 && status != also) {
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
        const json os = parse::settings(*content, SettingsStyle::equals);
        text = text_at(os, "PRETTY_NAME");
        value["family"] = parse::os_family(text_at(os, "ID"), text_at(os, "ID_LIKE"));
      }
      value[key] = text.substr(0, text.find('\n'));
    }
    return value;
  }

  // The files of one subject that are there, secrets taken out: name and content.
  using Contents = std::vector<std::pair<std::string, std::string>>;
  Result<Contents> contents(const SettingsFile& file) {
    Contents result;
    for (const std::string& pattern : file.files) {
      for (const std::string& path : MENSHEN_TRY(expand(host_, pattern))) {
        const auto status = host_.status(path);
        if (status && status->directory) continue;
        auto content = MENSHEN_TRY(read_if_there(host_, path));
        if (content) result.emplace_back(path, parse::redact_settings(*content, file));
      }
    }
    return result;
  }

  void add_or_fail(const std::string& name, Collected value, Raw raw) {
    if (raw.source.empty()) raw.source = name;
    if (value) {
      facts_.add(name, *std::move(value), provenance(raw));
    } else {
      facts_.fail(name, value.error().text, provenance(raw));
    }
  }

  // host.file.NAME: {"present": true, "files": [...], "settings": {...}}
  void settings_file(const SettingsFile& file) {
    Raw raw;
    add_or_fail("host.file." + file.name, settings_of(file, raw), std::move(raw));
  }
  Collected settings_of(const SettingsFile& file, Raw& raw) {
    json value = {{"present", false}, {"files", json::array()}};
    for (const auto& [path, content] : MENSHEN_TRY(contents(file))) {
      raw.add("file " + path, content);
      value["present"] = true;
      value["files"].push_back(path);
      if (!value.contains("settings")) value["settings"] = json::object();
      if (!parse::settings_into(content, file.style, value["settings"])) {
        return fail(ErrorCode::invalid, {path + " 的内容无法识别", path + " cannot be parsed"});
      }
    }
    if (raw.source.empty()) raw.source = fmt::format("file {}", fmt::join(file.files, ", "));
    return value;
  }

  // host.text.NAME: {"present": true, "lines": [...]}
  void text_file(const SettingsFile& file) {
    Raw raw;
    add_or_fail("host.text." + file.name, lines_of(file, raw), std::move(raw));
  }
  Collected lines_of(const SettingsFile& file, Raw& raw) {
    json value = {{"present", false}};
    for (const auto& [path, content] : MENSHEN_TRY(contents(file))) {
      raw.add("file " + path, content);
      value["present"] = true;
      json& lines = value["lines"];
      if (lines.is_null()) lines = json::array();
      for (const std::string_view line : parse::lines(content)) {
        if (lines.size() >= parse::text_lines_max) {
          return fail(ErrorCode::limit,
                      {fmt::format("{} 超过 {} 行", path, parse::text_lines_max),
                       fmt::format("{} has more than {} lines", path, parse::text_lines_max)});
        }
        lines.push_back(printable(line));
      }
    }
    if (raw.source.empty()) raw.source = fmt::format("file {}", fmt::join(file.files, ", "));
    return value;
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
    if (const auto su = MENSHEN_TRY(read_if_there(host_, "/etc/pam.d/su"))) {
      raw.add("file /etc/pam.d/su", *su);
      json one = {{"modules", json::object()}, {"options", json::object()}};
      parse::pam(*su, one);
      value["su"] = one["modules"].value("auth", json::array());
    }
    if (found == 0) return fail(ErrorCode::not_found, {"没有 PAM 配置", "no PAM configuration"});
    for (const char* kind : {"auth", "account", "password", "session"})
      if (!value["modules"].contains(kind)) value["modules"][kind] = json::array();
    return value;
  }

  // The smallest idle timeout that a login shell sets; 0: none.
  Collected session(Raw& raw) {
    std::vector<std::string> paths{"/etc/profile", "/etc/bashrc", "/etc/bash.bashrc"};
    for (std::string& path : MENSHEN_TRY(expand(host_, "/etc/profile.d/*.sh")))
      paths.push_back(std::move(path));
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
    for (std::string& path : MENSHEN_TRY(expand(host_, "/etc/sudoers.d/*")))
      paths.push_back(std::move(path));
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
    for (const std::string& key : sources_.sysctls) {
      std::string path = fmt::format("/proc/sys/{}", key);
      std::replace(path.begin() + 10, path.end(), '.', '/');
      auto content = MENSHEN_TRY(read_if_there(host_, path));
      if (!content) continue;
      content->erase(std::remove(content->begin(), content->end(), '\n'), content->end());
      listing += fmt::format("{} = {}\n", key, *content);
      value[key] = *content;
    }
    raw.add("/proc/sys", listing);
    return value;
  }

  Collected modes(Raw& raw) {
    json value = json::object();
    std::string listing;
    unsigned keys = 0;
    unsigned key_bits = 0;
    for (const std::string& path : MENSHEN_TRY(expand_all(sources_.modes))) {
      const auto status = host_.status(path);
      if (!status && status.error().code == ErrorCode::not_found) continue;
      if (!status) return tl::make_unexpected(status.error());
      const std::string mode = fmt::format("{:04o}", status->mode);
      listing += fmt::format("{} {} {} {}\n", mode, status->owner, status->group, path);
      value[path] = {{"mode", mode}, {"owner", status->owner}, {"group", status->group}};
      if (matches("ssh_host_*_key", path.substr(path.rfind('/') + 1))) {
        ++keys;
        key_bits |= status->mode;
      }
    }
    // All host keys together: what any of them lets others do.
    if (keys > 0)
      value["ssh_host_keys"] = {{"count", keys}, {"mode", fmt::format("{:04o}", key_bits)}};
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

  Result<std::vector<std::string>> expand_all(const std::vector<std::string>& patterns) {
    std::vector<std::string> paths;
    for (const std::string& pattern : patterns)
      for (std::string& path : MENSHEN_TRY(expand(host_, pattern)))
        paths.push_back(std::move(path));
    return paths;
  }

  Collected packages(Raw& raw) {
    const auto dpkg = MENSHEN_TRY(output("packages", raw));
    const auto rpm = MENSHEN_TRY(output("packages_rpm", raw));
    if (!dpkg && !rpm) {
      return fail(ErrorCode::not_found, {"没有 dpkg-query 或 rpm，无法列出软件包",
                                         "neither dpkg-query nor rpm: packages cannot be listed"});
    }
    json value = dpkg ? parse::packages(*dpkg) : json::object();
    // On a Debian system rpm may be installed as a tool, with an empty database.
    if (rpm) value.update(parse::packages(*rpm));
    return value;
  }

  // When the newest of the files was written; 0: there is none.
  Result<WallTime> newest_of(std::initializer_list<const char*> patterns) {
    WallTime newest = 0;
    for (const char* pattern : patterns) {
      for (const std::string& path : MENSHEN_TRY(expand(host_, pattern))) {
        const auto status = host_.status(path);
        if (status) newest = std::max(newest, status->modified);
      }
    }
    return newest;
  }

  // Without package lists the tools would say "nothing to do": nothing is known, and nothing is
  // said.
  Collected updates(Raw& raw) {
    const WallTime apt_lists =
        MENSHEN_TRY(newest_of({"/var/lib/apt/lists/*_Packages", "/var/lib/apt/lists/*InRelease"}));
    const WallTime dnf_lists = MENSHEN_TRY(newest_of({"/var/cache/dnf/*/repodata/repomd.xml"}));
    if (apt_lists != 0) {
      if (const auto apt = MENSHEN_TRY(output("updates", raw))) return apt_updates(*apt, apt_lists);
    }
    if (dnf_lists != 0) {
      if (const auto dnf = MENSHEN_TRY(output("updates_dnf", raw, dnf_has_updates)))
        return dnf_updates(*dnf, dnf_lists);
    }
    return fail(ErrorCode::not_found, {"没有软件包索引，无法得知待装更新",
                                       "no package lists: pending updates are not known"});
  }

  json apt_updates(std::string_view text, WallTime newest) {
    int pending = 0;
    int security = 0;
    for (const std::string_view line : parse::lines(text)) {
      if (line.substr(0, 5) != "Inst ") continue;
      ++pending;
      if (line.find("ecurity") != std::string_view::npos) ++security;
    }
    return {{"list_age_days", (clock_.wall() - newest) / day},
            {"pending", pending},
            {"security", security}};
  }

  // Each line "NAME.ARCH  VERSION  REPOSITORY" is one security update.
  static constexpr int dnf_has_updates = 100;
  json dnf_updates(std::string_view text, WallTime newest) {
    int security = 0;
    for (const std::string_view line : parse::lines(text)) {
      const std::string_view first = line.substr(0, line.find_first_of(" \t"));
      if (first.size() < line.size() && first.find('.') != std::string_view::npos) ++security;
    }
    return {{"list_age_days", (clock_.wall() - newest) / day}, {"security", security}};
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
    for (std::string& path : MENSHEN_TRY(expand(host_, "/etc/rsyslog.d/*.conf")))
      paths.push_back(std::move(path));
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

  // Accounts of the groups that give rights.
  Collected groups(Raw& raw) {
    const std::string text = MENSHEN_TRY(host_.read("/etc/group"));
    raw.add("file /etc/group", text);
    return parse::groups(text);
  }

  // Volumes that are encrypted at rest, by their names in the device mapper.
  Collected storage(Raw& raw) {
    json encrypted = json::array();
    for (const std::string& path : MENSHEN_TRY(expand(host_, "/dev/mapper/*"))) {
      const std::string name = path.substr(path.rfind('/') + 1);
      if (name.find("crypt") != std::string::npos || name.rfind("luks-", 0) == 0)
        encrypted.push_back(name);
    }
    raw.add("/dev/mapper", encrypted.dump());
    return json{{"encrypted", encrypted}};
  }

  // A chain that drops or rejects what it does not accept, on input.
  Collected firewall(Raw& raw) {
    const auto text = MENSHEN_TRY(output("firewall", raw));
    json value = {
        {"installed", text.has_value()}, {"daemon", runs("firewalld")}, {"default_drop", false}};
    if (text) value["default_drop"] = parse::input_drops(*text);
    return value;
  }

  const HostAccess& host_;
  const Sources& sources_;
  const Clock& clock_;
  const std::string& object_;
  Facts facts_;
  std::vector<std::string> running_;
};

}  // namespace

Facts collect_host(const HostAccess& host, const Sources& sources, const Clock& clock,
                   const std::string& object) {
  return Collector(host, sources, clock, object).run();
}

}  // namespace menshen::compliance
