// The same numbers as the page, for programs. ordered_json keeps the order in which a reader wants
// them.
#include <nlohmann/json.hpp>

#include "base/clock.hpp"
#include "compliance/collect/utf8.hpp"
#include "compliance/report/report.hpp"

namespace menshen::compliance {
namespace {

using json = nlohmann::ordered_json;

json both(const Text& text) { return {{"zh", printable(text.zh)}, {"en", printable(text.en)}}; }

json tenths(int value) { return value < 0 ? json(nullptr) : json(value / 10.0); }

json tally(const Tally& t) {
  json result = {{"items", t.total}, {"applicable", t.applicable()}, {"judged", t.judged()}};
  for (const Verdict verdict : {Verdict::conforming, Verdict::partial, Verdict::failing,
                                Verdict::not_applicable, Verdict::not_checked, Verdict::error}) {
    result[std::string(verdict_name(verdict))] = t.count(verdict);
  }
  return result;
}

std::string_view name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::yes:
      return "met";
    case Outcome::no:
      return "not_met";
    case Outcome::unknown:
      return "not_collected";
    case Outcome::error:
      return "error";
  }
  return "";
}

std::string_view name_of(Automation automation) {
  switch (automation) {
    case Automation::automatic:
      return "automatic";
    case Automation::semi:
      return "semi";
    case Automation::manual:
      return "manual";
  }
  return "";
}

std::string_view name_of(Responsible responsible) {
  switch (responsible) {
    case Responsible::provider:
      return "provider";
    case Responsible::tenant:
      return "tenant";
    case Responsible::both:
      return "both";
  }
  return "";
}

json check(const CheckResult& r, const Assessment& a) {
  json observations = json::array();
  for (const Observation& o : r.observations) {
    observations.push_back({{"path", printable(o.path)},
                            {"expected", both(o.expected)},
                            {"observed", o.observed.empty() ? json(nullptr) : json(o.observed)},
                            {"outcome", name_of(o.outcome)},
                            {"fact", o.fact.empty() ? json(nullptr) : json(printable(o.fact))}});
  }
  return {
      {"id", r.check->id},
      {"object_id", printable(a.objects[r.object].id)},
      {"title", both(r.check->title)},
      {"object", both(r.check->object)},
      {"verdict", verdict_name(r.verdict)},
      {"reason", both(r.reason)},
      {"observations", std::move(observations)},
      {"remediation",
       {{"text", both(r.check->remediation.text)}, {"commands", r.check->remediation.commands}}}};
}

json time_of(WallTime time) { return time == 0 ? json(nullptr) : json(format_utc(time)); }

json task(const TaskRecord& record, WallTime now) {
  const Task& t = record.task;
  json result = {{"state", record.failure ? "invalid" : state_name(state_of(t, now))},
                 {"owner", printable(t.owner)},
                 {"due", time_of(t.due)}};
  if (record.failure) result["failure"] = both(*record.failure);
  const Answer* answer = t.answer();
  if (answer == nullptr) return result;
  json attachments = json::array();
  for (const Attachment& each : answer->attachments) {
    attachments.push_back({{"name", printable(each.name)},
                           {"sha256", each.sha256},
                           {"bytes", each.bytes},
                           {"by", printable(each.by)},
                           {"at", time_of(each.at)}});
  }
  result["answer"] = {{"verdict", verdict_name(answer->verdict)},
                      {"text", printable(answer->text)},
                      {"by", printable(answer->by)},
                      {"at", time_of(answer->at)},
                      {"recheck", time_of(answer->recheck)},
                      {"reviewed_by", printable(answer->reviewed_by)},
                      {"reviewed_at", time_of(answer->reviewed_at)},
                      {"attachments", std::move(attachments)}};
  return result;
}

