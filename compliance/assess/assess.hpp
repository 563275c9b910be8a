// From check results to the standing of the deployment: item by item, layer by layer, with what is
// not known.
//
// A check is run on every object that it can be asked of: host checks on the appliance and on each
// host that was collected, the others on the appliance alone. An item's verdict comes from its
// checks on the objects whose class carries the item's layer: any failing one makes it failing (or
// partial where others pass), else an error or a missing fact keeps it open, else partial, else
// conforming. A semi-automatic item never becomes conforming by machine: passing checks are
// evidence that waits for a person; a failing one still counts, unless the check is a supporting
// one: what it does not find may well be elsewhere.
//
// A person's answer that counts (tasks/task.hpp) decides an item that is open. It never lifts what
// checks found: a failing check stays, a failed collection stays an error; it can only make them
// worse.
//
// Missing evidence never improves anything: without any one fact an item keeps its verdict (where
// that fact did not decide), becomes open, or loses the better half of a partial one. A failure
// that other evidence shows stays, and ItemResult::incomplete says that something is missing.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "compliance/checks/evaluate.hpp"
#include "compliance/tasks/task.hpp"

namespace menshen::compliance {

// An assessed object and what was collected of it.
struct AssessedObject {
  std::string id;        // unique in a run
  std::string name;      // as people call it
  std::string class_id;  // of Catalogue::classes
  std::string address;
  Responsible responsible = Responsible::both;
  std::string importance;  // as the inventory says it; may be empty
  bool appliance = false;  // this appliance: product facts, and the items of every layer
  Facts facts;             // "host" as a failed fact where nothing could be collected
};

// Whose part of a shared cloud is looked at. The other party's own items and objects are left out.
enum class View : unsigned char { all, provider, tenant };

// A task as it was stored, and whether its evidence is whole.
struct TaskRecord {
  Task task;
  std::optional<Text> failure;  // why its answer does not count, whatever its state
};
using TaskRecords = std::map<std::string, TaskRecord, std::less<>>;  // by item

struct ItemResult {
  const Item* item = nullptr;
  const Layer* layer = nullptr;
  Verdict verdict = Verdict::not_checked;
  Text reason;                      // why it stands so
  std::vector<std::size_t> checks;  // indices into Assessment::checks
  bool supported = false;     // semi-automatic, open, and every check passed: evidence is at hand
  bool open_objects = false;  // judged on the collected objects only; others are open
  bool incomplete = false;    // judged, while evidence of some check is missing or failed
  bool by_person = false;     // the verdict is that of the task's answer
  std::shared_ptr<const TaskRecord> task;  // null: there is none
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
  View view = View::all;
  std::vector<AssessedObject> objects;  // the appliance first
  std::vector<CheckResult> checks;      // in order of id, then of objects
  std::vector<ItemResult> items;        // in the order of the standard
  Tally all, general, cloud;
  std::vector<Tally> layers;        // as Catalogue::layers
  int coverage_tenths = 0;          // judged / applicable
  std::vector<Standing> standings;  // as Meta::editions
  std::vector<std::size_t>
      high_risk;                      // items judged failing or partial that carry a high-risk case
  std::vector<std::size_t> findings;  // every item failing or partial, highest weight first
};

// A trigger of the report template's table of major hidden dangers that findings meet. Whether it
// is one (related, grave, likely) is a person's decision.
struct TriggerCase {
  std::string code;
  std::vector<std::size_t> items;  // indices into Assessment::items
};
[[nodiscard]] std::vector<TriggerCase> trigger_cases(const Assessment& assessment);  // by code

// Deterministic: the same catalogue, objects, subject, time, view and tasks give the same
// assessment. Cost: checks x objects.
[[nodiscard]] Assessment assess(const Catalogue& catalogue, std::vector<AssessedObject> objects,
                                Subject subject, WallTime now, View view = View::all,
                                const TaskRecords& tasks = {});
// The appliance alone.
[[nodiscard]] Assessment assess(const Catalogue& catalogue, Facts facts, Subject subject,
                                WallTime now);
[[nodiscard]] AssessedObject appliance_object(std::string host, Facts facts);

}  // namespace menshen::compliance
