// The documents that are handed over: HTML made for paper, from which PDF and DOCX are converted,
// so that every format says the same. Always a self-assessment (自查).
//
//   assessment   the chapters of the 2025 report template in their order: object, indicators,
//                single results, overall analysis, risk, evaluation, result, advice; appendices A
//                to G, of which D is the record of each object
//   gap          gaps and what to do about them: findings with priority, owner and due date
//
// One file, nothing fetched, no script, no drawing. Deterministic.
#pragma once

#include <string>

#include "compliance/assess/assess.hpp"
#include "compliance/runs/run.hpp"

namespace menshen::compliance {

enum class DocumentKind : unsigned char { assessment, gap };

// Records of appendix D, over all objects. Beyond them the document names the objects left out:
// their records are in the workbook and in assessment.json.
inline constexpr std::size_t document_records_max = 6000;

struct DocumentOptions {
  Lang lang = Lang::zh;
  const Comparison* comparison = nullptr;  // with an earlier run; null: there is none
  std::size_t records_max = document_records_max;
};

[[nodiscard]] std::string render_document(const Assessment& assessment, DocumentKind kind,
                                          const DocumentOptions& options);

}  // namespace menshen::compliance
