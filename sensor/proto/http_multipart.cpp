#include "sensor/proto/http_multipart.hpp"

#include <algorithm>

#include "base/ascii.hpp"

namespace menshen::sensor {

namespace {

bool starts_with_nocase(std::string_view text, std::string_view start) {
  return text.size() >= start.size() && ascii_equal_nocase(text.substr(0, start.size()), start);
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// RFC 9110 5.6.4: a backslash makes the next character literal. Browsers send Windows paths
// unescaped, so it stays before anything but a quote.
std::string unquoted(std::string_view text) {
  if (!text.starts_with('"')) return std::string(trimmed(text.substr(0, text.find(';'))));
  std::string out;
  for (std::size_t i = 1; i < text.size() && text[i] != '"'; ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == '"') ++i;
    out += text[i];
  }
  return out;
}

}  // namespace

std::optional<std::string> header_parameter(std::string_view value, std::string_view name) {
  // Parameters stand behind semicolons; one inside of quotes separates nothing.
  bool quoted = false;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '"' && (i == 0 || value[i - 1] != '\\')) quoted = !quoted;
    if (value[i] != ';' || quoted) continue;
    const std::string_view rest = value.substr(i + 1);
    const std::size_t equals = rest.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view found = trimmed(rest.substr(0, equals));
    if (found.size() == name.size() && starts_with_nocase(found, name)) {
      const std::string_view text = rest.substr(equals + 1);
      const std::size_t first = text.find_first_not_of(" \t");
      return first == std::string_view::npos ? std::string() : unquoted(text.substr(first));
    }
  }
  return std::nullopt;
}

MultipartReader::MultipartReader(std::string boundary)
    : delimiter_("\r\n--" + std::move(boundary)), held_("\r\n") {}

std::optional<MultipartReader> MultipartReader::of(std::string_view content_type) {
  if (!starts_with_nocase(trimmed(content_type), "multipart/form-data")) return std::nullopt;
  const auto boundary = header_parameter(content_type, "boundary");
  if (!boundary || boundary->empty() || boundary->size() > boundary_bytes_max) return std::nullopt;
  return MultipartReader(*boundary);
}

void MultipartReader::feed(Bytes bytes, MultipartObserver& observer) {
  if (state_ == State::over) return;
  held_ += as_text(bytes);
  while (step(observer)) {
  }
  held_.erase(0, at_);
  at_ = 0;
}

void MultipartReader::end(MultipartObserver& observer) {
  if (state_ == State::preamble) fail(Fault::generic, observer);
  if (in_file_) {
    if (state_ == State::data) give(ahead().size(), observer);
    observer.on_file_end(false);
  }
  in_file_ = false;
  state_ = State::over;
  held_.clear();
  at_ = 0;
}

// True: there may be more to do with what is held.
bool MultipartReader::step(MultipartObserver& observer) {
  switch (state_) {
    case State::preamble: {
      const std::size_t at = ahead().find(delimiter_);
      if (at == std::string_view::npos) {
        at_ += ahead().size() - std::min(ahead().size(), delimiter_.size() - 1);
        return false;
      }
      at_ += at + delimiter_.size();
      state_ = State::headers;
      return true;
    }
    case State::headers:
      return read_headers(observer);
    case State::data:
      return read_data(observer);
    case State::over:
      return false;
  }
  return false;
}

bool MultipartReader::read_headers(MultipartObserver& observer) {
  if (ahead().starts_with("--")) {
    state_ = State::over;
    at_ = held_.size();
    return false;
  }
  // Behind the boundary comes a line end; without headers the empty line comes at once.
  const std::size_t end = ahead().find("\r\n\r\n");
  if (end == std::string_view::npos) {
    if (ahead().size() > part_header_bytes_max) fail(Fault::invalid_header, observer);
    return false;
  }
  if (end > part_header_bytes_max) {
    fail(Fault::invalid_header, observer);
    return false;
  }
  std::optional<std::string> name;
  std::string_view lines = ahead().substr(0, end);
  while (!lines.empty()) {
    const std::size_t line_end = std::min(lines.find("\r\n"), lines.size());
    const std::string_view line = lines.substr(0, line_end);
    lines.remove_prefix(std::min(line_end + 2, lines.size()));
    constexpr std::string_view disposition = "content-disposition:";
    if (starts_with_nocase(line, disposition)) {
      name = header_parameter(line.substr(disposition.size()), "filename");
    } else if (!trimmed(line).empty() && line.find(':') == std::string_view::npos) {
      if (fault_ == Fault::none) fault_ = Fault::invalid_header;
    }
  }
  // Its last line end may begin the next boundary.
  at_ += end + 2;
  skip_ = 2;
  state_ = State::data;
  file_has_data_ = false;
  in_file_ = name.has_value() && !name->empty();
  if (in_file_) observer.on_file(*name);
  return true;
}

bool MultipartReader::read_data(MultipartObserver& observer) {
  const std::size_t at = ahead().find(delimiter_);
  if (at == std::string_view::npos) {
    // Only the end of what is here may be the beginning of a boundary.
    const std::size_t kept = std::min(ahead().size(), delimiter_.size() + 1);
    give(ahead().size() - kept, observer);
    return false;
  }
  give(at, observer);
  at_ += delimiter_.size();
  if (in_file_) {
    if (!file_has_data_ && fault_ == Fault::none) fault_ = Fault::no_file_data;
    observer.on_file_end(true);
  }
  in_file_ = false;
  state_ = State::headers;
  return true;
}

void MultipartReader::give(std::size_t bytes, MultipartObserver& observer) {
  std::string_view data = ahead().substr(0, bytes);
  const std::size_t skipped = std::min(data.size(), skip_);
  data.remove_prefix(skipped);
  skip_ -= skipped;
  if (in_file_ && !data.empty()) {
    file_has_data_ = true;
    observer.on_file_data(as_bytes(data));
  }
  at_ += bytes;
}

void MultipartReader::fail(Fault fault, MultipartObserver& observer) {
  if (fault_ == Fault::none) fault_ = fault;
  if (in_file_) observer.on_file_end(false);
  in_file_ = false;
  state_ = State::over;
  at_ = held_.size();
}

}  // namespace menshen::sensor
