#include "sensor/capture/classic_pcap.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "sensor/capture/file_port.hpp"

namespace menshen::sensor {

namespace {

constexpr std::size_t file_header_bytes = 24;
constexpr std::size_t record_header_bytes = 16;
// A few batches of frames: they stay in the second-level cache while they are inspected.
constexpr std::size_t block_bytes = 512U << 10U;
constexpr std::uint32_t captured_bytes_max = 262'144;  // as libpcap: more is damage
constexpr WallTime second = 1'000'000'000;

static_assert(block_bytes >= captured_bytes_max + record_header_bytes);

struct FileHeader {
  bool swapped = false;  // written by a machine of the other byte order
  bool nanoseconds = false;
  std::uint32_t snapshot = 0;  // no frame is kept longer
  LinkType link = LinkType::ethernet;
};

// Numbers of the file format (LINKTYPE_*), not libpcap's own.
std::optional<LinkType> link_type(std::uint32_t number) noexcept {
  switch (number) {
    case 0:
    case 108:
      return LinkType::null_loopback;
    case 1:
      return LinkType::ethernet;
    case 9:
      return LinkType::ppp;
    case 101:
    case 228:
    case 229:
      return LinkType::raw_ip;
    case 104:
      return LinkType::cisco_hdlc;
    case 113:
      return LinkType::linux_sll;
    case 276:
      return LinkType::linux_sll2;
    default:
      return std::nullopt;
  }
}

std::uint32_t number_at(const std::byte* place, bool swapped) noexcept {
  std::uint32_t value = 0;
  std::memcpy(&value, place, sizeof(value));
  return swapped ? __builtin_bswap32(value) : value;
}

std::optional<FileHeader> read_file_header(const std::array<std::byte, file_header_bytes>& bytes) {
  constexpr std::uint32_t microseconds = 0xa1b2'c3d4;
  constexpr std::uint32_t nanoseconds = 0xa1b2'3c4d;
  constexpr std::uint32_t version_2_4 = 2U | 4U << 16U;  // two numbers of 16 bits
  FileHeader header;
  std::uint32_t magic = number_at(bytes.data(), false);
  header.swapped =
      magic == __builtin_bswap32(microseconds) || magic == __builtin_bswap32(nanoseconds);
  if (header.swapped) magic = __builtin_bswap32(magic);
  if (magic != microseconds && magic != nanoseconds) return std::nullopt;
  header.nanoseconds = magic == nanoseconds;
  std::uint32_t version = number_at(bytes.data() + 4, header.swapped);
  if (header.swapped) version = version << 16U | version >> 16U;
  if (version != version_2_4) return std::nullopt;
  header.snapshot = number_at(bytes.data() + 16, header.swapped);
  if (header.snapshot == 0 || header.snapshot > captured_bytes_max) {
    header.snapshot = captured_bytes_max;
  }
  const auto link = link_type(number_at(bytes.data() + 20, header.swapped));
  if (!link) return std::nullopt;
  header.link = *link;
  return header;
}

class ClassicPcap final : public FilePort {
 public:
  ClassicPcap(UniqueFd file, std::string name, const FileHeader& header)
      : FilePort(std::move(name)), file_(std::move(file)), header_(header), block_(block_bytes) {}

 private:
  std::size_t read(PacketBatch& batch) override {
    const std::size_t before = batch.packets().size();
    take(batch);
    // Only then: what the batch points to must not move.
    while (batch.packets().size() == before && !over() && refill()) take(batch);
    return batch.packets().size() - before;
  }

  // The whole records of the block, as many as the batch takes.
  void take(PacketBatch& batch) {
    const std::byte* at = block_.data() + begin_;
    const std::byte* const end = block_.data() + end_;
    while (!batch.full() && end - at >= static_cast<std::ptrdiff_t>(record_header_bytes)) {
      const std::uint32_t captured = number_at(at + 8, header_.swapped);
      if (captured > captured_bytes_max) {
        damaged({"报文长度超出上限", "the packet is longer than any can be"});
        break;
      }
      if (static_cast<std::size_t>(end - at) < record_header_bytes + captured) break;
      const std::size_t kept = std::min<std::size_t>(captured, header_.snapshot);
      PacketMeta& packet = add(batch, kept, number_at(at + 12, header_.swapped));
      packet.link = header_.link;
      packet.data = at + record_header_bytes;
      const WallTime fraction = number_at(at + 4, header_.swapped);
      packet.time = WallTime{number_at(at, header_.swapped)} * second +
                    (header_.nanoseconds ? fraction : fraction * 1000);
      at += record_header_bytes + captured;
    }
    begin_ = static_cast<std::size_t>(at - block_.data());
  }

  // False: nothing more came.
  bool refill() {
    std::memmove(block_.data(), block_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    ssize_t got = 0;
    do {
      got = ::read(file_.get(), block_.data() + end_, block_.size() - end_);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
      end_ += static_cast<std::size_t>(got);
      return true;
    }
    if (got < 0) {
      damaged({"读取失败", "it cannot be read"});
    } else if (end_ != 0) {
      damaged({"文件在报文中间结束", "the file ends within it"});
    } else {
      end();
    }
    return false;
  }

  UniqueFd file_;
  FileHeader header_;
  std::vector<std::byte> block_;
  std::size_t begin_ = 0;  // of what was read and not taken
  std::size_t end_ = 0;
};

}  // namespace

std::unique_ptr<PacketPort> open_classic_pcap(UniqueFd& file, const std::string& name) {
  std::array<std::byte, file_header_bytes> bytes{};
  // Fails on pipes, which libpcap reads.
  if (::pread(file.get(), bytes.data(), bytes.size(), 0) != file_header_bytes) return nullptr;
  const auto header = read_file_header(bytes);
  if (!header || ::lseek(file.get(), file_header_bytes, SEEK_SET) < 0) return nullptr;
  return std::make_unique<ClassicPcap>(std::move(file), name, *header);
}

}  // namespace menshen::sensor
