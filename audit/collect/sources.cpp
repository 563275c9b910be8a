#include "audit/collect/sources.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.hpp"

namespace menshen::audit {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const SourceKey& key, const SourceState& s) {
  return {{"sender", key.sender},
          {"host", key.host},
          {"domain", s.domain},
          {"first_seen", format_utc(s.first_seen)},
          {"last_seen", format_utc(s.last_seen)},
          {"messages", s.messages},
          {"per_minute", s.per_minute},
          {"dropped", s.dropped},
          {"missing", s.missing},
          {"gaps", s.gaps},
          {"silences", s.silences},
          {"silent", s.silent}};
}

std::string text_of(const Json& json, const char* key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_string() ? at->get<std::string>() : std::string();
}
std::uint64_t number_of(const Json& json, const char* key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_number_unsigned() ? at->get<std::uint64_t>() : 0;
}

}  // namespace

Result<SenderRule> SenderRule::parse(std::string_view text) {
  const std::size_t space = text.find(' ');
  SenderRule rule;
  const std::string_view who = text.substr(0, space);
  if (space != std::string_view::npos) rule.domain = text.substr(space + 1);
  if (who.starts_with("cn:")) {
    rule.certificate = who.substr(3);
  } else if (auto prefix = Prefix::parse(who)) {
    rule.prefix = *prefix;
  }
  const bool named = rule.prefix || !rule.certificate.empty();
  if (!named || rule.domain.empty() || rule.domain.find(' ') != std::string::npos) {
    return fail(ErrorCode::invalid,
                {fmt::format("日志来源应写作“网段 安全域”或“cn:证书名 安全域”：{}", text),
                 fmt::format("a sender is PREFIX DOMAIN or cn:NAME DOMAIN: {}", text)});
  }
  return rule;
}

const SenderRule* rule_of(const std::vector<SenderRule>& rules, const Sender& sender) {
  const auto named = std::ranges::find_if(rules, [&](const SenderRule& rule) {
    return !rule.certificate.empty() && rule.certificate == sender.certificate;
  });
  if (named != rules.end()) return &*named;
  const auto near = std::ranges::find_if(rules, [&](const SenderRule& rule) {
    return rule.prefix && rule.prefix->contains(sender.address);
  });
  return near == rules.end() ? nullptr : &*near;
}

SourceState& SourceTable::heard(const SourceKey& key, const std::string& domain, WallTime now,
                                std::uint64_t sequence) {
  auto at = sources_.find(key);
  if (at == sources_.end()) {
    // One row a sender beyond the limit, and as many senders again: addresses are cheap, too.
    const bool full = sources_.size() >= sources_max;
    const bool flooded = sources_.size() >= 2 * sources_max;
    const SourceKey& used = flooded ? SourceKey{"*", "*"} : full ? SourceKey{key.sender, "*"} : key;
    at = sources_.try_emplace(used).first;
    if (at->second.messages == 0) {
      at->second.first_seen = now;
      at->second.domain = domain;
    }
  }
  SourceState& state = at->second;
  state.last_seen = now;
  state.domain = domain;
  ++state.messages;
  ++state.this_minute;
  if (sequence != 0 && at->first.host != "*") {
    // A smaller number is a sender that began anew (RFC 5424 section 7.3.1).
    if (state.sequence != 0 && sequence > state.sequence + 1) {
      ++state.gaps;
      state.missing += sequence - state.sequence - 1;
      state.missing_untold += sequence - state.sequence - 1;
    }
    state.sequence = sequence;
  }
  return state;
}

std::string to_json(const SourceKey& key, const SourceState& state) {
  return json_of(key, state).dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<void> SourceTable::save(const std::filesystem::path& file) const {
  Json list = Json::array();
  for (const auto& [key, state] : sources_) list.push_back(json_of(key, state));
  return write_file_atomic(file, list.dump(1, ' ', false, Json::error_handler_t::replace) + "\n",
                           0640);
}

Result<void> SourceTable::load(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return {};
  const std::string text = MENSHEN_TRY(read_file(file, sources_file_bytes_max));
  const Json list = Json::parse(text, nullptr, false);
  if (!list.is_array()) {
    return fail(ErrorCode::corrupt, {"日志来源状态文件已损坏：" + file.string(),
                                     "the file of log sources is damaged: " + file.string()});
  }
  for (const Json& each : list) {
    if (!each.is_object() || sources_.size() >= 2 * sources_max) continue;
    const auto first = parse_time(text_of(each, "first_seen"));
    const auto last = parse_time(text_of(each, "last_seen"));
    if (!first || !last) continue;
    SourceState state;
    state.domain = text_of(each, "domain");
    state.first_seen = *first;
    state.last_seen = *last;
    state.messages = number_of(each, "messages");
    state.dropped = number_of(each, "dropped");
    state.missing = number_of(each, "missing");
    state.gaps = number_of(each, "gaps");
    state.silences = number_of(each, "silences");
    const auto silent = each.find("silent");
    state.silent = silent != each.end() && silent->is_boolean() && silent->get<bool>();
    const auto per_minute = each.find("per_minute");
    if (per_minute != each.end() && per_minute->is_number()) state.per_minute = *per_minute;
    sources_.insert_or_assign({text_of(each, "sender"), text_of(each, "host")}, state);
  }
  return {};
}

}  // namespace menshen::audit
