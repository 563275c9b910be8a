// Records as text for other programs, one at a time, newest first.
//
// JSON lines: one object a line, UTF-8 (fields as record.hpp's to_json).
// CSV: RFC 4180 with header and CRLF, UTF-8 with a byte order mark (spreadsheets take it for GBK
// otherwise); a cell that a spreadsheet would take for a formula (= + - @ tab CR first) gets a
// leading apostrophe.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "audit/store/query.hpp"

namespace menshen::audit {

enum class ExportFormat : unsigned char { json_lines, csv };
[[nodiscard]] std::optional<ExportFormat> parse_export_format(
    std::string_view text);  // "jsonl", "csv"

// Takes a piece of text; an error stops the export and is returned.
using Sink = std::function<Result<void>(std::string_view)>;

// The number of records written.
[[nodiscard]] Result<std::uint64_t> export_records(const Reader& reader, const Filter& filter,
                                                   ExportFormat format, const Sink& sink);

[[nodiscard]] std::string csv_header();
[[nodiscard]] std::string csv_row(const Found& found);

}  // namespace menshen::audit
