#include "apps/menshen/system_facts.hpp"

#include <fmt/format.h>
#include <ifaddrs.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "base/channel.hpp"
#include "base/file.hpp"
#include "base/handle.hpp"
#include "base/users.hpp"

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
  for (const std::string_view daemon : daemon_names(settings)) {
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
    facts["settings_owner"] = user_name(status.st_uid).value_or(fmt::format("{}", status.st_uid));
  }
  Json open = Json::array();
  for (const std::string_view daemon : daemon_names(settings)) {
    const std::string& path = settings.text(socket_key(daemon));
    if (::stat(path.c_str(), &status) == 0 && (status.st_mode & 0007U) != 0) open.push_back(path);
  }
  facts["sockets_open_to_others"] = open;
}

// Of the interfaces that the settings call management: those that are there and up.
void add_management(Json& facts, const Settings& settings) {
  ifaddrs* addresses = nullptr;
  if (::getifaddrs(&addresses) != 0) return;
  const Handle<ifaddrs, &::freeifaddrs> owner(addresses);
  std::set<std::string> up;
  for (const ifaddrs* each = addresses; each != nullptr; each = each->ifa_next) {
    const auto& listed = settings.list("compliance.management_interfaces");
    if ((each->ifa_flags & IFF_UP) != 0 &&
        std::find(listed.begin(), listed.end(), each->ifa_name) != listed.end()) {
      up.insert(each->ifa_name);
    }
  }
  facts["management_interfaces"] = up;
}

struct LinkBytes {
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
};

// /proc/net/dev: "eth0: received-bytes ... (8 fields) sent-bytes ...".
std::map<std::string, LinkBytes> read_links() {
  std::map<std::string, LinkBytes> links;
  for (const auto& [name, values] : read_fields("/proc/net/dev")) {
    std::istringstream numbers(values);
    LinkBytes bytes;
    std::uint64_t skipped = 0;
    numbers >> bytes.received;
    for (int i = 0; i < 7; ++i) numbers >> skipped;
    numbers >> bytes.sent;
    const std::size_t begin = name.find_first_not_of(' ');
    if (numbers && begin != std::string::npos) links[name.substr(begin)] = bytes;
  }
  return links;
}

// How much of its speed the busiest link uses now, over half a second and in its busier direction.
// Links that do not tell their speed are left out; where none does, so is the fact.
void add_links(Json& facts) {
  constexpr std::chrono::milliseconds sample{500};
  const auto before = read_links();
  std::this_thread::sleep_for(sample);
  std::optional<std::uint64_t> busiest;
  for (const auto& [name, after] : read_links()) {
    const auto text = read_file("/sys/class/net/" + name + "/speed", 64);
    const std::int64_t megabits = text ? std::strtoll(text->c_str(), nullptr, 10) : 0;
    const auto first = before.find(name);
    if (megabits <= 0 || first == before.end()) continue;
    const std::uint64_t bytes =
        std::max(after.received - first->second.received, after.sent - first->second.sent);
    const std::uint64_t capacity =
        static_cast<std::uint64_t>(megabits) * 125 * static_cast<std::uint64_t>(sample.count());
    busiest = std::max(busiest.value_or(0), bytes * 100 / capacity);
  }
  if (busiest) facts["link_busy_percent"] = *busiest;
}

std::optional<std::set<std::string>> members_of(const char* name) {
  const auto group = find_group(name);
  if (!group) return std::nullopt;
  std::set<std::string> members;
  // The daemons' own users are members too; they are no people.
  for (const std::string& member : group->members)
    if (member.rfind("menshen-", 0) != 0) members.insert(member);
  return members;
}

void add_administrators(Json& facts) {
  const auto policy = members_of("menshen-admin");
  const auto audit = members_of("menshen-audit");
  if (!policy || !audit) return;
  facts["policy_administrators"] = *policy;
  facts["audit_administrators"] = *audit;
  Json both = Json::array();
  for (const std::string& name : *policy)
    if (audit->count(name) != 0) both.push_back(name);
  facts["administrators_of_both"] = both;
}

}  // namespace

std::vector<std::string_view> daemon_names(const Settings& settings) {
  std::vector<std::string_view> names{"auditd", "policyd", "sensord"};
  const bool forwards =
      !settings.text("forward.syslog").empty() || !settings.text("forward.witness_file").empty();
  if (forwards) names.emplace_back("forwardd");
  if (!settings.list("collect.listen").empty()) names.emplace_back("collectd");
  return names;
}

std::optional<pid_t> daemon_pid(const Settings& settings, std::string_view daemon) {
  const auto channel = Channel::connect(settings.text(socket_key(daemon)));
  if (!channel) return std::nullopt;
  const auto peer = channel->peer();
  return peer ? std::optional<pid_t>(peer->pid) : std::nullopt;
}

Json system_facts(const Settings& settings, const std::filesystem::path& settings_file) {
  Json facts = {{"version", MENSHEN_VERSION}};
  add_management(facts, settings);
  add_links(facts);
  add_administrators(facts);
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
