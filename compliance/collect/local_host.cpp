// The real host: files below a root, and commands without a shell.
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>

#include "base/file.hpp"
#include "base/handle.hpp"
#include "compliance/collect/host.hpp"

namespace menshen::compliance {
namespace {

constexpr std::size_t names_max = 20'000;
constexpr std::array<std::string_view, 4> program_folders{"/usr/sbin", "/usr/bin", "/sbin", "/bin"};

Text about(const std::string& path) { return {"读取 " + path, "reading " + path}; }

tl::unexpected<Error> failed(const std::string& path, int error = errno) {
  if (error == ENOENT || error == ENOTDIR) return fail(ErrorCode::not_found, about(path));
  return fail_errno(about(path), error);
}

std::string user_name(uid_t uid) {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    return entry.pw_name;
  return std::to_string(uid);
}

std::string group_name(gid_t gid) {
  std::array<char, 4096> buffer{};
  group entry{};
  group* found = nullptr;
  if (getgrgid_r(gid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    return entry.gr_name;
  return std::to_string(gid);
}

std::string find_program(std::string_view name) {
  for (const std::string_view folder : program_folders) {
    std::string path = fmt::format("{}/{}", folder, name);
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

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

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno({"建立管道", "making a pipe"});
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// stdin from and stderr to /dev/null, stdout to the pipe, a fixed environment.
Result<pid_t> spawn(const std::string& program, const HostCommand& command, int out) {
  std::vector<std::string> texts(command.arguments.begin(), command.arguments.end());
  std::vector<char*> arguments;
  for (std::string& text : texts) arguments.push_back(text.data());
  arguments.push_back(nullptr);
  std::string path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  std::string locale = "LC_ALL=C";
  std::array<char*, 3> environment{path.data(), locale.data(), nullptr};

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
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
  const int error = posix_spawn(&pid, program.c_str(), &actions, &attributes, arguments.data(),
                                environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return fail_errno({"运行 " + program, "running " + program}, error);
  return pid;
}

Result<std::string> read_until_end(int fd, const HostCommand& command) {
  const auto deadline = std::chrono::steady_clock::now() + command.timeout;
  std::string out;
  std::array<char, 16384> buffer{};
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd waiting{fd, POLLIN, 0};
    const int ready = poll(&waiting, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return fail_errno({"等待命令输出", "waiting for the command"});
    if (ready == 0) {
      const auto seconds = command.timeout.count();
      return fail(ErrorCode::unavailable,
                  {fmt::format("命令 {} 在 {} 毫秒内未结束", command.name, seconds),
                   fmt::format("command {} did not end within {} ms", command.name, seconds)});
    }
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno({"读取命令输出", "reading the command's output"});
    if (got == 0) return out;
    out.append(buffer.data(), static_cast<std::size_t>(got));
    if (out.size() > command_bytes_max) {
      return fail(ErrorCode::limit, {fmt::format("命令 {} 的输出过长", command.name),
                                     fmt::format("command {} prints too much", command.name)});
    }
  }
}

}  // namespace

// /proc files have no size, so the whole-file helper's stat cannot be trusted: read to the end.
Result<std::string> LocalHost::read(const std::string& path) const {
  const std::filesystem::path full = root_ / std::filesystem::path(path).relative_path();
  const UniqueFd fd(open(full.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return failed(path);
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) return failed(path);
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::invalid, {path + " 不是普通文件", path + " is not a regular file"});
  }
  std::string content;
  std::array<char, 16384> buffer{};
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(path);
    if (got == 0) return content;
    content.append(buffer.data(), static_cast<std::size_t>(got));
    if (content.size() > host_file_bytes_max)
      return fail(ErrorCode::limit, {path + " 过大", path + " is too large"});
  }
}

Result<FileStatus> LocalHost::status(const std::string& path) const {
  const std::filesystem::path full = root_ / std::filesystem::path(path).relative_path();
  struct stat status {};
  if (stat(full.c_str(), &status) != 0) return failed(path);
  return FileStatus{status.st_mode & 07777U, S_ISDIR(status.st_mode), user_name(status.st_uid),
                    group_name(status.st_gid),
                    WallTime{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

Result<std::vector<std::string>> LocalHost::list(const std::string& path) const {
  const std::filesystem::path full = root_ / std::filesystem::path(path).relative_path();
  std::vector<std::string> names;
  std::error_code code;
  for (std::filesystem::directory_iterator it(full, code), end; !code && it != end;
       it.increment(code)) {
    if (names.size() >= names_max)
      return fail(ErrorCode::limit, {path + " 中文件过多", "too many files in " + path});
    names.push_back(it->path().filename().string());
  }
  if (code) return failed(path, code.value());
  std::sort(names.begin(), names.end());
  return names;
}

Result<CommandOutput> LocalHost::run(const HostCommand& command) const {
  if (root_ != "/") {
    return fail(ErrorCode::unavailable,
                {"离线目录上不运行命令", "no commands are run on an offline tree"});
  }
  const std::string program = find_program(command.arguments.front());
  if (program.empty()) {
    return fail(ErrorCode::not_found,
                {fmt::format("未安装 {}", command.arguments.front()),
                 fmt::format("{} is not installed", command.arguments.front())});
  }
  Pipe pipe = MENSHEN_TRY(make_pipe());
  Child child(MENSHEN_TRY(spawn(program, command, pipe.write.get())));
  pipe.write.reset();
  std::string out = MENSHEN_TRY(read_until_end(pipe.read.get(), command));
  return CommandOutput{child.wait(), std::move(out)};
}

}  // namespace menshen::compliance
