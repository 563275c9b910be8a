#include "compliance/scope/scope_facts.hpp"

namespace menshen::compliance {
namespace {

using nlohmann::json;

constexpr std::size_t names_max = 200;

void add(json& list, const std::string& name) {
  if (list.size() < names_max) list.push_back(name);
}

}  // namespace

json scope_facts(const Inventory& inventory, const std::vector<ObjectClass>& classes,
                 const Coverage& coverage) {
  json facts = {{"objects", inventory.objects.size()}};
  for (const char* key :
       {"classes_present", "classes_missing", "without_owner", "without_importance",
        "without_location", "hosts_not_collected", "hosts_failed"}) {
    facts[key] = json::array();
  }
  std::set<std::string, std::less<>> present;
  std::size_t hosts = 0;
  for (const InventoryObject& o : inventory.objects) {
    present.insert(o.class_id);
    if (o.owner.empty()) add(facts["without_owner"], o.id);
    if (o.importance.empty()) add(facts["without_importance"], o.id);
    if (o.location.empty()) add(facts["without_location"], o.id);
    if (coverage.failed.count(o.id) != 0) add(facts["hosts_failed"], o.id);
    if (o.collect == CollectBy::manual) continue;
    ++hosts;
    if (coverage.collected.count(o.id) == 0) add(facts["hosts_not_collected"], o.id);
  }
  for (const ObjectClass& c : classes)
    add(facts[present.count(c.id) != 0 ? "classes_present" : "classes_missing"], c.id);
  facts["hosts"] = hosts;
  facts["hosts_collected"] = coverage.collected.size();
  // People by the posts that the three kinds of administrators hold.
  for (const auto& [key, zh, en] :
       {std::tuple{"system_administrators", "系统管理员", "system administrator"},
        std::tuple{"audit_administrators", "审计管理员", "audit administrator"},
        std::tuple{"security_administrators", "安全管理员", "security administrator"}}) {
    facts[key] = json::array();
    for (const InventoryObject& o : inventory.objects) {
      if (o.class_id != "people") continue;
      if (o.notes.find(zh) != std::string::npos || o.notes.find(en) != std::string::npos)
        add(facts[key], o.name);
    }
  }
  facts["administrators_of_two_kinds"] = json::array();
  for (const InventoryObject& o : inventory.objects) {
    if (o.class_id != "people") continue;
    int kinds = 0;
    for (const char* key :
         {"system_administrators", "audit_administrators", "security_administrators"})
      for (const json& name : facts[key])
        if (name == o.name) ++kinds;
    if (kinds > 1) add(facts["administrators_of_two_kinds"], o.name);
  }
  return facts;
}

}  // namespace menshen::compliance
