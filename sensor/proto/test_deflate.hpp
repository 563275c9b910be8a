// For tests: texts as zlib compresses them.
#pragma once

#include <zlib.h>

#include <catch2/catch.hpp>
#include <string>
#include <string_view>

namespace menshen::sensor::testing {

inline constexpr int zlib_form = 15;  // RFC 1950
inline constexpr int raw_form = -15;  // RFC 1951
inline constexpr int gzip_form = 15 + 16;

inline std::string deflated(std::string_view text, int form) {
  z_stream z{};
  REQUIRE(deflateInit2(&z, 9, Z_DEFLATED, form, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&z, Z_FINISH) == Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}
inline std::string gzip(std::string_view text) { return deflated(text, gzip_form); }

}  // namespace menshen::sensor::testing
