// Reads an Internet message (RFC 5322) or a multipart body (RFC 2046) as it arrives: headers, parts
// within parts, and each part's content decoded from base64 or quoted-printable.
//
// Push parser: add() takes any piece, the sink is told at once. Bounded: what a limit below cuts is
// told as an event, content is never held back longer than a line's begin. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.hpp"
#include "sensor/proto/transaction.hpp"

namespace menshen::sensor {

inline constexpr std::size_t mime_depth_max = 16;      // parts within parts; deeper: plain content
inline constexpr std::size_t mime_boundary_max = 254;  // bytes; longer: event, cut
inline constexpr std::size_t mime_header_max = 16U << 10;  // bytes of one header; beyond: cut
inline constexpr std::size_t mime_headers_max = 256;       // of one part; beyond: not read
inline constexpr std::size_t mime_file_name_max = 255;     // bytes; longer: event, cut
inline constexpr std::size_t mime_line_held = 1024;        // of a content line; the rest streams

class MimeSink {
 public:
  virtual ~MimeSink() = default;
  // Of the message itself; a header of a part within it is not told.
  virtual void on_header(std::string_view /*name*/, std::string_view /*value*/) {}
  // A part with a file name begins; its decoded content; its end.
  virtual void on_file(std::string_view name) = 0;
  virtual void on_file_data(Bytes bytes) = 0;
  virtual void on_file_end() = 0;
  // Decoded content of a part of text without a name, line by line.
  virtual void on_text(std::string_view /*line*/) {}
  virtual void on_event(ProtoEvent event) = 0;
};

class MimeReader {
 public:
  explicit MimeReader(MimeSink& sink) : sink_(&sink) { stack_.reserve(mime_depth_max); }

  // The body of something whose headers stand elsewhere (HTTP): its Content-Type's value.
  void begin_body(std::string_view content_type);
  void add(Bytes bytes);
  // No more: what was begun ends. Further calls do nothing.
  void finish();

 private:
  enum class State : std::uint8_t { headers, content, over };
  enum class Encoding : std::uint8_t { none, base64, quoted_printable };
  struct Part {
    Encoding encoding = Encoding::none;
    bool text = false;
    bool multipart = false;
    bool message = false;  // another message inside
    bool file = false;
    std::string name;
    std::string boundary;
  };

  void line(std::string_view text, bool whole);
  void header_line(std::string_view text);
  void end_header();
  void read_header(std::string_view name, std::string_view value);
  void end_headers();
  bool boundary_line(std::string_view text);
  void end_part();
  void begin_part();
  void content(std::string_view text, bool whole);
  void decode_base64(std::string_view text);
  void decode_quoted(std::string_view text, bool whole);
  void give(std::string_view bytes);
  void give_text_line();
  void set_boundary(std::string_view content_type);

  MimeSink* sink_;
  State state_ = State::headers;
  bool main_headers_ = true;
  std::string held_;      // a line that has not ended
  bool in_line_ = false;  // its begin was given as content
  std::string header_;    // unfolded so far
  bool header_cut_ = false;
  std::size_t headers_ = 0;
  std::string newline_;  // the last line's end: content only if another line follows
  Part part_;
  std::optional<Part> outer_;       // a message's part, until its own headers begin
  std::vector<std::string> stack_;  // boundaries, outermost first
  std::uint32_t bits_ = 0;          // base64: what does not make a byte yet
  unsigned bit_count_ = 0;
  std::string carried_;  // quoted-printable: the begin of an escape
  std::string text_;     // a decoded line of text
};

// A parameter of a structured header ("name" of `x; name="a.txt"`), also in RFC 2231's pieces and
// escapes; "" without it.
[[nodiscard]] std::string mime_parameter(std::string_view value, std::string_view name);

}  // namespace menshen::sensor
