// The real host: files below a root, and commands without a shell.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/file.hpp"
#include "base/handle.hpp"
#include "base/users.hpp"
#include "compliance/collect/host.hpp"
#include "compliance/collect/process.hpp"

namespace menshen::compliance {
namespace {

constexpr std::size_t names_max = 20'000;

Text about(const std::string& path) { return {"读取 " + path, "reading " + path}; }

tl::unexpected<Error> failed(const std::string& path, int error = errno) {
  if (error == ENOENT || error == ENOTDIR) return fail(ErrorCode::not_found, about(path));
  return fail_errno(about(path), error);
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
  return FileStatus{status.st_mode & 07777U, S_ISDIR(status.st_mode),
                    user_name(status.st_uid).value_or(std::to_string(status.st_uid)),
                    group_name(status.st_gid).value_or(std::to_string(status.st_gid)),
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
  ProcessResult result = MENSHEN_TRY(run_process({.program = program,
                                                  .arguments = command.arguments,
                                                  .input = {},
                                                  .timeout = command.timeout,
                                                  .out_bytes_max = command_bytes_max}));
  return CommandOutput{result.status, std::move(result.out)};
}

}  // namespace menshen::compliance
