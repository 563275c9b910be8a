#include "base/diagnostic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/text.hpp"

namespace menshen {
namespace {

// A line longer than this (generated files, attacks) is shown as a window around the caret.
constexpr std::size_t shown_code_points_max = 160;
constexpr std::size_t shown_before_caret = 60;

constexpr std::string_view ellipsis = "…";

std::string_view severity_name(Severity severity) {
  switch (severity) {
    case Severity::error:
      return "error";
    case Severity::warning:
      return "warning";
    case Severity::note:
      break;
  }
  return "note";
}

std::string_view severity_word(Severity severity, Lang lang) {
  if (lang == Lang::en) return severity_name(severity);
  switch (severity) {
    case Severity::error:
      return "错误";
    case Severity::warning:
      return "警告";
    case Severity::note:
      break;
  }
  return "说明";
}

std::vector<std::string_view> split_lines(std::string_view source) {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  if (source.substr(0, byte_order_mark.size()) == byte_order_mark) {
    source.remove_prefix(byte_order_mark.size());
  }
  std::vector<std::string_view> lines;
  for (;;) {
    const std::size_t end = source.find('\n');
    std::string_view line = source.substr(0, end);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    lines.push_back(line);
    if (end == std::string_view::npos) return lines;
    source.remove_prefix(end + 1);
  }
}

std::string_view drop_code_points(std::string_view text, std::size_t count) {
  for (; count > 0 && !text.empty(); --count) text.remove_prefix(first_code_point(text).bytes);
  return text;
}

// A source line as shown, with the carets that go below it.
struct Excerpt {
  std::string text;
  std::string carets;
};

Excerpt excerpt(std::string_view line, std::size_t begin, std::size_t end) {
  Excerpt shown;
  std::size_t column = 1;
  const std::string_view whole = line;
  const bool crop = line.size() > shown_code_points_max;
  if (crop && begin > shown_before_caret) {
    line = drop_code_points(line, begin - 1 - shown_before_caret);
    column = begin - shown_before_caret;
    if (line.empty()) {  // the range lies beyond the line
      line = whole;
      column = 1;
    }
    if (column > 1) {
      shown.text += ellipsis;
      shown.carets += ' ';
    }
  }
  const std::size_t last_column = column + shown_code_points_max;
  for (; !line.empty(); ++column) {
    if (crop && column >= last_column) {
      shown.text += ellipsis;
      break;
    }
    const CodePoint c = first_code_point(line);
    const std::string_view bytes = line.substr(0, c.bytes);
    std::size_t width = 1;
    if (c.valid && c.value == '\t') {
      shown.text += ' ';
    } else if (!c.valid || is_control(c.value)) {
      const std::string escaped = escape_controls(bytes);
      shown.text += escaped;
      width = escaped.size();
    } else {
      shown.text += bytes;
      width = column_width(c.value);
    }
    line.remove_prefix(c.bytes);
    if (column < begin) {
      shown.carets.append(width, ' ');
    } else if (column == begin) {
      shown.carets += '^';
      if (end > begin && width > 1) shown.carets.append(width - 1, '~');
    } else if (column < end) {
      shown.carets.append(width, '~');
    }
  }
  // Something missing at the end of a line: the caret stands after its last character.
  if (shown.carets.find('^') == std::string::npos) shown.carets += '^';
  return shown;
}

class Renderer {
 public:
  Renderer(const std::string& name, std::string_view source, Lang lang)
      : name_(escape_controls(name)), lines_(split_lines(source)), lang_(lang) {}

  void diagnostic(const Diagnostic& d) {
    headline(d.range.begin, d.severity, d.text);
    if (!d.code.empty()) fmt::format_to(out(), " [{}]", escape_controls(d.code));
    text_ += '\n';
    const bool quoted = source_line(d.range);
    for (const Note& note : d.notes) {
      if (note.range.begin.line == 0 && quoted) {
        fmt::format_to(out(), "     = {}: {}\n", severity_word(Severity::note, lang_),
                       escape_controls(note.text.in(lang_)));
        continue;
      }
      headline(note.range.begin, Severity::note, note.text);
      text_ += '\n';
      source_line(note.range);
    }
  }
  void left_out(std::size_t count) {
    if (count == 0) return;
    if (lang_ == Lang::zh) {
      fmt::format_to(out(), "{}: 另有 {} 条未列出\n", name_, count);
    } else {
      fmt::format_to(out(), "{}: {} more not shown\n", name_, count);
    }
  }
  [[nodiscard]] std::string take() && { return std::move(text_); }

