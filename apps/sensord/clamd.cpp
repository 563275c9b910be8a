#include "apps/sensord/clamd.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>

#include "base/file.hpp"

namespace menshen::apps {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view command{"zINSTREAM\0", 10};  // with its zero
constexpr std::size_t chunk_bytes = 64U << 10U;
constexpr std::size_t answer_bytes_max = 1024;

// A connection with a time at which everything is over. Each call: true, or errno's reason is set.
class Connection {
 public:
  explicit Connection(Clock::time_point deadline) : deadline_(deadline) {}

  bool open(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string& name = path.native();
    if (name.empty() || name.size() >= sizeof address.sun_path) return fails(ENAMETOOLONG);
    std::memcpy(address.sun_path, name.data(), name.size());
    fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd_) return fails(errno);
    // A Unix socket connects at once, or refuses: EAGAIN where too many wait already.
    const auto* where = reinterpret_cast<const sockaddr*>(&address);
    return ::connect(fd_.get(), where, sizeof address) == 0 || fails(errno);
  }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      } else if (!again(errno) || !wait(POLLOUT)) {
        return false;
      }
    }
    return true;
  }

  // Up to the zero that ends an answer, or the end of the connection.
  std::optional<std::string> receive() {
    std::string answer;
    std::array<char, answer_bytes_max> buffer{};
    while (answer.size() < answer_bytes_max) {
      const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
      if (got == 0) return answer;
      if (got > 0) {
        answer.append(buffer.data(), static_cast<std::size_t>(got));
        if (const auto end = answer.find('\0'); end != std::string::npos) {
          answer.resize(end);
          return answer;
        }
      } else if (!again(errno) || !wait(POLLIN)) {
        return std::nullopt;
      }
    }
    fails(EMSGSIZE);
    return std::nullopt;
  }

  [[nodiscard]] std::string why() const { return std::generic_category().message(error_); }

 private:
  bool fails(int error) {
    error_ = error;
    return false;
  }
  bool again(int error) { return error == EAGAIN || error == EINTR || fails(error); }
  bool wait(short events) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    if (left <= 0) return fails(ETIMEDOUT);
    pollfd one{fd_.get(), events, 0};
    const int ready = ::poll(&one, 1, static_cast<int>(left));
    if (ready < 0 && errno != EINTR) return fails(errno);
    return ready != 0 || fails(ETIMEDOUT);
  }

  Clock::time_point deadline_;
  UniqueFd fd_;
  int error_ = 0;
};

std::string length_of(std::size_t bytes) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(bytes >> shift & 0xffU);
  return out;
}

bool send_all(Connection& clamd, std::string_view bytes) {
  if (!clamd.send(command)) return false;
  while (!bytes.empty()) {
    const std::string_view chunk = bytes.substr(0, chunk_bytes);
    if (!clamd.send(length_of(chunk.size())) || !clamd.send(chunk)) return false;
    bytes.remove_prefix(chunk.size());
  }
  return clamd.send(length_of(0));
}

// "stream: OK", "stream: NAME FOUND", "... ERROR".
ScanAnswer read_answer(std::string_view answer) {
  using Verdict = ScanAnswer::Verdict;
  constexpr std::string_view stream = "stream: ";
  constexpr std::string_view found = " FOUND";
  if (answer.starts_with(stream)) {
    answer.remove_prefix(stream.size());
    if (answer == "OK") return {Verdict::clean, {}};
    if (answer.ends_with(found) && answer.size() > found.size()) {
      return {Verdict::infected, std::string(answer.substr(0, answer.size() - found.size()))};
    }
  }
  return {Verdict::failed, fmt::format("clamd: {}", answer)};
}

}  // namespace

ScanAnswer Clamd::scan(std::string_view bytes) const {
  Connection clamd(Clock::now() + timeout_);
  const auto failed = [&] {
    return ScanAnswer{ScanAnswer::Verdict::failed,
                      fmt::format("{}: {}", socket_.string(), clamd.why())};
  };
  if (!clamd.open(socket_)) return failed();
  // Beyond its own limit clamd answers before it has read all of it, and closes.
  const bool sent = send_all(clamd, bytes);
  const auto answer = clamd.receive();
  if (answer && !answer->empty()) return read_answer(*answer);
  if (!sent || !answer) return failed();
  return {ScanAnswer::Verdict::failed, "clamd closed the connection without an answer"};
}

}  // namespace menshen::apps
