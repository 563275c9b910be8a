// The files of a multipart/form-data body (RFC 7578, RFC 2046 5.1), found as it arrives.
//
// A part with a file name is a file. Memory: a part's headers up to part_header_bytes_max (a longer
// part header ends the reader), and what may still be a boundary. Linear in the body.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/byte_reader.hpp"

namespace menshen::sensor {

inline constexpr std::size_t boundary_bytes_max = 200;  // RFC 2046 allows 70
inline constexpr std::size_t part_header_bytes_max = 8192;

class MultipartObserver {
 public:
  virtual ~MultipartObserver() = default;
  virtual void on_file(std::string_view name) = 0;
  virtual void on_file_data(Bytes bytes) = 0;
  virtual void on_file_end(bool whole) = 0;
};

class MultipartReader {
 public:
  enum class Fault : std::uint8_t {
    none,
    generic,         // no boundary where one must stand
    invalid_header,  // a part's headers are too long, or no headers
    no_file_data,    // a file's part ends at once
  };

  // "multipart/form-data; boundary=x" makes one; anything else does not.
  [[nodiscard]] static std::optional<MultipartReader> of(std::string_view content_type);

  // The next bytes of the body.
  void feed(Bytes bytes, MultipartObserver& observer);
  // The body ends.
  void end(MultipartObserver& observer);
  // The first thing that was wrong.
  [[nodiscard]] Fault fault() const noexcept { return fault_; }

 private:
  enum class State : std::uint8_t { preamble, headers, data, over };

  explicit MultipartReader(std::string boundary);
  bool step(MultipartObserver& observer);
  bool read_headers(MultipartObserver& observer);
  bool read_data(MultipartObserver& observer);
  [[nodiscard]] std::string_view ahead() const noexcept {
    return std::string_view(held_).substr(at_);
  }
  void give(std::size_t bytes, MultipartObserver& observer);
  void fail(Fault fault, MultipartObserver& observer);

  std::string delimiter_;  // CR LF "--" boundary
  std::string held_;       // not yet understood, from at_
  std::size_t at_ = 0;
  State state_ = State::preamble;
  Fault fault_ = Fault::none;
  bool in_file_ = false;
  bool file_has_data_ = false;
  std::size_t skip_ = 0;  // of the line end before a part's data
};

// A parameter of a header value: filename="x", boundary=x. Nothing where it is missing.
[[nodiscard]] std::optional<std::string> header_parameter(std::string_view value,
                                                          std::string_view name);

}  // namespace menshen::sensor
