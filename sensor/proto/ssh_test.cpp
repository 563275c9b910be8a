#include <catch2/catch.hpp>

#include "sensor/proto/file.hpp"
#include "sensor/proto/test_stage.hpp"

namespace menshen::sensor::testing {
namespace {

std::string be32(std::size_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xffU);
  return out;
}

std::string record(char message, const std::string& data) {
  const std::string body = std::string(1, '\4') + message + data + "pad!";
  return be32(body.size()) + body;
}

std::string kexinit(std::string_view side) {
  std::string data(16, 'c');
  const std::string name(side);
  for (const std::string& list :
       {name + "-kex", name + "-key", name + "-c2s", name + "-s2c", name + "-mac1", name + "-mac2",
        std::string("none"), std::string("zlib"), std::string(), std::string()}) {
    data += be32(list.size()) + list;
  }
  return record(20, data + std::string(5, '\0'));
}

TEST_CASE("SSH: banners, HASSH of both sides, and nothing after the new keys") {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::string::npos}) {
    Stage s;
    s.server("Welcome\r\nSSH-2.0-OpenSSH_9.2 Debian\r\n", piece);
    s.client("SSH-2.0-PuTTY_0.78\r\n" + kexinit("c"), piece);
    s.server(kexinit("s") + record(21, ""), piece);
    CHECK(s.flow.app == AppProto::ssh);
    CHECK_FALSE(s.flow.encrypted);
    s.client(record(21, ""), piece);
    CHECK(s.flow.encrypted);
    REQUIRE(s.told.size() == 1);
    const Told& t = s.told[0];
    CHECK(t[">ssh.proto"] == "2.0");
    CHECK(t[">ssh.software"] == "PuTTY_0.78");
    CHECK(t["<ssh.software"] == "OpenSSH_9.2");
    CHECK(t[">ssh.hassh.string"] == "c-kex;c-c2s;c-mac1;none");
    CHECK(t["<ssh.hassh.server.string"] == "s-kex;s-s2c;s-mac2;zlib");
    CHECK(t[">ssh.hassh"] == hash_hex(FileHash::md5, as_bytes("c-kex;c-c2s;c-mac1;none")));
    CHECK(t.ended);
  }
}

TEST_CASE("SSH: what breaks the protocol or a limit is told") {
  const auto ends_with = [](const std::string& client) {
    Stage s;
    s.client(client);
    s.finish();
    REQUIRE(s.told.size() == 1);
    return s.proto.counters().parser_errors + s.proto.counters().limits_reached;
  };
  CHECK(ends_with("SSH-nodash\r\n") == 1);
  CHECK(ends_with("SSH-2.0-x\r\n" + be32(1) + "xx") == 1);
  CHECK(ends_with("SSH-2.0-x\r\n" + be32(65537) + "xx") == 1);
  CHECK(ends_with("SSH-2.0-x\r\n" + be32(65536) + "xx") == 0);
  CHECK(ends_with("SSH-2.0-" + std::string(300, 'x') + "\r\n") == 0);
}

}  // namespace
}  // namespace menshen::sensor::testing
