// A run that was kept, read back from its assessment.json, and what changed between two.
//
// The verdicts of two runs are compared item by item, and check by check on each object. A run made
// with other rules, or for another part of a shared cloud, can still be compared; Comparison says
// so, as a change may then come from there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "compliance/assess/assess.hpp"

namespace menshen::compliance {

inline constexpr std::size_t run_bytes_max = 256U << 20U;
inline constexpr std::size_t run_entries_max = 2'000'000;  // items, and checks on objects

struct KeptVerdict {
  std::string id;      // of the item or check
  std::string object;  // of a check: id of its object
  Verdict verdict = Verdict::not_checked;
  Text reason;
  bool high_risk = false;  // of an item: failing or partial, with a high-risk case
};

struct KeptStanding {
  std::string edition;
  Text title;
  bool score = false;
  int value_tenths = -1, worst_tenths = -1, best_tenths = -1;
};

struct KeptRun {
  WallTime assessed_at = 0;
  std::string host;
  std::string view;   // all, provider, tenant
  std::string rules;  // SHA-256 of the catalogue
  Tally all;
  int coverage_tenths = 0;
  std::size_t findings = 0;
  std::size_t high_risk = 0;
  std::vector<KeptStanding> standings;
  std::vector<KeptVerdict> items;   // in order of the run
  std::vector<KeptVerdict> checks;  // in order of the run
  std::vector<std::string> objects;
};

// What is not an assessment is ErrorCode::corrupt; ErrorCode::limit beyond the limits above.
// Hostile input: bounded and linear.
[[nodiscard]] Result<KeptRun> parse_run(std::string_view json);
// The same from the assessment itself.
[[nodiscard]] KeptRun kept_run(const Assessment& assessment);

enum class Change : unsigned char {
  worsened,  // to a worse verdict, or a new finding
  improved,  // to a better verdict
  lost,      // was judged, is open now: evidence is missing or collecting failed
  gained,    // was open, is judged now and is no finding
};
[[nodiscard]] Text change_text(Change change);
[[nodiscard]] std::string_view change_name(Change change);  // "worsened", for JSON

struct VerdictChange {
  Change change = Change::worsened;
  std::string id;
  std::string object;  // of a check
  Verdict before = Verdict::not_checked;
  Verdict after = Verdict::not_checked;
  Text reason;  // of the later run
  bool high_risk = false;
};

struct Comparison {
  KeptRun before, after;
  bool other_rules = false;
  bool other_view = false;
  std::vector<VerdictChange> items;   // worsened first, then in the order of the standard
  std::vector<VerdictChange> checks;  // likewise; of objects that both runs looked at
  std::vector<std::string> objects_new, objects_gone;

  [[nodiscard]] std::size_t count(Change change) const;  // of items
};
// Cost: n log n.
[[nodiscard]] Comparison compare(KeptRun before, KeptRun after);

// {"format":"menshen-comparison/1", "before", "after", "items", "checks", ...}; keys in English.
[[nodiscard]] std::string to_json(const Comparison& comparison);

}  // namespace menshen::compliance
