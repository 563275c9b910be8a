#include "compliance/report/oscal.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "compliance/catalogue/digest.hpp"
#include "compliance/collect/utf8.hpp"

namespace menshen::compliance {
namespace {

using json = nlohmann::ordered_json;

// A name-based identifier in the form of version 5 (RFC 9562), of SHA-256 instead of SHA-1.
std::string uuid(std::string_view kind, std::string_view name) {
  std::string h = sha256_hex(fmt::format("{} {} {}", oscal_namespace, kind, name));
  h[12] = '5';
  h[16] = "89ab"[static_cast<std::size_t>(h[16]) % 4];
  return fmt::format("{}-{}-{}-{}-{}", h.substr(0, 8), h.substr(8, 4), h.substr(12, 4),
                     h.substr(16, 4), h.substr(20, 12));
}

std::string control_id(std::string_view clause) { return fmt::format("mlps-l3-{}", clause); }

// Property values and descriptions are one line without surrounding blanks, and never empty.
std::string line(std::string_view text) {
  std::string result = printable(text);
  for (char& c : result)
    if (c == '\n' || c == '\t') c = ' ';
  const std::size_t begin = result.find_first_not_of(' ');
  if (begin == std::string::npos) return "-";
  return result.substr(begin, result.find_last_not_of(' ') - begin + 1);
}

json prop(std::string_view name, std::string_view value) {
  return {{"name", name}, {"ns", oscal_namespace}, {"value", line(value)}};
}

std::string both(const Text& text) { return line(text.zh + " / " + text.en); }

json metadata(const std::string& title, const Catalogue& catalogue, WallTime time) {
  return {{"title", title},
          {"last-modified", format_utc(time)},
          {"version", catalogue.meta.version},
          {"oscal-version", oscal_version},
          {"props", json::array({prop("standard", catalogue.meta.standard),
                                 prop("rules-sha256", catalogue.digest_sha256),
                                 prop("kind", "self-assessment 自查")})}};
}

std::string_view method_name(Method method) {
  switch (method) {
    case Method::interview:
      return "INTERVIEW";
    case Method::examine:
      return "EXAMINE";
    case Method::test:
      return "TEST";
  }
  return "";
}

json control(const Item& item) {
  json props = json::array({{{"name", "label"}, {"value", item.id}},
                            prop("weight-estimate", fmt::format("{}", item.weight)),
                            prop("class-sag", std::string(1, item.sag))});
  if (item.high_risk) props.push_back(prop("high-risk", both(item.high_risk->reason)));
  if (item.high_risk && !item.high_risk->trigger.empty())
    props.push_back(prop("trigger", item.high_risk->trigger));
  const std::string id = control_id(item.id);
  json parts = json::array(
      {{{"id", id + "_smt"}, {"name", "statement"}, {"prose", both(item.requirement)}}});
  if (!item.guidance.zh.empty()) {
    parts.push_back({{"id", id + "_gdn"}, {"name", "guidance"}, {"prose", both(item.guidance)}});
  }
  for (const Method method : item.methods) {
    const std::string name(method_name(method));
    json objects = json::array();
    std::string list;
    for (const Text& object : item.objects) list += (list.empty() ? "" : "; ") + both(object);
    objects.push_back({{"name", "assessment-objects"}, {"prose", line(list)}});
    parts.push_back({{"id", fmt::format("{}_asm-{}", id, name)},
                     {"name", "assessment-method"},
                     {"props", json::array({prop("method", name)})},
                     {"parts", std::move(objects)}});
  }
  return {{"id", id},
          {"title", item.id + " " + both(item.control_title)},
          {"props", std::move(props)},
          {"parts", std::move(parts)}};
}

// The layer's items below their control points.
json layer_group(const Layer& layer) {
  json groups = json::array();
  for (const Item& item : layer.items) {
    const std::string id = "g-" + item.control;
    if (groups.empty() || groups.back()["id"] != id) {
      groups.push_back({{"id", id},
                        {"title", item.control + " " + both(item.control_title)},
                        {"controls", json::array()}});
    }
    groups.back()["controls"].push_back(control(item));
  }
  return {{"id", "g-" + layer.id},
          {"title", layer.id + " " + both(layer.title)},
          {"groups", std::move(groups)}};
}

std::string observation_key(const CheckResult& r, const Assessment& a) {
  return fmt::format("{} {} {}", a.assessed_at, r.check->id, a.objects[r.object].id);
}

json evidence(const CheckResult& r, const Assessment& a) {
  json list = json::array();
  std::vector<std::string> seen;
  for (const Observation& o : r.observations) {
    if (o.fact.empty() || std::find(seen.begin(), seen.end(), o.fact) != seen.end()) continue;
    seen.push_back(o.fact);
    const Provenance& p = a.objects[r.object].facts.all().find(o.fact)->second.provenance;
    list.push_back({{"href", fmt::format("../raw/{}.txt", p.sha256)},
                    {"description", line(p.source)},
                    {"props", json::array({prop("sha256", p.sha256), prop("sm3", p.sm3),
                                           prop("collected", format_utc(p.collected_at))})}});
  }
  return list;
}

json observation(const CheckResult& r, const Assessment& a) {
  const AssessedObject& object = a.objects[r.object];
  WallTime collected = a.assessed_at;
  for (const Observation& o : r.observations)
    if (!o.fact.empty())
      collected =
          std::min(collected, object.facts.all().find(o.fact)->second.provenance.collected_at);
  json result = {{"uuid", uuid("observation", observation_key(r, a))},
                 {"title", both(r.check->title)},
                 {"description", both(r.reason)},
                 {"props", json::array({prop("check", r.check->id),
                                        prop("verdict", verdict_name(r.verdict))})},
                 {"methods", json::array({"TEST"})},
                 {"subjects", json::array({{{"subject-uuid", uuid("object", object.id)},
                                            {"type", "inventory-item"},
                                            {"title", line(object.name)}}})},
                 {"collected", format_utc(collected)}};
  if (json list = evidence(r, a); !list.empty()) result["relevant-evidence"] = std::move(list);
  return result;
}

bool judged(const ItemResult& r) {
  return r.verdict == Verdict::conforming || r.verdict == Verdict::partial ||
         r.verdict == Verdict::failing || r.verdict == Verdict::not_applicable;
}

json finding(const ItemResult& r, const Assessment& a) {
  const bool satisfied = r.verdict == Verdict::conforming || r.verdict == Verdict::not_applicable;
  json result = {{"uuid", uuid("finding", fmt::format("{} {}", a.assessed_at, r.item->id))},
                 {"title", r.item->id + " " + both(r.item->control_title)},
                 {"description", both(r.reason)},
                 {"props", json::array({prop("mlps-result", verdict_name(r.verdict)),
                                        prop("mlps-result-zh", verdict_text(r.verdict).zh)})},
                 {"target",
                  {{"type", "statement-id"},
                   {"target-id", control_id(r.item->id) + "_smt"},
                   {"status",
                    {{"state", satisfied ? "satisfied" : "not-satisfied"},
                     {"reason", r.verdict == Verdict::conforming ? "pass"
                                : satisfied                      ? "other"
                                                                 : "fail"}}}}}};
  json observations = json::array();
  for (const std::size_t c : r.checks)
    observations.push_back(
        {{"observation-uuid", uuid("observation", observation_key(a.checks[c], a))}});
  if (!observations.empty()) result["related-observations"] = std::move(observations);
  return result;
}

json inventory(const Assessment& a) {
  json items = json::array();
  for (const AssessedObject& o : a.objects) {
    items.push_back({{"uuid", uuid("object", o.id)},
                     {"description", line(o.name)},
                     {"props", json::array({prop("id", o.id), prop("class", o.class_id)})}});
  }
  return items;
}

std::string tenths(int value) {
  return value < 0 ? "-" : fmt::format("{}.{}", value / 10, value % 10);
}

std::string dump(const json& document) {
  return document.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string oscal_catalog(const Catalogue& catalogue, WallTime time) {
  json groups = json::array();
  for (const Layer& layer : catalogue.layers) groups.push_back(layer_group(layer));
  return dump(
      {{"catalog",
        {{"uuid", uuid("catalog", catalogue.digest_sha256)},
         {"metadata", metadata("等级保护第三级测评项 / MLPS level 3 items", catalogue, time)},
         {"groups", std::move(groups)}}}});
}

std::string oscal_results(const Assessment& a) {
  const Standing& lead = a.standings.front();
  json result = {
      {"uuid", uuid("result", fmt::format("{} {}", a.assessed_at, a.subject.host))},
      {"title", "自查结果 / Self-assessment"},
      {"description",
       "单位自查，不是等级测评结论 / A self-assessment, not the conclusion of an MLPS assessment"},
      {"start", format_utc(a.assessed_at)},
      {"end", format_utc(a.assessed_at)},
      {"props", json::array({prop("edition", lead.edition->id),
                             prop("rate-percent", tenths(lead.value_tenths)),
                             prop("rate-worst-percent", tenths(lead.worst_tenths)),
                             prop("rate-best-percent", tenths(lead.best_tenths)),
                             prop("coverage-percent", tenths(a.coverage_tenths)),
                             prop("high-risk-findings", fmt::format("{}", a.high_risk.size()))})},
      {"local-definitions", {{"inventory-items", inventory(a)}}},
      {"reviewed-controls",
       {{"control-selections", json::array({{{"include-all", json::object()}}})}}}};
  json observations = json::array();
  for (const CheckResult& r : a.checks) observations.push_back(observation(r, a));
  if (!observations.empty()) result["observations"] = std::move(observations);
  json findings = json::array();
  for (const ItemResult& r : a.items)
    if (judged(r)) findings.push_back(finding(r, a));
  if (!findings.empty()) result["findings"] = std::move(findings);
  return dump(
      {{"assessment-results",
        {{"uuid", uuid("assessment-results", fmt::format("{} {}", a.assessed_at, a.subject.host))},
         {"metadata", metadata("等级保护自查 / MLPS self-assessment", *a.catalogue, a.assessed_at)},
         {"import-ap", {{"href", "catalog.json"}}},
         {"results", json::array({std::move(result)})}}}});
}

std::string oscal_poam(const Assessment& a) {
  json items = json::array();
  for (const std::size_t i : a.findings) {
    const ItemResult& r = a.items[i];
    std::string remedies;
    for (const std::size_t c : r.checks) {
      const CheckResult& check = a.checks[c];
      if (check.verdict != Verdict::failing && check.verdict != Verdict::partial) continue;
      const std::string one = both(check.check->remediation.text);
      if (remedies.find(one) == std::string::npos) remedies += one + " ";
    }
    items.push_back(
        {{"uuid", uuid("poam-item", fmt::format("{} {}", a.assessed_at, r.item->id))},
         {"title", r.item->id + " " + both(r.item->control_title)},
         {"description", line(remedies)},
         {"props", json::array({prop("mlps-result", verdict_name(r.verdict)),
                                prop("high-risk", r.item->high_risk ? "yes" : "no")})}});
  }
  if (items.empty()) {
    items.push_back(
        {{"uuid", uuid("poam-item", "none")},
         {"title", "无问题 / No findings"},
         {"description", "已判定的测评项中未发现问题 / No findings among the judged items"}});
  }
  return dump({{"plan-of-action-and-milestones",
                {{"uuid", uuid("poam", fmt::format("{} {}", a.assessed_at, a.subject.host))},
                 {"metadata", metadata("整改计划 / Plan of action", *a.catalogue, a.assessed_at)},
                 {"system-id",
                  {{"identifier-type", "https://ietf.org/rfc/rfc4122"},
                   {"id", uuid("system", a.subject.name)}}},
                 {"poam-items", std::move(items)}}}});
}

}  // namespace menshen::compliance
