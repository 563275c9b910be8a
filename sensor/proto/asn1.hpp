// ASN.1 values in BER (X.690) as SNMP, Kerberos and LDAP write them: one-byte tags, definite
// lengths. Anything else is refused. No recursion, no allocation.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/byte_reader.hpp"

namespace menshen::sensor {

struct Asn1Value {
  std::uint8_t tag = 0;  // class, constructed bit and number
  Bytes content;
  [[nodiscard]] bool is(std::uint8_t wanted) const noexcept { return tag == wanted; }
  [[nodiscard]] unsigned number() const noexcept { return tag & 0x1fU; }
};

namespace asn1 {
inline constexpr std::uint8_t boolean = 0x01;
inline constexpr std::uint8_t integer = 0x02;
inline constexpr std::uint8_t octets = 0x04;
inline constexpr std::uint8_t oid = 0x06;
inline constexpr std::uint8_t enumerated = 0x0a;
inline constexpr std::uint8_t sequence = 0x30;
inline constexpr std::uint8_t set = 0x31;
// "[n]" in a definition.
[[nodiscard]] constexpr std::uint8_t context(unsigned n, bool constructed = true) noexcept {
  return static_cast<std::uint8_t>(0x80U | (constructed ? 0x20U : 0U) | n);
}
[[nodiscard]] constexpr std::uint8_t application(unsigned n, bool constructed = true) noexcept {
  return static_cast<std::uint8_t>(0x40U | (constructed ? 0x20U : 0U) | n);
}
}  // namespace asn1

// The values that stand one behind another in some bytes. What is broken ends the list: ok() tells.
class Asn1Reader {
 public:
  explicit Asn1Reader(Bytes bytes) noexcept : reader_(bytes) {}

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  [[nodiscard]] bool empty() const noexcept { return !ok_ || reader_.empty(); }
  // The next value; an empty one (tag 0) where there is none.
  Asn1Value next() noexcept;
  // The next value if it has this tag; otherwise an empty one, and it is still the next.
  Asn1Value next_if(std::uint8_t tag) noexcept;
  // The inside of the next value, which must have this tag.
  Asn1Reader enter(std::uint8_t tag) noexcept;
  Bytes take(std::uint8_t tag) noexcept;
  // Up to 8 bytes, signed.
  std::int64_t integer(std::uint8_t tag = asn1::integer) noexcept;

 private:
  void fail() noexcept { ok_ = false; }

  ByteReader reader_;
  bool ok_ = true;
};

// Tag and length alone: of values that are not whole yet.
struct Asn1Head {
  std::uint8_t tag = 0;
  std::size_t length = 0;
};
// Nothing: refused. The reader is not ok where the head is not whole.
[[nodiscard]] std::optional<Asn1Head> asn1_head(ByteReader& reader) noexcept;
// Of the value that begins here, with tag and length: 0 where more bytes must tell; nothing where
// it is none.
[[nodiscard]] std::optional<std::size_t> asn1_extent(Bytes bytes) noexcept;
// Two's complement, up to 8 bytes; nothing: empty or longer.
[[nodiscard]] std::optional<std::int64_t> asn1_integer(Bytes content) noexcept;
// "1.3.6.1": at most 128 numbers; empty where it is broken.
[[nodiscard]] std::string asn1_oid_text(Bytes content);

}  // namespace menshen::sensor
