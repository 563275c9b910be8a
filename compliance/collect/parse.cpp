#include "compliance/collect/parse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>

namespace menshen::compliance::parse {
namespace {

using nlohmann::json;

constexpr std::string_view blanks = " \t\r\v\f";

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

template <class F>
void each_line(std::string_view text, F&& use) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    use(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> fields(std::string_view line, char separator) {
  std::vector<std::string_view> result;
  for (;;) {
    const std::size_t end = line.find(separator);
    result.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return result;
    line.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> result;
  while (!(line = trim(line)).empty()) {
    const std::size_t end = line.find_first_of(blanks);
    result.push_back(line.substr(0, end));
    if (end == std::string_view::npos) break;
    line.remove_prefix(end);
  }
  return result;
}

void add_repeated(json& object, const std::string& key, json value) {
  if (!object.contains(key)) {
    object[key] = std::move(value);
  } else if (object[key].is_array()) {
    if (object[key].size() < names_max) object[key].push_back(std::move(value));
  } else {
    object[key] = json::array({object[key], std::move(value)});
  }
}

void push(json& list, std::string_view name) {
  if (list.size() < names_max) list.push_back(std::string(name));
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

// How a password is stored; never the password's hash itself.
// A field that was replaced where it was read says its kind itself.
std::string_view password_kind(std::string_view field) {
  static constexpr std::array<std::string_view, 9> kinds{
      "empty", "locked", "yescrypt", "sha512", "sha256", "bcrypt", "md5", "des", "other"};
  if (field.empty()) return "empty";
  if (field.size() > 2 && field.front() == '<' && field.back() == '>') {
    const std::string_view inner = field.substr(1, field.size() - 2);
    const auto* known = std::find(kinds.begin(), kinds.end(), inner);
    if (known != kinds.end()) return *known;
  }
  if (field[0] == '!' || field[0] == '*') return "locked";
  if (field.substr(0, 3) == "$y$" || field.substr(0, 4) == "$gy$") return "yescrypt";
  if (field.substr(0, 3) == "$6$") return "sha512";
  if (field.substr(0, 3) == "$5$") return "sha256";
  if (field.substr(0, 2) == "$2") return "bcrypt";
  if (field.substr(0, 3) == "$1$") return "md5";
  if (field[0] == '$') return "other";
  return field.size() == 13 ? "des" : "locked";
}

bool can_login(std::string_view shell) {
  return !shell.empty() && shell.find("nologin") == std::string_view::npos &&
         shell.find("/false") == std::string_view::npos &&
         shell.find("/sync") == std::string_view::npos;
}

// `"x"`, `'x'` and `x;` are x.
std::string_view unquoted(std::string_view text) {
  while (!text.empty() && text.back() == ';') text = trim(text.substr(0, text.size() - 1));
  if (text.size() >= 2 && text.front() == text.back() &&
      (text.front() == '"' || text.front() == '\'')) {
    text = text.substr(1, text.size() - 2);
  }
  return text;
}

// One line without the secrets it may hold; keys are compared without regard to case.
std::string redact_line(std::string_view line, const SettingsFile& file) {
  const std::size_t begin = line.find_first_not_of(" \t#");
  if (begin == std::string_view::npos) return std::string(line);
  const std::size_t end = std::min(line.find_first_of(" \t=", begin), line.size());
  const std::string word = lower(line.substr(begin, end - begin));
  const auto secret = [&](const std::string& key) { return lower(key) == word; };
  if (std::any_of(file.secrets.begin(), file.secrets.end(), secret)) {
    const std::size_t equals = line.find('=');
    if (file.style == SettingsStyle::equals && equals != std::string_view::npos)
      return std::string(line.substr(0, equals + 1)) + "<set>";
    return std::string(line.substr(0, end)) + " <set>";
  }
  return std::string(line);
}

long number_or(std::string_view text, long fallback) {
  long value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, value);
  return code == std::errc{} && stop == end && !text.empty() ? value : fallback;
}

constexpr std::array<std::string_view, 12> well_known_accounts{
    "guest", "test", "admin", "administrator", "user", "demo",
    "ftp",   "oper", "temp",  "toor",          "pi",   "vagrant"};
constexpr long password_days_max = 90;

struct Shadow {
  std::string_view kind;
  long days_max = -1;     // -1: none set
  long expires_day = -1;  // -1: never
};

std::map<std::string_view, Shadow> read_shadow(std::string_view text) {
  std::map<std::string_view, Shadow> result;
  each_line(text, [&](std::string_view line) {
    const auto f = fields(line, ':');
    if (f.size() < 8 || f[0].empty()) return;
    result[f[0]] = {password_kind(f[1]), number_or(f[4], -1), number_or(f[7], -1)};
  });
  return result;
}

}  // namespace

std::vector<std::string_view> lines(std::string_view text) {
  std::vector<std::string_view> result;
  each_line(text, [&](std::string_view line) {
    line = trim(line.substr(0, line.find('#')));
    if (!line.empty()) result.push_back(line);
  });
  return result;
}

bool settings_into(std::string_view text, SettingsStyle style, json& result) {
  if (style == SettingsStyle::json) {
    const json document = json::parse(text, nullptr, false);
    if (!document.is_object()) return false;
    result.update(document);
    return true;
  }
  for (std::string_view line : lines(text)) {
    if (line[0] == '[' || line[0] == ';' || line[0] == '!') continue;
    const std::size_t cut =
        style == SettingsStyle::equals ? line.find('=') : line.find_first_of(" \t");
    const std::string key(trim(line.substr(0, cut)));
    if (key.empty()) continue;
    json value = true;
    if (cut != std::string_view::npos) value = std::string(unquoted(trim(line.substr(cut + 1))));
    if (style == SettingsStyle::equals) {
      result[key] = std::move(value);
    } else {
      add_repeated(result, key, std::move(value));
    }
  }
  return true;
}

json settings(std::string_view text, SettingsStyle style) {
  json result = json::object();
  static_cast<void>(settings_into(text, style, result));
  return result;
}

std::string redact_settings(std::string_view text, const SettingsFile& file) {
  if (file.secrets.empty()) return std::string(text);
  std::string result;
  each_line(text, [&](std::string_view line) {
    result += redact_line(line, file);
    result += '\n';
  });
  return result;
}

std::string_view os_family(std::string_view id, std::string_view like) {
  const std::string all = fmt::format(" {} {} ", id, like);
  for (const char* name : {" debian ", " ubuntu ", " uos ", " deepin "})
    if (all.find(name) != std::string::npos) return "debian";
  for (const char* name : {" rhel ", " fedora ", " centos ", " openEuler ", " anolis ", " kylin "})
    if (all.find(name) != std::string::npos) return "rpm";
  return "other";
}

json groups(std::string_view text) {
  json result = json::object();
  each_line(text, [&](std::string_view line) {
    const auto f = fields(line, ':');
    if (f.size() < 4 || f[0].empty()) return;
    json& members = result[std::string(f[0])];
    if (members.is_null()) members = json::array();
    for (const std::string_view name : fields(f[3], ','))
      if (!name.empty()) push(members, name);
  });
  return result;
}

bool input_drops(std::string_view text) {
  bool input = false;
  bool drops = false;
  for (const std::string_view line : lines(text)) {
    if (line.substr(0, 6) == "chain ") input = false;
    if (line.find("hook input") != std::string_view::npos) {
      input = true;
      drops = drops || line.find("policy drop") != std::string_view::npos;
    }
    // A last rule without a condition decides for whatever came so far.
    if (input && (line == "drop" || line.substr(0, 6) == "reject")) drops = true;
  }
  return drops;
}

json accounts(std::string_view passwd, std::string_view shadow, long today) {
  const auto secrets = read_shadow(shadow);
  json result = {{"users", 0}};
  for (const char* key : {"uid0", "duplicate_uids", "duplicate_names", "empty_passwords",
                          "password_users", "login_users", "weak_hashes", "password_age_unlimited",
                          "expired_but_open", "default_accounts"}) {
    result[key] = json::array();
  }
  std::set<std::string_view> names;
  std::set<std::string_view> ids;
  std::size_t users = 0;
  each_line(passwd, [&](std::string_view line) {
    const auto f = fields(line, ':');
    if (f.size() < 7 || f[0].empty()) return;
    ++users;
    const std::string_view name = f[0];
    if (!names.insert(name).second) push(result["duplicate_names"], name);
    if (!ids.insert(f[2]).second) push(result["duplicate_uids"], name);
    if (f[2] == "0") push(result["uid0"], name);
    const auto secret = secrets.find(name);
    // The password may still stand in passwd itself; "x" means shadow.
    const std::string_view kind = f[1] != "x"               ? password_kind(f[1])
                                  : secret == secrets.end() ? "locked"
                                                            : secret->second.kind;
    const bool login = can_login(f[6]);
    if (login) push(result["login_users"], name);
    if (kind == "empty") push(result["empty_passwords"], name);
    if (kind == "locked" || kind == "empty") return;
    push(result["password_users"], name);
    if (kind == "md5" || kind == "des") push(result["weak_hashes"], name);
    if (login && std::find(well_known_accounts.begin(), well_known_accounts.end(), name) !=
                     well_known_accounts.end()) {
      push(result["default_accounts"], name);
    }
    if (secret == secrets.end()) return;
    const Shadow& s = secret->second;
    if (s.days_max < 0 || s.days_max > password_days_max)
      push(result["password_age_unlimited"], name);
    if (s.expires_day >= 0 && s.expires_day < today && login)
      push(result["expired_but_open"], name);
  });
  result["users"] = users;
  return result;
}

std::string redact_shadow(std::string_view shadow) {
  std::string result;
  each_line(shadow, [&](std::string_view line) {
    const auto f = fields(line, ':');
    if (f.size() < 2) return;
    result += f[0];
    result += fmt::format(":<{}>", password_kind(f[1]));
    for (std::size_t i = 2; i < f.size(); ++i) {
      result += ':';
      result += f[i];
    }
    result += '\n';
  });
  return result;
}

json sshd(std::string_view text) {
  json result = json::object();
  for (const std::string_view line : lines(text)) {
    const std::size_t cut = line.find_first_of(blanks);
    if (cut == std::string_view::npos) continue;
    add_repeated(result, lower(line.substr(0, cut)), std::string(trim(line.substr(cut))));
  }
  return result;
}

Sockets listening(std::string_view proc_net, std::string_view state) {
  std::set<int> all;
  std::set<int> exposed;
  each_line(proc_net, [&](std::string_view line) {
    const auto f = words(line);
    if (f.size() < 4 || f[3] != state) return;
    const std::size_t colon = f[1].rfind(':');
    if (colon == std::string_view::npos) return;
    const std::string_view address = f[1].substr(0, colon);
    const std::string_view digits = f[1].substr(colon + 1);
    int port = 0;
    const auto [stop, code] =
        std::from_chars(digits.data(), digits.data() + digits.size(), port, 16);
    if (code != std::errc{} || stop != digits.data() + digits.size() || port <= 0 || port > 65535)
      return;
    // Host byte order words, so 127.0.0.0/8 ends in 7F on the little-endian machines we run on.
    const bool v4 = address.size() == 8 && address.substr(6) == "7F";
    const bool mapped = address.size() == 32 &&
                        address.substr(0, 24) == "0000000000000000FFFF0000" &&
                        address.substr(30) == "7F";
    const bool v6 = address == "00000000000000000000000001000000";
    all.insert(port);
    if (!v4 && !mapped && !v6) exposed.insert(port);
  });
  return {{all.begin(), all.end()}, {exposed.begin(), exposed.end()}};
}

void pam(std::string_view text, json& into) {
  for (const std::string_view line : lines(text)) {
    const auto w = words(line);
    if (w.size() < 3 || w[0][0] == '@') continue;
    std::string kind = lower(w[0]);
    if (kind[0] == '-') kind.erase(0, 1);
    const auto module = std::find_if(w.begin() + 1, w.end(), [](std::string_view word) {
      return word.find("pam_") != std::string_view::npos &&
             word.find(".so") != std::string_view::npos;
    });
    if (module == w.end()) continue;
    std::string_view name = module->substr(module->find("pam_"));
    name = name.substr(0, name.find(".so"));
    json& list = into["modules"][kind];
    if (std::find(list.begin(), list.end(), std::string(name)) == list.end()) push(list, name);
    for (auto option = module + 1; option != w.end(); ++option) {
      const std::size_t equals = option->find('=');
      const std::string key = fmt::format("{}.{}", name, option->substr(0, equals));
      if (equals == std::string_view::npos) {
        into["options"][key] = true;
      } else {
        into["options"][key] = std::string(option->substr(equals + 1));
      }
    }
  }
}

json packages(std::string_view text) {
  json result = json::object();
  each_line(text, [&](std::string_view line) {
    const auto f = fields(line, '\t');
    if (f.size() == 3 && f[2] == "installed") result[std::string(f[0])] = std::string(f[1]);
  });
  return result;
}

void rsyslog_targets(std::string_view text, json& into) {
  for (const std::string_view line : lines(text)) {
    const auto w = words(line);
    if (w.size() >= 2 && w.back().size() > 1 && w.back()[0] == '@') push(into, w.back());
    const std::size_t target = line.find("target=\"");
    if (target == std::string_view::npos || line.find("omfwd") == std::string_view::npos) continue;
    const std::string_view rest = line.substr(target + 8);
    push(into, rest.substr(0, rest.find('"')));
  }
}

void sudo_without_password(std::string_view text, json& into) {
  for (const std::string_view line : lines(text)) {
    const std::size_t tag = line.find("NOPASSWD:");
    if (tag == std::string_view::npos) continue;
    if (trim(line.substr(tag + 9)).substr(0, 3) == "ALL") push(into, line);
  }
}

}  // namespace menshen::compliance::parse
