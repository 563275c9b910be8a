// EVE, CEF and RFC 5424 forms of a record.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "audit/export/export.hpp"

namespace menshen::audit {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view device_id = "menshen@32473";

std::string_view protocol_name(std::uint8_t proto) {
  switch (proto) {
    case 1:
      return "ICMP";
    case 6:
      return "TCP";
    case 17:
      return "UDP";
    case 58:
      return "IPv6-ICMP";
    case 132:
      return "SCTP";
    default:
      return {};
  }
}

// EVE counts the other way round: 1 is the gravest.
int eve_severity(Severity severity) {
  return severity >= Severity::high ? 1 : severity == Severity::medium ? 2 : 3;
}

// CEF: 0 to 10.
int cef_severity(Severity severity) {
  constexpr std::array<int, 5> values{1, 3, 5, 8, 10};
  return values[std::min<std::size_t>(static_cast<std::size_t>(severity), 4)];
}

// RFC 5424 table 2.
int syslog_severity(Severity severity) {
  constexpr std::array<int, 5> values{6, 5, 4, 3, 2};
  return values[std::min<std::size_t>(static_cast<std::size_t>(severity), 4)];
}

std::string cef_header(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '|') out.push_back('\\');
    out.push_back(c == '\n' || c == '\r' ? ' ' : c);
  }
  return out;
}

std::string cef_value(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '=') out.push_back('\\');
    if (c == '\n' || c == '\r') {
      out += c == '\n' ? "\\n" : "\\r";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::string sd_value(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"' || c == ']') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

// PRINTUSASCII without space, at most `most`; "-" for nothing.
std::string syslog_name(std::string_view text, std::size_t most) {
  std::string out;
  for (const char c : text.substr(0, most)) out.push_back(c > ' ' && c < 0x7f ? c : '_');
  return out.empty() ? "-" : out;
}

// Of a record, what every form repeats: name and text, those that are not empty.
template <class Put>
void for_each_text(const Record& r, const Put& put) {
  put("source", r.source);
  put("subject", r.subject);
  put("action", r.action);
  put("object", r.object);
  put("domain_src", r.domain_src);
  put("domain_dst", r.domain_dst);
  put("policy_line", r.policy_line);
}

}  // namespace

std::string eve_line(const Found& found) {
  const Record& r = found.record;
  Json out;
  out["timestamp"] = format_local(r.time);
  const bool known = r.kind == Kind::alert || r.kind == Kind::drop || r.kind == Kind::flow;
  out["event_type"] = known ? std::string(name(r.kind)) : "menshen";
  if (r.src) out["src_ip"] = r.src->to_string();
  if (r.src && r.sport != 0) out["src_port"] = r.sport;
  if (r.dst) out["dest_ip"] = r.dst->to_string();
  if (r.dst && r.dport != 0) out["dest_port"] = r.dport;
  if (const auto proto = protocol_name(r.proto); !proto.empty()) {
    out["proto"] = proto;
  } else if (r.proto != 0) {
    out["proto"] = fmt::format("{:03}", r.proto);
  }
  if (r.kind == Kind::alert || r.rule) {
    Json& alert = out["alert"];
    alert["action"] =
        r.outcome == Outcome::blocked || r.outcome == Outcome::rejected ? "blocked" : "allowed";
    if (r.rule) {
      alert["gid"] = r.rule->gid;
      alert["signature_id"] = r.rule->sid;
      alert["rev"] = r.rule->rev;
    }
    alert["signature"] = r.message;
    alert["severity"] = eve_severity(r.severity);
  }
  Json& own = out["menshen"];
  own["number"] = found.number;
  own["kind"] = name(r.kind);
  own["severity"] = name(r.severity);
  own["outcome"] = name(r.outcome);
  own["epoch"] = r.epoch;
  own["sequence"] = r.sequence;
  for_each_text(r, [&](const char* key, const std::string& text) {
    if (!text.empty()) own[key] = text;
  });
  if (!r.message.empty()) own["message"] = r.message;
  if (!r.detail.empty()) own["detail"] = r.detail;
  return out.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string cef_line(const Found& found) {
  const Record& r = found.record;
  std::string out =
      fmt::format("CEF:0|Menshen|audit|{}|{}|{}|{}|", MENSHEN_VERSION,
                  cef_header(r.rule ? fmt::format("{}:{}", r.rule->gid, r.rule->sid)
                                    : (r.action.empty() ? std::string(name(r.kind)) : r.action)),
                  cef_header(r.message.empty() ? r.action : r.message), cef_severity(r.severity));
  out += fmt::format("rt={} externalId={} cat={} outcome={}", r.time / 1'000'000, found.number,
                     name(r.kind), name(r.outcome));
  const auto put = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) out += fmt::format(" {}={}", key, cef_value(value));
  };
  if (r.src) put(r.src->is_v4() ? "src" : "c6a2", r.src->to_string());
  if (r.src && !r.src->is_v4()) put("c6a2Label", "Source IPv6 Address");
  if (r.dst) put(r.dst->is_v4() ? "dst" : "c6a3", r.dst->to_string());
  if (r.dst && !r.dst->is_v4()) put("c6a3Label", "Destination IPv6 Address");
  if (r.sport != 0) put("spt", std::to_string(r.sport));
  if (r.dport != 0) put("dpt", std::to_string(r.dport));
  if (r.proto != 0) {
    const auto proto = protocol_name(r.proto);
    put("proto", proto.empty() ? std::to_string(r.proto) : std::string(proto));
  }
  put("suser", r.subject);
  put("act", r.action);
  put("fname", r.object);
  put("dvchost", r.source);
  const auto labelled = [&](int n, std::string_view label, std::string_view value) {
    if (value.empty()) return;
    out += fmt::format(" cs{}={} cs{}Label={}", n, cef_value(value), n, label);
  };
  labelled(1, "domain_src", r.domain_src);
  labelled(2, "domain_dst", r.domain_dst);
  labelled(3, "policy_line", r.policy_line);
  labelled(4, "detail", r.detail);
  return out + "\n";
}

