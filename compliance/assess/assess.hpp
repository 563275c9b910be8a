// From check results to the standing of the deployment: item by item, layer by layer, with what is
// not known.
//
// An item's verdict comes from its checks: any failing one makes it failing (or partial where
// others pass), else an error or a missing fact keeps it open, else partial, else conforming. A
// semi-automatic item never becomes conforming by machine: passing checks are evidence that waits
// for a person; a failing one still counts.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "compliance/checks/evaluate.hpp"

namespace menshen::compliance {

struct ItemResult {
  const Item* item = nullptr;
  const Layer* layer = nullptr;
  Verdict verdict = Verdict::not_checked;
  Text reason;                      // why it stands so
  std::vector<std::size_t> checks;  // indices into Assessment::checks
  bool supported = false;     // semi-automatic, open, and every check passed: evidence is at hand
  bool open_objects = false;  // judged on this appliance only; the item's other objects are open
};

// Counts of items. `applicable` = total - not_applicable.
struct Tally {
  std::size_t total = 0;
  std::array<std::size_t, 6> by_verdict{};  // indexed by Verdict

  [[nodiscard]] std::size_t count(Verdict v) const {
    return by_verdict[static_cast<std::size_t>(v)];
  }
  [[nodiscard]] std::size_t judged() const;  // conforming + partial + failing
  [[nodiscard]] std::size_t applicable() const;
  void add(Verdict verdict);
};

// Percentages in tenths, so that every format prints the same number. -1: nothing to count.
struct Standing {
  const Edition* edition = nullptr;
  int value_tenths = -1;  // rate over judged items, or score with open items left out
  int worst_tenths = -1;  // all open items fail
  int best_tenths = -1;   // all open items conform
};

struct Subject {
  std::string name;  // the deployment, as the settings call it
  std::string host;
  std::string version;  // of this program
};

struct Assessment {
  Subject subject;
  WallTime assessed_at = 0;
  const Catalogue* catalogue = nullptr;  // must outlive this
  Facts facts;
  std::vector<CheckResult> checks;  // in order of id
  std::vector<ItemResult> items;    // in the order of the standard
  Tally all, general, cloud;
  std::vector<Tally> layers;        // as Catalogue::layers
  int coverage_tenths = 0;          // judged / applicable
  std::vector<Standing> standings;  // as Meta::editions
  std::vector<std::size_t>
      high_risk;                      // items judged failing or partial that carry a high-risk case
  std::vector<std::size_t> findings;  // every item failing or partial, highest weight first
};

// Deterministic: the same catalogue, facts, subject and time give the same assessment.
[[nodiscard]] Assessment assess(const Catalogue& catalogue, Facts facts, Subject subject,
                                WallTime now);

}  // namespace menshen::compliance
