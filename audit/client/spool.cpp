#include "audit/client/spool.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "audit/record/record.hpp"

namespace menshen::audit {
namespace {

constexpr std::string_view magic = "MSSPOOL1";
constexpr std::size_t frame_header_bytes = 8;

std::uint32_t checksum(std::string_view length, std::string_view record) {
  const auto update = [](unsigned long crc, std::string_view bytes) {
    return ::crc32(crc, reinterpret_cast<const Bytef*>(bytes.data()),
                   static_cast<uInt>(bytes.size()));
  };
  return static_cast<std::uint32_t>(update(update(0, length), record));
}

void put32(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(value >> static_cast<unsigned>(shift) & 0xffU));
  }
}

void put_frame(std::string& out, std::string_view record) {
  const std::size_t begin = out.size();
  put32(out, static_cast<std::uint32_t>(record.size()));
  put32(out, checksum(std::string_view(out).substr(begin, 4), record));
  out.append(record);
}

// The frame at `offset`; nothing where there is no whole, right one.
std::optional<std::string> read_frame(int fd, std::uint64_t offset) {
  char header[frame_header_bytes];
  if (::pread(fd, header, sizeof(header), static_cast<off_t>(offset)) != sizeof(header)) {
    return std::nullopt;
  }
  ByteReader in(as_bytes({header, sizeof(header)}));
  const std::uint32_t length = in.be32();
  const std::uint32_t crc = in.be32();
  if (length == 0 || length > record_bytes_max) return std::nullopt;
  std::string record(length, '\0');
  const auto at = static_cast<off_t>(offset + sizeof(header));
  if (::pread(fd, record.data(), length, at) != static_cast<ssize_t>(length) ||
      checksum({header, 4}, record) != crc) {
    return std::nullopt;
  }
  return record;
}

Text cannot(std::string_view zh, std::string_view en) {
  return {fmt::format("审计缓存：{}", zh), fmt::format("audit spool: {}", en)};
}

void sync_folder(const std::filesystem::path& directory) {
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd) static_cast<void>(::fsync(fd.get()));
}

std::vector<std::uint64_t> segment_numbers(const std::filesystem::path& directory) {
  std::vector<std::uint64_t> numbers;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    std::uint64_t number = 0;
    if (name.size() != 22 || !name.starts_with("spool-")) continue;
    const auto [end, bad] = std::from_chars(name.data() + 6, name.data() + name.size(), number, 16);
    if (bad == std::errc{} && end == name.data() + name.size()) numbers.push_back(number);
  }
  std::ranges::sort(numbers);
  return numbers;
}

}  // namespace

std::filesystem::path Spool::path_of(std::uint64_t number) const {
  return directory_ / fmt::format("spool-{:016x}", number);
}

Result<Spool> Spool::open(const std::filesystem::path& directory, std::uint64_t bytes_max,
                          DiskCalls disk) {
  MENSHEN_CHECK(make_directories(directory, 0700));
  const auto lock_path = directory / "lock";
  UniqueFd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return fail_errno(cannot("无法打开锁文件", "cannot open its lock"));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorCode::exists, {"另一进程正在使用审计缓存 " + directory.string(),
                                    "another process uses the audit spool " + directory.string()});
  }
  Spool spool(directory, bytes_max, std::move(disk), std::move(lock));
  const auto numbers = segment_numbers(directory);
  for (const std::uint64_t number : numbers) {
    MENSHEN_CHECK(spool.load(number, number == numbers.back()));
    spool.next_number_ = number + 1;
  }
  spool.rewind();
  return spool;
}

