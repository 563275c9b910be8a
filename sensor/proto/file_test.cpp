#include "sensor/proto/file.hpp"

#include <catch2/catch.hpp>

#include "sensor/proto/field_transaction.hpp"

namespace menshen::sensor {
namespace {

constexpr FileWants all_wanted{{true, true, true, true}, true};
constexpr auto to_server = Direction::to_server;

std::string hash(const File& file, FileHash which) {
  return file.hashes[static_cast<std::size_t>(which)];
}

TEST_CASE("a file is kept, hashed and typed as it arrives") {
  Files files{FileLimits{}};
  files.want(all_wanted);
  FieldTransaction transaction(AppProto::smtp);
  File* file = files.open(transaction, to_server, "a.pdf");
  REQUIRE(file != nullptr);
  files.append(*file, as_bytes("%PDF-1."));
  files.append(*file, as_bytes("4\n"));
  CHECK(file->state == File::State::open);
  CHECK(transaction.field_count(Number::file_size) == 0);
  CHECK_FALSE(transaction.field(Buffer::file_data, 0).complete);
  files.close(*file);
  CHECK(file->state == File::State::closed);
  CHECK(file->data == "%PDF-1.4\n");
  CHECK(hash(*file, FileHash::md5) == "6446a98080f5e51ab7f0abc0e8eda635");
  CHECK(hash(*file, FileHash::sm3) == hash_hex(FileHash::sm3, as_bytes(file->data)));
  CHECK(file->magic.find("PDF document") == 0);
  CHECK(as_text(transaction.field(Buffer::file_ext, 0).bytes) == "pdf");
  CHECK(as_text(transaction.field(Buffer::file_name, 0).bytes) == "a.pdf");
  CHECK(transaction.field_count(Buffer::file_name_response) == 0);
  CHECK(transaction.field(Number::file_size, 0) == 9);
  CHECK(file_eve(*file, 3).find("\"state\":\"CLOSED\"") != std::string::npos);
}

TEST_CASE("SM3 of GB/T 32905's first example") {
  CHECK(hash_hex(FileHash::sm3, as_bytes("abc")) ==
        "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
}

TEST_CASE("a gap leaves a file truncated and without hashes") {
  Files files{FileLimits{}};
  files.want(all_wanted);
  FieldTransaction transaction(AppProto::smb);
  File* file = files.open(transaction, to_server, "x");
  files.append(*file, as_bytes("abc"));
  files.gap(*file, 100);
  files.append(*file, as_bytes("def"));
  files.close(*file);
  CHECK(file->state == File::State::truncated);
  CHECK(file->size == 106);
  CHECK(file->data == "abc");
  CHECK(hash(*file, FileHash::md5).empty());
}

TEST_CASE("limits of files: kept bytes of one, memory of all, files of a transaction, names") {
  FileLimits limits;
  limits.kept = 4;
  limits.memory = 6;
  limits.per_transaction = 2;
  limits.name = 3;
  Files files(limits);
  FieldTransaction transaction(AppProto::smb);
  File* one = files.open(transaction, to_server, "name");
  CHECK(one->name == "nam");
  files.append(*one, as_bytes("1234"));
  CHECK(one->keep_whole);
  files.append(*one, as_bytes("5"));
  CHECK_FALSE(one->keep_whole);
  CHECK(one->data == "1234");
  CHECK(one->size == 5);
  CHECK(transaction.field(Buffer::file_data, 0).complete);
  File* two = files.open(transaction, to_server, "");
  files.append(*two, as_bytes("abc"));
  CHECK(two->data == "ab");
  CHECK(files.counters().memory == 6);
  CHECK(files.open(transaction, to_server, "") == nullptr);
  CHECK(files.counters().limits_reached == 3);
  transaction.files = {};
  CHECK(files.counters().memory == 0);
}

}  // namespace
}  // namespace menshen::sensor
