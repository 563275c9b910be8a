#include "audit/collect/forms.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "audit/collect/number.hpp"

namespace menshen::audit {
namespace {

constexpr WallTime second_ns = 1'000'000'000;

// Reads a line from left to right.
class Scan {
 public:
  explicit Scan(std::string_view text) : rest_(text) {}
  bool literal(std::string_view wanted) {
    if (!rest_.starts_with(wanted)) return false;
    rest_.remove_prefix(wanted.size());
    return true;
  }
  // Up to `end`, which is passed over; the whole rest where it does not come.
  std::string_view until(std::string_view end) {
    const std::size_t at = rest_.find(end);
    const std::string_view taken = rest_.substr(0, at);
    rest_.remove_prefix(at == std::string_view::npos ? rest_.size() : at + end.size());
    return taken;
  }
  std::string_view word() { return until(" "); }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// KEY=value or KEY="value" or KEY='value', behind the beginning or a space; empty: not there.
std::string_view value_of(std::string_view text, std::string_view key) {
  for (std::size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
    const bool begins =
        at == 0 || std::string_view(" '\"({").find(text[at - 1]) != std::string_view::npos;
    const std::size_t equals = at + key.size();
    if (!begins || equals >= text.size() || text[equals] != '=') continue;
    std::string_view value = text.substr(equals + 1);
    if (!value.empty() && (value.front() == '"' || value.front() == '\'')) {
      const char quote = value.front();
      value.remove_prefix(1);
      return value.substr(0, value.find(quote));
    }
    return value.substr(0, value.find_first_of(" ,'\")}"));
  }
  return {};
}

void set_source(Record& record, std::string_view address, std::string_view port = {}) {
  if (const auto ip = IpAddr::parse(address)) record.src = *ip;
  if (const auto value = parse_decimal<std::uint16_t>(port)) record.sport = *value;
}

void at_least(Record& record, Severity severity) {
  record.severity = std::max(record.severity, severity);
}

// --- sshd ------------------------------------------------------------------------------------

// "USER from ADDRESS port PORT", a login by SSH.
bool ssh_peer(std::string_view text, Outcome outcome, Record& record) {
  // A user's name is the client's word and may hold anything, also " from ".
  const std::size_t from = text.rfind(" from ");
  if (from == std::string_view::npos) return false;
  record.subject = text.substr(0, from);
  Scan peer(text.substr(from + 6));
  const std::string_view address = peer.until(" port ");
  set_source(record, address, peer.word());
  record.action = "login";
  record.outcome = outcome;
  if (outcome == Outcome::failure) at_least(record, Severity::medium);
  return true;
}

// "METHOD for [invalid user ]USER from ADDRESS port PORT ssh2"
bool ssh_login(std::string_view text, Outcome outcome, Record& record) {
  Scan scan(text);
  record.object = fmt::format("ssh {}", scan.until(" for "));
  scan.literal("invalid user ");
  return ssh_peer(scan.rest(), outcome, record);
}

bool ssh_other(std::string_view text, Record& record) {
  Scan scan(text);
  if (scan.literal("Invalid user ")) return ssh_peer(scan.rest(), Outcome::failure, record);
  const bool disconnected =
      scan.literal("Disconnected from ") || scan.literal("Connection closed by ");
  if (!disconnected) return false;
  static_cast<void>(scan.literal("authenticating ") || scan.literal("invalid "));
  if (scan.literal("user ")) record.subject = scan.word();
  const std::string_view address = scan.until(" port ");
  set_source(record, address, scan.word());
  record.action = "session.close";
  record.outcome = Outcome::success;
  return true;
}

// "pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)"
bool pam(std::string_view text, Record& record) {
  Scan scan(text);
  if (!scan.literal("pam_")) return false;
  scan.until("(");
  const std::string_view service = scan.until(":");
  scan.until("): ");
  const bool opened = scan.literal("session opened for user ");
  if (opened || scan.literal("session closed for user ")) {
    record.subject = scan.rest().substr(0, scan.rest().find_first_of("( "));
    record.action = opened ? "session.open" : "session.close";
    record.object = service;
    record.outcome = Outcome::success;
    return true;
  }
  if (!scan.literal("authentication failure")) return false;
  record.action = "login";
  record.object = service;
  record.outcome = Outcome::failure;
  record.subject = value_of(scan.rest(), "user");
  set_source(record, value_of(scan.rest(), "rhost"));
  at_least(record, Severity::medium);
  return true;
}

bool sshd(const SyslogMessage& message, Record& record) {
  Scan scan(message.text);
  if (scan.literal("Accepted ")) return ssh_login(scan.rest(), Outcome::success, record);
  if (scan.literal("Failed ")) return ssh_login(scan.rest(), Outcome::failure, record);
  return ssh_other(message.text, record) || pam(message.text, record);
}

// --- sudo ------------------------------------------------------------------------------------

// "alice : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls -l"
bool sudo(const SyslogMessage& message, Record& record) {
  if (pam(message.text, record)) return true;
  Scan scan(message.text);
  std::string_view user = scan.until(" : ");
  while (user.starts_with(' ')) user.remove_prefix(1);
  const std::string_view rest = scan.rest();
  const std::size_t command = rest.find("COMMAND=");
  if (command == std::string_view::npos) return false;
  record.subject = user;
  record.action = "sudo";
  record.object = rest.substr(command + 8);
  const bool done =
      rest.starts_with("TTY=") || rest.starts_with("PWD=") || rest.starts_with("HOST=");
  record.outcome = done ? Outcome::success : Outcome::failure;
  if (!done) at_least(record, Severity::high);
  return true;
}

// --- auditd ----------------------------------------------------------------------------------

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

// "audit(1700000000.123:45):"
void audit_time(std::string_view text, Record& record) {
  const std::size_t at = text.find("audit(");
  if (at == std::string_view::npos) return;
  const std::string_view stamp = text.substr(at + 6, text.find(')', at) - at - 6);
  const std::size_t dot = stamp.find('.');
  if (dot == std::string_view::npos) return;
  const auto seconds = parse_decimal<std::uint64_t>(stamp.substr(0, dot));
  if (!seconds || *seconds > 9'000'000'000) return;
  const auto milliseconds = parse_decimal<std::uint16_t>(stamp.substr(dot + 1, 3));
  record.time =
      static_cast<WallTime>(*seconds) * second_ns + WallTime{milliseconds.value_or(0)} * 1'000'000;
}

std::string_view first_of(std::string_view text, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    const std::string_view value = value_of(text, key);
    if (!value.empty() && value != "?" && value != "(none)") return value;
  }
  return {};
}

bool linux_audit(const SyslogMessage& message, Record& record) {
  const std::string_view text = message.text;
  const std::string_view type = value_of(text, "type");
  if (type.empty() || text.find("audit(") == std::string_view::npos) return false;
  audit_time(text, record);
  record.action = "audit." + lower(type);
  record.subject = first_of(text, {"acct", "AUID", "auid", "UID", "uid"});
  record.object = first_of(text, {"vm", "exe", "name", "unit", "cmd", "comm", "op"});
  if (const auto op = value_of(text, "op"); !op.empty() && record.object != op) {
    record.object = fmt::format("{} {}", op, record.object);
  }
  set_source(record, value_of(text, "addr"));
  const std::string_view result = first_of(text, {"res", "success", "result"});
  if (result == "success" || result == "yes" || result == "1") record.outcome = Outcome::success;
  if (result == "failed" || result == "no" || result == "0") {
    record.outcome = Outcome::failure;
    at_least(record, Severity::medium);
  }
  return true;
}

// --- nginx -----------------------------------------------------------------------------------

// ADDRESS - USER [TIME] "REQUEST" STATUS BYTES "REFERER" "AGENT"
bool nginx_access(std::string_view text, Record& record) {
  Scan scan(text);
  const auto address = IpAddr::parse(scan.word());
  if (!address || !scan.literal("- ")) return false;
  const std::string_view user = scan.until(" [");
  scan.until("] \"");
  const std::string_view request = scan.until("\" ");
  const auto status = parse_decimal<unsigned>(scan.word());
  if (!status || *status < 100 || *status > 599) return false;
  record.src = *address;
  if (user != "-") record.subject = user;
  record.action = "http.request";
  record.object = request.substr(0, request.rfind(" HTTP/"));
  record.outcome = *status < 400 ? Outcome::success : Outcome::failure;
  if (*status == 401 || *status == 403) at_least(record, Severity::low);
  return true;
}

// "DATE TIME [error] 1#1: *5 text, client: 10.0.0.5, server: x, request: "GET / HTTP/1.1", ..."
bool nginx_error(std::string_view text, Record& record) {
  const std::size_t client = text.find(", client: ");
  if (client == std::string_view::npos) return false;
  Scan scan(text.substr(client + 10));
  set_source(record, scan.until(","));
  record.action = "http.error";
  record.outcome = Outcome::failure;
  const std::size_t request = text.find("request: \"");
  if (request != std::string_view::npos) {
    const std::string_view line = text.substr(request + 10);
    record.object = line.substr(0, std::min(line.find(" HTTP/"), line.find('"')));
  }
  return true;
}

bool nginx(const SyslogMessage& message, Record& record) {
  return nginx_access(message.text, record) || nginx_error(message.text, record);
}

// --- PostgreSQL ------------------------------------------------------------------------------

bool postgresql(const SyslogMessage& message, Record& record) {
  const std::string_view text = message.text;
  const auto behind = [&](std::string_view level) -> std::optional<std::string_view> {
    const std::size_t at = text.find(level);
    if (at == std::string_view::npos) return std::nullopt;
    return text.substr(at + level.size());
  };
  if (const auto said = behind("AUDIT: ")) {
    // pgaudit: SESSION,statement id,substatement id,class,command,object type,object,statement
    Scan scan(*said);
    const std::string_view trail = scan.until(",");
    scan.until(",");
    scan.until(",");
    const std::string_view kind = scan.until(",");
    record.action = fmt::format("db.{}", lower(kind));
    record.object = scan.rest();
    record.subject = value_of(text, "user");
    record.outcome = Outcome::success;
    return !trail.empty();
  }
  if (const auto said = behind("FATAL:  ")) {
    Scan scan(*said);
    const std::string_view what = scan.until(" failed for user \"");
    record.action = what.find("authentication") != std::string_view::npos ? "login" : "db.fatal";
    record.subject = scan.until("\"");
    record.object = *said;
    record.outcome = Outcome::failure;
    at_least(record, Severity::medium);
    return true;
  }
  const auto said = behind("LOG:  ");
  if (!said) return false;
  if (said->starts_with("connection authorized: ") || said->starts_with("disconnection: ")) {
    record.action = said->starts_with("c") ? "login" : "session.close";
    record.subject = value_of(*said, "user");
    record.object = value_of(*said, "database");
    set_source(record, value_of(*said, "host"), value_of(*said, "port"));
  } else if (said->starts_with("connection received: ")) {
    record.action = "connect";
    set_source(record, value_of(*said, "host"), value_of(*said, "port"));
  } else if (said->starts_with("statement: ")) {
    record.action = "db.statement";
    record.object = said->substr(11);
  } else {
    return false;
  }
  record.outcome = Outcome::success;
  return true;
}

// --- OpenStack -------------------------------------------------------------------------------

std::string text_at(const nlohmann::json& json, const char* object, const char* key) {
  const auto inside = json.find(object);
  if (inside == json.end() || !inside->is_object()) return {};
  const auto value = inside->find(key);
  return value != inside->end() && value->is_string() ? value->get<std::string>() : std::string();
}

std::string text_at(const nlohmann::json& json, const char* key) {
  const auto value = json.find(key);
  return value != json.end() && value->is_string() ? value->get<std::string>() : std::string();
}

// The Cloud Auditing Data Federation event (DSP0262) that keystonemiddleware's audit filter writes;
// oslo.messaging wraps it into "payload".
bool cadf(std::string_view text, Record& record) {
  const std::size_t brace = text.find('{');
  if (brace == std::string_view::npos ||
      text.find("dmtf.org/cloud/audit") == std::string_view::npos) {
    return false;
  }
  auto json = nlohmann::json::parse(text.substr(brace), nullptr, false);
  if (!json.is_object()) return false;
  if (const auto payload = json.find("payload"); payload != json.end() && payload->is_object()) {
    nlohmann::json inner = std::move(*payload);  // a copy would go down as deep as it is nested
    json = std::move(inner);
  }
  record.subject = text_at(json, "initiator", "name");
  if (record.subject.empty()) record.subject = text_at(json, "initiator", "id");
  record.action = "cloud." + text_at(json, "action");
  const std::string target = text_at(json, "target", "name");
  record.object = fmt::format("{} {}", target.empty() ? text_at(json, "target", "typeURI") : target,
                              text_at(json, "requestPath"));
  const std::string outcome = text_at(json, "outcome");
  record.outcome = outcome == "success"   ? Outcome::success
                   : outcome == "failure" ? Outcome::failure
                                          : Outcome::unknown;
  if (outcome == "failure") at_least(record, Severity::medium);
  if (const auto initiator = json.find("initiator");
      initiator != json.end() && initiator->is_object()) {
    set_source(record, text_at(*initiator, "host", "address"));
  }
  return true;
}

// "... [req-ID USER PROJECT - - -] ADDRESS "POST /v2.1/servers" status: 202 len: 5 ..."
bool openstack_request(std::string_view text, Record& record) {
  const std::size_t context = text.find("[req-");
  if (context == std::string_view::npos) return false;
  Scan scan(text.substr(context));
  scan.word();
  const std::string_view user = scan.word();
  scan.until("] ");
  const std::size_t quote = scan.rest().find('"');
  const std::size_t status = scan.rest().find("\" status: ");
  if (quote == std::string_view::npos || status == std::string_view::npos || status < quote) {
    return false;
  }
  std::string_view address = scan.rest().substr(0, quote);
  address = address.substr(0, address.find_first_of(" ,"));
  set_source(record, address);
  std::string_view request = scan.rest().substr(quote + 1, status - quote - 1);
  request = request.substr(0, request.rfind(" HTTP/"));
  const std::string_view code = scan.rest().substr(status + 10);
  const auto value = parse_decimal<unsigned>(code.substr(0, code.find(' ')));
  if (!value) return false;
  if (user != "-" && user != "None") record.subject = user;
  record.action = "cloud.request";
  record.object = request;
  record.outcome = *value < 400 ? Outcome::success : Outcome::failure;
  return true;
}

bool openstack(const SyslogMessage& message, Record& record) {
  return cadf(message.text, record) || openstack_request(message.text, record);
}

// --- packet filters --------------------------------------------------------------------------

std::uint8_t protocol_of(std::string_view text) {
  if (text == "TCP") return 6;
  if (text == "UDP") return 17;
  if (text == "ICMP") return 1;
  if (text == "ICMPv6") return 58;
  return parse_decimal<std::uint8_t>(text).value_or(0);
}

Outcome verdict_of(std::string_view prefix) {
  const std::string text = lower(prefix);
  const auto says = [&](std::initializer_list<std::string_view> words) {
    return std::ranges::any_of(words,
                               [&](std::string_view w) { return text.find(w) != text.npos; });
  };
  if (says({"drop", "deny", "denied", "block"})) return Outcome::blocked;
  if (says({"reject"})) return Outcome::rejected;
  if (says({"accept", "allow", "pass"})) return Outcome::allowed;
  return Outcome::unknown;
}

// "[1234.5] PREFIX IN=eth0 OUT= MAC=... SRC=10.0.0.1 DST=10.0.0.2 ... PROTO=TCP SPT=1 DPT=2"
bool packet_filter(const SyslogMessage& message, Record& record) {
  const std::string_view text = message.text;
  const std::size_t in = text.find("IN=");
  const auto src = IpAddr::parse(value_of(text, "SRC"));
  const auto dst = IpAddr::parse(value_of(text, "DST"));
  if (in == std::string_view::npos || !src || !dst) return false;
  record.src = *src;
  record.dst = *dst;
  record.proto = protocol_of(value_of(text, "PROTO"));
  record.sport = parse_decimal<std::uint16_t>(value_of(text, "SPT")).value_or(0);
  record.dport = parse_decimal<std::uint16_t>(value_of(text, "DPT")).value_or(0);
  std::string_view prefix = text.substr(0, in);
  if (prefix.starts_with('[')) prefix.remove_prefix(std::min(prefix.find(']') + 1, prefix.size()));
  while (prefix.starts_with(' ')) prefix.remove_prefix(1);
  while (prefix.ends_with(' ')) prefix.remove_suffix(1);
  record.action = "packet";
  record.object = prefix;
  record.outcome = verdict_of(prefix);
  return true;
}

struct Form {
  std::string_view name;
  std::string_view app;  // the tag begins so; empty: any
  bool (*read)(const SyslogMessage&, Record&);
};
constexpr std::array<Form, 8> forms{{
    {"sshd", "sshd", sshd},
    {"sudo", "sudo", sudo},
    {"pam", "", [](const SyslogMessage& m, Record& r) { return pam(m.text, r); }},
    {"linux_audit", "", linux_audit},
    {"nginx", "nginx", nginx},
    {"postgresql", "postgres", postgresql},
    {"openstack", "", openstack},
    {"packet_filter", "", packet_filter},
}};

}  // namespace

Severity severity_of(std::uint8_t syslog_severity) {
  constexpr std::array<Severity, 8> ours{Severity::critical, Severity::critical, Severity::critical,
                                         Severity::high,     Severity::medium,   Severity::low,
                                         Severity::info,     Severity::info};
  return ours[syslog_severity & 7U];
}

std::string_view read_form(const SyslogMessage& message, Record& record) {
  for (const Form& form : forms) {
    if (!form.app.empty() && !message.app.starts_with(form.app)) continue;
    Record filled = record;
    if (!form.read(message, filled)) continue;
    record = std::move(filled);
    return form.name;
  }
  return {};
}

}  // namespace menshen::audit