Result<void> Spool::load(std::uint64_t number, bool last) {
  Segment segment;
  segment.number = number;
  segment.fd.reset(::open(path_of(number).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  struct stat info {};
  if (!segment.fd || ::fstat(segment.fd.get(), &info) != 0) {
    return fail_errno(cannot("无法打开文件", "cannot open a file"));
  }
  const auto size = static_cast<std::uint64_t>(info.st_size);
  char head[magic.size()];
  if (::pread(segment.fd.get(), head, sizeof(head), 0) == static_cast<ssize_t>(sizeof(head)) &&
      std::string_view(head, sizeof(head)) == magic) {
    segment.bytes = magic.size();
    while (const auto record = read_frame(segment.fd.get(), segment.bytes)) {
      segment.bytes += frame_header_bytes + record->size();
      ++segment.records;
    }
  }
  // Half a frame at the very end is an append that was never vouched for.
  if (size > segment.bytes && !last) bytes_damaged_ += size - segment.bytes;
  if (segment.records == 0) {
    static_cast<void>(::unlink(path_of(number).c_str()));
    return {};
  }
  if (::ftruncate(segment.fd.get(), static_cast<off_t>(segment.bytes)) != 0) {
    return fail_errno(cannot("无法截断", "cannot cut a file"));
  }
  records_ += segment.records;
  bytes_ += segment.bytes;
  segments_.push_back(std::move(segment));
  return {};
}

Result<void> Spool::begin_segment() {
  Segment segment;
  segment.number = next_number_;
  segment.fd.reset(::open(path_of(segment.number).c_str(),
                          O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!segment.fd) return fail_errno(cannot("无法创建文件", "cannot make a file"));
  ++next_number_;
  if (auto written = write_durably(segment, magic); !written) {
    static_cast<void>(::unlink(path_of(segment.number).c_str()));
    return written;
  }
  sync_folder(directory_);
  segments_.push_back(std::move(segment));
  return {};
}

Result<void> Spool::write_durably(Segment& segment, std::string_view frames) {
  const auto undo = [&](Text what) -> Result<void> {
    auto failure = fail_errno(std::move(what));
    static_cast<void>(::ftruncate(segment.fd.get(), static_cast<off_t>(segment.bytes)) == 0);
    return failure;
  };
  std::string_view rest = frames;
  if (::lseek(segment.fd.get(), static_cast<off_t>(segment.bytes), SEEK_SET) < 0) {
    return undo(cannot("无法写入", "cannot write"));
  }
  while (!rest.empty()) {
    const ssize_t n = disk_.write(segment.fd.get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return undo(cannot("无法写入", "cannot write"));
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  if (disk_.sync(segment.fd.get()) != 0) return undo(cannot("无法落盘", "cannot make it durable"));
  segment.bytes += frames.size();
  bytes_ += frames.size();
  return {};
}

Result<void> Spool::append(std::span<const std::string> records) {
  if (records.empty()) return {};
  std::string frames;
  for (const std::string& record : records) put_frame(frames, record);
  if (bytes_ + magic.size() + frames.size() > bytes_max_) {
    return fail(ErrorCode::limit, cannot(fmt::format("已满（上限 {} 字节）", bytes_max_),
                                         fmt::format("full (limit {} bytes)", bytes_max_)));
  }
  if (segments_.empty() || segments_.back().bytes + frames.size() > segment_bytes_max) {
    MENSHEN_CHECK(begin_segment());
  }
  Segment& segment = segments_.back();
  if (auto written = write_durably(segment, frames); !written) {
    if (segment.records == 0) {
      // An empty file must not stand in the way of reading.
      bytes_ -= segment.bytes;
      static_cast<void>(::unlink(path_of(segment.number).c_str()));
      segments_.pop_back();
      read_segment_ = std::min(read_segment_, segments_.size());
    }
    return written;
  }
  segment.records += records.size();
  records_ += records.size();
  return {};
}

std::optional<std::string> Spool::next() {
  while (read_segment_ < segments_.size()) {
    Segment& segment = segments_[read_segment_];
    read_offset_ = std::max<std::uint64_t>(read_offset_, magic.size());
    if (read_offset_ < segment.bytes) {
      if (auto record = read_frame(segment.fd.get(), read_offset_)) {
        read_offset_ += frame_header_bytes + record->size();
        ++read_records_;
        return record;
      }
      cut_damaged(segment);
      continue;
    }
    if (read_segment_ + 1 == segments_.size()) break;  // more may be appended to this one
    ++read_segment_;
    read_offset_ = 0;
    read_records_ = 0;
  }
  return std::nullopt;
}

// What follows a broken frame cannot be found again.
void Spool::cut_damaged(Segment& segment) {
  const std::uint64_t lost = segment.bytes - read_offset_;
  bytes_damaged_ += lost;
  bytes_ -= lost;
  records_ -= segment.records - read_records_;
  segment.bytes = read_offset_;
  segment.records = read_records_;
  if (read_segment_ == 0 && segment.records == segment.acknowledged) drop_front();
}

void Spool::skip_acknowledged() {
  if (segments_.empty()) return;
  for (std::uint64_t i = 0; i < segments_.front().acknowledged; ++i) {
    if (!next()) return;
  }
}

void Spool::rewind() {
  read_segment_ = 0;
  read_offset_ = 0;
  read_records_ = 0;
  skip_acknowledged();
}

void Spool::drop_front() {
  const Segment& front = segments_.front();
  static_cast<void>(::unlink(path_of(front.number).c_str()));
  bytes_ -= front.bytes;
  segments_.pop_front();
  if (read_segment_ == 0) {
    read_offset_ = 0;
    read_records_ = 0;
  } else {
    --read_segment_;
  }
}

void Spool::acknowledge(std::uint64_t n) {
  while (n > 0 && !segments_.empty()) {
    Segment& front = segments_.front();
    const std::uint64_t taken = std::min(n, front.records - front.acknowledged);
    front.acknowledged += taken;
    records_ -= taken;
    n -= taken;
    if (front.acknowledged < front.records) return;
    drop_front();
  }
}

}  // namespace menshen::audit
