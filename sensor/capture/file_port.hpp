// What the two readers of capture files share: counting, the end, and what is told of damage.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>

#include "sensor/capture/packet_port.hpp"

namespace menshen::sensor {

class FilePort : public PacketPort {
 public:
  explicit FilePort(std::string name) : name_(std::move(name)) {}

  // The packets before the damage come first, then what is wrong.
  Result<std::size_t> receive(PacketBatch& batch, std::chrono::milliseconds /*timeout*/) final {
    std::size_t received = 0;
    if (!damage_ && !finished_) received = read(batch);
    if (received == 0 && damage_) {
      finished_ = true;
      return tl::make_unexpected(*std::exchange(damage_, std::nullopt));
    }
    return received;
  }

  Result<void> give_verdicts(PacketBatch& batch) final {
    for (const PacketMeta& packet : batch.packets()) {
      ++(packet.verdict == Verdict::accept ? counters_.accepted
         : packet.verdict == Verdict::drop ? counters_.dropped
                                           : counters_.rejected);
    }
    return {};
  }

  [[nodiscard]] PortCounters counters() const final { return counters_; }
  [[nodiscard]] int fd() const noexcept final { return -1; }
  [[nodiscard]] bool finished() const noexcept final { return finished_; }
  [[nodiscard]] bool is_inline() const noexcept final { return false; }

 protected:
  // Fills the batch as far as it can; calls end() or damaged() where no more comes.
  virtual std::size_t read(PacketBatch& batch) = 0;

  // One packet more, of which `kept` bytes are there and `length` were on the wire.
  PacketMeta& add(PacketBatch& batch, std::size_t kept, std::uint32_t length) noexcept {
    ++counters_.packets;
    if (kept < length) ++counters_.cut_short;
    counters_.bytes += length;
    PacketMeta& packet = batch.push();
    packet.length = static_cast<std::uint32_t>(kept);
    packet.id = static_cast<std::uint32_t>(counters_.packets);
    return packet;
  }

  void end() noexcept { finished_ = true; }

  void damaged(const Text& why) {
    const std::uint64_t number = counters_.packets + 1;
    damage_ = Error{
        ErrorCode::corrupt,
        {fmt::format("抓包文件 {} 在第 {} 个报文处损坏：{}", name_, number, why.zh),
         fmt::format("the capture file {} is damaged at packet {}: {}", name_, number, why.en)}};
  }

  // No more is to be read.
  [[nodiscard]] bool over() const noexcept { return finished_ || damage_.has_value(); }

 private:
  std::string name_;
  PortCounters counters_;
  std::optional<Error> damage_;
  bool finished_ = false;
};

}  // namespace menshen::sensor
