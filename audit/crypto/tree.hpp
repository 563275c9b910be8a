// The Merkle tree of RFC 6962 section 2.1, over the digest of a profile:
//   leaf(record) = H(00 || record)      node(left, right) = H(01 || left || right)
//   the tree of n > 1 leaves: left, the greatest power of two below n of them; right, the rest.
// Proofs as in RFC 9162 sections 2.1.3 and 2.1.4. Leaves are numbered from 0 here.
//
// Not thread-safe: one TreeHasher a thread. A leaf costs one digest of its bytes, and on average
// one node.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "audit/crypto/digest.hpp"

namespace menshen::audit {

class TreeHasher {
 public:
  [[nodiscard]] static Result<TreeHasher> make(Profile profile);
  [[nodiscard]] Profile profile() const noexcept { return hasher_.profile(); }

  [[nodiscard]] Digest leaf(Bytes record);
  [[nodiscard]] Digest node(const Digest& left, const Digest& right);
  [[nodiscard]] Digest empty();            // of no leaf: H of nothing
  [[nodiscard]] Digest plain(Bytes text);  // H(text), for notes

  // Many at once, which the profile sm computes several times faster than one by one.
  void leaves(std::span<const Bytes> records, std::span<Digest> out);
  // The root of leaves whose number is a power of two; `digests` is used up.
  [[nodiscard]] Digest perfect(std::span<Digest> digests);

 private:
  explicit TreeHasher(Hasher hasher) : hasher_(std::move(hasher)) {}
  Hasher hasher_;
  std::vector<Bytes> batch_;
  std::vector<Digest> level_;
};

// A perfect subtree that has just become whole: 2^level leaves, the position-th of that size.
struct TreeNode {
  unsigned level = 0;
  std::uint64_t position = 0;
  Digest hash{};
};

// The perfect subtrees that a tree of `size` leaves consists of, the largest first: enough to go on
// appending and to know the root. At most 64 digests.
class Frontier {
 public:
  Frontier() = default;
  // ErrorCode::invalid where the number of peaks is not that of the size's set bits.
  [[nodiscard]] static Result<Frontier> make(std::uint64_t size, std::vector<Digest> peaks);
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] const std::vector<Digest>& peaks() const noexcept { return peaks_; }

  using Sink = std::function<void(const TreeNode&)>;
  // A perfect subtree of 2^level leaves; the size must be a multiple of that. `whole` is told of it
  // and of every subtree that becomes whole by it.
  void append(unsigned level, const Digest& hash, TreeHasher& hasher, const Sink& whole = {});
  void append(const Digest& leaf, TreeHasher& hasher) { append(0, leaf, hasher); }
  [[nodiscard]] Digest root(TreeHasher& hasher) const;
  bool operator==(const Frontier&) const = default;

 private:
  std::uint64_t size_ = 0;
  std::vector<Digest> peaks_;
};

// The root of the leaves [begin, end), where end - begin is a power of two that divides begin, or
// the range reaches the tree's end. Whoever keeps the tree answers.
using RangeRoot = std::function<Result<Digest>(std::uint64_t begin, std::uint64_t end)>;

[[nodiscard]] Result<std::vector<Digest>> inclusion_path(std::uint64_t index, std::uint64_t size,
                                                         const RangeRoot& range);
[[nodiscard]] bool verify_inclusion(TreeHasher& hasher, const Digest& leaf, std::uint64_t index,
                                    std::uint64_t size, std::span<const Digest> path,
                                    const Digest& root);
// That the tree of `size` leaves begins with the one of `earlier` (0 < earlier <= size).
[[nodiscard]] Result<std::vector<Digest>> consistency_path(std::uint64_t earlier,
                                                           std::uint64_t size,
                                                           const RangeRoot& range);
[[nodiscard]] bool verify_consistency(TreeHasher& hasher, std::uint64_t earlier, std::uint64_t size,
                                      std::span<const Digest> path, const Digest& earlier_root,
                                      const Digest& root);

// The root of [begin, end) from perfect subtrees: asks `perfect` for each of at least 2^level_min
// leaves that is whole, and `small` for what is smaller (aligned, within one of 2^level_min).
[[nodiscard]] Result<Digest> range_root(
    std::uint64_t begin, std::uint64_t end, unsigned level_min, TreeHasher& hasher,
    const std::function<Result<Digest>(unsigned level, std::uint64_t position)>& perfect,
    const RangeRoot& small);

}  // namespace menshen::audit
