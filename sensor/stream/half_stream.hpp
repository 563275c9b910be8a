// One direction of a TCP connection: which bytes were handed over, which wait for a hole to be
// filled, and which are in flight (handed over, not acknowledged) and kept to be compared with what
// repeats them.
//
// Offsets count from the byte after the SYN. Not thread-safe. Costs: in-order O(bytes); out of
// order O(log n).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/byte_reader.hpp"

namespace menshen::sensor {

// Bytes kept in order, let go from the front as they are acknowledged.
class FlightBuffer {
 public:
  void append(Bytes bytes);
  // Lets go of what is below `offset`.
  void trim(std::uint64_t offset);
  // Empty, with its next byte at `offset`.
  void restart(std::uint64_t offset);
  [[nodiscard]] std::uint64_t begin() const noexcept { return begin_; }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size() - head_; }
  // Whether `bytes` at `offset` say the same where both are known.
  [[nodiscard]] bool agrees(std::uint64_t offset, Bytes bytes) const noexcept;

 private:
  std::vector<std::byte> bytes_;
  std::size_t head_ = 0;
  std::uint64_t begin_ = 0;  // offset of bytes_[head_]
};

// Bytes beyond a hole. The first content of a byte stays.
class PendingBytes {
 public:
  static constexpr std::size_t segment_overhead = 96;  // of one run of bytes, counted as memory

  [[nodiscard]] bool empty() const noexcept { return runs_.empty(); }
  [[nodiscard]] std::size_t memory() const noexcept {
    return bytes_ + runs_.size() * segment_overhead;
  }
  [[nodiscard]] std::uint64_t begin() const noexcept {
    return runs_.begin()->first;
  }  // not empty()
  [[nodiscard]] bool agrees(std::uint64_t offset, Bytes bytes) const noexcept;
  // Keeps what is not there yet.
  void insert(std::uint64_t offset, Bytes bytes);
  // The run that holds or begins at `offset`, taken out, without what is below `offset`; empty if
  // there is none. Runs that end at or below `offset` are let go.
  struct Run {
    std::vector<std::byte> bytes;
    std::size_t skip = 0;
    [[nodiscard]] Bytes view() const noexcept { return Bytes(bytes).subspan(skip); }
  };
  [[nodiscard]] std::optional<Run> take(std::uint64_t offset);
  void clear() noexcept;

 private:
  std::map<std::uint64_t, std::vector<std::byte>> runs_;  // disjoint
  std::size_t bytes_ = 0;
};

struct HalfStream {
  bool base_known = false;
  bool syn_seen = false;
  bool closed = false;  // on_close was called
  bool depth_reached = false;
  bool unverified = false;        // bytes in flight were let go for lack of memory
  std::uint8_t window_shift = 0;  // of the windows that this direction's sender offers
  std::uint32_t base = 0;         // sequence number of offset 0
  std::uint64_t next = 0;         // all below was handed over or given up
  std::uint64_t acked = 0;        // the receiver has all below
  std::uint64_t window_edge =
      0;  // the receiver has never offered to take bytes from here on; 0: unknown
  std::uint64_t gap_begin = 0;  // the last hole given up
  std::uint64_t gap_end = 0;
  bool gap_to_tell = false;  // noted on the packet that acknowledges what follows it
  std::optional<std::uint64_t> fin;
  std::uint64_t taken_out = 0;        // urgent bytes below `next` that were not handed over
  std::vector<std::uint64_t> urgent;  // at or above `next`, in order
  FlightBuffer flight;
  PendingBytes pending;

  // The offset of a sequence number, as the one nearest to `next`. Negative: before offset 0.
  [[nodiscard]] std::int64_t offset_of(std::uint32_t seq) const noexcept {
    const auto distance =
        static_cast<std::int32_t>(seq - (base + static_cast<std::uint32_t>(next)));
    return static_cast<std::int64_t>(next) + distance;
  }
  [[nodiscard]] bool untouched() const noexcept { return next == 0 && pending.empty(); }
  [[nodiscard]] std::size_t memory() const noexcept { return flight.size() + pending.memory(); }
};

}  // namespace menshen::sensor
