#include "audit/store/checkpoint_log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace menshen::audit {
namespace {

constexpr std::string_view separator = "\n\n";

Text cannot(std::string_view zh, std::string_view en) {
  return {"检查点日志：" + std::string(zh), "checkpoint log: " + std::string(en)};
}

Result<off_t> size_of(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return fail_errno(cannot("无法读取", "cannot read"));
  return info.st_size;
}

}  // namespace

Result<CheckpointLog> CheckpointLog::open(const std::filesystem::path& path, mode_t mode,
                                          DiskCalls disk) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd) return fail_errno({"无法打开 " + path.string(), "cannot open " + path.string()});
  const off_t size = MENSHEN_TRY(size_of(fd.get()));
  const off_t start = std::max<off_t>(0, size - static_cast<off_t>(2 * note_bytes_max + 4));
  std::string tail(static_cast<std::size_t>(size - start), '\0');
  if (::pread(fd.get(), tail.data(), tail.size(), start) != static_cast<ssize_t>(tail.size())) {
    return fail_errno(cannot("无法读取", "cannot read"));
  }
  CheckpointLog log(std::move(fd), std::move(disk));
  const std::size_t end = tail.rfind(separator);
  if (end == std::string::npos) {
    if (start > 0) {
      return fail(ErrorCode::corrupt, cannot("末尾不是检查点", "its end is no checkpoint"));
    }
    log.torn_ = tail;
    return log;
  }
  const std::size_t before = end == 0 ? std::string::npos : tail.rfind(separator, end - 1);
  const std::size_t begin = before == std::string::npos ? 0 : before + separator.size();
  log.last_ = tail.substr(begin, end + 1 - begin);
  log.torn_ = tail.substr(end + separator.size());
  log.end_ = start + static_cast<off_t>(end + separator.size());
  return log;
}

Result<void> CheckpointLog::append(const std::string& note) {
  if (::ftruncate(fd_.get(), end_) != 0 || ::lseek(fd_.get(), end_, SEEK_SET) != end_) {
    return fail_errno(cannot("无法写入", "cannot write"));
  }
  const std::string text = note + "\n";
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t n = disk_.write(fd_.get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail_errno(cannot("无法写入", "cannot write"), n == 0 ? EIO : errno);
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  if (disk_.sync(fd_.get()) != 0) return fail_errno(cannot("无法落盘", "cannot make it durable"));
  end_ += static_cast<off_t>(text.size());
  last_ = note;
  torn_.clear();
  return {};
}

Result<CheckpointLogReader> CheckpointLogReader::open(const std::filesystem::path& path) {
  CheckpointLogReader reader;
  reader.fd_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!reader.fd_) {
    if (errno == ENOENT) return reader;
    return fail_errno({"无法打开 " + path.string(), "cannot open " + path.string()});
  }
  reader.unread_ = MENSHEN_TRY(size_of(reader.fd_.get()));
  return reader;
}

Result<std::optional<std::string>> CheckpointLogReader::next() {
  while (true) {
    if (const std::size_t end = buffer_.find(separator); end != std::string::npos) {
      std::string note = buffer_.substr(0, end + 1);
      buffer_.erase(0, end + separator.size());
      return std::optional(std::move(note));
    }
    if (buffer_.size() > note_bytes_max) {
      return fail(ErrorCode::corrupt, cannot("含有非检查点内容", "it holds what is no checkpoint"));
    }
    if (unread_ == 0) return std::optional<std::string>();
    char piece[16U << 10U];
    const auto wanted = std::min<off_t>(unread_, sizeof(piece));
    const ssize_t n = ::read(fd_.get(), piece, static_cast<std::size_t>(wanted));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(cannot("无法读取", "cannot read"));
    if (n == 0) unread_ = 0;
    buffer_.append(piece, static_cast<std::size_t>(n));
    unread_ -= n;
  }
}

}  // namespace menshen::audit
