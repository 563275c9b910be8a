// A threshold file: what is to be reported less, said beside the rules that do not say it.
//
//   suppress gen_id 1, sig_id 2002087, track by_src, ip [209.132.180.0/24,!209.132.180.67]
//   threshold gen_id 1, sig_id 2404000, type limit, track by_src, count 1, seconds 60
//   event_filter ... (the same)
//   rate_filter gen_id 1, sig_id 10, track by_src, count 5, seconds 60, new_action drop, timeout 30
//
// gen_id 0 and sig_id 0 mean every one. A line that ends in a backslash goes on in the next; #
// begins a comment. What a rule says of its own threshold stays. Language:
// https://docs.suricata.io/en/latest/configuration/global-thresholds.html
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/diagnostic.hpp"
#include "sensor/detect/rule.hpp"

namespace menshen::sensor {

struct ThresholdEntry {
  std::uint32_t gid = 0;  // 0: every one
  std::uint32_t sid = 0;
  Threshold threshold;  // kind none: not this
  std::optional<Suppression> suppression;
  std::optional<RateFilter> rate_filter;
};

// Entries that cannot be read are errors of `diagnostics`, code "threshold"; the others are given.
[[nodiscard]] std::vector<ThresholdEntry> parse_thresholds(std::string_view source,
                                                           const Variables& variables,
                                                           Diagnostics& diagnostics);
void apply_thresholds(std::span<const ThresholdEntry> entries, std::span<Rule> rules);

}  // namespace menshen::sensor
