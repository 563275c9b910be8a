// What is wrong with a text that a person wrote, and where: policy, settings, rules, catalogue.
//
// A stage adds to Diagnostics and goes on, so that one run shows every mistake. Rendering is
// separate.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/lang.hpp"

namespace menshen {

// Line and column count from 1; columns count Unicode code points, as editors show them. 0:
// unknown.
struct Position {
  std::size_t line = 0;
  std::size_t column = 0;
  auto operator<=>(const Position&) const = default;
};

// Half open within one line: [begin, end.column). An end equal to begin renders as one caret.
struct SourceRange {
  Position begin;
  Position end;
  auto operator<=>(const SourceRange&) const = default;
};

enum class Severity : unsigned char { error, warning, note };

struct Note {
  Text text;
  SourceRange range;  // line 0: no place
};

struct Diagnostic {
  Severity severity = Severity::error;
  std::string code;  // stable, for programs: "unknown-domain"
  Text text;
  SourceRange range;
  std::vector<Note> notes;
};

// The diagnostics of one source text. Keeps at most diagnostics_max and counts the rest.
class Diagnostics {
 public:
  static constexpr std::size_t diagnostics_max = 1000;

  // `name` is what the user called the file; `source` its whole text, kept for rendering.
  Diagnostics(std::string name, std::string source);

  void add(Diagnostic diagnostic);
  void error(std::string code, SourceRange range, Text text, std::vector<Note> notes = {});
  void warning(std::string code, SourceRange range, Text text, std::vector<Note> notes = {});

  [[nodiscard]] bool has_errors() const { return errors_ != 0; }
  [[nodiscard]] std::size_t errors() const { return errors_; }
  [[nodiscard]] std::size_t warnings() const { return warnings_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::vector<Diagnostic>& all() const { return all_; }  // in order of position

  // For a terminal:
  //   policy.yaml:7:25: error: unknown domain "portl" [unknown-domain]
  //      7 |   - {from: finance, to: portl}
  //        |                         ^~~~~
  // Wide (CJK) characters before the caret are padded with two columns; tabs become one space;
  // control characters, also those within names and messages, are shown escaped.
  [[nodiscard]] std::string render(Lang lang) const;
  // [{"severity":"error","code":...,"text":...,"file":...,"line":7,"column":25,"end_column":30,
  //   "notes":[{"text":...,"file":...,"line":...,"column":...,"end_column":...}]}]
  [[nodiscard]] std::string to_json(Lang lang) const;

 private:
  std::string name_;
  std::string source_;
  std::vector<Diagnostic> all_;
  std::size_t errors_ = 0;
  std::size_t warnings_ = 0;
  std::size_t left_out_ = 0;
};

}  // namespace menshen
