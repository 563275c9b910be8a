#include "base/channel.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/users.hpp"

namespace menshen {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int listen_backlog = 64;
constexpr std::chrono::seconds connect_timeout{10};

Text cannot(std::string_view zh, std::string_view en, const std::filesystem::path& path) {
  return {fmt::format("无法{} {}", zh, path.string()),
          fmt::format("cannot {} {}", en, path.string())};
}

Result<sockaddr_un> address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& text = path.native();
  if (text.empty() || text.size() >= sizeof(address.sun_path)) {
    return fail(
        text.empty() ? ErrorCode::invalid : ErrorCode::limit,
        {fmt::format("套接字路径“{}”的长度须为 1 至 {} 字节", text, sizeof(address.sun_path) - 1),
         fmt::format("the socket path \"{}\" is not 1 to {} bytes long", text,
                     sizeof(address.sun_path) - 1)});
  }
  std::copy(text.begin(), text.end(), std::begin(address.sun_path));
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

UniqueFd make_socket(int flags) {
  return UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0));
}

// A message of the agreed length must fit where an administrator has lowered the default, too.
void widen_send_buffer(int fd) {
  const int bytes = static_cast<int>(message_bytes_max + (32U << 10U));
  static_cast<void>(::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)));
}

tl::unexpected<Error> timed_out() {
  return fail(ErrorCode::unavailable, {"等待对方超时", "the peer does not answer in time"});
}

// Waits for `events`; false at the deadline.
Result<bool> wait_for(int fd, short events, SteadyClock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SteadyClock::now());
    pollfd poll_fd{fd, events, 0};
    const auto wait_ms = std::clamp<std::int64_t>(left.count(), 0, 1 << 30);
    const int ready = ::poll(&poll_fd, 1, static_cast<int>(wait_ms));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR)
      return fail_errno({"等待套接字失败", "cannot wait for a socket"});
    if (ready == 0 && SteadyClock::now() >= deadline) return false;
  }
}

bool is_gone(int error) { return error == EPIPE || error == ECONNRESET || error == ENOTCONN; }

// Whether something listens at the path. A full backlog (EAGAIN) is a live server as well.
bool answers(const sockaddr_un& address) {
  const UniqueFd probe = make_socket(SOCK_NONBLOCK);
  if (!probe) return true;  // cannot know: do not take the path away from somebody
  if (::connect(probe.get(), generic(address), sizeof(address)) == 0) return true;
  return errno != ECONNREFUSED && errno != ENOENT;
}

Result<void> remove_stale(const std::filesystem::path& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return fail_errno(cannot("查看", "look at", path));
  }
  if (!S_ISSOCK(status.st_mode)) {
    return fail(ErrorCode::exists, {fmt::format("{} 已存在，且不是套接字", path.string()),
                                    fmt::format("{} exists and is no socket", path.string())});
  }
  if (answers(address)) {
    return fail(ErrorCode::exists,
                {fmt::format("{} 上已有服务在运行", path.string()),
                 fmt::format("a server is already listening on {}", path.string())});
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return fail_errno(cannot("删除", "remove", path));
  return {};
}

}  // namespace

Result<Channel> Channel::connect(const std::filesystem::path& path) {
  const sockaddr_un address = MENSHEN_TRY(address_of(path));
  UniqueFd fd = make_socket(0);
  if (!fd) return fail_errno({"无法创建套接字", "cannot make a socket"});
  widen_send_buffer(fd.get());
  // connect() waits for room in the server's backlog, by SO_SNDTIMEO.
  const timeval timeout{connect_timeout.count(), 0};
  static_cast<void>(::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)));
  while (::connect(fd.get(), generic(address), sizeof(address)) != 0) {
    const int error = errno;
    if (error == EINTR) continue;
    const auto failure = fail_errno(cannot("连接", "connect to", path), error);
    if (error != ENOENT) return failure;
    return fail(ErrorCode::unavailable, failure.value().text);  // no socket file: nobody listens
  }
  return Channel(std::move(fd));
}

Result<void> Channel::send(Bytes message, std::chrono::milliseconds timeout) {
  if (message.empty()) {
    // A SEQPACKET reader could not tell it from the end of the connection.
    return fail(ErrorCode::invalid, {"消息为空", "the message is empty"});
  }
  if (message.size() > message_bytes_max) {
    return fail(ErrorCode::limit,
                {fmt::format("消息超过 {} 字节", message_bytes_max),
                 fmt::format("the message is longer than {} bytes", message_bytes_max)});
  }
  const auto deadline = SteadyClock::now() + timeout;
  for (;;) {
    const ssize_t n =
        ::send(fd_.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) return {};
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return fail_errno({"无法发送消息", "cannot send a message"});
    if (!MENSHEN_TRY(wait_for(fd_.get(), POLLOUT, deadline))) return timed_out();
  }
}

