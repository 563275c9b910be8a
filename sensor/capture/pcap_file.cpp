#include "sensor/capture/pcap_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pcap/pcap.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <vector>

#include "base/file.hpp"
#include "base/handle.hpp"
#include "sensor/capture/classic_pcap.hpp"
#include "sensor/capture/file_port.hpp"

namespace menshen::sensor {

namespace {

using PcapHandle = Handle<pcap_t, &pcap_close>;

constexpr WallTime second = 1'000'000'000;

std::optional<LinkType> link_type(int dlt) {
  switch (dlt) {
    case DLT_EN10MB:
      return LinkType::ethernet;
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
      return LinkType::raw_ip;
    case DLT_LINUX_SLL:
      return LinkType::linux_sll;
    case DLT_LINUX_SLL2:
      return LinkType::linux_sll2;
    case DLT_NULL:
    case DLT_LOOP:
      return LinkType::null_loopback;
    case DLT_PPP:
      return LinkType::ppp;
    case DLT_C_HDLC:
      return LinkType::cisco_hdlc;
    default:
      return std::nullopt;
  }
}

class PcapFile final : public FilePort {
 public:
  PcapFile(PcapHandle pcap, LinkType link, std::string name)
      : FilePort(std::move(name)), pcap_(std::move(pcap)), link_(link) {}

 private:
  static constexpr std::size_t arena_bytes_max = 1U << 20U;  // a batch's frames stay in the cache

  std::size_t read(PacketBatch& batch) override {
    arena_.clear();
    offsets_.clear();
    const std::size_t before = batch.packets().size();
    while (!over() && !batch.full() && arena_.size() < arena_bytes_max) {
      pcap_pkthdr* header = nullptr;
      const u_char* bytes = nullptr;
      const int status = pcap_next_ex(pcap_.get(), &header, &bytes);
      if (status == 1) {
        take(batch, *header, bytes);
      } else if (status == PCAP_ERROR_BREAK) {
        end();
      } else {
        const std::string why = pcap_geterr(pcap_.get());
        damaged({why, why});
      }
    }
    // The arena moves while it grows, so the records learn where their bytes are at the end.
    const auto packets = batch.packets().subspan(before);
    for (std::size_t i = 0; i < packets.size(); ++i) packets[i].data = arena_.data() + offsets_[i];
    return packets.size();
  }

  void take(PacketBatch& batch, const pcap_pkthdr& header, const u_char* bytes) {
    const std::size_t kept = std::min<std::size_t>(header.caplen, frame_bytes_max);
    offsets_.push_back(arena_.size());
    arena_.resize(arena_.size() + kept);
    if (kept != 0) std::memcpy(arena_.data() + offsets_.back(), bytes, kept);
    PacketMeta& packet = add(batch, kept, header.len);
    packet.link = link_;
    // Nanosecond precision was asked for, so tv_usec counts nanoseconds.
    packet.time = WallTime{header.ts.tv_sec} * second + header.ts.tv_usec;
  }

  PcapHandle pcap_;
  LinkType link_;
  std::vector<std::byte> arena_;
  std::vector<std::size_t> offsets_;
};

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

}  // namespace

Result<std::unique_ptr<PacketPort>> open_pcap_file(const std::filesystem::path& path) {
  const std::string name = path.string();
  const Text trying{fmt::format("无法打开抓包文件 {}", name),
                    fmt::format("cannot open the capture file {}", name)};
  UniqueFd descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!descriptor) return fail_errno(trying);
  // libpcap's own message for a folder is about its magic number.
  struct stat status {};
  if (fstat(descriptor.get(), &status) == 0 && S_ISDIR(status.st_mode)) {
    return fail_errno(trying, EISDIR);
  }
  if (auto classic = open_classic_pcap(descriptor, name)) return classic;
  std::unique_ptr<std::FILE, CloseFile> file(fdopen(descriptor.get(), "rb"));
  if (file == nullptr) return fail_errno(trying);
  descriptor.release();
  std::array<char, PCAP_ERRBUF_SIZE> error{};
  PcapHandle pcap(pcap_fopen_offline_with_tstamp_precision(file.get(), PCAP_TSTAMP_PRECISION_NANO,
                                                           error.data()));
  if (pcap == nullptr) {
    return fail(ErrorCode::invalid,
                {fmt::format("{} 不是 pcap 或 pcapng 文件：{}", name, error.data()),
                 fmt::format("{} is not a pcap or pcapng file: {}", name, error.data())});
  }
  static_cast<void>(file.release());  // pcap closes it
  const int dlt = pcap_datalink(pcap.get());
  const std::optional<LinkType> link = link_type(dlt);
  if (!link) {
    const char* dlt_name = pcap_datalink_val_to_name(dlt);
    const std::string shown = dlt_name == nullptr ? std::to_string(dlt) : dlt_name;
    return fail(ErrorCode::unavailable,
                {fmt::format("{} 的链路类型 {} 不受支持", name, shown),
                 fmt::format("{} has the link type {}, which is not supported", name, shown)});
  }
  return std::unique_ptr<PacketPort>(std::make_unique<PcapFile>(std::move(pcap), *link, name));
}

}  // namespace menshen::sensor
