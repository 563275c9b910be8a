// The page an inspector takes away, and the same numbers for programs.
//
// HTML: one file, no script, nothing fetched; prints on A4. Every text that comes from outside is
// escaped. Deterministic: the same assessment gives the same bytes.
#pragma once

#include <string>
#include <vector>

#include "compliance/assess/assess.hpp"
#include "compliance/runs/run.hpp"

namespace menshen::compliance {

struct ReportOptions {
  Lang lang = Lang::zh;
  std::string file_name =
      "report.html";  // as it will be stored: named in "how to verify this page"
  std::string sidecar_name = "report.html.evidence.json";  // the audit store's proof of its digest
  std::vector<std::string> verify_commands{};              // further ones to print there
  const Comparison* comparison = nullptr;                  // with an earlier run, to be shown
};

[[nodiscard]] std::string render_html(const Assessment& assessment, const ReportOptions& options);
// assessment.json: {"format":"menshen-assessment/1", "subject":..., "totals":..., "items":[...],
// "checks":[...], "facts":[...]}; texts in both languages, keys in English.
[[nodiscard]] std::string to_json(const Assessment& assessment);

}  // namespace menshen::compliance
