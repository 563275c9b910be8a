// The one way to read untrusted bytes. Reading past the end yields zeros and sets a flag that stays
// set: read a whole header, then ask ok() once. No pointer arithmetic, no exception, no allocation.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace menshen {

using Bytes = std::span<const std::byte>;

class ByteReader {
 public:
  constexpr explicit ByteReader(Bytes bytes) noexcept : bytes_(bytes) {}

  [[nodiscard]] constexpr bool ok() const noexcept { return ok_; }
  [[nodiscard]] constexpr std::size_t position() const noexcept { return position_; }
  [[nodiscard]] constexpr std::size_t remaining() const noexcept {
    return bytes_.size() - position_;
  }
  [[nodiscard]] constexpr bool empty() const noexcept { return remaining() == 0; }

  constexpr std::uint8_t u8() noexcept { return static_cast<std::uint8_t>(big_endian(1)); }
  constexpr std::uint16_t be16() noexcept { return static_cast<std::uint16_t>(big_endian(2)); }
  constexpr std::uint32_t be24() noexcept { return static_cast<std::uint32_t>(big_endian(3)); }
  constexpr std::uint32_t be32() noexcept { return static_cast<std::uint32_t>(big_endian(4)); }
  constexpr std::uint64_t be64() noexcept { return big_endian(8); }

  // The next n bytes; empty (and not ok) where fewer are left.
  constexpr Bytes take(std::size_t n) noexcept {
    if (n > remaining()) return fail();
    const Bytes taken = bytes_.subspan(position_, n);
    position_ += n;
    return taken;
  }
  constexpr Bytes rest() noexcept { return take(remaining()); }
  constexpr void skip(std::size_t n) noexcept { static_cast<void>(take(n)); }
  // Continue at an absolute position (DNS name compression). Past the end: not ok.
  constexpr void seek(std::size_t position) noexcept {
    if (position > bytes_.size()) {
      static_cast<void>(fail());
    } else {
      position_ = position;
    }
  }

 private:
  constexpr std::uint64_t big_endian(std::size_t n) noexcept {
    std::uint64_t value = 0;
    for (const std::byte b : take(n)) value = value << 8 | std::to_integer<std::uint64_t>(b);
    return value;
  }
  constexpr Bytes fail() noexcept {
    ok_ = false;
    position_ = bytes_.size();
    return {};
  }

  Bytes bytes_;
  std::size_t position_ = 0;
  bool ok_ = true;
};

[[nodiscard]] inline std::string_view as_text(Bytes bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
[[nodiscard]] inline Bytes as_bytes(std::string_view text) noexcept {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace menshen
