// Dropped packets -> audit records, counted together under a flood.
//
// One record a second for each (reason, domains, protocol, destination port), with the number of
// packets and one of them as the example. Beyond records_max such groups in one second, the rest is
// one record of its own. So a flood costs bounded memory and a bounded number of records, and no
// packet goes uncounted.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "audit/record/record.hpp"
#include "policy/nft/nflog.hpp"
#include "policy/policy.hpp"

namespace menshen::apps {

class IsolationLog {
 public:
  explicit IsolationLog(std::size_t records_max) : records_max_(records_max) {}

  // Names of the domains in later packets; what came before keeps its own.
  void set_policy(std::shared_ptr<const policy::Policy> policy);
  void add(const policy::nft::DroppedPacket& packet);
  // The records since the last call; call it once a second. `lost`: packets that the kernel logged
  // and nobody could read, since the last call.
  [[nodiscard]] std::vector<audit::Record> take(std::uint64_t lost = 0);

 private:
  struct Group {
    policy::nft::DroppedPacket example;
    WallTime last = 0;
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
  };
  // reason, from, to, protocol, destination port
  using Key =
      std::tuple<policy::nft::Reason, policy::DomainId, policy::DomainId, IpProto, std::uint16_t>;

  void close_groups();
  [[nodiscard]] audit::Record record_of(const Key& key, const Group& group) const;
  [[nodiscard]] std::string domain_name(policy::DomainId id) const;

  std::size_t records_max_;
  std::shared_ptr<const policy::Policy> policy_;
  std::map<Key, Group> groups_;         // by the ids of policy_
  std::vector<audit::Record> records_;  // of earlier policies; with groups_ at most records_max_
  std::uint64_t rest_packets_ = 0;
};

}  // namespace menshen::apps
