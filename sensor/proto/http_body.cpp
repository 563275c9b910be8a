#include "sensor/proto/http_body.hpp"

#include <algorithm>

namespace menshen::sensor {

namespace {

constexpr std::size_t file_name_bytes_max = 1024;

}  // namespace

HttpBody::HttpBody(Files& files, Transaction& transaction, Direction direction, const Head& head,
                   const DecompressLimits& limits)
    : files_(files), transaction_(transaction), direction_(direction) {
  if (head.coding) decompressor_.emplace(*head.coding, limits);
  if (!head.is_file) return;
  if (direction == Direction::to_server) multipart_ = MultipartReader::of(head.content_type);
  if (multipart_) return;
  whole_is_file_ = true;
  name_ = header_parameter(head.content_disposition, "filename").value_or(std::string(head.path));
}

HttpBody::~HttpBody() { end(false); }

bool HttpBody::append(Bytes bytes, std::string& text, std::size_t text_max) {
  if (!decompressor_ || coding_broken_) return give(bytes, text, text_max);
  if (bomb_) return text.size() < text_max;
  bool room = true;
  const bool at_start = decompressor_->output_bytes() == 0;
  const Decompressor::Status status = decompressor_->feed(
      bytes, [&](Bytes opened) { room = give(opened, text, text_max) && room; });
  if (status == Decompressor::Status::bomb) bomb_ = true;
  if (status == Decompressor::Status::broken) {
    coding_broken_ = true;
    // A server that names a coding and does not use it.
    if (at_start && decompressor_->output_bytes() == 0) return give(bytes, text, text_max);
  }
  return room;
}

bool HttpBody::give(Bytes bytes, std::string& text, std::size_t text_max) {
  const std::size_t room = text_max - std::min(text_max, text.size());
  text += as_text(bytes.first(std::min(room, bytes.size())));
  if (multipart_) {
    multipart_->feed(bytes, *this);
  } else if (whole_is_file_ && !bytes.empty()) {
    if (file_ == nullptr && !name_taken_) on_file(name_);
    name_taken_ = true;
    on_file_data(bytes);
  }
  return bytes.size() <= room;
}

void HttpBody::gap(std::uint64_t length) {
  if (file_ != nullptr) files_.gap(*file_, length);
}

void HttpBody::end(bool whole) {
  if (multipart_) multipart_->end(*this);
  on_file_end(whole);
}

void HttpBody::on_file(std::string_view name) {
  file_ = files_.open(transaction_, direction_, name);
  long_name_ = long_name_ || (file_ != nullptr && file_->name.size() >= file_name_bytes_max);
}

void HttpBody::on_file_data(Bytes bytes) {
  if (file_ != nullptr) files_.append(*file_, bytes);
}

void HttpBody::on_file_end(bool whole) {
  if (file_ != nullptr) files_.close(*file_, whole ? File::State::closed : File::State::truncated);
  file_ = nullptr;
}

}  // namespace menshen::sensor
