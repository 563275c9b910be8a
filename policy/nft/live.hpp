// Netlink dumps -> Ruleset.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "policy/nft/ruleset.hpp"

struct nlattr;
struct nlmsghdr;

namespace menshen::policy::nft {

// Collects the messages of one table's dumps; messages about other tables are ignored.
class LiveReader {
 public:
  explicit LiveReader(std::string table);

  void chain(const nlmsghdr* message);
  void rule(const nlmsghdr* message);
  void set(const nlmsghdr* message);
  void elements(const nlmsghdr* message);
  void counter(const nlmsghdr* message);

  [[nodiscard]] std::vector<std::string> set_names() const;
  [[nodiscard]] const std::vector<Counter>& counters() const { return ruleset_.counters; }
  // Sorted as lower() sorts; intervals put together again.
  [[nodiscard]] Ruleset finish() &&;

 private:
  struct RawElement {
    ElementKey key;
    bool interval_end = false;
    std::uint32_t value = 0;
    auto operator<=>(const RawElement& other) const;
  };
  struct RawSet {
    Set set;
    std::vector<RawElement> elements;
  };
  void element(const nlattr* attribute, RawSet& raw);
  static void join_intervals(RawSet& raw);

  Ruleset ruleset_;
  std::vector<RawSet> sets_;
};

}  // namespace menshen::policy::nft
