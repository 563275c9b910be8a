// A transaction that is a bag of fields: for protocols whose messages are parsed whole.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sensor/proto/transaction.hpp"

namespace menshen::sensor {

// Of one transaction.
inline constexpr std::size_t fields_max = 1024;  // buffers, and as many numbers
inline constexpr std::size_t field_bytes_max = 1U << 20U;

class FieldTransaction final : public Transaction {
 public:
  explicit FieldTransaction(AppProto proto) : proto_(proto) {}

  // In the order in which instances appear. A buffer is whole when it is added. What is beyond the
  // limits above is left out.
  void add(Buffer buffer, std::string_view bytes) {
    if (buffers_.count == fields_max || bytes.size() > field_bytes_max - bytes_) return;
    bytes_ += bytes.size();
    buffers_.add(buffer, std::string(bytes));
  }
  void add(Number number, std::uint64_t value) {
    if (numbers_.count < fields_max) numbers_.add(number, value);
  }
  void finish(Direction direction) { complete_[static_cast<std::size_t>(direction)] = true; }
  void finish() { complete_ = {true, true}; }

  std::string eve_json = "{}";  // the protocol's EVE object

  [[nodiscard]] AppProto proto() const noexcept override { return proto_; }
  [[nodiscard]] std::size_t instances(Buffer buffer) const noexcept override;
  [[nodiscard]] View view(Buffer buffer, std::size_t instance) const noexcept override;
  [[nodiscard]] std::size_t numbers(Number number) const noexcept override;
  [[nodiscard]] std::uint64_t number(Number number, std::size_t instance) const noexcept override;
  [[nodiscard]] bool complete(Direction direction) const noexcept override {
    return complete_[static_cast<std::size_t>(direction)];
  }
  [[nodiscard]] std::string eve() const override { return eve_json; }

 private:
  // A message has few kinds of fields and may have many of one kind.
  template <class Field, class Value>
  struct Kinds {
    std::vector<std::pair<Field, std::vector<Value>>> kinds;
    std::size_t count = 0;  // of values

    void add(Field field, Value value) {
      ++count;
      for (auto& [named, values] : kinds) {
        if (named == field) return values.push_back(std::move(value));
      }
      kinds.emplace_back(field, std::vector<Value>{}).second.push_back(std::move(value));
    }
    // Null: none.
    [[nodiscard]] const std::vector<Value>* of(Field field) const noexcept {
      for (const auto& [named, values] : kinds) {
        if (named == field) return &values;
      }
      return nullptr;
    }
  };

  AppProto proto_;
  std::array<bool, 2> complete_{};
  std::size_t bytes_ = 0;
  Kinds<Buffer, std::string> buffers_;
  Kinds<Number, std::uint64_t> numbers_;
};

}  // namespace menshen::sensor
