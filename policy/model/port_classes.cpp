#include "policy/model/port_classes.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace menshen::policy {
namespace {

using ServiceSet = std::vector<std::uint32_t>;

class Classifier {
 public:
  // False: too much.
  bool protocol(std::span<const Service> services, std::vector<PortRange> Service::*ports,
                std::vector<PortClass>& out);
  std::map<ServiceSet, ClassId> ids;

 private:
  std::size_t work_ = 0;
};

bool Classifier::protocol(std::span<const Service> services, std::vector<PortRange> Service::*ports,
                          std::vector<PortClass>& out) {
  // At each port where something changes: the services that begin (true) or have ended.
  std::map<std::uint32_t, std::vector<std::pair<std::uint32_t, bool>>> changes;
  for (std::uint32_t s = 0; s < services.size(); ++s) {
    for (const PortRange& range : services[s].*ports) {
      changes[range.first].emplace_back(s, true);
      changes[range.last + 1U].emplace_back(s, false);
    }
  }
  std::set<std::uint32_t> open;
  for (auto at = changes.begin(); at != changes.end(); ++at) {
    // Ends before beginnings: neighbouring ranges of one service are listed apart.
    for (const auto& [service, begins] : at->second)
      if (!begins) open.erase(service);
    for (const auto& [service, begins] : at->second)
      if (begins) open.insert(service);
    if (open.empty()) continue;
    work_ += open.size();
    if (work_ > service_classes_max) return false;
    const auto id = ids.try_emplace(ServiceSet(open.begin(), open.end()),
                                    static_cast<ClassId>(class_icmp + 1 + ids.size()))
                        .first->second;
    const auto first = static_cast<std::uint16_t>(at->first);
    const auto last = static_cast<std::uint16_t>(std::next(at)->first - 1);
    if (!out.empty() && out.back().id == id && out.back().last + 1 == first) {
      out.back().last = last;
    } else {
      out.push_back({first, last, id});
    }
  }
  return true;
}

}  // namespace

std::optional<PortClasses> classify_ports(std::span<const Service> services) {
  PortClasses out;
  Classifier classifier;
  if (!classifier.protocol(services, &Service::tcp, out.tcp)) return std::nullopt;
  if (!classifier.protocol(services, &Service::udp, out.udp)) return std::nullopt;
  out.of_service.resize(services.size());
  for (std::uint32_t s = 0; s < services.size(); ++s)
    if (services[s].icmp) out.of_service[s].push_back(class_icmp);
  for (const auto& [set, id] : classifier.ids)
    for (const std::uint32_t s : set) out.of_service[s].push_back(id);
  for (auto& classes : out.of_service) std::sort(classes.begin(), classes.end());
  return out;
}

}  // namespace menshen::policy
