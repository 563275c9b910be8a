#include <catch2/catch.hpp>

#include "sensor/proto/ntlmssp.hpp"
#include "sensor/proto/test_stage.hpp"

namespace menshen::sensor::testing {
namespace {

std::string le(std::uint64_t value, std::size_t bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xffU);
  return out;
}
std::string wide(std::string_view text) {
  std::string out;
  for (const char c : text) out += std::string{c, '\0'};
  return out;
}
std::string framed(const std::string& message) {
  const std::size_t n = message.size();
  return std::string{'\0', static_cast<char>(n >> 16U), static_cast<char>(n >> 8U & 0xffU),
                     static_cast<char>(n & 0xffU)} +
         message;
}

constexpr std::size_t head_bytes = 64;
const std::string file_id = le(1, 8) + le(2, 8);

std::string smb2(unsigned command, bool response, std::uint64_t id, const std::string& body,
                 std::uint32_t tree = 1) {
  return std::string("\xfeSMB") + le(64, 2) + le(0, 2) + le(0, 4) + le(command, 2) + le(1, 2) +
         le(response ? 1 : 0, 4) + le(0, 4) + le(id, 8) + le(0, 4) + le(tree, 4) + le(9, 8) +
         std::string(16, 's') + body;
}

std::string tree_connect(std::string_view path) {
  return framed(
      smb2(3, false, 1,
           le(9, 2) + le(0, 2) + le(head_bytes + 8, 2) + le(2 * path.size(), 2) + wide(path)));
}
std::string tree_connected(int type) {
  return framed(smb2(3, true, 1, le(16, 2) + static_cast<char>(type) + std::string(13, '\0')));
}
std::string create(std::string_view name) {
  return framed(smb2(5, false, 2,
                     std::string(44, '\0') + le(head_bytes + 56, 2) + le(2 * name.size(), 2) +
                         std::string(8, '\0') + wide(name)));
}
std::string created() {
  return framed(smb2(5, true, 2, std::string(64, '\0') + file_id + le(0, 8)));
}
std::string write(std::uint64_t offset, const std::string& data) {
  return framed(smb2(9, false, 3,
                     le(49, 2) + le(head_bytes + 48, 2) + le(data.size(), 4) + le(offset, 8) +
                         file_id + std::string(16, '\0') + data));
}
std::string read() {
  return framed(smb2(
      8, false, 4, le(49, 2) + le(0, 2) + le(100, 4) + le(0, 8) + file_id + std::string(17, '\0')));
}
std::string was_read(const std::string& data) {
  return framed(smb2(8, true, 4,
                     le(17, 2) + static_cast<char>(head_bytes + 16) + '\0' + le(data.size(), 4) +
                         le(0, 8) + data));
}
std::string close() { return framed(smb2(6, false, 5, le(24, 2) + le(0, 6) + file_id)); }

const Told* with(const Stage& s, std::string_view field, std::string_view value) {
  for (const Told& t : s.told) {
    if (t[field] == value) return &t;
  }
  return nullptr;
}

TEST_CASE("SMB2: shares, files written and read, in any pieces") {
  const std::string big(200'000, 'b');
  for (const std::size_t piece : {std::size_t{97}, std::size_t{1400}, std::string::npos}) {
    Stage s;
    s.client(tree_connect("\\\\h\\share"), piece);
    s.server(tree_connected(1), piece);
    s.client(create("dir\\a.txt"), piece);
    s.server(created(), piece);
    s.client(write(0, big) + write(big.size(), "end"), piece);
    s.client(read(), piece);
    s.server(was_read("content"), piece);
    s.client(close(), piece);
    s.finish();
    CHECK(s.flow.app == AppProto::smb);
    CHECK(with(s, ">smb.share", "\\\\h\\share") != nullptr);
    const Told* written = with(s, ">file.name", "dir\\a.txt");
    REQUIRE(written != nullptr);
    CHECK((*written)[">file.data"] == big + "end");
    CHECK(written->ended);
    const Told* got = with(s, "<file.name", "dir\\a.txt");
    REQUIRE(got != nullptr);
    CHECK((*got)["<file.data"] == "content");
  }
}

TEST_CASE("SMB2: messages behind one another in one frame") {
  Stage s;
  std::string first = smb2(13, false, 1, le(4, 4));
  first.resize(72);
  const std::string next = le(72, 4);
  first.replace(20, 4, next);
  s.client(framed(first + smb2(13, false, 2, le(4, 4))));
  s.finish();
  CHECK(s.told.size() == 2);
}

TEST_CASE("SMB2: calls over a named pipe are DCE/RPC") {
  const std::string call = std::string("\5\0\0\3\x10\0\0\0", 8) + le(27, 2) + le(0, 2) + le(7, 4) +
                           le(0, 4) + le(0, 2) + le(33, 2) + "stb";
  Stage s;
  s.client(tree_connect("\\\\h\\IPC$"));
  s.server(tree_connected(2));
  s.client(create("svcctl"));
  s.server(created());
  s.client(write(0, call));
  s.finish();
  CHECK(with(s, ">smb.named_pipe", "\\\\h\\IPC$") != nullptr);
  const Told* told = with(s, "#>dcerpc.opnum", "33");
  REQUIRE(told != nullptr);
  CHECK((*told)[">dcerpc.stub_data"] == "stb");
}

TEST_CASE("SMB2: a gap within content leaves the file truncated and the frames in step") {
  Stage s;
  s.client(create("a"));
  s.server(created());
  const std::string data(100'000, 'd');
  const std::string message = write(0, data);
  s.client(message.substr(0, 70'000));
  s.proto.on_stream_gap(s.flow, Direction::to_server, 10'000, s.packet);
  s.client(message.substr(80'000));
  s.client(tree_connect("\\\\h\\after"));
  s.finish();
  CHECK(with(s, ">smb.share", "\\\\h\\after") != nullptr);
  const Told* written = with(s, ">file.name", "a");
  REQUIRE(written != nullptr);
  CHECK((*written)[">file.data"].size() < 70'000);
}

std::string smb1(unsigned command, bool response, const std::string& words,
                 const std::string& bytes) {
  return framed(std::string("\xffSMB") + static_cast<char>(command) + le(0, 4) +
                static_cast<char>(response ? 0x80 : 0) + le(0x8000, 2) + std::string(12, '\0') +
                le(1, 2) + le(2, 2) + le(3, 2) + le(4, 2) + static_cast<char>(words.size() / 2) +
                words + le(bytes.size(), 2) + bytes);
}

TEST_CASE("SMB1: tree connect, create, write") {
  const std::string none = std::string("\xff\0\0\0", 4);
  Stage s;
  s.client(smb1(0x75, false, none + le(0, 2) + le(1, 2),
                std::string(1, 'p') + wide("\\\\h\\c") + le(0, 2) + "?????"));
  s.server(smb1(0x75, true, none + le(0, 2), ""));
  // Names stand at even places of the message: a byte of padding before this one.
  s.client(smb1(0xa2, false, none + std::string(44, '\0'),
                std::string(1, '\0') + wide("\\f.exe") + le(0, 2)));
  s.server(smb1(0xa2, true, none + '\0' + le(77, 2) + std::string(63, '\0'), ""));
  const std::string data = "MZdata";
  s.client(smb1(0x2f, false,
                none + le(77, 2) + le(0, 4) + le(0, 4) + le(0, 2) + le(0, 2) + le(0, 2) +
                    le(data.size(), 2) + le(32 + 1 + 24 + 2, 2),
                data));
  s.finish();
  CHECK(with(s, ">smb.share", "\\\\h\\c") != nullptr);
  const Told* written = with(s, ">file.name", "f.exe");
  REQUIRE(written != nullptr);
  CHECK((*written)[">file.data"] == data);
}

TEST_CASE("NTLMSSP: who signs on, wherever it stands in the blob") {
  const std::string text = wide("DOM") + wide("bob") + wide("pc");
  const std::size_t at = 64;
  const auto place = [](std::size_t length, std::size_t offset) {
    return le(length, 2) + le(length, 2) + le(offset, 4);
  };
  std::string message = std::string("NTLMSSP\0", 8) + le(3, 4) + place(0, 0) + place(0, 0) +
                        place(6, at) + place(6, at + 6) + place(4, at + 12) + place(0, 0) +
                        le(1, 4);
  REQUIRE(message.size() == at);
  const std::string blob = "spnego" + message + text;
  const auto found = find_ntlmssp(as_bytes(blob));
  REQUIRE(found.has_value());
  CHECK(found->whole);
  CHECK(found->domain == "DOM");
  CHECK(found->user == "bob");
  CHECK(found->host == "pc");
  const std::string cut = blob.substr(0, blob.size() - 1);
  CHECK_FALSE(find_ntlmssp(as_bytes(cut))->whole);
  CHECK_FALSE(find_ntlmssp(as_bytes("NTLM")).has_value());
}

std::string smb1_negotiate(const std::string& dialects) {
  return framed(std::string("\xffSMB") + '\x72' + std::string(27, '\0') + '\0' +
                le(dialects.size(), 2) + dialects);
}

TEST_CASE("SMB1: the dialects of a negotiation are names behind a byte of their own") {
  using namespace std::string_literals;
  const auto [dialects, bad] = GENERATE(table<std::string, bool>({
      {"\x02NT LM 0.12\0\x02SMB 2.???\0"s, false},
      {"", false},
      {"NT LM 0.12\0"s, true},
      {"\x02NT LM 0.12"s, true},  // no end
  }));
  CAPTURE(dialects);
  Stage s;
  s.client(smb1_negotiate(dialects));
  REQUIRE(s.told.size() == 1);
  const std::vector<std::string> events{"smb.negotiate_malformed_dialects"};
  CHECK(s.told[0].events == (bad ? events : std::vector<std::string>{}));
}

TEST_CASE("SMB2: reads and writes larger than what the server agreed to, or than any should be") {
  const auto negotiated = [](std::uint32_t most) {
    return framed(smb2(0, true, 9,
                       le(65, 2) + le(1, 2) + le(0x0302, 2) + le(0, 2) + std::string(16, 'g') +
                           le(0, 4) + le(most, 4) + le(most, 4) + le(most, 4)));
  };
  const auto asks = [](std::uint32_t count) {
    return framed(
        smb2(8, false, 4,
             le(49, 2) + le(0, 2) + le(count, 4) + le(0, 8) + file_id + std::string(17, '\0')));
  };
  const auto has = [](const Stage& s, std::string_view name) {
    return std::ranges::any_of(
        s.told, [&](const Told& t) { return std::ranges::find(t.events, name) != t.events.end(); });
  };
  SECTION("agreed") {
    for (const bool beyond : {false, true}) {
      const std::string content(beyond ? 101 : 100, 'x');
      Stage s;
      s.client(framed(smb2(0, false, 9, std::string(36, '\0'))));
      s.server(negotiated(100));
      s.client(asks(beyond ? 101 : 100));
      s.server(was_read(content));
      s.client(write(0, content));
      CHECK(has(s, "smb.read_request_too_large") == beyond);
      CHECK(has(s, "smb.read_response_too_large") == beyond);
      CHECK(has(s, "smb.write_request_too_large") == beyond);
    }
  }
  SECTION("any") {
    for (const std::uint32_t count : {16U << 20U, (16U << 20U) + 1}) {
      Stage s;
      s.client(asks(count));
      CHECK(has(s, "smb.read_request_too_large") == (count > 16U << 20U));
    }
  }
}

}  // namespace
}  // namespace menshen::sensor::testing
