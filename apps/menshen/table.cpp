#include "apps/menshen/table.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/text.hpp"

namespace menshen::apps {

std::size_t display_width(std::string_view text) noexcept {
  std::size_t width = 0;
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    width += column_width(point.value);
    text.remove_prefix(point.bytes);
  }
  return width;
}

void Table::add(std::vector<std::string> cells) {
  MENSHEN_ASSERT(cells.size() == rows_.front().size());
  for (std::string& cell : cells) cell = escape_controls(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::render(std::string_view indent) const {
  std::vector<std::size_t> widths(rows_.front().size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(row[i]));
    }
  }
  const auto& head = rows_.front();
  const bool headed =
      std::any_of(head.begin(), head.end(), [](const std::string& cell) { return !cell.empty(); });
  std::string text;
  for (std::size_t r = headed ? 0 : 1; r < rows_.size(); ++r) {
    std::string line(indent);
    for (std::size_t i = 0; i < rows_[r].size(); ++i) {
      line += rows_[r][i];
      if (i + 1 == rows_[r].size()) break;
      line.append(widths[i] - display_width(rows_[r][i]) + 2, ' ');
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    text += line + "\n";
  }
  return text;
}

}  // namespace menshen::apps
