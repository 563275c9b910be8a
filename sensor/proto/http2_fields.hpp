// Header fields of HTTP/2, out of HPACK (RFC 7541) through nghttp2: the one file that includes it.
//
// Memory: the dynamic table, at most http2_table_bytes_max. A block is decoded whole and in order:
// after one that was left out nothing can be decoded. One decoder a direction; not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/byte_reader.hpp"

namespace menshen::sensor {

inline constexpr std::size_t http2_table_bytes_max = 64U << 10U;

struct Http2Field {
  std::string name;
  std::string value;
};

class Http2FieldDecoder {
 public:
  enum class Status : std::uint8_t {
    ok,
    broken,  // not HPACK
    limit,   // more fields or bytes than wanted: the rest is decoded and forgotten
  };

  Http2FieldDecoder();
  Http2FieldDecoder(Http2FieldDecoder&&) noexcept;
  ~Http2FieldDecoder();

  // Appends to `out`.
  Status decode(Bytes block, std::vector<Http2Field>& out, std::size_t fields_max,
                std::size_t bytes_max);
  // The table sizes that the block at hand sets at its beginning (RFC 7541 6.3).
  [[nodiscard]] const std::vector<std::uint64_t>& size_updates() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace menshen::sensor
