// Flow lines -> entries of the decision table: the first line that covers a flow decides it.
//
// Wide lines (any) make entries with a wide key. A lookup takes the narrowest key that fits, so
// wherever two keys of different shape overlap, an entry of its own for their overlap says which
// line came first.
//
// Why that is enough: let a flow's lookup find key k, and let L be the first line that covers the
// flow. The overlap of k and L's key covers the flow, has an entry, and is at least as narrow as k;
// as k was found first it is k itself. So L covers all of k, and no earlier line does, since it
// would cover the flow.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "policy/model/decision_table.hpp"

namespace menshen::policy {

// Empty lists: any. What a line says of a domain and itself is left out.
struct TableLine {
  std::span<const DomainId> from;
  std::span<const DomainId> to;
  std::span<const ClassId> classes;
};

// What earlier lines leave of a line.
struct Coverage {
  std::size_t cells = 0;
  std::size_t covered = 0;        // cells that earlier lines decide
  std::vector<std::uint32_t> by;  // those lines, ascending
};

class TableBuilder {
 public:
  // False: more than DecisionTable::entries_max entries; the table is then of no use.
  [[nodiscard]] bool add(const TableLine& line, std::uint32_t index, Coverage& coverage);
  // domains: how many there are; each is given its same-domain entry.
  [[nodiscard]] std::optional<std::vector<TableEntry>> build(std::size_t domains) const;

 private:
  struct KeyHash {
    std::size_t operator()(const TableKey& key) const noexcept;
  };
  struct Wide {
    bool any_class = false;
    std::unordered_set<ClassId> classes;
  };
  using Entries = std::unordered_map<TableKey, std::uint32_t, KeyHash>;

  [[nodiscard]] std::optional<std::uint32_t> first_line(const TableKey& key) const;
  void widen(const TableKey& key);
  [[nodiscard]] bool add_overlaps(Entries& out, DomainId from, DomainId to, bool with_any) const;

  Entries direct_;
  std::unordered_map<DomainId, Wide> from_any_;  // lines X -> any, by X
  std::unordered_map<DomainId, Wide> any_to_;    // lines any -> X, by X
  Wide any_any_;
};

}  // namespace menshen::policy
