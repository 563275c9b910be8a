// A block: block_records consecutive records in one compressed piece. What is signed is the
// records' bytes; a block only carries them, and each record's tag, the first four bytes of its
// leaf's digest, so that a changed record can be named.
//
//   "MSBK", u8 version 1, u8 method (0 stored, 1 Zstandard), u16 count, u32 length of the content,
//   count times 4 bytes of tag, content (compressed by the method)
//   content: count times u32 length, then the records one after another. Big endian.
//
// decode_block is linear in the content, at most block_content_bytes_max; safe on any bytes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "audit/crypto/tree.hpp"
#include "audit/record/record.hpp"

namespace menshen::audit {

inline constexpr unsigned block_level = 8;  // of a whole block's root in the tree
inline constexpr std::size_t block_records = std::size_t{1} << block_level;
inline constexpr std::size_t block_content_bytes_max = block_records * (record_bytes_max + 4);

using Tag = std::array<std::byte, 4>;
[[nodiscard]] Tag tag_of(const Digest& leaf);

// `digests` are the records' leaves. Level 1: about 1 us a record.
[[nodiscard]] Result<std::string> encode_block(std::span<const Bytes> records,
                                               std::span<const Digest> digests);

struct Block {
  std::string content;
  std::vector<Bytes> records;  // into content
  std::vector<Tag> tags;
};
// ErrorCode::corrupt with the reason.
[[nodiscard]] Result<Block> decode_block(Bytes bytes);

}  // namespace menshen::audit
