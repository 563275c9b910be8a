// Records as text for other programs, one at a time, last stored first.
//
// jsonl    one JSON object a line, UTF-8 (fields as record.hpp's to_json)
// csv      RFC 4180 with header and CRLF, UTF-8 with a byte order mark (spreadsheets take it for
//          GBK otherwise); a cell that a spreadsheet would take for a formula (= + - @ tab CR
//          first) gets a leading apostrophe
// eve      Suricata's EVE JSON: alert, drop, flow; other kinds as event_type "menshen"
// cef      ArcSight Common Event Format 0: CEF:0|Menshen|audit|version|action|name|severity|...
// rfc5424  one syslog message a line (RFC 5424), facility 13 (log audit), the record in structured
//          data under menshen@32473 (an example enterprise number, RFC 5612), message behind it
// proof    JSON lines, each record with its inclusion proof (store/evidence.hpp): can be checked
//          without the store by `menshen audit verify --proof`
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "audit/store/query.hpp"

namespace menshen::audit {

enum class ExportFormat : unsigned char { json_lines, csv, eve, cef, rfc5424, proof };
[[nodiscard]] std::optional<ExportFormat> parse_export_format(std::string_view text);

// Takes a piece of text; an error stops the export and is returned.
using Sink = std::function<Result<void>(std::string_view)>;

// The number of records written. ExportFormat::proof: those that a checkpoint covers; the others
// are left out.
[[nodiscard]] Result<std::uint64_t> export_records(const Reader& reader, const Filter& filter,
                                                   ExportFormat format, const Sink& sink);

[[nodiscard]] std::string csv_header();
[[nodiscard]] std::string csv_row(const Found& found);
[[nodiscard]] std::string eve_line(const Found& found);  // with the newline, as the following
[[nodiscard]] std::string cef_line(const Found& found);
[[nodiscard]] std::string syslog_line(const Found& found);  // RFC 5424, without octet count

// What the forwarder sends: RFC 5424 without newline, HOSTNAME the store's origin, APP-NAME
// menshen-SOURCE, and an `id` (ORIGIN/NUMBER) by which a receiver knows a message that comes twice.
// At most bytes_max (at least syslog_bytes_min): where it would be more, the detail is left out
// (detail_bytes says how long it was), then texts are cut.
inline constexpr std::size_t syslog_bytes_min = 2048;
[[nodiscard]] std::string syslog_message(const Found& found, const std::string& origin,
                                         std::size_t bytes_max);
// A checkpoint as such a message: MSGID checkpoint, the note in base64 in the parameter `note`.
[[nodiscard]] std::string syslog_note(const SignedNote& note);

}  // namespace menshen::audit
