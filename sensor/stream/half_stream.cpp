#include "sensor/stream/half_stream.hpp"

#include <algorithm>
#include <cstring>

namespace menshen::sensor {

namespace {

constexpr std::size_t flight_capacity_kept = 16U << 10U;

// Two runs of bytes, each at its offset: equal where they overlap?
bool same_where_both(std::uint64_t a_offset, Bytes a, std::uint64_t b_offset, Bytes b) noexcept {
  const std::uint64_t begin = std::max(a_offset, b_offset);
  const std::uint64_t end = std::min(a_offset + a.size(), b_offset + b.size());
  if (begin >= end) return true;
  return std::memcmp(a.data() + (begin - a_offset), b.data() + (begin - b_offset), end - begin) ==
         0;
}

}  // namespace

void FlightBuffer::append(Bytes bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }

void FlightBuffer::trim(std::uint64_t offset) {
  if (offset <= begin_) return;
  const std::size_t drop = std::min<std::uint64_t>(offset - begin_, size());
  head_ += drop;
  begin_ += drop;
  if (size() == 0) {
    restart(begin_);
  } else if (head_ > bytes_.size() / 2) {
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

void FlightBuffer::restart(std::uint64_t offset) {
  begin_ = offset;
  head_ = 0;
  bytes_.clear();
  if (bytes_.capacity() > flight_capacity_kept) bytes_.shrink_to_fit();
}

bool FlightBuffer::agrees(std::uint64_t offset, Bytes bytes) const noexcept {
  return same_where_both(begin_, Bytes(bytes_).subspan(head_), offset, bytes);
}

bool PendingBytes::agrees(std::uint64_t offset, Bytes bytes) const noexcept {
  const std::uint64_t end = offset + bytes.size();
  auto run = runs_.upper_bound(offset);
  if (run != runs_.begin()) --run;
  for (; run != runs_.end() && run->first < end; ++run) {
    if (!same_where_both(run->first, run->second, offset, bytes)) return false;
  }
  return true;
}

void PendingBytes::insert(std::uint64_t offset, Bytes bytes) {
  while (!bytes.empty()) {
    const auto after = runs_.upper_bound(offset);
    auto before = after == runs_.begin() ? runs_.end() : std::prev(after);
    if (before != runs_.end()) {
      const std::uint64_t end = before->first + before->second.size();
      if (end > offset) {
        const std::size_t known = std::min<std::uint64_t>(end - offset, bytes.size());
        offset += known;
        bytes = bytes.subspan(known);
        continue;
      }
      if (end < offset) before = runs_.end();
    }
    const std::size_t room = after == runs_.end()
                                 ? bytes.size()
                                 : std::min<std::uint64_t>(after->first - offset, bytes.size());
    const Bytes fresh = bytes.first(room);
    if (before != runs_.end()) {
      before->second.insert(before->second.end(), fresh.begin(), fresh.end());
    } else {
      runs_.emplace_hint(after, offset, std::vector<std::byte>(fresh.begin(), fresh.end()));
    }
    bytes_ += room;
    offset += room;
    bytes = bytes.subspan(room);
  }
}

std::optional<PendingBytes::Run> PendingBytes::take(std::uint64_t offset) {
  while (!runs_.empty() && runs_.begin()->first <= offset) {
    auto node = runs_.extract(runs_.begin());
    const std::uint64_t begin = node.key();
    std::vector<std::byte> bytes = std::move(node.mapped());
    bytes_ -= bytes.size();
    if (begin + bytes.size() <= offset) continue;
    return Run{std::move(bytes), static_cast<std::size_t>(offset - begin)};
  }
  return std::nullopt;
}

void PendingBytes::clear() noexcept {
  runs_.clear();
  bytes_ = 0;
}

}  // namespace menshen::sensor
