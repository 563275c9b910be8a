#include "compliance/catalogue/sources.hpp"

#include <array>

namespace menshen::compliance {

std::span<const HostCommand> host_commands() {
  using std::chrono::milliseconds;
  static const std::array<HostCommand, 7> commands{{
      {"sshd", {"sshd", "-T"}, milliseconds(5000)},
      {"packages",
       {"dpkg-query", "-W", "-f=${Package}\\t${Version}\\t${db:Status-Status}\\n"},
       milliseconds(10000)},
      {"updates",
       {"apt-get", "-s", "-qq", "-o", "Debug::NoLocking=true", "dist-upgrade"},
       milliseconds(30000)},
      {"time_chrony", {"chronyc", "-n", "tracking"}, milliseconds(5000)},
      {"time_systemd", {"timedatectl", "show"}, milliseconds(5000)},
      {"audit_status", {"auditctl", "-s"}, milliseconds(5000)},
      {"audit_rules", {"auditctl", "-l"}, milliseconds(5000)},
  }};
  return commands;
}

std::span<const SettingsFile> settings_files() {
  static constexpr std::array<SettingsFile, 6> files{{
      {"/etc/login.defs", SettingsStyle::space},
      {"/etc/security/pwquality.conf", SettingsStyle::equals},
      {"/etc/security/faillock.conf", SettingsStyle::equals},
      {"/etc/systemd/journald.conf", SettingsStyle::equals},
      {"/etc/audit/auditd.conf", SettingsStyle::equals},
      {"/etc/chrony/chrony.conf", SettingsStyle::space},
  }};
  return files;
}

}  // namespace menshen::compliance
