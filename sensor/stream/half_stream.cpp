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

// Where two runs overlap, `to` becomes what `from` says.
void copy_where_both(std::uint64_t from_offset, Bytes from, std::uint64_t to_offset,
                     std::span<std::byte> to) noexcept {
  const std::uint64_t begin = std::max(from_offset, to_offset);
  const std::uint64_t end = std::min(from_offset + from.size(), to_offset + to.size());
  if (begin >= end) return;
  std::memcpy(to.data() + (begin - to_offset), from.data() + (begin - from_offset), end - begin);
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

void FlightBuffer::copy_to(std::uint64_t offset, std::span<std::byte> bytes) const noexcept {
  copy_where_both(begin_, Bytes(bytes_).subspan(head_), offset, bytes);
}

void FlightBuffer::overwrite(std::uint64_t offset, Bytes bytes) noexcept {
  copy_where_both(offset, bytes, begin_, std::span(bytes_).subspan(head_));
}

PendingBytes::Pieces::const_iterator PendingBytes::first_beyond(
    std::uint64_t offset) const noexcept {
  auto piece = pieces_.upper_bound(offset);
  if (piece == pieces_.begin()) return piece;
  const auto before = std::prev(piece);
  return before->first + before->second.size_ > offset ? before : piece;
}

bool PendingBytes::agrees(std::uint64_t offset, Bytes bytes) const noexcept {
  const std::uint64_t end = offset + bytes.size();
  for (auto piece = first_beyond(offset); piece != pieces_.end() && piece->first < end; ++piece) {
    if (!same_where_both(piece->first, piece->second.view(), offset, bytes)) return false;
  }
  return true;
}

void PendingBytes::copy_to(std::uint64_t offset, std::span<std::byte> bytes) const noexcept {
  const std::uint64_t end = offset + bytes.size();
  for (auto piece = first_beyond(offset); piece != pieces_.end() && piece->first < end; ++piece) {
    copy_where_both(piece->first, piece->second.view(), offset, bytes);
  }
}

std::size_t PendingBytes::cost(std::uint64_t offset, std::size_t length) const noexcept {
  std::size_t pieces = 1;
  for (auto piece = first_beyond(offset); piece != pieces_.end() && piece->first < offset + length;
       ++piece) {
    ++pieces;
  }
  return length + pieces * segment_overhead;
}

void PendingBytes::let_go(const Piece& piece) noexcept {
  if (piece.bytes_.use_count() == 1) bytes_ -= piece.bytes_->size();
}

// Takes `out`, which lies within the piece, out of it; returns the piece that follows `out`.
PendingBytes::Pieces::iterator PendingBytes::cut(Pieces::iterator piece, Extent out) {
  const Extent whole{piece->first, piece->first + piece->second.size_};
  Piece behind = piece->second;
  behind.skip_ += out.end - whole.begin;
  behind.size_ = whole.end - out.end;
  auto next = std::next(piece);
  if (out.begin > whole.begin) {
    piece->second.size_ = out.begin - whole.begin;
  } else {
    pieces_.erase(piece);
  }
  if (behind.size_ == 0) {
    let_go(behind);
    return next;
  }
  return pieces_.emplace_hint(next, out.end, std::move(behind));
}

void PendingBytes::insert(std::uint64_t offset, Bytes bytes, HostPolicy policy) {
  const Extent fresh{offset, offset + bytes.size()};
  Piece segment;
  segment.bytes_ = std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end());
  const auto put = [&](Pieces::iterator before, std::uint64_t begin, std::uint64_t end) {
    if (begin == end) return;
    segment.skip_ = begin - offset;
    segment.size_ = end - begin;
    pieces_.emplace_hint(before, begin, segment);
  };
  bytes_ += bytes.size();
  std::uint64_t mine = offset;  // the new bytes from here on have no place yet
  auto piece = pieces_.erase(first_beyond(offset), first_beyond(offset));
  while (piece != pieces_.end() && piece->first < fresh.end) {
    const Extent old{piece->first, piece->first + piece->second.size_};
    if (newer_segment_wins(policy, old, fresh)) {
      piece = cut(piece, {std::max(old.begin, fresh.begin), std::min(old.end, fresh.end)});
      continue;
    }
    put(piece, mine, std::max(mine, old.begin));
    mine = std::min(old.end, fresh.end);
    ++piece;
  }
  put(piece, mine, fresh.end);
  let_go(segment);
}

std::optional<PendingBytes::Piece> PendingBytes::take(std::uint64_t offset) {
  while (!pieces_.empty() && pieces_.begin()->first <= offset) {
    const auto node = pieces_.extract(pieces_.begin());
    Piece piece = node.mapped();
    node.mapped().bytes_.reset();
    let_go(piece);
    const std::uint64_t below = offset - node.key();
    if (piece.size_ <= below) continue;
    piece.skip_ += below;
    piece.size_ -= below;
    return piece;
  }
  return std::nullopt;
}

void PendingBytes::clear() noexcept {
  pieces_.clear();
  bytes_ = 0;
}

}  // namespace menshen::sensor
