// Cuts one direction of a text protocol into lines. Bounded: a line that grows past its limit is
// given cut, at once, and the rest of it is skipped.
#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "base/byte_reader.hpp"

namespace menshen::sensor {

class LineReader {
 public:
  struct Line {
    std::string_view text;  // without its end; valid until the next call
    std::size_t bytes = 0;  // with its end; 0: cut
    bool cut = false;       // the line is longer than the limit
    // With its end.
    [[nodiscard]] std::string_view raw() const noexcept {
      return cut ? text : std::string_view(text.data(), bytes);
    }
  };

  explicit LineReader(std::size_t bytes_max) noexcept : bytes_max_(bytes_max) {}

  // The next line, taking its bytes off `bytes`. Nothing: all bytes were used, more must come.
  [[nodiscard]] std::optional<Line> next(Bytes& bytes) {
    if (given_) held_.clear();
    given_ = false;
    while (!bytes.empty()) {
      const auto end = std::ranges::find(bytes, std::byte{'\n'});
      const bool whole = end != bytes.end();
      const Bytes part =
          bytes.first(static_cast<std::size_t>(end - bytes.begin()) + (whole ? 1 : 0));
      bytes = bytes.subspan(part.size());
      if (skipping_) {
        skipping_ = !whole;
        continue;
      }
      const std::size_t room = bytes_max_ - held_.size();
      if (part.size() > room) {
        held_ += as_text(part.first(room));
        skipping_ = !whole;
        given_ = true;
        return Line{held_, 0, true};
      }
      if (!whole || !held_.empty()) held_ += as_text(part);
      if (!whole) return std::nullopt;
      std::string_view text = held_.empty() ? as_text(part) : std::string_view(held_);
      given_ = true;
      const std::size_t length = text.size();
      text.remove_suffix(1);
      if (text.ends_with('\r')) text.remove_suffix(1);
      return Line{text, length, false};
    }
    return std::nullopt;
  }

  // What stands there of a line that has not ended.
  [[nodiscard]] std::string_view begun() const noexcept {
    return given_ ? std::string_view() : std::string_view(held_);
  }
  void clear() noexcept {
    held_.clear();
    given_ = skipping_ = false;
  }

 private:
  std::size_t bytes_max_;
  std::string held_;
  bool given_ = false;     // held_ was given with the last line
  bool skipping_ = false;  // the rest of a line that was cut
};

}  // namespace menshen::sensor
