// Readers of the host's own file formats. Hostile input: every function takes any bytes and is
// linear in them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "compliance/catalogue/sources.hpp"

namespace menshen::compliance::parse {

inline constexpr std::size_t names_max = 200;  // of accounts, ports and the like kept in one list

// Lines without comments (#) and surrounding blanks, empty ones left out.
[[nodiscard]] std::vector<std::string_view> lines(std::string_view text);

inline constexpr std::size_t text_lines_max = 5000;  // of one subject under host.text

// Keys to texts (quotes around a value and a semicolon after it left out); a key without value is
// true. false: not of that style (json only).
[[nodiscard]] bool settings_into(std::string_view text, SettingsStyle style, nlohmann::json& into);
[[nodiscard]] nlohmann::json settings(std::string_view text, SettingsStyle style);

// The text with the values of `file.secrets` replaced by <set>, in comments too.
[[nodiscard]] std::string redact_settings(std::string_view text, const SettingsFile& file);

// "debian", "rpm", or "other", from ID and ID_LIKE of os-release.
[[nodiscard]] std::string_view os_family(std::string_view id, std::string_view like);

// group lines: {name: [members...]}.
[[nodiscard]] nlohmann::json groups(std::string_view text);

// `nft list ruleset`: a base chain on the input hook whose policy is drop, or that ends in one.
[[nodiscard]] bool input_drops(std::string_view text);

// passwd and shadow together: see host.accounts in host_facts.md. `today` in days since 1970.
[[nodiscard]] nlohmann::json accounts(std::string_view passwd, std::string_view shadow, long today);
// shadow with every password field replaced by its kind: <sha512>, <locked>, <empty> ...
[[nodiscard]] std::string redact_shadow(std::string_view shadow);

// `sshd -T`: lower-case keys to texts, repeated ones to lists.
[[nodiscard]] nlohmann::json sshd(std::string_view text);

// /proc/net/{tcp,tcp6} (state listen) and udp: ports, those not bound to loopback apart.
struct Sockets {
  std::vector<int> all;
  std::vector<int> exposed;
};
[[nodiscard]] Sockets listening(std::string_view proc_net, std::string_view state);

// pam.d files: {"modules": {"auth": [...], ...}, "options": {"pam_faillock.deny": "5"}}.
void pam(std::string_view text, nlohmann::json& into);

// dpkg-query lines "name\tversion\tstatus": {name: version} of installed ones.
[[nodiscard]] nlohmann::json packages(std::string_view text);

// Remote targets of rsyslog configuration: "@@host", "@host", target="host".
void rsyslog_targets(std::string_view text, nlohmann::json& into);

// sudoers lines that grant every command without a password.
void sudo_without_password(std::string_view text, nlohmann::json& into);

}  // namespace menshen::compliance::parse
