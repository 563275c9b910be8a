// The policy as lookup tables: address -> domain, port -> class, (from, to, class) -> line.
//
// The kernel's ruleset (nft/lower.hpp) is the same tables in the kernel's sets, so that model and
// kernel cannot drift apart. A *class* is a set of ports of one protocol that no service of the
// policy tells apart. Entries may be wide: domain_any and class_any stand for all; a lookup tries
// the narrowest shape first.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/ip.hpp"

namespace menshen::policy {

using DomainId = std::uint32_t;  // from 1, in the order of the file
inline constexpr DomainId domain_any = 0;

using ClassId = std::uint32_t;
inline constexpr ClassId class_any = 0;   // every protocol and port
inline constexpr ClassId class_icmp = 1;  // ICMP and ICMPv6

// [first, last] of one family belongs to `domain`.
struct AddressRange {
  IpAddr first;
  IpAddr last;
  DomainId domain = domain_any;
  bool operator==(const AddressRange&) const = default;
};

// [first, last] of one protocol is class `id`.
struct PortClass {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  ClassId id = class_any;
  bool operator==(const PortClass&) const = default;
};

struct TableKey {
  DomainId from = domain_any;
  DomainId to = domain_any;
  ClassId cls = class_any;
  auto operator<=>(const TableKey&) const = default;
};

// `line` is an index into the policy's lines, or same_domain.
inline constexpr std::uint32_t line_same_domain = 0xffff'fffe;

struct TableEntry {
  TableKey key;
  std::uint32_t line = 0;
  auto operator<=>(const TableEntry&) const = default;
};

class DecisionTable {
 public:
  static constexpr std::size_t entries_max = 4'000'000;
  static constexpr std::size_t classes_max = 100'000;

  DecisionTable() = default;
  // Ranges and classes sorted and disjoint, entries unique.
  DecisionTable(std::vector<AddressRange> v4, std::vector<AddressRange> v6,
                std::vector<PortClass> tcp, std::vector<PortClass> udp,
                std::vector<TableEntry> entries);

  [[nodiscard]] DomainId domain_of(const IpAddr& address) const noexcept;
  [[nodiscard]] ClassId class_of(IpProto proto, std::uint16_t port) const noexcept;
  // The deciding line, line_same_domain, or nothing. Both domains must be known (not 0).
  [[nodiscard]] std::optional<std::uint32_t> line_of(DomainId from, DomainId to,
                                                     ClassId cls) const noexcept;

  [[nodiscard]] std::span<const AddressRange> v4() const noexcept { return v4_; }
  [[nodiscard]] std::span<const AddressRange> v6() const noexcept { return v6_; }
  [[nodiscard]] std::span<const PortClass> tcp() const noexcept { return tcp_; }
  [[nodiscard]] std::span<const PortClass> udp() const noexcept { return udp_; }
  [[nodiscard]] std::span<const TableEntry> entries() const noexcept {
    return entries_;
  }  // sorted by key

 private:
  [[nodiscard]] const TableEntry* find(const TableKey& key) const noexcept;

  std::vector<AddressRange> v4_;
  std::vector<AddressRange> v6_;
  std::vector<PortClass> tcp_;
  std::vector<PortClass> udp_;
  std::vector<TableEntry> entries_;
  std::vector<std::uint32_t> slots_;  // open addressing; index into entries_ + 1, 0: free
  std::array<bool, 8> shapes_{};      // which of the wide shapes occur at all
};

}  // namespace menshen::policy
