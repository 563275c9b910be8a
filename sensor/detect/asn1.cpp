#include "sensor/detect/asn1.hpp"

#include <algorithm>
#include <optional>

namespace menshen::sensor {
namespace {

constexpr unsigned universal_bit_string = 3;
constexpr unsigned universal_real = 9;
constexpr std::uint64_t real_bytes_max = 256;

struct Value {
  unsigned tag = 0;
  bool universal = false;
  bool constructed = false;
  std::uint64_t length = 0;  // as stated; the bytes may end before
  Bytes content;
};

std::optional<Value> next_value(Bytes& rest) noexcept {
  ByteReader reader(rest);
  Value value;
  const unsigned first = reader.u8();
  value.universal = (first & 0xC0U) == 0;
  value.constructed = (first & 0x20U) != 0;
  value.tag = first & 0x1FU;
  for (unsigned more = value.tag == 0x1FU ? 0x80U : 0U; more != 0;) {
    const unsigned part = reader.u8();
    if (!reader.ok()) return std::nullopt;
    value.tag = (value.tag << 7U | (part & 0x7FU)) & 0xFFFFFFU;
    more = part & 0x80U;
  }
  const unsigned length = reader.u8();
  if ((length & 0x80U) == 0) {
    value.length = length;
  } else {
    const unsigned octets = length & 0x7FU;
    if (octets > 8) return std::nullopt;
    for (unsigned i = 0; i < octets; ++i) value.length = value.length << 8U | reader.u8();
  }
  if (!reader.ok()) return std::nullopt;
  const Bytes behind = rest.subspan(rest.size() - reader.remaining());
  value.content =
      behind.first(static_cast<std::size_t>(std::min<std::uint64_t>(value.length, behind.size())));
  rest = behind.subspan(value.content.size());
  return value;
}

bool is_suspicious(const Value& value, const Asn1Checks& checks) noexcept {
  if (checks.longer_than != 0 && value.length > checks.longer_than) return true;
  if (!value.universal || value.constructed || value.content.empty()) return false;
  const auto first = std::to_integer<unsigned>(value.content.front());
  if (checks.bitstring_overflow && value.tag == universal_bit_string) {
    return first / 8U > value.length;
  }
  const bool in_text = (first & 0xC0U) == 0;
  return checks.double_overflow && value.tag == universal_real && in_text &&
         value.length > real_bytes_max;
}

bool walk(Bytes rest, const Asn1Checks& checks, unsigned depth, unsigned& left) noexcept {
  while (!rest.empty() && left != 0) {
    --left;
    const auto value = next_value(rest);
    if (!value) return false;
    if (is_suspicious(*value, checks)) return true;
    if (value->constructed && depth < asn1_depth_max &&
        walk(value->content, checks, depth + 1, left)) {
      return true;
    }
  }
  return false;
}

}  // namespace

bool asn1_suspicious(Bytes bytes, const Asn1Checks& checks) noexcept {
  unsigned left = asn1_values_max;
  return walk(bytes, checks, 0, left);
}

}  // namespace menshen::sensor