namespace {

constexpr int facility_log_audit = 13;

// Everything but the frame of a message: the structured data's parameters.
std::string syslog_parameters(const Found& found, bool with_detail) {
  const Record& r = found.record;
  std::string out = fmt::format(" number=\"{}\"", found.number);
  const auto put = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) out += fmt::format(" {}=\"{}\"", key, sd_value(value));
  };
  put("severity", name(r.severity));
  put("outcome", name(r.outcome));
  put("epoch", std::to_string(r.epoch));
  put("sequence", std::to_string(r.sequence));
  for_each_text(r, put);
  if (r.src) put("src", r.src->to_string());
  if (r.dst) put("dst", r.dst->to_string());
  if (r.sport != 0) put("sport", std::to_string(r.sport));
  if (r.dport != 0) put("dport", std::to_string(r.dport));
  if (r.proto != 0) put("proto", std::to_string(r.proto));
  if (r.rule) put("rule", fmt::format("{}:{}:{}", r.rule->gid, r.rule->sid, r.rule->rev));
  if (with_detail) {
    put("detail", r.detail);
  } else {
    put("detail_bytes", std::to_string(r.detail.size()));
  }
  return out;
}

std::string syslog_header(const Found& found, std::string_view host, std::string_view app) {
  const Record& r = found.record;
  return fmt::format(
      "<{}>1 {} {} {} {} {} [{}", facility_log_audit * 8 + syslog_severity(r.severity),
      format_utc(r.time), syslog_name(host, 255), syslog_name(app, 48),
      r.stamp ? std::to_string(r.stamp->pid) : "-", syslog_name(name(r.kind), 32), device_id);
}

// One line a message: what a text may hold otherwise would begin another.
std::string one_line(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return text;
}

std::string cut_at_character(std::string text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  while (bytes_max > 0 && (static_cast<unsigned char>(text[bytes_max]) & 0xc0U) == 0x80U) {
    --bytes_max;
  }
  text.resize(bytes_max);
  return text;
}

constexpr std::string_view utf8_mark = "\xef\xbb\xbf";

}  // namespace

std::string syslog_line(const Found& found) {
  std::string out =
      syslog_header(found, found.record.source, "menshen") + syslog_parameters(found, true) + "]";
  if (!found.record.message.empty()) {
    out += fmt::format(" {}{}", utf8_mark, found.record.message);
  }
  return one_line(std::move(out)) + "\n";
}

std::string syslog_message(const Found& found, const std::string& origin, std::size_t bytes_max) {
  const std::string begin = syslog_header(found, origin, "menshen-" + found.record.source) +
                            fmt::format(" id=\"{}/{}\"", sd_value(origin), found.number);
  const std::string text =
      found.record.message.empty() ? "" : fmt::format(" {}{}", utf8_mark, found.record.message);
  std::string out = begin + syslog_parameters(found, true) + "]" + text;
  if (out.size() > bytes_max) out = begin + syslog_parameters(found, false) + "]" + text;
  if (out.size() > bytes_max) {
    // Only long texts are left to cut; the parameters must stay whole to be read at all.
    Found shorter = found;
    shorter.record.object = cut_at_character(shorter.record.object, 256);
    shorter.record.policy_line = cut_at_character(shorter.record.policy_line, 64);
    for (std::string* each : {&shorter.record.subject, &shorter.record.domain_src,
                              &shorter.record.domain_dst, &shorter.record.action}) {
      *each = cut_at_character(*each, 64);
    }
    out = cut_at_character(begin + syslog_parameters(shorter, false) + "]" + text, bytes_max);
  }
  return one_line(std::move(out));
}

std::string syslog_note(const SignedNote& note) {
  const Checkpoint& c = note.checkpoint;
  return fmt::format(
      "<{}>1 {} {} menshen-auditd - checkpoint [{} id=\"{}/checkpoint-{}\" size=\"{}\" "
      "note=\"{}\"]",
      facility_log_audit * 8 + syslog_severity(Severity::info), format_utc(c.time),
      syslog_name(c.origin, 255), device_id, sd_value(c.origin), c.number, c.size,
      to_base64(as_bytes(note.text)));
}

}  // namespace menshen::audit
