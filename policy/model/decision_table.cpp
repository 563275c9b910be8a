#include "policy/model/decision_table.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace menshen::policy {
namespace {

// Mixes all bits (the finaliser of SplitMix64): ids are small and consecutive.
std::uint64_t hash(const TableKey& key) noexcept {
  std::uint64_t x = (std::uint64_t{key.from} << 32 | key.to) ^ std::uint64_t{key.cls} << 17;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
  x = (x ^ x >> 27) * 0x94d049bb133111ebU;
  return x ^ x >> 31;
}

// Bit 2: from is wide, bit 1: to, bit 0: class. Ascending order tries the domains' own lines first.
std::size_t shape_of(const TableKey& key) noexcept {
  return (key.from == domain_any ? 4U : 0U) | (key.to == domain_any ? 2U : 0U) |
         (key.cls == class_any ? 1U : 0U);
}

DomainId find_address(std::span<const AddressRange> ranges, const IpAddr& address) noexcept {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), address,
                       [](const IpAddr& a, const AddressRange& r) { return a < r.first; });
  if (after == ranges.begin()) return domain_any;
  const AddressRange& range = *std::prev(after);
  return address <= range.last ? range.domain : domain_any;
}

ClassId find_port(std::span<const PortClass> classes, std::uint16_t port) noexcept {
  const auto after =
      std::upper_bound(classes.begin(), classes.end(), port,
                       [](std::uint16_t p, const PortClass& c) { return p < c.first; });
  if (after == classes.begin()) return class_any;
  const PortClass& found = *std::prev(after);
  return port <= found.last ? found.id : class_any;
}

}  // namespace

DecisionTable::DecisionTable(std::vector<AddressRange> v4, std::vector<AddressRange> v6,
                             std::vector<PortClass> tcp, std::vector<PortClass> udp,
                             std::vector<TableEntry> entries)
    : v4_(std::move(v4)),
      v6_(std::move(v6)),
      tcp_(std::move(tcp)),
      udp_(std::move(udp)),
      entries_(std::move(entries)) {
  std::sort(entries_.begin(), entries_.end());
  slots_.resize(std::bit_ceil(entries_.size() * 2 + 1));
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    shapes_[shape_of(entries_[i].key)] = true;
    std::size_t slot = hash(entries_[i].key) & (slots_.size() - 1);
    while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = static_cast<std::uint32_t>(i + 1);
  }
}

DomainId DecisionTable::domain_of(const IpAddr& address) const noexcept {
  return find_address(address.is_v4() ? v4_ : v6_, address);
}

ClassId DecisionTable::class_of(IpProto proto, std::uint16_t port) const noexcept {
  switch (proto) {
    case IpProto::tcp:
      return find_port(tcp_, port);
    case IpProto::udp:
      return find_port(udp_, port);
    case IpProto::icmp:
    case IpProto::icmpv6:
      return class_icmp;
    default:
      return class_any;
  }
}

const TableEntry* DecisionTable::find(const TableKey& key) const noexcept {
  if (slots_.empty()) return nullptr;
  std::size_t slot = hash(key) & (slots_.size() - 1);
  while (slots_[slot] != 0) {
    const TableEntry& entry = entries_[slots_[slot] - 1];
    if (entry.key == key) return &entry;
    slot = (slot + 1) & (slots_.size() - 1);
  }
  return nullptr;
}

std::optional<std::uint32_t> DecisionTable::line_of(DomainId from, DomainId to,
                                                    ClassId cls) const noexcept {
  for (std::size_t shape = 0; shape < shapes_.size(); ++shape) {
    if (!shapes_[shape]) continue;
    const bool wide_class = (shape & 1U) != 0;
    if (!wide_class && cls == class_any) continue;  // a protocol or port that no service names
    const TableKey key{(shape & 4U) != 0 ? domain_any : from, (shape & 2U) != 0 ? domain_any : to,
                       wide_class ? class_any : cls};
    if (const TableEntry* entry = find(key)) return entry->line;
  }
  return std::nullopt;
}

}  // namespace menshen::policy
