// A message body of HTTP, 1 or 2: what rules see of it, what it carries as files, and the content
// codings that the message parser leaves.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "sensor/proto/buffer_set.hpp"
#include "sensor/proto/decompress.hpp"
#include "sensor/proto/file.hpp"
#include "sensor/proto/http_multipart.hpp"

namespace menshen::sensor {

class HttpBody final : private MultipartObserver {
 public:
  // What the message's head says.
  struct Head {
    std::string_view content_type;
    std::string_view content_disposition;
    std::string_view path;                // of the request's target: a file's name without another
    std::optional<ContentCoding> coding;  // still to be undone
    bool is_file = true;                  // its body is one (not that of a GET)
  };

  // `files` and `transaction` outlive it.
  HttpBody(Files& files, Transaction& transaction, Direction direction, const Head& head,
           const DecompressLimits& limits);
  ~HttpBody() override;

  // Appends to `text` up to text_max bytes; the files get all of it. False: `text` is full.
  bool append(Bytes bytes, std::string& text, std::size_t text_max);
  void gap(std::uint64_t length);
  void end(bool whole);

  [[nodiscard]] MultipartReader::Fault fault() const noexcept {
    return multipart_ ? multipart_->fault() : MultipartReader::Fault::none;
  }
  // The coding could not be undone; what came is given as it is.
  [[nodiscard]] bool coding_broken() const noexcept { return coding_broken_; }
  [[nodiscard]] bool decompresses() const noexcept { return decompressor_.has_value(); }
  [[nodiscard]] bool bomb() const noexcept { return bomb_; }
  // A file's name has, or had before it was cut, as many bytes as are kept.
  [[nodiscard]] bool long_name() const noexcept { return long_name_; }

 private:
  void on_file(std::string_view name) override;
  void on_file_data(Bytes bytes) override;
  void on_file_end(bool whole) override;
  bool give(Bytes bytes, std::string& text, std::size_t text_max);

  Files& files_;
  Transaction& transaction_;
  Direction direction_;
  std::optional<Decompressor> decompressor_;
  std::optional<MultipartReader> multipart_;
  std::string name_;
  File* file_ = nullptr;
  bool whole_is_file_ = false;
  bool name_taken_ = false;  // its one file was asked for
  bool coding_broken_ = false;
  bool bomb_ = false;
  bool long_name_ = false;
};

}  // namespace menshen::sensor
