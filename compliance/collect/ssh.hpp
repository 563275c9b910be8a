// Hosts over SSH, without an agent: the system's ssh client runs the collection script from its
// stdin. Nothing is written on the host. The host's key must be known; nothing is ever asked.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace menshen::compliance {

enum class Privilege : unsigned char { none, sudo };  // sudo: `sudo -n sh -s`

struct SshOptions {
  std::filesystem::path identity;     // private key; empty: what an agent offers
  std::filesystem::path known_hosts;  // keys of the hosts, as ssh-keyscan prints them
  Privilege privilege = Privilege::none;
  std::chrono::seconds timeout{180};  // of one host, all in all
  unsigned parallel = 8;              // hosts at a time
};
inline constexpr unsigned ssh_parallel_max = 64;

struct SshHost {
  std::string id;       // of the inventory
  std::string address;  // name or address: letters, digits, . : _ -
  int port = 22;
  std::string user;
};

// The script's output. ErrorCode::invalid for a host or user that is no name; else ssh's own words.
[[nodiscard]] Result<std::string> read_over_ssh(const SshHost& host, const SshOptions& options,
                                                const std::string& script);

struct SshAnswer {
  SshHost host;
  Result<std::string> output;
};
// Every host, `parallel` at a time, in the order given. `script` makes the host's own script;
// `done` is told each host as it ends, one call at a time.
[[nodiscard]] std::vector<SshAnswer> read_fleet(
    const std::vector<SshHost>& hosts, const SshOptions& options,
    const std::function<std::string(const SshHost&)>& script,
    const std::function<void(const SshAnswer&, std::size_t done, std::size_t all)>& done);

}  // namespace menshen::compliance
