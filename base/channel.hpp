// Messages between the daemons: Unix sockets of SOCK_SEQPACKET, so the kernel keeps message
// boundaries, and the peer's credentials come from the kernel (SO_PEERCRED), not from the peer.
//
// One message is 1 to message_bytes_max bytes: a longer one is refused by the sender
// (ErrorCode::limit), an empty one too (ErrorCode::invalid); from a hostile peer a longer one
// closes the connection (receive says ErrorCode::limit once, then nothing) and an empty one reads
// as its end. Not thread-safe: one owner per Channel.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "base/byte_reader.hpp"
#include "base/file.hpp"
#include "base/result.hpp"

namespace menshen {

inline constexpr std::size_t message_bytes_max =
    160U << 10U;  // below the kernel's default socket buffer

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

class Channel {
 public:
  // Connects; ErrorCode::unavailable where nobody listens.
  [[nodiscard]] static Result<Channel> connect(const std::filesystem::path& path);
  explicit Channel(UniqueFd fd) : fd_(std::move(fd)) {}

  // Blocks while the peer's buffer is full, at most `timeout` (ErrorCode::unavailable then, or if
  // it has gone).
  [[nodiscard]] Result<void> send(Bytes message,
                                  std::chrono::milliseconds timeout = std::chrono::seconds(10));
  // The next message; nothing when the peer closed or died (a reset too); ErrorCode::unavailable
  // after `timeout`.
  [[nodiscard]] Result<std::optional<std::string>> receive(
      std::chrono::milliseconds timeout = std::chrono::seconds(10));

  [[nodiscard]] Result<PeerCredentials> peer() const;
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

 private:
  UniqueFd fd_;
};

class Listener {
 public:
  // Replaces a stale socket file; ErrorCode::exists where a live server answers on it. `mode` and
  // `group` (by name, empty: unchanged) decide who may connect.
  [[nodiscard]] static Result<Listener> bind(const std::filesystem::path& path, mode_t mode = 0660,
                                             const std::string& group = {});
  // The next waiting connection; nothing if there is none now (poll fd() first).
  [[nodiscard]] Result<std::optional<Channel>> accept();
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&& other) noexcept;
  ~Listener();  // removes the socket file

 private:
  Listener(UniqueFd fd, std::filesystem::path path, ino_t inode)
      : fd_(std::move(fd)), path_(std::move(path)), inode_(inode) {}
  void remove_file() noexcept;

  UniqueFd fd_;
  std::filesystem::path path_;
  ino_t inode_ = 0;
};

}  // namespace menshen
