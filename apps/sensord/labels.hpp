// What the policy says of each flow, for the sensor; and the names behind the numbers, for its
// events.
//
// Numbers stay valid over a change of policy: a flow that began under the old one still has its
// names. Used by the worker's thread alone, except set_policy's argument, which another thread may
// have compiled.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "policy/policy.hpp"
#include "sensor/engine/eve.hpp"
#include "sensor/flow/flow.hpp"

namespace menshen::apps {

class PolicyLabeler final : public sensor::FlowLabeler, public sensor::DomainNames {
 public:
  // Names of domains that were ever in force; beyond it, flows carry no domain name.
  static constexpr std::size_t domains_max = 0xffff;
  static constexpr std::size_t lines_max = 1'000'000;

  // Without a policy every flow is unknown and inspected in the mode block.
  [[nodiscard]] sensor::FlowLabel label(const FiveTuple& tuple) const noexcept override;
  [[nodiscard]] std::string_view domain(std::uint16_t index) const override;
  [[nodiscard]] std::string_view policy_line(std::uint32_t index) const override;

  // Between two batches.
  void set_policy(std::shared_ptr<const policy::Policy> policy);

 private:
  class Names {
   public:
    explicit Names(std::size_t names_max) : names_max_(names_max) {}
    // From 1; 0 where there is no room for another.
    std::uint32_t index_of(const std::string& name);
    [[nodiscard]] std::string_view name(std::uint32_t index) const;

   private:
    std::size_t names_max_;
    std::vector<std::string> names_;
    std::unordered_map<std::string, std::uint32_t> indices_;
  };

  std::shared_ptr<const policy::Policy> policy_;
  Names domains_{domains_max};
  Names lines_{lines_max};
  std::vector<std::uint16_t> domain_index_;  // by DomainId
  std::vector<std::uint32_t> line_index_;    // by line
};

}  // namespace menshen::apps
