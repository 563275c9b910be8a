#include "sensor/proto/decompress.hpp"

#include <brotli/encode.h>
#include <zstd.h>

#include <catch2/catch.hpp>

#include "sensor/proto/test_deflate.hpp"

namespace menshen::sensor {

namespace {

std::string brotli_of(std::string_view text) {
  std::size_t size = BrotliEncoderMaxCompressedSize(text.size());
  std::string out(size, '\0');
  REQUIRE(BrotliEncoderCompress(5, 22, BROTLI_MODE_GENERIC, text.size(),
                                reinterpret_cast<const std::uint8_t*>(text.data()), &size,
                                reinterpret_cast<std::uint8_t*>(out.data())) == BROTLI_TRUE);
  out.resize(size);
  return out;
}
std::string zstd_of(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

struct Sample {
  ContentCoding coding;
  std::string bytes;
};
std::vector<Sample> samples(std::string_view text) {
  return {{ContentCoding::gzip, testing::gzip(text)},
          {ContentCoding::deflate, testing::deflated(text, testing::zlib_form)},
          {ContentCoding::deflate, testing::deflated(text, testing::raw_form)},
          {ContentCoding::brotli, brotli_of(text)},
          {ContentCoding::zstd, zstd_of(text)}};
}

Decompressor::Sink to(std::string& out) {
  return [&out](Bytes bytes) { out += as_text(bytes); };
}

}  // namespace

TEST_CASE("each coding is undone, whole and byte by byte") {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "line " + std::to_string(i) + "\n";
  for (const Sample& sample : samples(text)) {
    std::string whole;
    Decompressor at_once(sample.coding, {});
    CHECK(at_once.feed(as_bytes(sample.bytes), to(whole)) == Decompressor::Status::done);
    CHECK(whole == text);
    CHECK(at_once.output_bytes() == text.size());
    std::string pieces;
    Decompressor slowly(sample.coding, {});
    for (const char c : sample.bytes) slowly.feed(as_bytes({&c, 1}), to(pieces));
    CHECK(pieces == text);
  }
}

TEST_CASE("a bomb ends at its limit") {
  const std::string text(8U << 20U, '\0');
  for (const Sample& sample : samples(text)) {
    std::string out;
    Decompressor decompressor(sample.coding, {.output_bytes = 1U << 20U, .total_bytes = 4U << 20U});
    CHECK(decompressor.feed(as_bytes(sample.bytes), to(out)) == Decompressor::Status::bomb);
    CHECK(decompressor.output_bytes() <= (4U << 20U) + (16U << 10U));
    CHECK(decompressor.feed(as_bytes(sample.bytes), to(out)) == Decompressor::Status::bomb);
  }
}

TEST_CASE("what is not compressed is broken") {
  for (const auto coding : {ContentCoding::gzip, ContentCoding::brotli, ContentCoding::zstd}) {
    std::string out;
    Decompressor decompressor(coding, {});
    CHECK(decompressor.feed(as_bytes("<html>this is plain text</html>"), to(out)) ==
          Decompressor::Status::broken);
  }
}

TEST_CASE("codings by their names") {
  CHECK(content_coding_of("GZip") == ContentCoding::gzip);
  CHECK(content_coding_of("br") == ContentCoding::brotli);
  CHECK(content_coding_of("identity") == std::nullopt);
}

}  // namespace menshen::sensor
