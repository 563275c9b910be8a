// The documents beside a report, in the language of the command: self-assessment.LANG.html and
// gap.LANG.html, from which PDF (weasyprint) and DOCX (pandoc) are converted, and items.LANG.xlsx.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "apps/menshen/comply_run.hpp"

namespace menshen::apps {

enum class Format : unsigned char { html, pdf, docx, xlsx };

// "pdf,docx", or "all".
[[nodiscard]] Result<std::set<Format>> parse_formats(const std::string& text);
// ErrorCode::unavailable where a converter is not installed; the error names its package. To be
// asked before the work begins.
[[nodiscard]] Result<void> check_converters(const std::set<Format>& formats);
// The files written, in order. What fails leaves no half file under its final name.
[[nodiscard]] Result<std::vector<std::filesystem::path>> write_documents(
    const Settings& settings, Lang lang, const compliance::Assessment& assessment,
    const compliance::Comparison* comparison, const std::filesystem::path& folder,
    const std::set<Format>& formats);

}  // namespace menshen::apps
