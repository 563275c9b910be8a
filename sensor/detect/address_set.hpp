// The addresses and ports of a rule's header: lists, ranges, negation, nesting and variables,
// resolved to sorted disjoint ranges. Lookup is a binary search; "any" costs one comparison.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ip.hpp"
#include "base/result.hpp"

namespace menshen::sensor {

inline constexpr std::size_t set_nesting_max =
    16;  // lists within lists, variables within variables
inline constexpr std::size_t set_ranges_max = 100'000;  // of one set, variables expanded

using Variables = std::map<std::string, std::string, std::less<>>;
// HOME_NET and the other customary variables: private networks at home, everything else outside.
[[nodiscard]] const Variables& default_variables();

class AddressSet {
 public:
  using Range = std::pair<IpAddr, IpAddr>;  // inclusive

  [[nodiscard]] static Result<AddressSet> parse(std::string_view text, const Variables& variables);
  [[nodiscard]] static AddressSet any();
  [[nodiscard]] bool contains(const IpAddr& address) const noexcept;
  [[nodiscard]] bool is_any() const noexcept { return any_; }
  [[nodiscard]] bool negated() const noexcept { return negated_; }  // its text had a negation
  [[nodiscard]] const std::vector<Range>& ranges() const noexcept { return ranges_; }

 private:
  // An address as two numbers: compared faster than by its bytes.
  struct Key {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    auto operator<=>(const Key&) const = default;
  };
  static Key key_of(const IpAddr& address) noexcept;

  std::vector<Range> ranges_;
  std::vector<std::pair<Key, Key>> keys_;  // the same
  bool any_ = false;
  bool negated_ = false;
};

class PortSet {
 public:
  using Range = std::pair<std::uint16_t, std::uint16_t>;  // inclusive

  [[nodiscard]] static Result<PortSet> parse(std::string_view text, const Variables& variables);
  [[nodiscard]] static PortSet any();
  [[nodiscard]] bool contains(std::uint16_t port) const noexcept;
  [[nodiscard]] bool is_any() const noexcept { return any_; }
  [[nodiscard]] const std::vector<Range>& ranges() const noexcept { return ranges_; }

 private:
  std::vector<Range> ranges_;
  bool any_ = false;
};

}  // namespace menshen::sensor
