// Recorded flows through two policies: what another policy would newly block or newly let pass of
// the traffic that was really seen.
//
//   Replay replay(in_force, next);
//   for (const RecordedFlow& flow : recorded) replay.add(flow);
//   for (const ReplayRow& row : replay.rows()) ...
//
// Both decide by Policy::decide(), on the table that the kernel's ruleset is made from. A flow
// costs two decisions; memory is bounded by rows_max. One thread at a time; both policies must
// outlive it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/clock.hpp"
#include "policy/model/change.hpp"
#include "policy/model/policy.hpp"

namespace menshen::policy {

// In the direction in which it was opened.
struct RecordedFlow {
  IpAddr src;
  IpAddr dst;
  IpProto proto{};
  std::uint16_t dport = 0;
  std::string in_interface;  // empty: not recorded, and not checked
  std::string out_interface;
  std::uint64_t count = 1;  // connections or packets that the record stands for
  WallTime time = 0;
};

// All flows of one pair of domains and one service that change alike.
struct ReplayRow {
  ChangeKind kind{};  // newly_passes, newly_blocked or inspection
  std::string from;   // domains in the next policy; empty: none
  std::string to;
  std::string service;      // "tcp/443", "icmp", "protocol 47"
  std::uint64_t flows = 0;  // records
  std::uint64_t count = 0;  // what they stand for
  WallTime last = 0;
  RecordedFlow example;  // the last one
  Decision before;       // of the example
  Decision after;
};

// Of one line of the next policy.
struct LineUse {
  std::uint64_t flows = 0;
  WallTime last = 0;
};

class Replay {
 public:
  static constexpr std::size_t rows_max = 10'000;

  Replay(const Policy& current, const Policy& next);

  void add(const RecordedFlow& flow);

  // By kind, most records first.
  [[nodiscard]] std::vector<ReplayRow> rows() const;
  [[nodiscard]] std::uint64_t flows() const { return flows_; }  // that were added
  [[nodiscard]] std::uint64_t changed() const { return changed_; }
  // Changed flows beyond rows_max, which no row tells of.
  [[nodiscard]] std::uint64_t not_shown() const { return not_shown_; }
  [[nodiscard]] const std::vector<LineUse>& uses() const { return uses_; }  // by line of `next`

 private:
  using Key = std::tuple<ChangeKind, DomainId, DomainId, IpProto, std::uint16_t>;

  const Policy& current_;
  const Policy& next_;
  std::map<Key, ReplayRow> rows_;
  std::vector<LineUse> uses_;
  std::uint64_t flows_ = 0;
  std::uint64_t changed_ = 0;
  std::uint64_t not_shown_ = 0;
};

}  // namespace menshen::policy
