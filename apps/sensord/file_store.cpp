#include "apps/sensord/file_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.hpp"
#include "base/service.hpp"

namespace menshen::apps {
namespace {

namespace fs = std::filesystem;

constexpr mode_t folder_mode = 0750;
constexpr mode_t file_mode = 0640;
constexpr std::size_t digest_digits = 64;

bool is_digest(std::string_view text) noexcept {
  return text.size() == digest_digits && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

fs::path beside(const fs::path& path) { return path.string() + ".json"; }

std::uint64_t size_of(const fs::path& path) noexcept {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : size;
}

}  // namespace

template <class Visit>
void FileStore::each(const Visit& visit) const {
  std::error_code error;
  for (fs::directory_iterator folder(options_.directory, error), end; !error && folder != end;
       folder.increment(error)) {
    std::error_code inner;
    for (fs::directory_iterator file(folder->path(), inner), last; !inner && file != last;
         file.increment(inner)) {
      visit(file->path());
    }
  }
}

Result<FileStore> FileStore::open(FileStoreOptions options) {
  MENSHEN_CHECK(make_directories(options.directory, folder_mode));
  FileStore store(std::move(options));
  store.each([&store](const fs::path& path) {
    const std::string name = path.filename().string();
    std::error_code ignored;
    if (name.starts_with('.')) {
      fs::remove(path, ignored);
    } else {
      store.bytes_ += size_of(path);
    }
  });
  return store;
}

fs::path FileStore::path_of(std::string_view sha256) const {
  return options_.directory / sha256.substr(0, 2) / sha256;
}

Result<void> FileStore::write(const fs::path& path, std::string_view bytes,
                              std::string_view about) {
  MENSHEN_CHECK(make_directories(path.parent_path(), folder_mode));
  MENSHEN_CHECK(write_file_atomic(beside(path), about, file_mode));
  if (auto written = write_file_atomic(path, bytes, file_mode); !written) {
    std::error_code ignored;
    fs::remove(beside(path), ignored);
    return written;
  }
  return {};
}

FileKept FileStore::keep(std::string_view sha256, std::string_view bytes, std::string_view about) {
  if (!is_digest(sha256)) return FileKept::failed;
  const fs::path path = path_of(sha256);
  // Its times are when it was seen last.
  if (::utimensat(AT_FDCWD, path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW) == 0) {
    return FileKept::known;
  }
  const std::uint64_t room = options_.bytes_max - std::min(options_.bytes_max, bytes_);
  if (bytes.size() + about.size() > room) return FileKept::full;
  struct statvfs disk {};
  if (::statvfs(options_.directory.c_str(), &disk) != 0) return FileKept::failed;
  const std::uint64_t free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  if (free < options_.free_bytes_min + bytes.size()) return FileKept::disk_low;
  const auto written = write(path, bytes, about);
  if (!written && !failing_) log(LogLevel::error, written.error().text);
  if (written && failing_) {
    log(LogLevel::notice, {"文件留存恢复", "files can be stored again"});
  }
  failing_ = !written;
  if (!written) return FileKept::failed;
  bytes_ += bytes.size() + about.size();
  return FileKept::stored;
}

void FileStore::expire(WallTime now) {
  if (options_.keep_for.count() == 0) return;
  const auto oldest = now - std::chrono::nanoseconds(options_.keep_for).count();
  each([&](const fs::path& path) {
    if (!is_digest(path.filename().string())) return;
    struct stat found {};
    if (::lstat(path.c_str(), &found) != 0) return;
    const WallTime seen = WallTime{found.st_mtim.tv_sec} * 1'000'000'000 + found.st_mtim.tv_nsec;
    if (seen >= oldest) return;
    const std::uint64_t gone = size_of(path) + size_of(beside(path));
    std::error_code error;
    if (!fs::remove(path, error) || error) return;
    fs::remove(beside(path), error);
    bytes_ -= std::min(bytes_, gone);
  });
}

}  // namespace menshen::apps
