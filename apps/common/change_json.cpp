#include "apps/common/change_json.hpp"

namespace menshen::apps {
namespace {

std::string_view change_name(policy::ChangeKind kind) {
  switch (kind) {
    case policy::ChangeKind::newly_passes:
      return "newly_passes";
    case policy::ChangeKind::newly_blocked:
      return "newly_blocked";
    case policy::ChangeKind::inspection:
      return "inspection";
    case policy::ChangeKind::domain:
      return "domain";
  }
  return "";
}

}  // namespace

Json changes_json(const std::vector<policy::Change>& changes) {
  Json list = Json::array();
  for (const policy::Change& change : changes) {
    if (list.size() == changes_reported_max) break;
    list.push_back({{"kind", change_name(change.kind)},
                    {"from", change.from},
                    {"to", change.to},
                    {"service", change.service},
                    {"zh", change.text.zh},
                    {"en", change.text.en}});
  }
  return list;
}

}  // namespace menshen::apps
