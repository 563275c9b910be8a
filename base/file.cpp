#include "base/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace menshen {
namespace {

// Removes a temporary file unless it has been renamed into place.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (!path_.empty()) static_cast<void>(::unlink(path_.c_str()));
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  void keep() { path_.clear(); }

 private:
  std::string path_;
};

Text cannot(std::string_view zh, std::string_view en, const std::filesystem::path& path) {
  return {fmt::format("无法{} {}", zh, path.string()),
          fmt::format("cannot {} {}", en, path.string())};
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

int fsync_retrying(int fd) {
  int result = 0;
  do {
    result = ::fsync(fd);
  } while (result != 0 && errno == EINTR);
  return result;
}

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) reset(other.release());
  return *this;
}

UniqueFd::~UniqueFd() { reset(); }

int UniqueFd::release() noexcept { return std::exchange(fd_, -1); }

void UniqueFd::reset(int fd) noexcept {
  // Not retried after EINTR: on Linux the descriptor is gone by then, and its number may be
  // another's.
  if (fd_ >= 0) static_cast<void>(::close(fd_));
  fd_ = fd;
}

Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(cannot("打开", "open", path));

  std::string content;
  struct stat status {};
  if (::fstat(fd.get(), &status) == 0 && status.st_size > 0) {
    content.reserve(std::min(static_cast<std::size_t>(status.st_size), bytes_max) + 1);
  }
  // The size that stat told is only a hint: /proc says 0, and a file may grow while it is read.
  constexpr std::size_t step_bytes = 64U << 10U;
  for (;;) {
    const std::size_t size = content.size();
    if (size > bytes_max) {
      return fail(ErrorCode::limit,
                  {fmt::format("{} 超过上限 {} 字节", path.string(), bytes_max),
                   fmt::format("{} is longer than {} bytes", path.string(), bytes_max)});
    }
    const std::size_t spare = content.capacity() - size;
    content.resize(size + std::max(step_bytes, spare));
    const ssize_t n = ::read(fd.get(), content.data() + size, content.size() - size);
    const int error = errno;
    content.resize(size + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    if (n == 0) return content;
    if (n < 0 && error != EINTR) return fail_errno(cannot("读取", "read", path), error);
  }
}

Result<void> write_all(int fd, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    } else if (n == 0 || errno != EINTR) {
      return fail_errno({"写入失败", "cannot write"}, n == 0 ? EIO : errno);
    }
  }
  return {};
}

Result<void> write_file_atomic(const std::filesystem::path& path, std::string_view content,
                               mode_t mode) {
  const std::filesystem::path folder = folder_of(path);
  // Opened first: where the folder cannot be synced, nothing should be changed.
  const UniqueFd folder_fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder_fd) return fail_errno(cannot("打开目录", "open the folder", folder));

  std::string name = (folder / fmt::format(".{}.XXXXXX", path.filename().string())).string();
  UniqueFd fd(::mkostemp(name.data(), O_CLOEXEC));
  if (!fd) return fail_errno(cannot("在此创建临时文件：", "create a temporary file in", folder));
  TemporaryFile temporary(std::move(name));

  if (::fchmod(fd.get(), mode) != 0) return fail_errno(cannot("设置权限", "set the mode of", path));
  if (auto written = write_all(fd.get(), as_bytes(content)); !written) {
    return fail_while(cannot("写入", "write", path), written.error());
  }
  if (fsync_retrying(fd.get()) != 0) return fail_errno(cannot("落盘", "sync", path));
  fd.reset();
  if (::rename(temporary.path().c_str(), path.c_str()) != 0) {
    return fail_errno(cannot("替换", "replace", path));
  }
  temporary.keep();
  if (fsync_retrying(folder_fd.get()) != 0) {
    return fail_errno(cannot("落盘目录", "sync the folder", folder));
  }
  return {};
}

Result<void> make_directories(const std::filesystem::path& path, mode_t mode) {
  std::filesystem::path made;
  for (const auto& part : path) {
    made /= part;
    if (::mkdir(made.c_str(), mode) == 0) {
      // mkdir takes the umask away from the mode; what the caller asked for holds.
      if (::chmod(made.c_str(), mode) != 0)
        return fail_errno(cannot("设置权限", "set the mode of", made));
      continue;
    }
    const int error = errno;
    std::error_code ignored;
    // A folder above may be there and yet refuse mkdir in other ways (read-only, denied).
    if (!std::filesystem::is_directory(made, ignored)) {
      return fail_errno(cannot("创建目录", "create the folder", made), error);
    }
  }
  return {};
}

}  // namespace menshen