Result<std::optional<std::string>> Channel::receive(std::chrono::milliseconds timeout) {
  using Message = std::optional<std::string>;
  const auto deadline = SteadyClock::now() + timeout;
  for (;;) {
    if (!fd_) return Message{};
    // The length first: a buffer of the largest size for each message would be mostly wasted.
    constexpr int peek = MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT;
    const ssize_t length = ::recv(fd_.get(), nullptr, 0, peek);
    if (length == 0) return Message{};
    if (length > 0) {
      const auto size = static_cast<std::size_t>(length);
      if (size > message_bytes_max) {
        fd_.reset();
        return fail(ErrorCode::limit,
                    {fmt::format("对方的消息超过 {} 字节，连接已关闭", message_bytes_max),
                     fmt::format("the peer's message is longer than {} bytes; connection closed",
                                 message_bytes_max)});
      }
      std::string message(size, '\0');
      const ssize_t n = ::recv(fd_.get(), message.data(), size, MSG_DONTWAIT);
      if (n == length) return Message{std::move(message)};
      return fail_errno({"无法接收消息", "cannot receive a message"}, n < 0 ? errno : EIO);
    }
    if (is_gone(errno)) return Message{};
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return fail_errno({"无法接收消息", "cannot receive a message"});
    if (!MENSHEN_TRY(wait_for(fd_.get(), POLLIN, deadline))) return timed_out();
  }
}

Result<PeerCredentials> Channel::peer() const {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(fd_.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return fail_errno({"无法取得对方身份", "cannot tell who the peer is"});
  }
  return PeerCredentials{credentials.pid, credentials.uid, credentials.gid};
}

Result<Listener> Listener::bind(const std::filesystem::path& path, mode_t mode,
                                const std::string& group) {
  const sockaddr_un address = MENSHEN_TRY(address_of(path));
  const gid_t gid = group.empty() ? static_cast<gid_t>(-1) : MENSHEN_TRY(find_group(group)).gid;
  MENSHEN_CHECK(remove_stale(path, address));
  UniqueFd fd = make_socket(SOCK_NONBLOCK);
  if (!fd) return fail_errno({"无法创建套接字", "cannot make a socket"});
  widen_send_buffer(fd.get());  // accepted sockets inherit it
  if (::bind(fd.get(), generic(address), sizeof(address)) != 0) {
    return fail_errno(cannot("创建套接字", "make the socket", path));
  }
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return fail_errno(cannot("查看", "look at", path));
  Listener listener(std::move(fd), path, status.st_ino);
  // Nobody can connect before listen(), so the umask's rights never count.
  if (!group.empty() && ::chown(path.c_str(), static_cast<uid_t>(-1), gid) != 0) {
    return fail_errno(cannot("设置用户组", "set the group of", path));
  }
  if (::chmod(path.c_str(), mode) != 0)
    return fail_errno(cannot("设置权限", "set the mode of", path));
  if (::listen(listener.fd(), listen_backlog) != 0) {
    return fail_errno(cannot("监听", "listen on", path));
  }
  return listener;
}

Result<std::optional<Channel>> Listener::accept() {
  for (;;) {
    UniqueFd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (fd) return std::optional<Channel>(Channel(std::move(fd)));
    if (errno == EAGAIN) return std::optional<Channel>{};
    if (errno == EINTR || errno == ECONNABORTED) continue;
    return fail_errno(cannot("接受连接", "accept a connection on", path_));
  }
}

Listener& Listener::operator=(Listener&& other) noexcept {
  if (this != &other) {
    remove_file();
    fd_ = std::move(other.fd_);
    path_ = std::move(other.path_);
    inode_ = other.inode_;
  }
  return *this;
}

Listener::~Listener() { remove_file(); }

void Listener::remove_file() noexcept {
  if (!fd_) return;  // moved from
  struct stat status {};
  // Not a successor's: it may have found this one stale and taken the path over.
  if (::lstat(path_.c_str(), &status) == 0 && status.st_ino == inode_) {
    static_cast<void>(::unlink(path_.c_str()));
  }
}

}  // namespace menshen
