// One self-assessment: catalogue, inventory, the appliance, hosts over SSH and captures carried by
// hand, put together.
//
// Below compliance.output:
//   inventory.csv              what `comply inventory` took
//   offline/COLLECTION.json    the seal key of a script that was made for a host (0600)
//   runs/TIME.json             the results of each `comply report` and `comply export`
//   tasks/                     what people answered (comply_tasks.hpp)
//   captures/OBJECT.capture    its output, imported; OBJECT.json holds the key again
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "apps/menshen/cli.hpp"
#include "compliance/compliance.hpp"

namespace menshen::apps {

// A capture older than this is no evidence of today's state: its object counts as failed.
inline constexpr int capture_days_max = 92;

struct ComplyPaths {
  std::filesystem::path root;
  std::filesystem::path inventory;
  std::filesystem::path offline;
  std::filesystem::path captures;
  std::filesystem::path runs;
  [[nodiscard]] static ComplyPaths of(const Settings& settings);
};

// Mistakes in the files are printed as diagnostics.
[[nodiscard]] Result<compliance::Catalogue> load_comply_catalogue(const Cli& cli,
                                                                  const Settings& settings);
// Empty where there is none yet.
[[nodiscard]] Result<compliance::Inventory> load_inventory(const Cli& cli, const Settings& settings,
                                                           const compliance::Catalogue& catalogue);

struct RunOptions {
  compliance::View view = compliance::View::all;
  bool hosts = true;  // false: the appliance alone
};

// Collects and judges. Progress goes to standard error, one line a host. A host that cannot be
// read is an object whose checks are errors; the others go on.
[[nodiscard]] Result<compliance::Assessment> run_assessment(const Cli& cli,
                                                            const Settings& settings,
                                                            const compliance::Catalogue& catalogue,
                                                            const RunOptions& options);

// The file name of a run of that time, without its extension: 2026-11-23T08-15-30Z.
[[nodiscard]] std::string run_name(WallTime time);
[[nodiscard]] std::string host_name();
// Cryptographically random, as hex.
[[nodiscard]] std::string random_hex(std::size_t bytes);

}  // namespace menshen::apps
