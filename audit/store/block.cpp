#include "audit/store/block.hpp"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>

#include "base/handle.hpp"

namespace menshen::audit {
namespace {

constexpr std::string_view magic = "MSBK";
constexpr std::uint8_t version = 1;
constexpr std::uint8_t method_stored = 0;
constexpr std::uint8_t method_zstd = 1;
constexpr int zstd_level = 1;
// Frames of others may ask for a larger one: refused, so that memory stays bounded.
constexpr int zstd_window_log_max = 25;

using Compressor = Handle<ZSTD_CCtx, &ZSTD_freeCCtx>;
using Decompressor = Handle<ZSTD_DCtx, &ZSTD_freeDCtx>;

template <class Integer>
void put(std::string& out, Integer value) {
  for (int shift = static_cast<int>(sizeof(Integer)) * 8 - 8; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> shift & 0xffU));
  }
}

tl::unexpected<Error> fail_block(std::string_view zh, std::string_view en) {
  return fail(ErrorCode::corrupt,
              {fmt::format("记录块：{}", zh), fmt::format("block of records: {}", en)});
}

Result<std::string> decompress(Bytes packed, std::size_t length) {
  // One a thread: making one costs more than a block.
  thread_local const Decompressor context(ZSTD_createDCtx());
  if (!context) return fail_block("内存不足", "out of memory");
  static_cast<void>(
      ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, zstd_window_log_max));
  std::string content(length, '\0');
  const std::size_t written =
      ZSTD_decompressDCtx(context.get(), content.data(), length, packed.data(), packed.size());
  if (ZSTD_isError(written) != 0 || written != length) {
    return fail_block("无法解压", "cannot be decompressed");
  }
  return content;
}

}  // namespace

Tag tag_of(const Digest& leaf) {
  Tag tag{};
  std::ranges::copy_n(leaf.begin(), tag.size(), tag.begin());
  return tag;
}

Result<std::string> encode_block(std::span<const Bytes> records, std::span<const Digest> digests) {
  thread_local const Compressor context(ZSTD_createCCtx());
  thread_local std::string content;
  content.clear();
  for (const Bytes record : records) put(content, static_cast<std::uint32_t>(record.size()));
  for (const Bytes record : records) content.append(as_text(record));

  std::string out(magic);
  put(out, version);
  const std::size_t method_at = out.size();
  put(out, method_zstd);
  put(out, static_cast<std::uint16_t>(records.size()));
  put(out, static_cast<std::uint32_t>(content.size()));
  for (const Digest& digest : digests) out.append(as_text(tag_of(digest)));
  const std::size_t head = out.size();
  out.resize(head + ZSTD_compressBound(content.size()));
  if (!context) return fail_block("内存不足", "out of memory");
  const std::size_t written = ZSTD_compressCCtx(context.get(), out.data() + head, out.size() - head,
                                                content.data(), content.size(), zstd_level);
  if (ZSTD_isError(written) == 0 && written < content.size()) {
    out.resize(head + written);
    return out;
  }
  out.resize(head);
  out[method_at] = static_cast<char>(method_stored);
  out.append(content);
  return out;
}

Result<Block> decode_block(Bytes bytes) {
  ByteReader in(bytes);
  if (as_text(in.take(magic.size())) != magic) return fail_block("不是记录块", "it is none");
  const std::uint8_t found = in.u8();
  const std::uint8_t method = in.u8();
  const std::size_t count = in.be16();
  const std::size_t length = in.be32();
  if (!in.ok() || found != version || method > method_zstd) {
    return fail_block("版本或压缩方式未知", "unknown version or method");
  }
  if (count == 0 || count > block_records || length > block_content_bytes_max) {
    return fail_block("条数或长度超出范围", "its count or length is out of range");
  }
  Block block;
  for (std::size_t i = 0; i < count; ++i) {
    Tag& tag = block.tags.emplace_back();
    std::ranges::copy(in.take(tag.size()), tag.begin());
  }
  const Bytes packed = in.rest();
  if (!in.ok()) return fail_block("不完整", "it ends too early");
  if (method == method_stored) {
    if (packed.size() != length) return fail_block("长度不符", "its length is wrong");
    block.content = as_text(packed);
  } else {
    block.content = MENSHEN_TRY(decompress(packed, length));
  }
  ByteReader lengths(as_bytes(block.content));
  ByteReader records(as_bytes(block.content));
  records.skip(4 * count);
  for (std::size_t i = 0; i < count; ++i) {
    block.records.push_back(records.take(lengths.be32()));
  }
  if (!lengths.ok() || !records.ok() || !records.empty()) {
    return fail_block("内部长度不符", "its inner lengths are wrong");
  }
  return block;
}

}  // namespace menshen::audit
