// Asks a daemon over its control socket. One connection, one request at a time; not thread-safe.
#pragma once

#include <chrono>
#include <filesystem>

#include "apps/control/message.hpp"
#include "base/channel.hpp"

namespace menshen::apps {

class ControlClient {
 public:
  // ErrorCode::unavailable where the daemon does not run, ErrorCode::denied where the socket may
  // not be opened.
  [[nodiscard]] static Result<ControlClient> connect(const std::filesystem::path& socket);

  // The reply's result; the daemon's own error otherwise. After ErrorCode::unavailable the
  // connection is spent.
  [[nodiscard]] Result<Json> call(const Request& request,
                                  std::chrono::milliseconds timeout = std::chrono::seconds(60));

 private:
  explicit ControlClient(Channel channel) : channel_(std::move(channel)) {}
  Channel channel_;
};

// Connect, ask, close.
[[nodiscard]] Result<Json> control_call(
    const std::filesystem::path& socket, const Request& request,
    std::chrono::milliseconds timeout = std::chrono::seconds(60));

}  // namespace menshen::apps