json item(const ItemResult& r, WallTime now) {
  json result = {{"id", r.item->id},
                 {"control", both(r.item->control_title)},
                 {"requirement", both(r.item->requirement)},
                 {"automation", name_of(r.item->automation)},
                 {"weight", r.item->weight},
                 {"high_risk", r.item->high_risk.has_value()},
                 {"verdict", verdict_name(r.verdict)},
                 {"reason", both(r.reason)},
                 {"supported", r.supported},
                 {"open_objects", r.open_objects},
                 {"incomplete", r.incomplete},
                 {"checks", r.item->checks}};
  if (r.item->high_risk && !r.item->high_risk->trigger.empty())
    result["trigger"] = r.item->high_risk->trigger;
  result["by_person"] = r.by_person;
  if (r.task) result["task"] = task(*r.task, now);
  return result;
}

json object(const AssessedObject& o) {
  return {{"id", printable(o.id)},
          {"name", printable(o.name)},
          {"class", printable(o.class_id)},
          {"address", printable(o.address)},
          {"responsible", name_of(o.responsible)},
          {"appliance", o.appliance}};
}

void facts(const AssessedObject& object, json& result) {
  for (const auto& [name, fact] : object.facts.all()) {
    const Provenance& p = fact.provenance;
    json entry = {{"name", printable(name)},
                  {"object_id", printable(object.id)},
                  {"object", printable(p.object)},
                  {"source", printable(p.source)},
                  {"collected_at", format_utc(p.collected_at)},
                  {"raw_bytes", p.raw_bytes},
                  {"sha256", p.sha256},
                  {"sm3", p.sm3}};
    if (fact.failure) entry["failure"] = both(*fact.failure);
    result.push_back(std::move(entry));
  }
}

std::string_view name_of(View view) {
  switch (view) {
    case View::all:
      return "all";
    case View::provider:
      return "provider";
    case View::tenant:
      return "tenant";
  }
  return "";
}

}  // namespace

std::string to_json(const Assessment& a) {
  json out = {{"format", "menshen-assessment/1"},
              {"kind", "self-assessment"},
              {"subject",
               {{"name", printable(a.subject.name)},
                {"host", printable(a.subject.host)},
                {"version", printable(a.subject.version)}}},
              {"assessed_at", format_utc(a.assessed_at)},
              {"catalogue",
               {{"standard", a.catalogue->meta.standard},
                {"version", a.catalogue->meta.version},
                {"sha256", a.catalogue->digest_sha256}}}};
  out["totals"] = tally(a.all);
  out["totals"]["coverage_percent"] = tenths(a.coverage_tenths);
  out["totals"]["findings"] = a.findings.size();
  out["totals"]["high_risk"] = a.high_risk.size();
  out["totals"]["triggers"] = json::array();
  for (const TriggerCase& each : trigger_cases(a)) out["totals"]["triggers"].push_back(each.code);
  out["parts"] = {{"general", tally(a.general)}, {"cloud", tally(a.cloud)}};
  for (const Standing& s : a.standings) {
    out["editions"].push_back({{"id", s.edition->id},
                               {"title", both(s.edition->title)},
                               {"score", s.edition->score},
                               {"value", tenths(s.value_tenths)},
                               {"worst", tenths(s.worst_tenths)},
                               {"best", tenths(s.best_tenths)}});
  }
  for (std::size_t i = 0; i < a.layers.size(); ++i) {
    json layer = tally(a.layers[i]);
    layer["id"] = a.catalogue->layers[i].id;
    layer["title"] = both(a.catalogue->layers[i].title);
    out["layers"].push_back(std::move(layer));
  }
  out["view"] = name_of(a.view);
  out["objects"] = json::array();
  for (const AssessedObject& o : a.objects) out["objects"].push_back(object(o));
  out["items"] = json::array();
  for (const ItemResult& r : a.items) out["items"].push_back(item(r, a.assessed_at));
  out["checks"] = json::array();
  for (const CheckResult& r : a.checks) out["checks"].push_back(check(r, a));
  out["facts"] = json::array();
  for (const AssessedObject& object : a.objects) facts(object, out["facts"]);
  return out.dump(1, ' ', false, json::error_handler_t::replace);
}

}  // namespace menshen::compliance
