#include "sensor/proto/field_transaction.hpp"

namespace menshen::sensor {

std::size_t FieldTransaction::instances(Buffer buffer) const noexcept {
  const auto* texts = buffers_.of(buffer);
  return texts == nullptr ? 0 : texts->size();
}

Transaction::View FieldTransaction::view(Buffer buffer, std::size_t instance) const noexcept {
  const auto* texts = buffers_.of(buffer);
  if (texts == nullptr || instance >= texts->size()) return {};
  // While messages may still come, so may instances.
  return {as_bytes((*texts)[instance]), complete_[0] && complete_[1]};
}

std::size_t FieldTransaction::numbers(Number number) const noexcept {
  const auto* values = numbers_.of(number);
  return values == nullptr ? 0 : values->size();
}

std::uint64_t FieldTransaction::number(Number number, std::size_t instance) const noexcept {
  const auto* values = numbers_.of(number);
  return values == nullptr || instance >= values->size() ? 0 : (*values)[instance];
}

}  // namespace menshen::sensor
