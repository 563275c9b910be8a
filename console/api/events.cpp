// Security events: alerts, drops, isolation violations; live, listed, one by one, by pair of
// domains.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "console/api/handlers.hpp"

namespace menshen::console {
namespace {

constexpr std::array event_kinds{audit::Kind::alert, audit::Kind::drop, audit::Kind::isolation};
constexpr std::size_t matrix_records_max = 20'000;
constexpr WallTime day = 86'400'000'000'000;

tl::unexpected<Error> not_a(const char* key, const std::string& value) {
  return fail(ErrorCode::invalid, {fmt::format("参数 {} 无效：{}", key, value),
                                   fmt::format("the parameter {} is not valid: {}", key, value)});
}

template <class Number>
Result<Number> number_of(const char* key, const std::string& text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return not_a(key, text);
  return value;
}

Result<void> read_kinds(const std::string& text, audit::Filter& filter) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(','), rest.size());
    const auto kind = audit::parse_kind(rest.substr(0, end));
    if (!kind) return not_a("kind", text);
    filter.kinds.push_back(*kind);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

Result<void> read_parameter(const std::string& key, const std::string& value,
                            audit::Filter& filter) {
  if (value.empty() || key == "background" || key == "format" || key == "lang") return {};
  if (key == "since") {
    filter.since = MENSHEN_TRY(parse_time(value));
  } else if (key == "until") {
    filter.until = MENSHEN_TRY(parse_time(value));
  } else if (key == "kind") {
    return read_kinds(value, filter);
  } else if (key == "severity") {
    const auto severity = audit::parse_severity(value);
    if (!severity) return not_a("severity", value);
    filter.severity_min = *severity;
  } else if (key == "outcome") {
    filter.outcome = audit::parse_outcome(value);
    if (!filter.outcome) return not_a("outcome", value);
  } else if (key == "address") {
    filter.address = MENSHEN_TRY(Prefix::parse(value));
  } else if (key == "sid") {
    filter.sid = MENSHEN_TRY(number_of<std::uint32_t>("sid", value));
  } else if (key == "before") {
    filter.before = MENSHEN_TRY(number_of<std::uint64_t>("before", value));
  } else if (key == "limit") {
    filter.limit = MENSHEN_TRY(number_of<std::uint64_t>("limit", value));
    if (filter.limit == 0 || filter.limit > page_records_max) return not_a("limit", value);
  } else {
    const std::pair<const char*, std::string*> texts[] = {
        {"domain", &filter.domain},   {"source", &filter.source},
        {"subject", &filter.subject}, {"action", &filter.action},
        {"text", &filter.text},       {"policy_line", &filter.policy_line}};
    const auto* at = std::ranges::find(texts, key, [](const auto& each) { return each.first; });
    if (at == std::end(texts)) return not_a("query", key);
    *at->second = value;
  }
  return {};
}

Result<Response> events(Call& call) {
  audit::Filter filter = MENSHEN_TRY(filter_of(call.request));
  if (filter.kinds.empty()) filter.kinds.assign(event_kinds.begin(), event_kinds.end());
  for (const audit::Kind kind : filter.kinds) {
    if (std::ranges::find(event_kinds, kind) == event_kinds.end()) {
      return not_a("kind", std::string(audit::name(kind)));
    }
  }
  const Session& session = *call.session;
  if (session.role == Role::tenant && session.domains.size() == 1 && filter.domain.empty()) {
    filter.domain = session.domains.front();
  }
  const std::uint64_t limit = filter.limit;
  filter.limit = 0;  // what a tenant may not see does not count
  return with_reader(call.desk, [&](const audit::Reader& reader) -> Result<Response> {
    Json items = Json::array();
    std::uint64_t last = 0;
    static_cast<void>(MENSHEN_TRY(reader.find(filter, [&](const audit::Found& found) {
      if (!sees(session, found.record.domain_src, found.record.domain_dst)) return true;
      last = found.number;
      items.push_back(record_json(found));
      return items.size() < limit;
    })));
    const bool full = items.size() == limit;
    return reply({{"items", items}, {"next", full ? Json(last) : Json()}});
  });
}

Result<Response> one_event(Call& call) {
  audit::Filter filter;
  filter.before = MENSHEN_TRY(number_of<std::uint64_t>("number", call.parameter)) + 1;
  filter.limit = 1;
  return with_reader(call.desk, [&](const audit::Reader& reader) -> Result<Response> {
    const auto found = MENSHEN_TRY(reader.find(filter));
    const bool right = found.size() == 1 && found[0].number + 1 == filter.before &&
                       std::ranges::find(event_kinds, found[0].record.kind) != event_kinds.end() &&
                       sees(*call.session, found[0].record.domain_src, found[0].record.domain_dst);
    if (!right) return fail(ErrorCode::not_found, {"没有此事件", "there is no such event"});
    Json out = {{"event", record_json(found[0])}, {"proof", nullptr}};
    const auto prover = reader.prover();
    if (prover) {
      const auto proof = prover->prove(found[0].number);
      if (proof) out["proof"] = Json::parse(proof->to_json(), nullptr, false);
    }
    return reply(out);
  });
}

// Server-sent events: one `event` each, a comment every 15 seconds so that a dead peer is noticed.
Result<Response> live(Call& call) {
  Live& feed = call.desk.live;
  if (!feed.enter()) {
    return fail(ErrorCode::limit, {"实时连接数已达上限", "there are as many streams as can be"});
  }
  const std::shared_ptr<Live> entered(&feed, [](Live* each) { each->leave(); });
  Response response;
  response.type = "text/event-stream";
  response.headers.emplace_back("Cache-Control", "no-store");
  response.stream = [entered, desk = &call.desk, session = *call.session,
                     secret = call.request.session, from = feed.newest(),
                     first = true](std::string& piece) mutable {
    if (std::exchange(first, false)) {
      piece = "retry: 3000\n\n";
      return true;
    }
    const auto events = entered->after(from, std::chrono::seconds(15));
    if (entered->ending() || !desk->sessions.find(secret, false)) return false;
    for (const Live::Event& event : events) {
      from = event.number;
      if (!sees(session, event.domain_src, event.domain_dst)) continue;
      piece += fmt::format("id: {}\nevent: event\ndata: {}\n\n", event.number, event.json);
    }
    if (piece.empty()) piece = ": \n\n";
    return true;
  };
  return response;
}

// The policy's pairs of domains, and what of the last day came between them.
Result<Response> matrix(Call& call) {
  const Json policy =
      MENSHEN_TRY(call.desk.backend.ask({"policyd", "show", call.person()}, Json::object()));
  struct Seen {
    std::uint64_t isolation = 0;
    std::uint64_t alerts = 0;
  };
  std::map<std::pair<std::string, std::string>, Seen> seen;
  audit::Filter filter;
  filter.kinds.assign(event_kinds.begin(), event_kinds.end());
  filter.since = call.desk.backend.clock->wall() - day;
  filter.limit = matrix_records_max;
  const auto counted = with_reader(call.desk, [&](const audit::Reader& reader) {
    return reader.find(filter, [&](const audit::Found& found) {
      Seen& pair = seen[{found.record.domain_src, found.record.domain_dst}];
      ++(found.record.kind == audit::Kind::isolation ? pair.isolation : pair.alerts);
      return true;
    });
  });
  if (!counted && counted.error().code != ErrorCode::not_found) {
    return tl::make_unexpected(counted.error());
  }
  Json pairs = Json::array();
  for (const auto& [domains, each] : seen) {
    pairs.push_back({{"from", domains.first},
                     {"to", domains.second},
                     {"isolation", each.isolation},
                     {"alerts", each.alerts}});
  }
  return reply({{"name", policy.value("name", "")},
                {"matches_kernel", policy.value("matches_kernel", false)},
                {"domains", policy.value("domains", Json::array())},
                {"flows", policy.value("flows", Json::array())},
                {"seen", pairs},
                {"seen_complete", counted.value_or(0) < matrix_records_max}});
}

const std::array<Route, 4> table{{
    {{"GET", "/api/events", Right::see_events, ""}, events},
    {{"GET", "/api/events/{number}", Right::see_events, ""}, one_event},
    {{"GET", "/api/live", Right::see_events, ""}, live},
    {{"GET", "/api/matrix", Right::see_policy, ""}, matrix},
}};

}  // namespace

Result<audit::Filter> filter_of(const RequestHead& head) {
  audit::Filter filter;
  filter.limit = 50;
  for (const auto& [key, value] : head.query) MENSHEN_CHECK(read_parameter(key, value, filter));
  return filter;
}

Json record_json(const audit::Found& found) {
  return Json::parse(audit::to_json(found.record, found.number), nullptr, false);
}

bool sees(const Session& session, std::string_view from, std::string_view to) {
  if (session.role != Role::tenant) return true;
  return std::ranges::any_of(
      session.domains, [&](const std::string& domain) { return domain == from || domain == to; });
}

std::span<const Route> event_routes() { return table; }

}  // namespace menshen::console
