// What the inventory itself shows, and how it compares with what was seen: facts of the space
// `scope` (collect/product_facts.md).
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "compliance/scope/inventory.hpp"

namespace menshen::compliance {

struct Coverage {
  std::set<std::string> collected;  // ids of objects that facts were collected from
  std::set<std::string> failed;     // ids of those that were tried in vain
};

// Keys without the space's name. Lists hold at most 200 names.
[[nodiscard]] nlohmann::json scope_facts(const Inventory& inventory,
                                         const std::vector<ObjectClass>& classes,
                                         const Coverage& coverage);

}  // namespace menshen::compliance
