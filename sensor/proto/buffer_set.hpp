// The buffers of a transaction that have one instance each. Small while few are set: an index a
// buffer, and the text of those that are there.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "sensor/proto/transaction.hpp"

namespace menshen::sensor {

class BufferSet {
 public:
  [[nodiscard]] bool has(Buffer buffer) const noexcept { return place(buffer) != 0; }
  // Empty where it is not set.
  [[nodiscard]] std::string_view text(Buffer buffer) const noexcept {
    return has(buffer) ? std::string_view(texts_[place(buffer) - 1U]) : std::string_view();
  }
  // Sets it anew.
  void set(Buffer buffer, std::string_view text) { slot(buffer).assign(text); }
  // The text to append to; set empty if it was not there.
  [[nodiscard]] std::string& slot(Buffer buffer) {
    if (!has(buffer)) {
      texts_.emplace_back();
      places_[static_cast<std::size_t>(buffer)] = static_cast<std::uint8_t>(texts_.size());
    }
    return texts_[place(buffer) - 1U];
  }

 private:
  [[nodiscard]] std::uint8_t place(Buffer buffer) const noexcept {
    return places_[static_cast<std::size_t>(buffer)];
  }
  std::array<std::uint8_t, static_cast<std::size_t>(Buffer::count)> places_{};  // + 1; 0: not set
  std::vector<std::string> texts_;
};

}  // namespace menshen::sensor
