#include "base/byte_reader.hpp"

#include <catch2/catch.hpp>

namespace menshen {
namespace {

TEST_CASE("numbers in network order, in sequence") {
  ByteReader reader(as_bytes("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a"));
  CHECK(reader.u8() == 1);
  CHECK(reader.be16() == 0x0203);
  CHECK(reader.be24() == 0x040506);
  CHECK(reader.be32() == 0x0708090a);
  CHECK(reader.empty());
  CHECK(reader.ok());
}

TEST_CASE("past the end there are zeros, and the flag stays") {
  ByteReader reader(as_bytes("\x01"));
  CHECK(reader.be64() == 0);
  CHECK_FALSE(reader.ok());
  CHECK(reader.remaining() == 0);
  reader.seek(0);
  CHECK(reader.u8() == 1);
  CHECK_FALSE(reader.ok());
}

TEST_CASE("a length that overflows is past the end") {
  ByteReader reader(as_bytes("abc"));
  reader.u8();
  CHECK(reader.take(SIZE_MAX).empty());
  CHECK_FALSE(reader.ok());
}

TEST_CASE("seek reaches the end and no further") {
  ByteReader reader(as_bytes("abc"));
  reader.seek(3);
  CHECK(reader.ok());
  CHECK(reader.rest().empty());
  reader.seek(4);
  CHECK_FALSE(reader.ok());
}

TEST_CASE("taken bytes are those of the text") {
  ByteReader reader(as_bytes("hello world"));
  CHECK(as_text(reader.take(5)) == "hello");
  reader.skip(1);
  CHECK(reader.position() == 6);
  CHECK(as_text(reader.rest()) == "world");
}

}  // namespace
}  // namespace menshen
