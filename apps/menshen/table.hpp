// A table for a terminal, aligned by display columns (a Chinese character takes two).
#pragma once

#include <string>
#include <vector>

namespace menshen::apps {

class Table {
 public:
  // Columns left-aligned, two spaces between them. The last one is not padded.
  explicit Table(std::vector<std::string> head) : rows_{std::move(head)} {}
  // As many cells as the head has. Control characters are made visible.
  void add(std::vector<std::string> cells);
  [[nodiscard]] std::size_t size() const { return rows_.size() - 1; }
  // The head is left out of a table whose every heading is empty.
  [[nodiscard]] std::string render(std::string_view indent = {}) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

[[nodiscard]] std::size_t display_width(std::string_view text) noexcept;

}  // namespace menshen::apps
