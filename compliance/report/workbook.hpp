// The result as a spreadsheet (XLSX): figures, every item, findings, every check on every object,
// objects, tasks. Texts in one language; numbers as cells show them everywhere else.
#pragma once

#include <filesystem>

#include "base/result.hpp"
#include "compliance/assess/assess.hpp"

namespace menshen::compliance {

// A sheet's rows beyond it are left out and its last row says so (the format's own limit).
inline constexpr std::size_t workbook_rows_max = 1'048'000;
inline constexpr std::size_t workbook_cell_characters_max = 32'000;  // longer texts are cut

// Writes `path`, which should be a temporary name. Deterministic up to the format's library.
[[nodiscard]] Result<void> write_workbook(const Assessment& assessment, Lang lang,
                                          const std::filesystem::path& path,
                                          std::size_t rows_max = workbook_rows_max);

}  // namespace menshen::compliance
