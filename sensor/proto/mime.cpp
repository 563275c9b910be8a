#include "sensor/proto/mime.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/ascii.hpp"
#include "sensor/proto/events.hpp"

namespace menshen::sensor {
namespace {

constexpr std::size_t header_name_max = 75;     // beyond: event
constexpr std::size_t header_value_max = 2000;  // beyond: event
constexpr std::size_t line_max = 998;           // RFC 5322 2.1.1; beyond: event
constexpr std::size_t encoded_line_max = 76;    // RFC 2045 6.8; beyond: event
constexpr std::size_t pieces_max = 32;          // of one parameter (RFC 2231 3)

bool is_blank(char c) noexcept { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}
bool starts_nocase(std::string_view text, std::string_view start) noexcept {
  return text.size() >= start.size() && ascii_equal_nocase(text.substr(0, start.size()), start);
}

// The next "; name=value" of a structured header, from `at` on.
struct Parameter {
  std::string_view name;
  std::string value;
};
bool next_parameter(std::string_view value, std::size_t& at, Parameter& out) {
  while (at < value.size()) {
    while (at < value.size() && (value[at] == ';' || is_blank(value[at]))) ++at;
    const std::size_t begin = at;
    while (at < value.size() && value[at] != '=' && value[at] != ';') ++at;
    out.name = trim(value.substr(begin, at - begin));
    if (at == value.size() || value[at] == ';') continue;
    ++at;
    while (at < value.size() && is_blank(value[at])) ++at;
    out.value.clear();
    if (at < value.size() && value[at] == '"') {
      for (++at; at < value.size() && value[at] != '"'; ++at) {
        if (value[at] == '\\' && at + 1 < value.size()) ++at;
        out.value += value[at];
      }
      while (at < value.size() && value[at] != ';') ++at;
    } else {
      const std::size_t start = at;
      while (at < value.size() && value[at] != ';') ++at;
      out.value = trim(value.substr(start, at - start));
    }
    return true;
  }
  return false;
}

// RFC 2231 4: charset'language'text with %-escapes.
std::string unescape(std::string_view text, bool first) {
  if (first) {
    const auto one = text.find('\'');
    const auto two = one == std::string_view::npos ? one : text.find('\'', one + 1);
    if (two != std::string_view::npos) text.remove_prefix(two + 1);
  }
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low < 0) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

}  // namespace

std::string mime_parameter(std::string_view value, std::string_view name) {
  const auto semicolon = value.find(';');
  if (semicolon == std::string_view::npos) return {};
  std::vector<std::string> pieces;
  std::size_t at = semicolon;
  Parameter parameter;
  while (next_parameter(value, at, parameter)) {
    if (ascii_equal_nocase(parameter.name, name)) return parameter.value;
    if (!starts_nocase(parameter.name, name) || parameter.name.size() == name.size() ||
        parameter.name[name.size()] != '*') {
      continue;
    }
    std::string_view rest = parameter.name.substr(name.size() + 1);
    const bool escaped = rest.empty() || rest.ends_with('*');
    if (rest.ends_with('*')) rest.remove_suffix(1);
    std::size_t piece = 0;
    for (const char c : rest) piece = piece * 10 + static_cast<std::size_t>(c - '0') % 10;
    if (piece >= pieces_max) continue;
    if (pieces.size() <= piece) pieces.resize(piece + 1);
    pieces[piece] = escaped ? unescape(parameter.value, piece == 0) : parameter.value;
  }
  std::string joined;
  for (const std::string& piece : pieces) joined += piece;
  return joined;
}

// ---- lines --------------------------------------------------------------------------------------

void MimeReader::begin_body(std::string_view content_type) {
  main_headers_ = false;
  set_boundary(content_type);
  if (!part_.boundary.empty()) stack_.push_back(part_.boundary);
  part_ = {};
  part_.multipart = true;  // a preamble
  state_ = State::content;
}

void MimeReader::add(Bytes bytes) {
  std::string_view text = as_text(bytes);
  while (!text.empty() && state_ != State::over) {
    const auto end = text.find('\n');
    const bool whole = end != std::string_view::npos;
    const std::string_view piece = text.substr(0, whole ? end + 1 : text.size());
    text.remove_prefix(piece.size());
    if (in_line_) {  // its begin is no boundary
      in_line_ = !whole;
      content(piece, whole);
      continue;
    }
    if (whole && held_.empty()) {
      line(piece, true);
      continue;
    }
    const bool in_headers = state_ == State::headers;
    const std::size_t most = in_headers ? mime_header_max : mime_line_held;
    held_ += in_headers ? piece.substr(0, most - std::min(most, held_.size())) : piece;
    if (!whole && (in_headers || held_.size() < most)) continue;
    const std::string one = std::exchange(held_, {});
    line(one, whole);
  }
}

void MimeReader::finish() {
  if (state_ == State::over) return;
  if (!held_.empty()) line(std::exchange(held_, {}), false);
  if (state_ == State::headers) end_headers();
  give_text_line();
  end_part();
  state_ = State::over;
}

void MimeReader::line(std::string_view text, bool whole) {
  if (state_ == State::headers) {
    if (text.ends_with('\n')) text.remove_suffix(1);
    if (text.ends_with('\r')) text.remove_suffix(1);
    return header_line(text);
  }
  if (text.starts_with("--") && boundary_line(text)) return;
  in_line_ = !whole;
  content(text, whole);
}

// ---- headers ------------------------------------------------------------------------------------

void MimeReader::header_line(std::string_view text) {
  if (outer_ && headers_ == 0 && header_.empty() && text.find(':') == std::string_view::npos) {
    part_ = std::move(*outer_);
    outer_.reset();
    end_headers();
    if (text.starts_with("--") && boundary_line(text)) return;
    return content(std::string(text) + "\r\n", true);
  }
  outer_.reset();
  if (text.size() > line_max) sink_->on_event(ProtoEvent::smtp_mime_long_line);
  if (text.empty()) return end_headers();
  // A part without an empty line after its headers may end at once.
  if (text.starts_with("--") && boundary_line(text)) return;
  if (is_blank(text.front())) {  // folded: goes on with the line before
    if (header_.empty()) return;
    header_ += ' ';
    header_ += trim(text);
    if (header_.size() > mime_header_max) header_.resize(mime_header_max);
    return;
  }
  end_header();
  header_ = text;
}

void MimeReader::end_header() {
  if (header_.empty()) return;
  const std::string header = std::exchange(header_, {});
  if (++headers_ > mime_headers_max) return sink_->on_event(ProtoEvent::smtp_mime_parse_failed);
  const auto colon = header.find(':');
  if (colon == std::string::npos) return sink_->on_event(ProtoEvent::smtp_mime_malformed_msg);
  const std::string_view name = trim(std::string_view(header).substr(0, colon));
  const std::string_view value = trim(std::string_view(header).substr(colon + 1));
  if (name.size() > header_name_max) sink_->on_event(ProtoEvent::smtp_mime_long_header_name);
  if (value.size() > header_value_max) sink_->on_event(ProtoEvent::smtp_mime_long_header_value);
  read_header(name, value);
  if (main_headers_) sink_->on_header(name, value);
}

void MimeReader::set_boundary(std::string_view content_type) {
  part_.boundary = mime_parameter(content_type, "boundary");
  if (part_.boundary.size() > mime_boundary_max) {
    sink_->on_event(ProtoEvent::smtp_mime_long_boundary);
    part_.boundary.resize(mime_boundary_max);
  }
}

void MimeReader::read_header(std::string_view name, std::string_view value) {
  const auto set_name = [&](std::string_view parameter) {
    std::string found = mime_parameter(value, parameter);
    if (found.empty()) return;
    if (found.size() > mime_file_name_max) {
      sink_->on_event(ProtoEvent::smtp_mime_long_filename);
      found.resize(mime_file_name_max);
    }
    part_.name = std::move(found);
  };
  if (ascii_equal_nocase(name, "content-type")) {
    part_.text = starts_nocase(value, "text/plain") || starts_nocase(value, "text/html");
    part_.message = starts_nocase(value, "message/");
    part_.multipart = starts_nocase(value, "multipart/");
    if (part_.name.empty()) set_name("name");
    set_boundary(value);
  } else if (ascii_equal_nocase(name, "content-disposition")) {
    set_name("filename");
  } else if (ascii_equal_nocase(name, "content-transfer-encoding")) {
    const std::string encoding = ascii_lower(trim(value));
    part_.encoding = encoding == "base64"             ? Encoding::base64
                     : encoding == "quoted-printable" ? Encoding::quoted_printable
                                                      : Encoding::none;
  }
}

void MimeReader::end_headers() {
  end_header();
  // The headers of a message inside a message follow its own, whatever these say of an encoding
  // (RFC 2046 5.2.1 forbids one). Where none follow, it is content like any other.
  if (part_.message) {
    Part outer = std::move(part_);
    outer.message = false;
    begin_part();
    outer_ = std::move(outer);
    return;
  }
  main_headers_ = false;
  state_ = State::content;
  if (part_.multipart && !part_.boundary.empty()) {
    if (stack_.size() < mime_depth_max) return stack_.push_back(part_.boundary);
    sink_->on_event(ProtoEvent::smtp_mime_parse_failed);
  }
  part_.file = !part_.name.empty();
  if (part_.file) sink_->on_file(part_.name);
}

// ---- parts --------------------------------------------------------------------------------------

void MimeReader::begin_part() {
  part_ = {};
  header_.clear();
  headers_ = 0;
  newline_.clear();
  bits_ = bit_count_ = 0;
  carried_.clear();
  in_line_ = false;
  main_headers_ = false;
  state_ = State::headers;
}

void MimeReader::end_part() {
  give_text_line();
  if (part_.file) sink_->on_file_end();
  part_.file = false;
}

// Ends parts up to the one whose boundary it is.
bool MimeReader::boundary_line(std::string_view text) {
  text.remove_prefix(2);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  for (std::size_t i = stack_.size(); i-- > 0;) {
    const std::string& boundary = stack_[i];
    if (!text.starts_with(boundary)) continue;
    const std::string_view rest = text.substr(boundary.size());
    const bool closes = rest == "--";
    if (!rest.empty() && !closes) continue;
    if (state_ == State::headers) end_headers();
    end_part();
    stack_.resize(closes ? i : i + 1);
    begin_part();
    if (closes) {  // an epilogue follows
      part_.multipart = true;
      state_ = State::content;
    }
    return true;
  }
  return false;
}

// ---- content ------------------------------------------------------------------------------------

void MimeReader::content(std::string_view text, bool whole) {
  if (part_.multipart && !part_.file) return;  // preamble, epilogue
  switch (part_.encoding) {
    case Encoding::base64:
      return decode_base64(text);
    case Encoding::quoted_printable:
      return decode_quoted(text, whole);
    case Encoding::none:
      break;
  }
  give(std::exchange(newline_, {}));
  if (whole) {
    const std::size_t end = text.ends_with("\r\n") ? 2 : 1;
    newline_ = text.substr(text.size() - end);
    text.remove_suffix(end);
  }
  give(text);
}

void MimeReader::decode_base64(std::string_view text) {
  if (text.size() > encoded_line_max + 2) sink_->on_event(ProtoEvent::smtp_mime_long_enc_line);
  std::string out;
  out.reserve(text.size() * 3 / 4 + 3);
  for (const char c : text) {
    const int digit = base64_digit(c);
    if (digit < 0) {
      if (c == '=') {  // what follows begins anew
        bits_ = bit_count_ = 0;
      } else if (!is_blank(c)) {
        sink_->on_event(ProtoEvent::smtp_mime_invalid_base64);
      }
      continue;
    }
    bits_ = bits_ << 6U | static_cast<unsigned>(digit);
    bit_count_ += 6;
    if (bit_count_ < 8) continue;
    bit_count_ -= 8;
    out += static_cast<char>(bits_ >> bit_count_ & 0xffU);
  }
  give(out);
}

void MimeReader::decode_quoted(std::string_view text, bool whole) {
  if (text.size() > encoded_line_max + 2) sink_->on_event(ProtoEvent::smtp_mime_long_enc_line);
  std::string out = std::exchange(newline_, {});
  std::string_view end;
  const std::string joined = carried_.empty() ? std::string() : carried_ + std::string(text);
  if (!carried_.empty()) text = joined;
  carried_.clear();
  if (!whole) {  // an escape may go on in the next piece
    const auto escape = text.rfind('=');
    if (escape != std::string_view::npos && escape + 3 > text.size()) {
      carried_ = text.substr(escape);
      text = text.substr(0, escape);
    }
  }
  if (whole) {
    end = text.substr(text.size() - (text.ends_with("\r\n") ? 2 : 1));
    text.remove_suffix(end.size());
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    if (text.ends_with('=')) {  // a soft line break
      text.remove_suffix(1);
      end = {};
    }
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '=' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (text[i] == '=' && low < 0) sink_->on_event(ProtoEvent::smtp_mime_invalid_qp);
    if (low < 0) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  newline_ = end;
  give(out);
}

void MimeReader::give(std::string_view bytes) {
  if (bytes.empty()) return;
  if (part_.file) return sink_->on_file_data(as_bytes(bytes));
  if (!part_.text) return;
  for (const char c : bytes) {
    if (c == '\n' || text_.size() >= mime_header_max) give_text_line();
    if (c != '\n') text_ += c;
  }
}

void MimeReader::give_text_line() {
  if (!text_.empty()) sink_->on_text(text_);
  text_.clear();
}

}  // namespace menshen::sensor
