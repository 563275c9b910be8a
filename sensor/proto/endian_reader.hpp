// Reads numbers in the byte order that the message names, over base's ByteReader.
#pragma once

#include "base/byte_reader.hpp"

namespace menshen::sensor {

class EndianReader {
 public:
  explicit EndianReader(Bytes bytes, bool little = true) noexcept
      : reader_(bytes), little_(little) {}

  void set_little(bool little) noexcept { little_ = little; }
  [[nodiscard]] bool ok() const noexcept { return reader_.ok(); }
  [[nodiscard]] std::size_t position() const noexcept { return reader_.position(); }
  [[nodiscard]] std::size_t remaining() const noexcept { return reader_.remaining(); }

  std::uint8_t u8() noexcept { return reader_.u8(); }
  std::uint16_t u16() noexcept {
    const std::uint16_t value = reader_.be16();
    return little_ ? __builtin_bswap16(value) : value;
  }
  std::uint32_t u32() noexcept {
    const std::uint32_t value = reader_.be32();
    return little_ ? __builtin_bswap32(value) : value;
  }
  std::uint64_t u64() noexcept {
    const std::uint64_t value = reader_.be64();
    return little_ ? __builtin_bswap64(value) : value;
  }
  Bytes take(std::size_t n) noexcept { return reader_.take(n); }
  Bytes rest() noexcept { return reader_.rest(); }
  void skip(std::size_t n) noexcept { reader_.skip(n); }
  void seek(std::size_t position) noexcept { reader_.seek(position); }
  // To a multiple of `unit` (a power of two).
  void align(std::size_t unit) noexcept { seek((position() + unit - 1) & ~(unit - 1)); }

 private:
  ByteReader reader_;
  bool little_;
};

}  // namespace menshen::sensor
