#include <catch2/catch.hpp>

#include "sensor/proto/test_stage.hpp"

namespace menshen::sensor::testing {
namespace {

std::string be(std::uint64_t value, std::size_t bytes = 4) {
  std::string out;
  for (std::size_t i = bytes; i-- > 0;) out += static_cast<char>(value >> (8 * i) & 0xffU);
  return out;
}
std::string opaque(const std::string& bytes) {
  return be(bytes.size()) + bytes + std::string((4 - bytes.size() % 4) % 4, '\0');
}
std::string call(std::uint32_t id, unsigned version, unsigned procedure, const std::string& body) {
  return be(id) + be(0) + be(2) + be(100003) + be(version) + be(procedure) + be(0) + be(0) + be(0) +
         be(0) + body;
}
std::string reply(std::uint32_t id, const std::string& body) {
  return be(id) + be(1) + be(0) + be(0) + be(0) + be(0) + body;
}
std::string record(const std::string& message) {
  const std::size_t half = message.size() / 2;
  return be(half) + message.substr(0, half) + be(0x80000000U | (message.size() - half)) +
         message.substr(half);
}

const Told* with(const Stage& s, std::string_view field, std::string_view value) {
  for (const Told& t : s.told) {
    if (t[field] == value) return &t;
  }
  return nullptr;
}

TEST_CASE("NFS 3 over TCP: names from look-ups, files from reads and writes") {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{40}, std::string::npos}) {
    Stage s;
    s.client(record(call(1, 3, 3, opaque("dir!") + opaque("a.txt"))), piece);
    s.server(record(reply(1, be(0) + opaque("file"))), piece);
    s.client(record(call(2, 3, 6, opaque("file") + be(0, 8) + be(100))), piece);
    s.server(record(reply(2, be(0) + be(0) + be(7) + be(1) + opaque("content"))), piece);
    s.client(record(call(3, 3, 7, opaque("file") + be(0, 8) + be(3) + be(0) + opaque("new"))),
             piece);
    s.finish();
    CHECK(s.flow.app == AppProto::nfs);
    CHECK(with(s, "#>nfs_procedure", "3") != nullptr);
    const Told* read = with(s, "<file.data", "content");
    REQUIRE(read != nullptr);
    CHECK((*read)["<file.name"] == "a.txt");
    const Told* written = with(s, ">file.data", "new");
    REQUIRE(written != nullptr);
    CHECK((*written)[">file.name"] == "a.txt");
  }
}

TEST_CASE("NFS 2 over UDP, NFS 4 by handle") {
  Stage s;
  const std::string handle(32, 'h');
  s.datagram(Direction::to_server, call(1, 2, 8, handle + be(0) + be(0) + be(4) + opaque("data")));
  s.finish();
  CHECK(with(s, ">file.data", "data") != nullptr);
  Stage four;
  four.client(record(call(1, 4, 1,
                          opaque("") + be(1) + be(2) + be(22) + opaque("fh") + be(38) +
                              std::string(16, 's') + be(0, 8) + be(2) + opaque("v4"))));
  four.finish();
  CHECK(with(four, ">file.data", "v4") != nullptr);
}

TEST_CASE("NFS: calls without replies are bounded") {
  Stage s;
  for (std::uint32_t id = 0; id < 300; ++id) s.client(record(call(id, 3, 0, "")));
  CHECK(s.proto.counters().limits_reached == 300 - 256);
}

TEST_CASE("POP3 and IMAP are known by their greeting, and TLS follows where both agree") {
  Stage pop;
  pop.server("+OK ready\r\n");
  CHECK(pop.flow.app == AppProto::pop3);
  pop.client("STLS\r\n");
  pop.server("+OK go\r\n");
  CHECK(pop.flow.app == AppProto::unknown);
  Stage imap;
  imap.server("* OK ready\r\n");
  imap.client("a1 starttls\r\n");
  imap.server("a1 NO\r\n");
  CHECK(imap.flow.app == AppProto::imap);
}

TEST_CASE("TFTP: a request at its port names a file") {
  Stage s;
  s.flow.tuple.dport = 69;
  s.datagram(Direction::to_server, std::string("\0\2boot.cfg\0octet\0", 17));
  CHECK(s.flow.app == AppProto::tftp);
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0].eve == R"({"packet":"write","file":"boot.cfg","mode":"octet"})");
}

TEST_CASE("NFS: a call or a reply that ends before its fields do") {
  const std::vector<std::string> malformed{"nfs.malformed_data"};
  const std::string write = opaque("file") + be(0, 8) + be(3) + be(0);
  Stage s;
  s.client(record(call(1, 3, 7, write + opaque("new"))));
  s.client(record(call(2, 3, 7, write + be(4) + "ne")));
  s.client(record(call(3, 3, 6, opaque("file") + be(0, 8) + be(100))));
  s.server(record(reply(3, be(0) + be(0) + be(7) + be(1) + be(100) + "content")));
  s.server(record(reply(1, be(0))));
  std::vector<std::vector<std::string>> events;
  for (const Told& t : s.told) events.push_back(t.events);
  CHECK(std::ranges::count(events, malformed) == 2);
  CHECK(std::ranges::count(events, std::vector<std::string>{}) ==
        static_cast<std::ptrdiff_t>(events.size()) - 2);
}

TEST_CASE("NFS: a record longer than what is kept is not malformed") {
  Stage s;
  s.client(record(call(
      1, 3, 7, opaque("file") + be(0, 8) + be(3) + be(0) + opaque(std::string(4U << 20U, 'x')))));
  REQUIRE_FALSE(s.told.empty());
  for (const Told& t : s.told) CHECK(t.events.empty());
}

}  // namespace
}  // namespace menshen::sensor::testing
