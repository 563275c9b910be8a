#include "base/service.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>

#include "tests/testkit/temp_dir.hpp"

namespace menshen {
namespace {

// In a process of its own, since signal masks and standard streams belong to the whole of it.
// Returns what it wrote to stderr, or an error where it did not exit with 0.
std::string in_child(auto work) {
  const UniqueFd file(::memfd_create("stderr", MFD_CLOEXEC));
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(file.get(), STDERR_FILENO);
    ::_exit(work() ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  std::string text(4096, '\0');
  const ssize_t n = ::pread(file.get(), text.data(), text.size(), 0);
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return "failed: " + text;
  return text;
}

TEST_CASE("signals are read, not suffered") {
  CHECK(in_child([] {
          auto signals = Signals::make();
          if (!signals || signals->take() != Signal::none) return false;
          pollfd ready{signals->fd(), POLLIN, 0};
          bool good = ::poll(&ready, 1, 0) == 0;
          for (const auto& [number, signal] :
               {std::pair{SIGTERM, Signal::stop}, std::pair{SIGINT, Signal::stop},
                std::pair{SIGHUP, Signal::reload}}) {
            ::raise(number);
            good = good && ::poll(&ready, 1, 0) == 1;
            good = good && signals->take() == signal;
            good = good && signals->take() == Signal::none;
          }
          ::raise(SIGPIPE);
          return good;
        }) == "");
}

TEST_CASE("a log line is one line, in the language that was set") {
  CHECK(in_child([] {
          ::unsetenv("JOURNAL_STREAM");
          set_log_language(Lang::zh);
          log(LogLevel::error, {"坏了", "broken"});
          set_log_language(Lang::en);
          log(LogLevel::warning, {"", "first\nsecond\x1b[31m\xff"});
          log(LogLevel::notice, {"", "n"});
          log(LogLevel::info, {"", "i"});
          return true;
        }) == "错误: 坏了\nwarning: first\\nsecond\\x1b[31m\\xff\nnotice: n\ninfo: i\n");
}

TEST_CASE("the journal gets priorities, and only the journal") {
  const auto log_with_stream = [](bool own) {
    return in_child([own] {
      struct stat status {};
      ::fstat(STDERR_FILENO, &status);
      const auto inode = own ? status.st_ino : status.st_ino + 1;
      ::setenv("JOURNAL_STREAM", fmt::format("{}:{}", status.st_dev, inode).c_str(), 1);
      set_log_language(Lang::en);
      log(LogLevel::error, {"", "e"});
      log(LogLevel::info, {"", "i"});
      return true;
    });
  };
  CHECK(log_with_stream(true) == "<3>e\n<6>i\n");
  CHECK(log_with_stream(false) == "error: e\ninfo: i\n");
}

TEST_CASE("systemd is told") {
  const testkit::TempDir folder;
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = folder / "notify";
  path.copy(std::begin(address.sun_path), sizeof(address.sun_path) - 1);
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  const auto received = [&socket] {
    std::array<char, 512> buffer{};
    const ssize_t n = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    return n < 0 ? std::string("nothing") : std::string(buffer.data(), static_cast<std::size_t>(n));
  };
  REQUIRE(in_child([&path] {
            ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
            notify_ready("10 个队列");
            notify_status("a\nMAINPID=1");
            notify_reloading();
            notify_stopping();
            return true;
          }) == "");
  CHECK(received() == "READY=1\nSTATUS=10 个队列");
  CHECK(received() == "STATUS=a\\nMAINPID=1");
  CHECK(received().substr(0, 27) == "RELOADING=1\nMONOTONIC_USEC=");
  CHECK(received() == "STOPPING=1");
  REQUIRE(in_child([] {
            ::unsetenv("NOTIFY_SOCKET");
            notify_ready("");
            return true;
          }) == "");
  CHECK(received() == "nothing");
}

}  // namespace
}  // namespace menshen
