#include "sensor/detect/pattern_cache.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/file.hpp"

namespace menshen::sensor {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view suffix = ".hsdb";
constexpr std::string_view magic = "menshen patterns 1\n";
constexpr std::size_t digest_digits = 64;

bool only_ours(const fs::path& folder) {
  struct stat about {};
  if (::stat(folder.c_str(), &about) != 0) return false;
  const bool owner = about.st_uid == 0 || about.st_uid == ::geteuid();
  return owner && (about.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

}  // namespace

std::string cache_digest(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr);
  std::string hex;
  for (unsigned i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

Result<PatternCache> PatternCache::open(fs::path folder, std::size_t files_max) {
  MENSHEN_CHECK(make_directories(folder, 0700));
  if (!only_ours(folder)) {
    return fail(ErrorCode::denied,
                {fmt::format("模式缓存目录 {} 可被他人写入", folder.string()),
                 fmt::format("others may write to the pattern cache {}", folder.string())});
  }
  return PatternCache(std::move(folder), std::max<std::size_t>(files_max, 1));
}

fs::path PatternCache::path_of(std::string_view key) const {
  return folder_ / fmt::format("{}{}", key, suffix);
}

std::optional<std::string> PatternCache::load(std::string_view key) const {
  const fs::path path = path_of(key);
  auto file = read_file(path, pattern_cache_file_bytes_max);
  if (!file) return std::nullopt;
  const std::string_view text = *file;
  const std::size_t head = magic.size() + digest_digits;
  const bool whole = text.starts_with(magic) && text.size() >= head &&
                     text.substr(magic.size(), digest_digits) == cache_digest(text.substr(head));
  if (!whole) return std::nullopt;
  // The time of use, for trim(); a folder that is read-only stays as it is.
  static_cast<void>(::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0);
  return file->substr(head);
}

void PatternCache::store(std::string_view key, std::string_view content) const {
  if (content.size() > pattern_cache_file_bytes_max / 2) return;
  const std::string file = fmt::format("{}{}{}", magic, cache_digest(content), content);
  // A full disk costs the next start its time, nothing else.
  static_cast<void>(write_file_atomic(path_of(key), file, 0600).has_value());
}

void PatternCache::trim() const {
  std::vector<std::pair<fs::file_time_type, fs::path>> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() != suffix) continue;
    files.emplace_back(entry->last_write_time(error), entry->path());
    if (error) return;  // another process trims
  }
  if (files.size() <= files_max_) return;
  std::ranges::sort(files);
  for (std::size_t i = 0; i < files.size() - files_max_; ++i) fs::remove(files[i].second, error);
}

}  // namespace menshen::sensor
