// Content codings undone piece by piece (RFC 1950-1952, 7932, 8878), through zlib, brotli and zstd.
//
// Memory: the coding's window, at most window_bytes_max (zstd refuses more; brotli's own maximum is
// 16 MiB). Output is limited by size and ratio, so that a small message cannot become endless work.
// One message; not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "base/byte_reader.hpp"

namespace menshen::sensor {

enum class ContentCoding : std::uint8_t {
  gzip,
  deflate,      // with zlib's header or without
  raw_deflate,  // without it
  brotli,
  zstd,
};

// "gzip", "x-gzip", "deflate", "br", "zstd" in any case. Another: nothing.
[[nodiscard]] std::optional<ContentCoding> content_coding_of(std::string_view token) noexcept;

inline constexpr unsigned window_bits_max = 23;       // of zstd: 8 MiB, as RFC 8878 recommends
inline constexpr std::uint64_t expansion_max = 2048;  // bytes out for each byte in

struct DecompressLimits {
  std::uint64_t output_bytes = 1U << 20U;  // beyond, at an expansion above expansion_max, or ...
  std::uint64_t total_bytes = 64U << 20U;  // ... at any: it ends with `bomb`
};

class Decompressor {
 public:
  enum class Status : std::uint8_t {
    more,    // goes on
    done,    // the coding's end; what follows it is ignored
    broken,  // not this coding
    bomb,    // a limit was reached
  };

  Decompressor(ContentCoding coding, const DecompressLimits& limits);
  Decompressor(Decompressor&&) noexcept;
  Decompressor& operator=(Decompressor&&) noexcept;
  ~Decompressor();

  // Gives what `bytes` hold to `sink`, in pieces. Linear in input and output. After any status but
  // `more`, further calls do nothing and say the same.
  using Sink = std::function<void(Bytes)>;
  Status feed(Bytes bytes, const Sink& sink);
  [[nodiscard]] std::uint64_t output_bytes() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace menshen::sensor
