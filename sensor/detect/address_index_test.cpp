#include "sensor/detect/address_index.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

namespace menshen::sensor {
namespace {

AddressSet set(std::string_view text) {
  return AddressSet::parse(text, default_variables()).value();
}
IpAddr at(std::string_view text) { return IpAddr::parse(text).value(); }

std::vector<std::uint32_t> found(const AddressIndex& index, const IpAddr& address) {
  std::vector<std::uint32_t> rules;
  index.find(address, rules);
  std::ranges::sort(rules);
  return rules;
}

}  // namespace

TEST_CASE("rules are found by the borders of their addresses") {
  const std::vector<AddressSet> sets{set("10.0.0.0/24"), set("10.0.0.128/25"), set("[1.2.3.4,::1]"),
                                     set("any"), set("![10.0.0.0/8,fd00::/8]")};
  std::vector<AddressIndex::Entry> entries;
  entries.reserve(sets.size());
  for (const AddressSet& s : sets) {
    entries.push_back({&s, static_cast<std::uint32_t>(entries.size())});
  }
  const AddressIndex index(entries);
  using Rules = std::vector<std::uint32_t>;
  CHECK(found(index, at("10.0.0.127")) == Rules{0, 3});
  CHECK(found(index, at("10.0.0.128")) == Rules{0, 1, 3});
  CHECK(found(index, at("10.0.1.0")) == Rules{3});
  CHECK(found(index, at("1.2.3.4")) == Rules{2, 3, 4});
  CHECK(found(index, at("::1")) == Rules{2, 3, 4});
  CHECK(found(index, at("::")) == Rules{3, 4});
  CHECK(found(index, at("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")) == Rules{3, 4});
  CHECK(found(AddressIndex(), at("1.2.3.4")).empty());
}

TEST_CASE("a set in many pieces is always returned, and nothing is missed") {
  std::mt19937 random(1);
  std::vector<AddressSet> sets{set("0.0.0.0/1")};
  for (int i = 0; i < 3'000; ++i) {
    sets.push_back(
        AddressSet::parse(IpAddr::v4(static_cast<std::uint32_t>(random()) >> 1U).to_string(), {})
            .value());
  }
  std::vector<AddressIndex::Entry> entries;
  entries.reserve(sets.size());
  for (const AddressSet& s : sets) {
    entries.push_back({&s, static_cast<std::uint32_t>(entries.size())});
  }
  const AddressIndex index(entries);
  CHECK(found(index, at("200.0.0.1")) == std::vector<std::uint32_t>{0});
  for (std::size_t i = 1; i < sets.size(); i += 7) {
    const auto rules = found(index, sets[i].ranges().front().first);
    CHECK(std::ranges::binary_search(rules, i));
    CHECK(std::ranges::binary_search(rules, 0));
  }
}

}  // namespace menshen::sensor
