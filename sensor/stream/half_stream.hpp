// One direction of a TCP connection: which bytes were handed over, which wait for a hole to be
// filled, and which are in flight (handed over, not acknowledged) and kept to be compared with what
// repeats them.
//
// Offsets count from the byte after the SYN. Not thread-safe. Costs: in-order O(bytes); out of
// order O(log n).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/byte_reader.hpp"
#include "sensor/packet/host_policy.hpp"

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
  // Makes `bytes` at `offset` say what is known, where it is.
  void copy_to(std::uint64_t offset, std::span<std::byte> bytes) const noexcept;
  // What is known says what `bytes` at `offset` say, where both are known.
  void overwrite(std::uint64_t offset, Bytes bytes) noexcept;

 private:
  std::vector<std::byte> bytes_;
  std::size_t head_ = 0;
  std::uint64_t begin_ = 0;  // offset of bytes_[head_]
};

// Bytes beyond a hole, in the pieces in which they came. Where pieces overlap, the policy of the
// receiver says whose bytes stay.
class PendingBytes {
 public:
  static constexpr std::size_t segment_overhead = 96;  // of one piece, counted as memory

  [[nodiscard]] bool empty() const noexcept { return pieces_.empty(); }
  [[nodiscard]] std::size_t memory() const noexcept {
    return bytes_ + pieces_.size() * segment_overhead;
  }
  [[nodiscard]] std::uint64_t begin() const noexcept {
    return pieces_.begin()->first;
  }  // not empty()
  [[nodiscard]] bool agrees(std::uint64_t offset, Bytes bytes) const noexcept;
  void copy_to(std::uint64_t offset, std::span<std::byte> bytes) const noexcept;
  // At most so much more memory once `length` bytes at `offset` are inserted.
  [[nodiscard]] std::size_t cost(std::uint64_t offset, std::size_t length) const noexcept;
  void insert(std::uint64_t offset, Bytes bytes, HostPolicy policy);
  // The piece that holds or begins at `offset`, taken out, without what is below `offset`; empty if
  // there is none. Pieces that end at or below `offset` are let go.
  class Piece {
   public:
    [[nodiscard]] Bytes view() const noexcept { return Bytes(*bytes_).subspan(skip_, size_); }

   private:
    friend class PendingBytes;
    std::shared_ptr<const std::vector<std::byte>> bytes_;  // parts of one segment share it
    std::size_t skip_ = 0;
    std::size_t size_ = 0;
  };
  [[nodiscard]] std::optional<Piece> take(std::uint64_t offset);
  void clear() noexcept;

 private:
  using Pieces = std::map<std::uint64_t, Piece>;  // disjoint
  // The first one that ends beyond `offset`.
  [[nodiscard]] Pieces::const_iterator first_beyond(std::uint64_t offset) const noexcept;
  Pieces::iterator cut(Pieces::iterator piece, Extent out);
  void let_go(const Piece& piece) noexcept;

  Pieces pieces_;
  std::size_t bytes_ = 0;  // of all segments that a piece is left of
};

struct HalfStream {
  bool base_known = false;
  bool syn_seen = false;
  bool closed = false;  // on_close was called
  bool depth_reached = false;
  bool unverified = false;                // bytes in flight were let go for lack of memory
  HostPolicy policy = HostPolicy::first;  // of the receiver
  std::uint8_t window_shift = 0;          // of the windows that this direction's sender offers
  std::uint32_t base = 0;                 // sequence number of offset 0
  std::uint64_t next = 0;                 // all below was handed over or given up
  std::uint64_t acked = 0;                // the receiver has all below
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
