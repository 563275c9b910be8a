// The runs that are kept, below compliance.output/runs: one assessment.json each, named by its
// time. The newest compliance.runs_kept of them stay.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/menshen/comply_run.hpp"

namespace menshen::apps {

// Names of the kept runs, oldest first: 2026-11-23T08-15-30Z.
[[nodiscard]] std::vector<std::string> kept_runs(const Settings& settings);
// By name, or a file of that kind elsewhere.
[[nodiscard]] Result<compliance::KeptRun> load_run(const Settings& settings,
                                                   const std::string& name);
// With the newest kept run of the same view; nothing where there is none. A kept file that cannot
// be read is an error: nothing is compared with a guess.
[[nodiscard]] Result<std::optional<compliance::Comparison>> compare_with_last(
    const Settings& settings, const compliance::Assessment& assessment);

// Stores the run, removes the oldest beyond the limit, and tells the audit store: one record of the
// run (comply.run) and one for each item whose verdict changed (comply.changed, at most
// changed_records_max). The run stays where the audit store cannot be told; the error says so.
inline constexpr std::size_t changed_records_max = 500;
[[nodiscard]] Result<void> keep_run(const Settings& settings,
                                    const compliance::Assessment& assessment,
                                    const std::optional<compliance::Comparison>& comparison);

}  // namespace menshen::apps
