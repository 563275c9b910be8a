// The inside of a RuleSet: rules in order of precedence, and how the few that could match are found
// among them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/diagnostic.hpp"
#include "sensor/detect/address_index.hpp"
#include "sensor/detect/dataset.hpp"
#include "sensor/detect/multi_pattern.hpp"
#include "sensor/detect/rule.hpp"
#include "sensor/detect/ruleset.hpp"

namespace menshen::sensor {

using RuleIndex = std::uint32_t;  // into CompiledRules::rules: lower comes first

// Rules without a pattern, by the one port they name where there are few: most packets then skip
// them.
struct AlwaysRules {
  std::vector<RuleIndex> any_port;
  std::map<std::uint16_t, std::vector<RuleIndex>> by_destination;
  std::map<std::uint16_t, std::vector<RuleIndex>> by_source;
  void append(std::uint16_t source, std::uint16_t destination, std::vector<RuleIndex>& out) const;
};

struct PayloadGroup {
  std::optional<MultiPattern> patterns;
  std::optional<MultiPattern> short_patterns;  // of rules that have none longer; packets alone
  AlwaysRules always;
};

// One buffer (after its transforms) of a transaction, with the patterns that rules want there.
struct BufferGroup {
  Buffer buffer = Buffer::count;
  std::vector<Transform> transforms;
  std::shared_ptr<const MultiPattern> patterns;  // the same for each protocol that has the buffer
};

struct TransactionGroup {
  std::vector<BufferGroup> buffers;
  AlwaysRules always;
};

inline constexpr std::size_t transports = 4;  // tcp, udp, icmp, other
inline constexpr std::size_t directions = 2;
inline constexpr auto app_protos = static_cast<std::size_t>(AppProto::count);
template <class T>
using ByDirection = std::array<T, directions>;

struct CompiledRules {
  std::vector<Rule> rules;
  RuleSetSummary summary;
  std::vector<Diagnostics> diagnostics;
  std::map<std::uint64_t, std::string> names;  // of variables, by their hash: what events tell
  std::shared_ptr<Datasets> datasets = std::make_shared<Datasets>();  // what the rules look up

  struct AddressRules {
    AddressIndex by_source;
    AddressIndex by_destination;
    [[nodiscard]] bool empty() const noexcept {
      return by_source.empty() && by_destination.empty();
    }
  };
  std::array<AddressRules, transports> ip_only;
  std::array<std::vector<RuleIndex>, transports> app_only;
  // Rules that ask for an anomaly, by the first one they ask for: most packets have none.
  std::array<std::vector<RuleIndex>, static_cast<std::size_t>(Anomaly::count)> by_anomaly;
  std::array<ByDirection<PayloadGroup>, transports> packet;
  ByDirection<PayloadGroup> stream;
  ByDirection<bool> stream_wanted{};                  // some rule looks at reassembled bytes
  ByDirection<std::vector<bool>> stream_preselected;  // by rule: has a pattern in `stream`
  std::array<ByDirection<TransactionGroup>, app_protos> transaction;

  // Every database, for scratch allocation.
  [[nodiscard]] std::vector<const MultiPattern*> databases() const;
};

[[nodiscard]] std::size_t transport_index(IpProto proto) noexcept;
[[nodiscard]] bool transport_fits(RuleProto::Transport wanted, std::size_t index) noexcept;

// Sorts the rules and builds the groups, on up to `threads` threads. `cache` may be null.
[[nodiscard]] Result<void> compile_rules(CompiledRules& compiled, const PatternCache* cache,
                                         std::size_t threads);

// The content that preselects the rule in this direction (list and test index), or nothing. One of
// short_pattern_bytes_min bytes only in the payload, where there is no longer one.
struct FastPattern {
  std::size_t list = 0;
  std::size_t test = 0;
};
[[nodiscard]] std::optional<FastPattern> choose_fast_pattern(const Rule& rule, Direction direction);

}  // namespace menshen::sensor