 private:
  std::back_insert_iterator<std::string> out() { return std::back_inserter(text_); }

  void headline(Position at, Severity severity, const Text& text) {
    text_ += name_;
    if (at.line != 0) fmt::format_to(out(), ":{}", at.line);
    if (at.line != 0 && at.column != 0) fmt::format_to(out(), ":{}", at.column);
    fmt::format_to(out(), ": {}: {}", severity_word(severity, lang_),
                   escape_controls(text.in(lang_)));
  }

  bool source_line(const SourceRange& range) {
    const Position begin = range.begin;
    if (begin.line == 0 || begin.line > lines_.size()) return false;
    const std::size_t end = range.end.line == begin.line ? range.end.column : begin.column;
    const Excerpt shown =
        excerpt(lines_[begin.line - 1], std::max<std::size_t>(begin.column, 1), end);
    const std::string number = fmt::format("{:>4}", begin.line);
    fmt::format_to(out(), "{} | {}\n", number, shown.text);
    if (begin.column != 0) fmt::format_to(out(), "{:{}} | {}\n", "", number.size(), shown.carets);
    return true;
  }

  std::string name_;
  std::vector<std::string_view> lines_;
  Lang lang_;
  std::string text_;
};

}  // namespace

Diagnostics::Diagnostics(std::string name, std::string source)
    : name_(std::move(name)), source_(std::move(source)) {}

void Diagnostics::add(Diagnostic diagnostic) {
  if (diagnostic.severity == Severity::error) ++errors_;
  if (diagnostic.severity == Severity::warning) ++warnings_;
  if (all_.size() == diagnostics_max) {
    ++left_out_;
    return;
  }
  const auto after = [](const Diagnostic& a, const Diagnostic& b) {
    return a.range.begin < b.range.begin;
  };
  const auto place = std::upper_bound(all_.begin(), all_.end(), diagnostic, after);
  all_.insert(place, std::move(diagnostic));
}

void Diagnostics::error(std::string code, SourceRange range, Text text, std::vector<Note> notes) {
  add({Severity::error, std::move(code), std::move(text), range, std::move(notes)});
}

void Diagnostics::warning(std::string code, SourceRange range, Text text, std::vector<Note> notes) {
  add({Severity::warning, std::move(code), std::move(text), range, std::move(notes)});
}

std::string Diagnostics::render(Lang lang) const {
  if (all_.empty()) return {};
  Renderer renderer(name_, source_, lang);
  for (const Diagnostic& diagnostic : all_) renderer.diagnostic(diagnostic);
  renderer.left_out(left_out_);
  return std::move(renderer).take();
}

std::string Diagnostics::to_json(Lang lang) const {
  using nlohmann::ordered_json;
  const std::string file = escape_controls(name_);
  const auto place = [&file](ordered_json& object, const SourceRange& range) {
    object["file"] = file;
    object["line"] = range.begin.line;
    object["column"] = range.begin.column;
    object["end_column"] = range.end.line == range.begin.line
                               ? std::max(range.end.column, range.begin.column)
                               : range.begin.column;
  };
  ordered_json list = ordered_json::array();
  for (const Diagnostic& diagnostic : all_) {
    ordered_json object = {{"severity", severity_name(diagnostic.severity)},
                           {"code", escape_controls(diagnostic.code)},
                           {"text", escape_controls(diagnostic.text.in(lang))}};
    place(object, diagnostic.range);
    ordered_json notes = ordered_json::array();
    for (const Note& note : diagnostic.notes) {
      ordered_json entry = {{"text", escape_controls(note.text.in(lang))}};
      if (note.range.begin.line != 0) place(entry, note.range);
      notes.push_back(std::move(entry));
    }
    object["notes"] = std::move(notes);
    list.push_back(std::move(object));
  }
  return list.dump();
}

}  // namespace menshen
