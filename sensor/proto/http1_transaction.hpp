// An HTTP/1 request with its response, as rules and events see it. Knows nothing of the parser.
#pragma once

#include <string>
#include <vector>

#include "sensor/proto/buffer_set.hpp"

namespace menshen::sensor {

class Http1Transaction final : public Transaction {
 public:
  [[nodiscard]] AppProto proto() const noexcept override { return AppProto::http1; }
  [[nodiscard]] std::size_t instances(Buffer buffer) const noexcept override {
    return buffers.has(buffer) ? 1 : 0;
  }
  [[nodiscard]] View view(Buffer buffer, std::size_t instance) const noexcept override;
  [[nodiscard]] bool complete(Direction direction) const noexcept override {
    return done[static_cast<std::size_t>(direction)];
  }
  [[nodiscard]] std::string eve() const override;

  BufferSet buffers;
  // What only events name.
  std::string hostname;
  std::string forwarded_for;
  int port = -1;
  int status = 0;
  std::uint64_t response_bytes = 0;  // of the message body as sent

  // By Direction.
  std::array<bool, 2> done{};
  std::array<bool, 2> body_cut{};  // the body is longer than what is kept
  std::array<bool, 2> changed{};   // since the observer was told
  bool closed = false;             // both ends were reported
};

}  // namespace menshen::sensor
