#include "compliance/collect/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "base/file.hpp"

namespace menshen::compliance {
namespace {

constexpr std::array<std::string_view, 4> program_folders{"/usr/sbin", "/usr/bin", "/sbin", "/bin"};

// Reaps the child whatever happens; kills it first where it still runs.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    static_cast<void>(wait());
  }
  int wait() {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_;
};

struct Ends {
  UniqueFd ours;
  UniqueFd theirs;
};

// A socket pair where the program may stop reading: writing to it then raises no signal.
Result<Ends> make_ends(bool input) {
  std::array<int, 2> ends{};
  if (input) {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
      return fail_errno({"建立管道", "making a pipe"});
  } else if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return fail_errno({"建立管道", "making a pipe"});
  }
  return Ends{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

Result<pid_t> spawn(const ProcessRequest& request, int in, int out, int err) {
  std::vector<std::string> arguments = request.arguments;
  std::vector<std::string> environment = request.environment;
  environment.emplace_back("PATH=/usr/sbin:/usr/bin:/sbin:/bin");
  environment.emplace_back("LC_ALL=C");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, err, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, request.program.c_str(), &actions, &attributes,
                                pointers(arguments).data(), pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    return fail_errno({"运行 " + request.program, "running " + request.program}, error);
  return pid;
}

// One conversation with the program over its three ends.
class Conversation {
 public:
  Conversation(const ProcessRequest& request, UniqueFd in, UniqueFd out, UniqueFd err)
      : request_(request), in_(std::move(in)), out_(std::move(out)), err_(std::move(err)) {}

  Result<void> run(ProcessResult& result) {
    const auto deadline = std::chrono::steady_clock::now() + request_.timeout;
    while (out_ || err_) {
      if (sent_ == request_.input.size()) in_.reset();
      std::array<pollfd, 3> waiting{
          {{in_.get(), POLLOUT, 0}, {out_.get(), POLLIN, 0}, {err_.get(), POLLIN, 0}}};
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          deadline - std::chrono::steady_clock::now());
      const int ready = poll(waiting.data(), waiting.size(),
                             static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
      if (ready < 0 && errno == EINTR) continue;
      if (ready < 0) return fail_errno({"等待命令输出", "waiting for the command"});
      if (ready == 0) return timed_out();
      if (in_ && waiting[0].revents != 0) send_input();
      if (out_ && waiting[1].revents != 0) receive(out_, result.out, request_.out_bytes_max + 1);
      if (err_ && waiting[2].revents != 0) receive(err_, result.err, process_err_bytes_max);
      if (result.out.size() > request_.out_bytes_max) return too_much();
    }
    return {};
  }

 private:
  void send_input() {
    const ssize_t n = send(in_.get(), request_.input.data() + sent_, request_.input.size() - sent_,
                           MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) sent_ += static_cast<std::size_t>(n);
    if (n < 0 && errno != EAGAIN && errno != EINTR) in_.reset();  // it reads no more
  }

  // Beyond bytes_max what comes is read and dropped.
  static void receive(UniqueFd& fd, std::string& into, std::size_t bytes_max) {
    std::array<char, 16384> buffer{};
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) return;
    if (n <= 0) {
      fd.reset();
      return;
    }
    const std::size_t room = bytes_max - std::min(bytes_max, into.size());
    into.append(buffer.data(), std::min(static_cast<std::size_t>(n), room));
  }

  [[nodiscard]] tl::unexpected<Error> timed_out() const {
    const auto ms = request_.timeout.count();
    return fail(ErrorCode::unavailable,
                {fmt::format("{} 在 {} 毫秒内未结束", request_.arguments.front(), ms),
                 fmt::format("{} did not end within {} ms", request_.arguments.front(), ms)});
  }
  [[nodiscard]] tl::unexpected<Error> too_much() const {
    return fail(
        ErrorCode::limit,
        {fmt::format("{} 的输出超过 {} 字节", request_.arguments.front(), request_.out_bytes_max),
         fmt::format("{} prints more than {} bytes", request_.arguments.front(),
                     request_.out_bytes_max)});
  }

  const ProcessRequest& request_;
  UniqueFd in_, out_, err_;
  std::size_t sent_ = 0;
};

}  // namespace

std::string find_program(std::string_view name) {
  for (const std::string_view folder : program_folders) {
    std::string path = fmt::format("{}/{}", folder, name);
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

Result<ProcessResult> run_process(const ProcessRequest& request) {
  Ends in = MENSHEN_TRY(make_ends(true));
  Ends out = MENSHEN_TRY(make_ends(false));
  Ends err = MENSHEN_TRY(make_ends(false));
  Child child(MENSHEN_TRY(spawn(request, in.theirs.get(), out.theirs.get(), err.theirs.get())));
  in.theirs.reset();
  out.theirs.reset();
  err.theirs.reset();
  ProcessResult result;
  // pipe2 gives the reading end first.
  MENSHEN_CHECK(Conversation(request, std::move(in.ours), std::move(out.ours), std::move(err.ours))
                    .run(result));
  result.status = child.wait();
  return result;
}

}  // namespace menshen::compliance
