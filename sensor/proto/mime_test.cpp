#include "sensor/proto/mime.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "sensor/proto/events.hpp"

namespace menshen::sensor {
namespace {

struct Seen final : MimeSink {
  std::vector<std::pair<std::string, std::string>> files;
  std::vector<std::string> headers;
  std::string text;
  std::vector<std::string> events;
  bool open = false;

  void on_header(std::string_view name, std::string_view value) override {
    headers.push_back(std::string(name) + "=" + std::string(value));
  }
  void on_file(std::string_view name) override {
    files.emplace_back(name, "");
    open = true;
  }
  void on_file_data(Bytes bytes) override { files.back().second += as_text(bytes); }
  void on_file_end() override { open = false; }
  void on_text(std::string_view line) override { text += std::string(line) + "|"; }
  void on_event(ProtoEvent event) override { events.emplace_back(proto_event_info(event).name); }
};

Seen read(std::string_view message, std::size_t piece) {
  Seen seen;
  MimeReader reader(seen);
  while (!message.empty()) {
    const std::string part(message.substr(0, piece));
    reader.add(as_bytes(part));
    message.remove_prefix(part.size());
  }
  reader.finish();
  return seen;
}

constexpr std::string_view nested =
    "From: a@b\r\n"
    "Subject: one\r\n two\r\n"
    "Content-Type: multipart/mixed; boundary=\"outer\"\r\n"
    "\r\n"
    "preamble\r\n"
    "--outer\r\n"
    "Content-Type: multipart/alternative; boundary=inner\r\n"
    "\r\n"
    "--inner\r\n"
    "Content-Type: text/plain\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n"
    "\r\n"
    "see http://x=\r\n.org/a=3Db\r\n"
    "--inner--\r\n"
    "--outer\r\n"
    "Content-Disposition: attachment; filename*0=\"a\"; filename*1=\".bin\"\r\n"
    "Content-Transfer-Encoding: base64\r\n"
    "\r\n"
    "aGVs\r\nbG8=\r\n"
    "--outer\r\n"
    "Content-Type: application/x; name=plain.txt\r\n"
    "\r\n"
    "line 1\r\n--outerx\r\nline 3\r\n"
    "--outer--\r\n"
    "epilogue\r\n";

TEST_CASE("MIME: parts within parts, encodings, names in pieces, any split") {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, std::size_t{50}, nested.size()}) {
    const Seen seen = read(nested, piece);
    CHECK(seen.headers.size() == 3);
    CHECK(seen.headers[1] == "Subject=one two");
    REQUIRE(seen.files.size() == 2);
    CHECK(seen.files[0] == std::pair<std::string, std::string>("a.bin", "hello"));
    CHECK(seen.files[1] ==
          std::pair<std::string, std::string>("plain.txt", "line 1\r\n--outerx\r\nline 3"));
    CHECK(seen.text == "see http://x.org/a=b|");
    CHECK(seen.events.empty());
    CHECK_FALSE(seen.open);
  }
}

TEST_CASE("MIME: lines without end are content, not memory") {
  const std::string line(100'000, 'x');
  const Seen seen = read("Content-Type: a/b; name=f\n\n" + line, 777);
  REQUIRE(seen.files.size() == 1);
  CHECK(seen.files[0].second == line);
}

TEST_CASE("MIME: a long line of quoted-printable is decoded across its pieces") {
  std::string body;
  std::string plain;
  for (int i = 0; i < 1000; ++i) {
    body += "=41b";
    plain += "Ab";
  }
  const Seen seen =
      read("Content-Type: a/b; name=f\nContent-Transfer-Encoding: quoted-printable\n\n" + body, 5);
  REQUIRE(seen.files.size() == 1);
  CHECK(seen.files[0].second == plain);
}

TEST_CASE("MIME: limits are told") {
  const auto events = [](const std::string& message) { return read(message, 4096).events; };
  const auto boundary = [](std::size_t size) {
    return "Content-Type: multipart/mixed; boundary=" + std::string(size, 'b') + "\n\n";
  };
  CHECK(events(boundary(mime_boundary_max)).empty());
  CHECK(events(boundary(mime_boundary_max + 1)) ==
        std::vector<std::string>{"smtp.mime_long_boundary"});
  CHECK(events("Content-Type: a/b; name=" + std::string(256, 'n') + "\n\n") ==
        std::vector<std::string>{"smtp.mime_long_filename"});
  CHECK(events("Content-Transfer-Encoding: base64\n\na!b\n") ==
        std::vector<std::string>{"smtp.mime_invalid_base64"});
  CHECK(events("no colon\n\n") == std::vector<std::string>{"smtp.mime_malformed_msg"});
}

TEST_CASE("MIME: parts nest up to their limit") {
  std::string message;
  for (std::size_t i = 0; i <= mime_depth_max; ++i) {
    message += "Content-Type: multipart/mixed; boundary=b" + std::to_string(i) + "\n\n--b" +
               std::to_string(i) + "\n";
  }
  CHECK(read(message + "Content-Type: a/b; name=f\n\nx", 100).files.empty());
}

TEST_CASE("MIME: a message inside a message, whatever its encoding is said to be") {
  const std::string outer =
      "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n"
      "Content-Disposition: attachment; filename=outer.txt\n\n";
  const Seen inside = read(outer + "Subject: x\nContent-Type: a/b; name=in.exe\n\nMZ", 4);
  REQUIRE(inside.files.size() == 1);
  CHECK(inside.files[0] == std::pair<std::string, std::string>("in.exe", "MZ"));
  const Seen encoded = read(outer + "aGVsbG8=\n", 4);
  REQUIRE(encoded.files.size() == 1);
  CHECK(encoded.files[0] == std::pair<std::string, std::string>("outer.txt", "hello"));
}

TEST_CASE("MIME: parameters") {
  CHECK(mime_parameter("a; x=1; name=\"q;\\\"z\"; y=2", "name") == "q;\"z");
  CHECK(mime_parameter("a; NAME = v ", "name") == "v");
  CHECK(mime_parameter("a; name*=utf-8''%41%42", "name") == "AB");
  CHECK(mime_parameter("a; filename=x", "name").empty());
  CHECK(mime_parameter("name=x", "name").empty());
}

}  // namespace
}  // namespace menshen::sensor
