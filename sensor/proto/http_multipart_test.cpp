#include "sensor/proto/http_multipart.hpp"

#include <catch2/catch.hpp>

namespace menshen::sensor {

namespace {

struct Seen final : MultipartObserver {
  void on_file(std::string_view name) override { text += "[" + std::string(name) + ":"; }
  void on_file_data(Bytes bytes) override { text += as_text(bytes); }
  void on_file_end(bool whole) override { text += whole ? "]" : "..."; }
  std::string text;
};

std::string read(std::string_view type, std::string_view body, std::size_t piece,
                 MultipartReader::Fault* fault = nullptr) {
  auto reader = MultipartReader::of(type);
  REQUIRE(reader);
  Seen seen;
  while (!body.empty()) {
    const std::string part(body.substr(0, piece));
    reader->feed(as_bytes(part), seen);
    body.remove_prefix(part.size());
  }
  reader->end(seen);
  if (fault != nullptr) *fault = reader->fault();
  return seen.text;
}

constexpr std::string_view form = "multipart/form-data; boundary=\"-- x\"";
constexpr std::string_view body =
    "---- x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nfield\r\n"
    "---- x\r\ncontent-disposition: form-data; name=\"f\"; filename=\"a;b.php\"\r\n"
    "Content-Type: text/plain\r\n\r\n\r\n---- y<?php\r\n\r\n"
    "---- x\r\nContent-Disposition: form-data; filename=second.bin\r\n\r\n\r\n"
    "---- x--\r\nepilogue";

}  // namespace

TEST_CASE("files of a form, whole and in every small piece") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1, 2, 7, 30}));
  MultipartReader::Fault fault{};
  CHECK(read(form, body, piece, &fault) == "[a;b.php:\r\n---- y<?php\r\n][second.bin:]");
  CHECK(fault == MultipartReader::Fault::no_file_data);
}

TEST_CASE("a form that ends early gives what came") {
  for (std::size_t size = 0; size < body.size(); ++size) {
    const std::string seen = read(form, body.substr(0, size), 11);
    CHECK(seen.find("field") == std::string::npos);
    CHECK(seen.size() < body.size());
  }
}

TEST_CASE("what is no form") {
  CHECK_FALSE(MultipartReader::of("text/plain"));
  CHECK_FALSE(MultipartReader::of("multipart/form-data"));
  CHECK_FALSE(MultipartReader::of("multipart/form-data; boundary=" + std::string(201, 'b')));
  CHECK(MultipartReader::of("Multipart/Form-Data;charset=x; Boundary=b"));
  MultipartReader::Fault fault{};
  CHECK(read(form, "no boundary at all", 5, &fault).empty());
  CHECK(fault == MultipartReader::Fault::generic);
  CHECK(read(form, "---- x\r\n" + std::string(9000, 'h'), 100, &fault).empty());
  CHECK(fault == MultipartReader::Fault::invalid_header);
}

TEST_CASE("parameters of a header") {
  CHECK(header_parameter("attachment; filename=\"a \\\"b\\\".txt\"", "filename") == "a \"b\".txt");
  CHECK(header_parameter("form-data; name=\"a;filename=x\"; filename=C:\\d.txt ; z=1",
                         "filename") == "C:\\d.txt");
  CHECK(header_parameter("attachment", "filename") == std::nullopt);
  CHECK(header_parameter("a; filename=", "filename") == "");
}

}  // namespace menshen::sensor
