// Syntax tree -> Policy: looks up names, finds lines and domains that contradict each other,
// compiles the decision table. Every mistake is reported with its place and the place it collides
// with.
#pragma once

#include <chrono>
#include <optional>

#include "base/clock.hpp"
#include "base/diagnostic.hpp"
#include "policy/model/policy.hpp"
#include "policy/text/syntax.hpp"

namespace menshen::policy {

// What a line whose last day is over means.
enum class Expired : std::uint8_t {
  error,  // the file is refused: somebody must decide (check, plan, apply)
  omit,  // the line no longer holds, a warning says so (a running appliance at midnight, a restart)
};

struct ResolveOptions {
  std::chrono::year_month_day today;  // lines with an earlier `expires` are over
  Expired expired = Expired::error;
};

// The day of the appliance's local zone.
[[nodiscard]] std::chrono::year_month_day today(const Clock& clock);

// Nothing where the diagnostics have an error.
[[nodiscard]] std::optional<Policy> resolve(const text::File& file, const ResolveOptions& options,
                                            Diagnostics& diagnostics);

}  // namespace menshen::policy
