#include "apps/menshen/system_facts.hpp"

#include <fmt/format.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/stat.h>

#include <map>
#include <sstream>

#include "base/channel.hpp"
#include "base/file.hpp"

namespace menshen::apps {
namespace {

using Fields = std::map<std::string, std::string, std::less<>>;

// "Name:  value" lines, as in /proc/PID/status and /proc/meminfo.
Fields read_fields(const std::filesystem::path& file) {
  Fields fields;
  const auto text = read_file(file, 1U << 20U);
  if (!text) return fields;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    fields[line.substr(0, colon)] = begin == std::string::npos ? "" : line.substr(begin);
  }
  return fields;
}

std::optional<std::uint64_t> number_in(const Fields& fields, std::string_view key, int base = 10) {
  const auto found = fields.find(key);
  if (found == fields.end() || found->second.empty()) return std::nullopt;
  return std::strtoull(found->second.c_str(), nullptr, base);
}

std::optional<std::uint64_t> read_number(const char* file) {
  const auto text = read_file(file, 64);
  if (!text || text->empty()) return std::nullopt;
  return std::strtoull(text->c_str(), nullptr, 10);
}

std::string socket_key(std::string_view daemon) { return fmt::format("general.{}_socket", daemon); }

// /proc/PID/status has the four user ids; the second is the effective one.
bool runs_as_root(const Fields& status) {
  const auto uid = status.find("Uid");
  if (uid == status.end()) return false;
  std::istringstream ids(uid->second);
  unsigned real = 0;
  unsigned effective = 0;
  return static_cast<bool>(ids >> real >> effective) && effective == 0;
}

void add_daemons(Json& facts, const Settings& settings) {
  Json running = Json::array();
  Json missing = Json::array();
  Json as_root = Json::array();
  Json with_net_admin = Json::array();
  Json without_no_new_privs = Json::array();
  Json without_seccomp = Json::array();
  bool observed = true;
  for (const std::string_view daemon : daemon_names) {
    const std::string name = fmt::format("menshen-{}", daemon);
    const auto pid = daemon_pid(settings, daemon);
    if (!pid) {
      missing.push_back(name);
      continue;
    }
    running.push_back(name);
    const Fields status = read_fields(fmt::format("/proc/{}/status", *pid));
    const auto capabilities = number_in(status, "CapEff", 16);
    if (!capabilities) {
      observed = false;
      continue;
    }
    if (runs_as_root(status)) as_root.push_back(name);
    if ((*capabilities >> CAP_NET_ADMIN & 1U) != 0) with_net_admin.push_back(name);
    if (number_in(status, "NoNewPrivs") != 1U) without_no_new_privs.push_back(name);
    if (number_in(status, "Seccomp") != 2U) without_seccomp.push_back(name);
  }
  facts["daemons_running"] = running;
  facts["daemons_missing"] = missing;
  if (!observed) return;
  facts["daemons_as_root"] = as_root;
  facts["daemons_with_net_admin"] = with_net_admin;
  facts["daemons_without_no_new_privs"] = without_no_new_privs;
  facts["daemons_without_seccomp"] = without_seccomp;
}

void add_modes(Json& facts, const Settings& settings, const std::filesystem::path& settings_file) {
  struct stat status {};
  if (::stat(settings_file.c_str(), &status) == 0) {
    facts["settings_mode"] = fmt::format("{:04o}", status.st_mode & 07777U);
    const passwd* owner = ::getpwuid(status.st_uid);
    facts["settings_owner"] = owner != nullptr ? owner->pw_name : fmt::format("{}", status.st_uid);
  }
  Json open = Json::array();
  for (const std::string_view daemon : daemon_names) {
    const std::string& path = settings.text(socket_key(daemon));
    if (::stat(path.c_str(), &status) == 0 && (status.st_mode & 0007U) != 0) open.push_back(path);
  }
  facts["sockets_open_to_others"] = open;
}

}  // namespace

std::optional<pid_t> daemon_pid(const Settings& settings, std::string_view daemon) {
  const auto channel = Channel::connect(settings.text(socket_key(daemon)));
  if (!channel) return std::nullopt;
  const auto peer = channel->peer();
  return peer ? std::optional<pid_t>(peer->pid) : std::nullopt;
}

Json system_facts(const Settings& settings, const std::filesystem::path& settings_file) {
  Json facts = {{"version", MENSHEN_VERSION}};
  add_daemons(facts, settings);
  add_modes(facts, settings, settings_file);
  const auto used = read_number("/proc/sys/net/netfilter/nf_conntrack_count");
  const auto most = read_number("/proc/sys/net/netfilter/nf_conntrack_max");
  if (used && most && *most != 0) facts["conntrack_percent"] = *used * 100 / *most;
  const Fields memory = read_fields("/proc/meminfo");
  const auto total = number_in(memory, "MemTotal");
  const auto available = number_in(memory, "MemAvailable");
  if (total && available && *total != 0)
    facts["memory_available_percent"] = *available * 100 / *total;
  return facts;
}

}  // namespace menshen::apps
