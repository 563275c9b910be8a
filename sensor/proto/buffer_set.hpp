// The buffers and numbers of a transaction, as they become known. Small while few are there: a
// byte of name and a text for each; looking one up passes over the names (a few dozen bytes).
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "sensor/proto/transaction.hpp"

namespace menshen::sensor {

class BufferSet {
 public:
  [[nodiscard]] bool has(Buffer buffer) const noexcept {
    return std::ranges::find(names_, buffer) != names_.end();
  }
  [[nodiscard]] std::size_t instances(Buffer buffer) const noexcept {
    return static_cast<std::size_t>(std::ranges::count(names_, buffer));
  }
  // Empty where it is not set.
  [[nodiscard]] std::string_view text(Buffer buffer, std::size_t instance = 0) const noexcept {
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (names_[i] == buffer && instance-- == 0) return texts_[i];
    }
    return {};
  }
  // Sets its first instance anew.
  void set(Buffer buffer, std::string_view text) { slot(buffer).assign(text); }
  // One instance more.
  void add(Buffer buffer, std::string_view text) {
    names_.push_back(buffer);
    texts_.emplace_back(text);
  }
  // The text to append to; set empty if it was not there.
  [[nodiscard]] std::string& slot(Buffer buffer) {
    const auto found = std::ranges::find(names_, buffer);
    if (found != names_.end()) return texts_[static_cast<std::size_t>(found - names_.begin())];
    add(buffer, {});
    return texts_.back();
  }

 private:
  std::vector<Buffer> names_;
  std::vector<std::string> texts_;
};

class NumberSet {
 public:
  [[nodiscard]] std::size_t instances(Number number) const noexcept {
    return static_cast<std::size_t>(std::ranges::count(rows_, number, &Row::first));
  }
  // 0 where it is not there.
  [[nodiscard]] std::uint64_t value(Number number, std::size_t instance = 0) const noexcept {
    for (const auto& [name, known] : rows_) {
      if (name == number && instance-- == 0) return known;
    }
    return 0;
  }
  // Sets its first instance anew.
  void set(Number number, std::uint64_t value) {
    const auto found = std::ranges::find(rows_, number, &Row::first);
    if (found != rows_.end()) {
      found->second = value;
    } else {
      add(number, value);
    }
  }
  void add(Number number, std::uint64_t value) { rows_.emplace_back(number, value); }

 private:
  using Row = std::pair<Number, std::uint64_t>;
  std::vector<Row> rows_;
};

// A transaction that offers what these two hold. Its buffers are whole when they are set.
class KnownTransaction : public Transaction {
 public:
  [[nodiscard]] std::size_t instances(Buffer buffer) const noexcept override {
    return buffers.instances(buffer);
  }
  [[nodiscard]] View view(Buffer buffer, std::size_t instance) const noexcept override {
    if (instance >= buffers.instances(buffer)) return {};
    return {as_bytes(buffers.text(buffer, instance)), true};
  }
  [[nodiscard]] std::size_t numbers(Number number) const noexcept override {
    return known.instances(number);
  }
  [[nodiscard]] std::uint64_t number(Number number, std::size_t instance) const noexcept override {
    return known.value(number, instance);
  }

  BufferSet buffers;
  NumberSet known;
};

}  // namespace menshen::sensor
