#include "sensor/proto/decompress.hpp"

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/ascii.hpp"
#include "base/handle.hpp"

namespace menshen::sensor {

namespace {

using BrotliHandle = Handle<BrotliDecoderState, &BrotliDecoderDestroyInstance>;
using ZstdHandle = Handle<ZSTD_DStream, &ZSTD_freeDStream>;

constexpr std::size_t piece_bytes = 16U << 10U;
constexpr int any_zlib_header = 15 + 32;  // gzip or zlib
constexpr int no_zlib_header = -15;

struct Inflater {
  z_stream stream{};
  bool ready = false;

  explicit Inflater(int window_bits) { ready = inflateInit2(&stream, window_bits) == Z_OK; }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() {
    if (ready) inflateEnd(&stream);
  }
};

}  // namespace

std::optional<ContentCoding> content_coding_of(std::string_view token) noexcept {
  constexpr std::array<std::pair<std::string_view, ContentCoding>, 5> names{
      {{"gzip", ContentCoding::gzip},
       {"x-gzip", ContentCoding::gzip},
       {"deflate", ContentCoding::deflate},
       {"br", ContentCoding::brotli},
       {"zstd", ContentCoding::zstd}}};
  for (const auto& [name, coding] : names) {
    if (ascii_equal_nocase(token, name)) return coding;
  }
  return std::nullopt;
}

struct Decompressor::State {
  State(ContentCoding wanted, const DecompressLimits& bounds) : coding(wanted), limits(bounds) {
    switch (coding) {
      case ContentCoding::gzip:
      case ContentCoding::deflate:
      case ContentCoding::raw_deflate:
        may_lack_header = coding == ContentCoding::deflate;
        zlib = std::make_unique<Inflater>(coding == ContentCoding::raw_deflate ? no_zlib_header
                                                                               : any_zlib_header);
        if (!zlib->ready) status = Status::broken;
        return;
      case ContentCoding::brotli:
        brotli.reset(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr));
        if (brotli == nullptr) status = Status::broken;
        return;
      case ContentCoding::zstd:
        zstd.reset(ZSTD_createDStream());
        if (zstd == nullptr || ZSTD_isError(ZSTD_DCtx_setParameter(zstd.get(), ZSTD_d_windowLogMax,
                                                                   window_bits_max)) != 0) {
          status = Status::broken;
        }
        return;
    }
  }

  // One step: takes from `bytes`, puts at most piece_bytes into `piece`; their number.
  std::size_t step(Bytes& bytes) {
    switch (coding) {
      case ContentCoding::gzip:
      case ContentCoding::deflate:
      case ContentCoding::raw_deflate:
        return step_zlib(bytes);
      case ContentCoding::brotli:
        return step_brotli(bytes);
      case ContentCoding::zstd:
        return step_zstd(bytes);
    }
    return 0;
  }

  std::size_t step_zlib(Bytes& bytes) {
    const Bytes begin = bytes;
    const int result = run_zlib(bytes);
    if (result == Z_DATA_ERROR && may_lack_header) {
      // Some servers leave zlib's header out: again, from the first byte.
      may_lack_header = false;
      zlib = std::make_unique<Inflater>(no_zlib_header);
      if (!zlib->ready) {
        status = Status::broken;
        return 0;
      }
      Bytes first = as_bytes(header);
      if (!first.empty()) run_zlib(first);
      bytes = begin;
      return step_zlib(bytes);
    }
    if (may_lack_header) {
      constexpr std::size_t header_bytes = 2;
      const Bytes used = begin.first(begin.size() - bytes.size());
      header += as_text(used.first(std::min(used.size(), header_bytes)));
      may_lack_header = header.size() < header_bytes;
    }
    if (result == Z_STREAM_END) {
      status = Status::done;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      status = Status::broken;
    }
    return piece.size() - zlib->stream.avail_out;
  }

  int run_zlib(Bytes& bytes) {
    z_stream& z = zlib->stream;
    z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
    z.avail_in = static_cast<uInt>(std::min<std::size_t>(bytes.size(), 1U << 30U));
    const std::size_t offered = z.avail_in;
    z.next_out = reinterpret_cast<Bytef*>(piece.data());
    z.avail_out = static_cast<uInt>(piece.size());
    const int result = inflate(&z, Z_NO_FLUSH);
    bytes = bytes.subspan(offered - z.avail_in);
    return result;
  }

  std::size_t step_brotli(Bytes& bytes) {
    std::size_t left = bytes.size();
    const auto* in = reinterpret_cast<const std::uint8_t*>(bytes.data());
    std::size_t room = piece.size();
    auto* out = reinterpret_cast<std::uint8_t*>(piece.data());
    const BrotliDecoderResult result =
        BrotliDecoderDecompressStream(brotli.get(), &left, &in, &room, &out, nullptr);
    bytes = bytes.last(left);
    if (result == BROTLI_DECODER_RESULT_SUCCESS) status = Status::done;
    if (result == BROTLI_DECODER_RESULT_ERROR) status = Status::broken;
    return piece.size() - room;
  }

  std::size_t step_zstd(Bytes& bytes) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    ZSTD_outBuffer out{piece.data(), piece.size(), 0};
    const std::size_t result = ZSTD_decompressStream(zstd.get(), &out, &in);
    bytes = bytes.subspan(in.pos);
    if (ZSTD_isError(result) != 0) {
      status = Status::broken;
    } else if (result == 0) {
      status = Status::done;
    }
    return out.pos;
  }

  [[nodiscard]] bool is_bomb() const noexcept {
    return output > limits.total_bytes ||
           (output > limits.output_bytes && output > input * expansion_max);
  }

  ContentCoding coding;
  DecompressLimits limits;
  Status status = Status::more;
  std::uint64_t input = 0;
  std::uint64_t output = 0;
  bool may_lack_header = false;  // of zlib: its first bytes have not been judged
  std::string header;
  std::unique_ptr<Inflater> zlib;
  BrotliHandle brotli;
  ZstdHandle zstd;
  std::array<char, piece_bytes> piece;
};

Decompressor::Decompressor(ContentCoding coding, const DecompressLimits& limits)
    : state_(std::make_unique<State>(coding, limits)) {}
Decompressor::Decompressor(Decompressor&&) noexcept = default;
Decompressor& Decompressor::operator=(Decompressor&&) noexcept = default;
Decompressor::~Decompressor() = default;

Decompressor::Status Decompressor::feed(Bytes bytes, const Sink& sink) {
  State& s = *state_;
  s.input += bytes.size();
  for (bool full = false; s.status == Status::more && (full || !bytes.empty());) {
    const std::size_t before = bytes.size();
    const std::size_t made = s.step(bytes);
    s.output += made;
    if (made != 0) sink(as_bytes({s.piece.data(), made}));
    // A full piece: there may be more without further input.
    full = made == s.piece.size();
    if (s.status == Status::more && s.is_bomb()) s.status = Status::bomb;
    if (made == 0 && bytes.size() == before) break;
  }
  return s.status;
}

std::uint64_t Decompressor::output_bytes() const noexcept { return state_->output; }

}  // namespace menshen::sensor
