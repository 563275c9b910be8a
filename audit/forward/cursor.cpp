#include "audit/forward/cursor.hpp"

#include <fmt/format.h>

#include "audit/store/lines.hpp"
#include "base/file.hpp"

namespace menshen::audit {
namespace {
constexpr std::string_view first_line = "menshen-forward-cursor/1";
}

std::string to_text(const Cursor& cursor) {
  return fmt::format("{}\ntarget {}\norigin {}\nrecord {}\nnote {}\n", first_line, cursor.target,
                     cursor.origin, cursor.record, cursor.note);
}

Result<Cursor> parse_cursor(std::string_view text) {
  Lines lines(text);
  const auto first = lines.value(first_line);
  const auto target = lines.value("target ");
  const auto origin = lines.value("origin ");
  const auto record = parse_line_number(lines.value("record ").value_or(""));
  const auto note = parse_line_number(lines.value("note ").value_or(""));
  Cursor cursor;
  if (first && target && origin && record && note) {
    cursor = {std::string(*target), std::string(*origin), *record, *note};
    if (to_text(cursor) == text) return cursor;
  }
  return fail(ErrorCode::corrupt,
              {"转发位置文件不符合格式", "the file of the forwarder's position is damaged"});
}

Result<Cursor> load_cursor(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return Cursor{};
  const std::string text = MENSHEN_TRY(read_file(file, cursor_bytes_max));
  auto cursor = parse_cursor(text);
  if (!cursor) return fail_while({file.string(), file.string()}, cursor.error());
  return cursor;
}

Result<void> save_cursor(const std::filesystem::path& file, const Cursor& cursor) {
  return write_file_atomic(file, to_text(cursor), 0640);
}

}  // namespace menshen::audit
