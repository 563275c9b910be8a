#include "sensor/proto/http2_fields.hpp"

#include <nghttp2/nghttp2.h>

#include "base/handle.hpp"

namespace menshen::sensor {

namespace {

using InflaterHandle = Handle<nghttp2_hd_inflater, &nghttp2_hd_inflate_del>;

constexpr std::size_t size_updates_max = 16;

InflaterHandle make_inflater() {
  nghttp2_hd_inflater* inflater = nullptr;
  if (nghttp2_hd_inflate_new(&inflater) != 0) return nullptr;
  // The peer's own limit may be anything up to ours; the encoder says what it uses.
  nghttp2_hd_inflate_change_table_size(inflater, http2_table_bytes_max);
  return InflaterHandle(inflater);
}

std::vector<std::uint64_t> read_size_updates(Bytes block) {
  std::vector<std::uint64_t> sizes;
  ByteReader reader(block);
  while (!reader.empty() && sizes.size() < size_updates_max) {
    const std::uint8_t first = reader.u8();
    if ((first & 0xe0U) != 0x20U) break;
    std::uint64_t size = first & 0x1fU;
    if (size == 0x1f) {
      for (unsigned shift = 0; shift < 56; shift += 7) {
        const std::uint8_t byte = reader.u8();
        size += static_cast<std::uint64_t>(byte & 0x7fU) << shift;
        if ((byte & 0x80U) == 0) break;
      }
    }
    if (!reader.ok()) break;
    sizes.push_back(size);
  }
  return sizes;
}

}  // namespace

struct Http2FieldDecoder::State {
  InflaterHandle inflater = make_inflater();
  std::vector<std::uint64_t> size_updates;
};

Http2FieldDecoder::Http2FieldDecoder() : state_(std::make_unique<State>()) {}
Http2FieldDecoder::Http2FieldDecoder(Http2FieldDecoder&&) noexcept = default;
Http2FieldDecoder::~Http2FieldDecoder() = default;

const std::vector<std::uint64_t>& Http2FieldDecoder::size_updates() const noexcept {
  return state_->size_updates;
}

Http2FieldDecoder::Status Http2FieldDecoder::decode(Bytes block, std::vector<Http2Field>& out,
                                                    std::size_t fields_max, std::size_t bytes_max) {
  state_->size_updates = read_size_updates(block);
  nghttp2_hd_inflater* inflater = state_->inflater.get();
  if (inflater == nullptr) return Status::broken;
  const auto* at = reinterpret_cast<const std::uint8_t*>(block.data());
  std::size_t left = block.size();
  std::size_t bytes = 0;
  Status status = Status::ok;
  for (;;) {
    nghttp2_nv field{};
    int flags = 0;
    const ssize_t used = nghttp2_hd_inflate_hd2(inflater, &field, &flags, at, left, 1);
    if (used < 0) return Status::broken;
    at += used;
    left -= static_cast<std::size_t>(used);
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      bytes += field.namelen + field.valuelen;
      if (out.size() < fields_max && bytes <= bytes_max) {
        out.push_back({{reinterpret_cast<const char*>(field.name), field.namelen},
                       {reinterpret_cast<const char*>(field.value), field.valuelen}});
      } else {
        status = Status::limit;
      }
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) {
      nghttp2_hd_inflate_end_headers(inflater);
      return status;
    }
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && left == 0) return status;
  }
}

}  // namespace menshen::sensor
