#include "sensor/capture/pcap_file.hpp"

#include <fmt/format.h>
#include <pcap/pcap.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <vector>

#include "base/handle.hpp"

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

class PcapFile final : public PacketPort {
 public:
  PcapFile(PcapHandle pcap, LinkType link, std::string name)
      : pcap_(std::move(pcap)), link_(link), name_(std::move(name)) {}

  Result<std::size_t> receive(PacketBatch& batch, std::chrono::milliseconds /*timeout*/) override {
    if (damage_) {
      finished_ = true;
      return tl::make_unexpected(*std::exchange(damage_, std::nullopt));
    }
    arena_.clear();
    offsets_.clear();
    const std::size_t before = batch.packets().size();
    while (!finished_ && !damage_ && !batch.full() && arena_.size() < arena_bytes_max) {
      pcap_pkthdr* header = nullptr;
      const u_char* bytes = nullptr;
      const int status = pcap_next_ex(pcap_.get(), &header, &bytes);
      if (status == 1) {
        take(batch, *header, bytes);
      } else if (status == PCAP_ERROR_BREAK) {
        finished_ = true;
      } else {
        damage_ = damaged();
      }
    }
    // The arena moves while it grows, so the records learn where their bytes are at the end.
    const auto packets = batch.packets().subspan(before);
    for (std::size_t i = 0; i < packets.size(); ++i) packets[i].data = arena_.data() + offsets_[i];
    if (packets.empty() && damage_) return receive(batch, {});
    return packets.size();
  }

  Result<void> give_verdicts(PacketBatch& batch) override {
    for (const PacketMeta& packet : batch.packets()) {
      ++(packet.verdict == Verdict::accept ? counters_.accepted
         : packet.verdict == Verdict::drop ? counters_.dropped
                                           : counters_.rejected);
    }
    return {};
  }

  PortCounters counters() const override { return counters_; }
  int fd() const noexcept override { return -1; }
  bool finished() const noexcept override { return finished_; }
  bool is_inline() const noexcept override { return false; }

 private:
  static constexpr std::size_t arena_bytes_max = 1U << 20U;  // a batch's frames stay in the cache

  void take(PacketBatch& batch, const pcap_pkthdr& header, const u_char* bytes) {
    ++counters_.packets;
    const std::size_t kept = std::min<std::size_t>(header.caplen, frame_bytes_max);
    if (kept < header.len) ++counters_.cut_short;
    counters_.bytes += header.len;
    offsets_.push_back(arena_.size());
    arena_.resize(arena_.size() + kept);
    if (kept != 0) std::memcpy(arena_.data() + offsets_.back(), bytes, kept);
    PacketMeta& packet = batch.push();
    packet.link = link_;
    packet.length = static_cast<std::uint32_t>(kept);
    packet.id = static_cast<std::uint32_t>(counters_.packets);
    // Nanosecond precision was asked for, so tv_usec counts nanoseconds.
    packet.time = WallTime{header.ts.tv_sec} * second + header.ts.tv_usec;
  }

  [[nodiscard]] Error damaged() const {
    const std::uint64_t number = counters_.packets + 1;
    const std::string_view why = pcap_geterr(pcap_.get());
    return {ErrorCode::corrupt,
            {fmt::format("抓包文件 {} 在第 {} 个报文处损坏：{}", name_, number, why),
             fmt::format("the capture file {} is damaged at packet {}: {}", name_, number, why)}};
  }

  PcapHandle pcap_;
  LinkType link_;
  std::string name_;
  PortCounters counters_;
  std::vector<std::byte> arena_;
  std::vector<std::size_t> offsets_;
  std::optional<Error> damage_;
  bool finished_ = false;
};

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

}  // namespace

Result<std::unique_ptr<PacketPort>> open_pcap_file(const std::filesystem::path& path) {
  const std::string name = path.string();
  std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rbe"));
  const Text trying{fmt::format("无法打开抓包文件 {}", name),
                    fmt::format("cannot open the capture file {}", name)};
  if (file == nullptr) return fail_errno(trying);
  // libpcap's own message for a folder is about its magic number.
  struct stat status {};
  if (fstat(fileno(file.get()), &status) == 0 && S_ISDIR(status.st_mode)) {
    return fail_errno(trying, EISDIR);
  }
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
