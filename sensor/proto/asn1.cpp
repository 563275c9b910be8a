#include "sensor/proto/asn1.hpp"

#include <fmt/format.h>

#include <iterator>

namespace menshen::sensor {
namespace {

constexpr unsigned high_tag = 0x1f;  // the number stands in further bytes: not used here
constexpr std::size_t length_bytes_max = 4;
constexpr std::size_t oid_numbers_max = 128;

}  // namespace

std::optional<Asn1Head> asn1_head(ByteReader& reader) noexcept {
  Asn1Head head;
  head.tag = reader.u8();
  const std::uint8_t first = reader.u8();
  if (!reader.ok()) return head;
  if ((head.tag & high_tag) == high_tag) return std::nullopt;
  if (first < 0x80) {
    head.length = first;
    return head;
  }
  const std::size_t bytes = first & 0x7fU;
  if (bytes == 0 || bytes > length_bytes_max) return std::nullopt;
  for (const std::byte byte : reader.take(bytes)) {
    head.length = head.length << 8U | std::to_integer<std::size_t>(byte);
  }
  return head;
}

Asn1Value Asn1Reader::next() noexcept {
  if (empty()) {
    fail();
    return {};
  }
  const auto head = asn1_head(reader_);
  if (!head) {
    fail();
    return {};
  }
  const Bytes content = reader_.take(head->length);
  if (!reader_.ok()) {
    fail();
    return {};
  }
  return {head->tag, content};
}

Asn1Value Asn1Reader::next_if(std::uint8_t tag) noexcept {
  if (empty()) return {};
  ByteReader ahead = reader_;
  return ahead.u8() == tag ? next() : Asn1Value{};
}

Bytes Asn1Reader::take(std::uint8_t tag) noexcept {
  const Asn1Value value = next();
  if (!value.is(tag)) fail();
  return ok_ ? value.content : Bytes{};
}

Asn1Reader Asn1Reader::enter(std::uint8_t tag) noexcept {
  Asn1Reader inside(take(tag));
  if (!ok_) inside.fail();
  return inside;
}

std::int64_t Asn1Reader::integer(std::uint8_t tag) noexcept {
  const auto value = asn1_integer(take(tag));
  if (!value) fail();
  return value.value_or(0);
}

std::optional<std::size_t> asn1_extent(Bytes bytes) noexcept {
  ByteReader reader(bytes);
  const auto head = asn1_head(reader);
  if (!head) return std::nullopt;
  return reader.ok() ? reader.position() + head->length : 0;
}

std::optional<std::int64_t> asn1_integer(Bytes content) noexcept {
  if (content.empty() || content.size() > 8) return std::nullopt;
  const bool negative = (content[0] & std::byte{0x80}) != std::byte{0};
  std::uint64_t value = negative ? ~std::uint64_t{0} : 0;
  for (const std::byte byte : content) value = value << 8U | std::to_integer<std::uint64_t>(byte);
  return static_cast<std::int64_t>(value);
}

std::string asn1_oid_text(Bytes content) {
  std::string text;
  std::uint64_t number = 0;
  std::size_t numbers = 0;
  for (const std::byte byte : content) {
    if (number > UINT64_MAX >> 8U || numbers == oid_numbers_max) return {};
    number = number << 7U | std::to_integer<std::uint64_t>(byte & std::byte{0x7f});
    if ((byte & std::byte{0x80}) != std::byte{0}) continue;
    if (numbers++ == 0) {
      const std::uint64_t top = number < 80 ? number / 40 : 2;
      fmt::format_to(std::back_inserter(text), "{}.{}", top, number - top * 40);
    } else {
      fmt::format_to(std::back_inserter(text), ".{}", number);
    }
    number = 0;
  }
  const bool whole = content.empty() || (content.back() & std::byte{0x80}) == std::byte{0};
  return whole ? text : std::string{};
}

}  // namespace menshen::sensor
