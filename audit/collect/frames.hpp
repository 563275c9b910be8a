// Messages out of a syslog connection: octet counting and lines (RFC 6587), told apart message by
// message, as senders mix them.
//
// Memory: message_bytes_max and what one feed brings. A longer message is cut: its beginning is
// given, the rest passed over. Linear.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace menshen::audit {

struct Frame {
  std::string_view message;
  bool cut = false;
};

class FrameReader {
 public:
  explicit FrameReader(std::size_t message_bytes_max) : most_(message_bytes_max) {}

  void feed(std::string_view bytes);
  // The next message; views live until the next feed. Nothing: more bytes are needed.
  [[nodiscard]] std::optional<Frame> next();
  // At the connection's end: what is left without its end.
  [[nodiscard]] std::optional<Frame> last();

 private:
  [[nodiscard]] std::optional<Frame> line();
  [[nodiscard]] std::optional<Frame> counted(std::size_t digits, std::size_t length);
  void skip();

  std::size_t most_;
  std::string buffer_;
  std::size_t at_ = 0;
  std::size_t searched_ = 0;  // up to here there is no end of a line
  std::size_t skip_bytes_ = 0;
  bool skip_line_ = false;
};

}  // namespace menshen::audit
