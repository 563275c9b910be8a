#include "sensor/proto/field_transaction.hpp"

#include <algorithm>

namespace menshen::sensor {
namespace {

template <class Rows, class Field>
std::size_t count(const Rows& rows, Field field) noexcept {
  return static_cast<std::size_t>(std::ranges::count(rows, field, &Rows::value_type::first));
}

// Null: there are fewer.
template <class Rows, class Field>
const auto* nth(const Rows& rows, Field field, std::size_t instance) noexcept {
  for (const auto& [named, value] : rows) {
    if (named == field && instance-- == 0) return &value;
  }
  return static_cast<const typename Rows::value_type::second_type*>(nullptr);
}

}  // namespace

std::size_t FieldTransaction::instances(Buffer buffer) const noexcept {
  return count(buffers_, buffer);
}

Transaction::View FieldTransaction::view(Buffer buffer, std::size_t instance) const noexcept {
  const auto* text = nth(buffers_, buffer, instance);
  if (text == nullptr) return {};
  // While messages may still come, so may instances.
  return {as_bytes(*text), complete_[0] && complete_[1]};
}

std::size_t FieldTransaction::numbers(Number number) const noexcept {
  return count(numbers_, number);
}

std::uint64_t FieldTransaction::number(Number number, std::size_t instance) const noexcept {
  const auto* value = nth(numbers_, number, instance);
  return value == nullptr ? 0 : *value;
}

}  // namespace menshen::sensor
