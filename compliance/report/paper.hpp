// What both documents are written with: headings with numbers, tables with widths. Internal to
// report/.
#pragma once

#include <fmt/format.h>

#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "compliance/report/document.hpp"
#include "compliance/report/markup.hpp"
#include "compliance/report/words.hpp"

namespace menshen::compliance {

struct Column {
  Text title;
  int percent = 0;  // of the table's width
};

class Paper {
 public:
  Paper(const Assessment& assessment, const DocumentOptions& options)
      : a_(assessment), options_(options) {}

 protected:
  // Escaped text in the document's language.
  [[nodiscard]] std::string t(const Text& text) const {
    return escape_html(text.in(options_.lang));
  }
  [[nodiscard]] std::string t(std::string_view zh, std::string_view en) const {
    return std::string(options_.lang == Lang::zh ? zh : en);
  }
  [[nodiscard]] bool zh() const { return options_.lang == Lang::zh; }
  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }
  void paragraph(const std::string& html) { put("<p>{}</p>\n", html); }

  void begin(const std::string& title);
  void cover(const std::string& title);  // and the place of the table of contents
  [[nodiscard]] std::string finish();
  // `mark` is what the table of contents points to; empty: not listed there.
  void heading(int level, const std::string& mark, const std::string& html);
  // A heading of level 1 with its text below it; the last chapter ends with end_chapter().
  void chapter(std::string_view mark, const std::string& html);
  void end_chapter() { put("</div>\n"); }
  void table(const std::string& caption, const std::vector<Column>& columns);
  void row(const std::vector<std::string>& cells);  // cells are HTML
  void end_table() { put("</tbody>\n</table>\n"); }

  void figures_table(const std::string& caption);
  void layers_table(const std::string& caption);
  void comparison_table(const std::string& caption);
  [[nodiscard]] std::string risk(const Item& item) const;
  [[nodiscard]] static std::string lines(const std::vector<std::string>& html);
  [[nodiscard]] std::string situation(const ItemResult& result) const;
  [[nodiscard]] std::string advice(const ItemResult& result, bool commands) const;
  [[nodiscard]] std::string day(WallTime time) const;

  const Assessment& a_;
  const DocumentOptions& options_;
  std::string out_;
  bool in_chapter_ = false;
  std::size_t contents_at_ = 0;                                // where in out_ they go
  std::vector<std::pair<std::string, std::string>> contents_;  // mark, heading
};

[[nodiscard]] std::string render_gap(const Assessment& assessment, const DocumentOptions& options);

}  // namespace menshen::compliance
