#include "audit/crypto/tree.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "audit/crypto/sm3_lanes.hpp"

namespace menshen::audit {
namespace {

constexpr std::array<std::byte, 1> leaf_tag{std::byte{0}};
constexpr std::byte node_tag{1};
constexpr std::size_t node_bytes = 65;

std::array<std::byte, node_bytes> node_input(const Digest& left, const Digest& right) {
  std::array<std::byte, node_bytes> bytes{node_tag};
  std::ranges::copy(left, bytes.begin() + 1);
  std::ranges::copy(right, bytes.begin() + 33);
  return bytes;
}

}  // namespace

Result<TreeHasher> TreeHasher::make(Profile profile) {
  return TreeHasher(MENSHEN_TRY(Hasher::make(profile)));
}

Digest TreeHasher::leaf(Bytes record) {
  hasher_.update(leaf_tag);
  hasher_.update(record);
  return hasher_.finish();
}

Digest TreeHasher::node(const Digest& left, const Digest& right) {
  hasher_.update(node_input(left, right));
  return hasher_.finish();
}

Digest TreeHasher::empty() { return hasher_.finish(); }

Digest TreeHasher::plain(Bytes text) {
  hasher_.update(text);
  return hasher_.finish();
}

void TreeHasher::leaves(std::span<const Bytes> records, std::span<Digest> out) {
  if (profile() == Profile::sm) return sm3_many(leaf_tag.front(), records, out);
  for (std::size_t i = 0; i < records.size(); ++i) out[i] = leaf(records[i]);
}

Digest TreeHasher::perfect(std::span<Digest> digests) {
  for (std::size_t n = digests.size(); n > 1; n /= 2) {
    if (profile() == Profile::sm && n > 2) {
      batch_.clear();
      for (std::size_t i = 0; i < n / 2; ++i) {
        batch_.push_back(std::as_bytes(digests.subspan(2 * i, 2)));
      }
      level_.resize(n / 2);
      sm3_many(node_tag, batch_, level_);
      std::ranges::copy(level_, digests.begin());
      continue;
    }
    for (std::size_t i = 0; i < n / 2; ++i) digests[i] = node(digests[2 * i], digests[2 * i + 1]);
  }
  return digests.front();
}

Result<Frontier> Frontier::make(std::uint64_t size, std::vector<Digest> peaks) {
  if (peaks.size() != static_cast<std::size_t>(std::popcount(size))) {
    return fail(ErrorCode::invalid,
                {"散列树的峰数与大小不符", "the tree's peaks do not fit its size"});
  }
  Frontier frontier;
  frontier.size_ = size;
  frontier.peaks_ = std::move(peaks);
  return frontier;
}

void Frontier::append(unsigned level, const Digest& hash, TreeHasher& hasher, const Sink& whole) {
  Digest carried = hash;
  std::uint64_t leaves = std::uint64_t{1} << level;
  if (whole) whole({level, size_ / leaves, carried});
  while ((size_ & leaves) != 0) {
    carried = hasher.node(peaks_.back(), carried);
    peaks_.pop_back();
    size_ -= leaves;
    leaves *= 2;
    ++level;
    if (whole) whole({level, size_ / leaves, carried});
  }
  size_ += leaves;
  peaks_.push_back(carried);
}

Digest Frontier::root(TreeHasher& hasher) const {
  if (peaks_.empty()) return hasher.empty();
  Digest root = peaks_.back();
  for (std::size_t i = peaks_.size() - 1; i-- > 0;) root = hasher.node(peaks_[i], root);
  return root;
}

Result<std::vector<Digest>> inclusion_path(std::uint64_t index, std::uint64_t size,
                                           const RangeRoot& range) {
  std::vector<Digest> path;
  std::uint64_t begin = 0;
  std::uint64_t end = size;
  while (end - begin > 1) {
    const std::uint64_t middle = begin + std::bit_floor(end - begin - 1);
    if (index < middle) {
      path.push_back(MENSHEN_TRY(range(middle, end)));
      end = middle;
    } else {
      path.push_back(MENSHEN_TRY(range(begin, middle)));
      begin = middle;
    }
  }
  std::ranges::reverse(path);
  return path;
}

bool verify_inclusion(TreeHasher& hasher, const Digest& leaf, std::uint64_t index,
                      std::uint64_t size, std::span<const Digest> path, const Digest& root) {
  if (index >= size) return false;
  std::uint64_t place = index;
  std::uint64_t last = size - 1;
  Digest hash = leaf;
  for (const Digest& sibling : path) {
    if (last == 0) return false;
    if ((place & 1U) != 0 || place == last) {
      hash = hasher.node(sibling, hash);
      while ((place & 1U) == 0 && place != 0) {
        place >>= 1U;
        last >>= 1U;
      }
    } else {
      hash = hasher.node(hash, sibling);
    }
    place >>= 1U;
    last >>= 1U;
  }
  return last == 0 && hash == root;
}

Result<std::vector<Digest>> consistency_path(std::uint64_t earlier, std::uint64_t size,
                                             const RangeRoot& range) {
  std::vector<Digest> path;
  std::uint64_t begin = 0;
  std::uint64_t end = size;
  bool whole = true;  // [begin, earlier) is a subtree that the earlier root already shows
  while (earlier != end) {
    const std::uint64_t middle = begin + std::bit_floor(end - begin - 1);
    if (earlier <= middle) {
      path.push_back(MENSHEN_TRY(range(middle, end)));
      end = middle;
    } else {
      path.push_back(MENSHEN_TRY(range(begin, middle)));
      begin = middle;
      whole = false;
    }
  }
  if (!whole) path.push_back(MENSHEN_TRY(range(begin, end)));
  std::ranges::reverse(path);
  return path;
}

bool verify_consistency(TreeHasher& hasher, std::uint64_t earlier, std::uint64_t size,
                        std::span<const Digest> path, const Digest& earlier_root,
                        const Digest& root) {
  if (earlier == 0 || earlier > size) return false;
  if (earlier == size) return path.empty() && earlier_root == root;
  std::size_t next = 0;
  Digest first{};
  if (std::has_single_bit(earlier)) {
    first = earlier_root;
  } else {
    if (path.empty()) return false;
    first = path[next++];
  }
  std::uint64_t place = earlier - 1;
  std::uint64_t last = size - 1;
  while ((place & 1U) != 0) {
    place >>= 1U;
    last >>= 1U;
  }
  Digest old_hash = first;
  Digest new_hash = first;
  for (; next < path.size(); ++next) {
    if (last == 0) return false;
    if ((place & 1U) != 0 || place == last) {
      old_hash = hasher.node(path[next], old_hash);
      new_hash = hasher.node(path[next], new_hash);
      while ((place & 1U) == 0 && place != 0) {
        place >>= 1U;
        last >>= 1U;
      }
    } else {
      new_hash = hasher.node(new_hash, path[next]);
    }
    place >>= 1U;
    last >>= 1U;
  }
  return last == 0 && old_hash == earlier_root && new_hash == root;
}

Result<Digest> range_root(
    std::uint64_t begin, std::uint64_t end, unsigned level_min, TreeHasher& hasher,
    const std::function<Result<Digest>(unsigned level, std::uint64_t position)>& perfect,
    const RangeRoot& small) {
  const std::uint64_t leaves = end - begin;
  const std::uint64_t least = std::uint64_t{1} << level_min;
  if (leaves < least) return small(begin, end);
  if (std::has_single_bit(leaves)) {
    return perfect(static_cast<unsigned>(std::countr_zero(leaves)), begin / leaves);
  }
  const std::uint64_t middle = begin + std::bit_floor(leaves - 1);
  const Digest left = MENSHEN_TRY(range_root(begin, middle, level_min, hasher, perfect, small));
  const Digest right = MENSHEN_TRY(range_root(middle, end, level_min, hasher, perfect, small));
  return hasher.node(left, right);
}

}  // namespace menshen::audit
