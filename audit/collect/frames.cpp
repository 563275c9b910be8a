#include "audit/collect/frames.hpp"

#include <algorithm>

namespace menshen::audit {
namespace {

constexpr std::size_t digits_max = 9;
constexpr std::string_view line_ends("\n\0", 2);

}  // namespace

void FrameReader::feed(std::string_view bytes) {
  buffer_.erase(0, at_);
  searched_ -= std::min(searched_, at_);
  at_ = 0;
  buffer_.append(bytes);
}

// Drops what belongs to a message that was cut.
void FrameReader::skip() {
  const std::size_t n = std::min(skip_bytes_, buffer_.size() - at_);
  at_ += n;
  skip_bytes_ -= n;
  if (!skip_line_) return;
  const std::size_t end = buffer_.find_first_of(line_ends, at_);
  skip_line_ = end == std::string::npos;
  at_ = skip_line_ ? buffer_.size() : end + 1;
}

std::optional<Frame> FrameReader::counted(std::size_t digits, std::size_t length) {
  const std::size_t begin = at_ + digits + 1;
  const std::size_t wanted = std::min(length, most_);
  if (buffer_.size() - begin < wanted) return std::nullopt;
  const Frame frame{std::string_view(buffer_).substr(begin, wanted), length > most_};
  at_ = begin + wanted;
  skip_bytes_ = length - wanted;
  return frame;
}

std::optional<Frame> FrameReader::line() {
  const std::size_t end = buffer_.find_first_of(line_ends, std::max(at_, searched_));
  searched_ = end == std::string::npos ? buffer_.size() : at_;
  const std::size_t length = std::min(end, buffer_.size()) - at_;
  if (length > most_) {
    const Frame frame{std::string_view(buffer_).substr(at_, most_), true};
    at_ += most_;
    skip_line_ = true;
    searched_ = at_;
    return frame;
  }
  if (end == std::string::npos) return std::nullopt;
  const Frame frame{std::string_view(buffer_).substr(at_, length), false};
  at_ = end + 1;
  return frame;
}

std::optional<Frame> FrameReader::next() {
  while (true) {
    skip();
    if (at_ >= buffer_.size()) return std::nullopt;
    std::size_t digits = 0;
    std::size_t length = 0;
    while (digits < digits_max && at_ + digits < buffer_.size() && buffer_[at_ + digits] >= '0' &&
           buffer_[at_ + digits] <= '9') {
      length = length * 10 + static_cast<std::size_t>(buffer_[at_ + digits++] - '0');
    }
    const bool at_end = at_ + digits == buffer_.size();
    if (digits > 0 && digits < digits_max && at_end) return std::nullopt;
    const bool counts =
        digits > 0 && !at_end && buffer_[at_] != '0' && buffer_[at_ + digits] == ' ';
    const auto frame = counts ? counted(digits, length) : line();
    if (!frame || !frame->message.empty()) return frame;
  }
}

std::optional<Frame> FrameReader::last() {
  skip();
  if (at_ >= buffer_.size()) return std::nullopt;
  const Frame frame{std::string_view(buffer_).substr(at_, most_), buffer_.size() - at_ > most_};
  at_ = buffer_.size();
  return frame;
}

}  // namespace menshen::audit
