#include <nghttp2/nghttp2.h>
#include <zlib.h>

#include <catch2/catch.hpp>

#include "base/handle.hpp"
#include "sensor/proto/http2_fields.hpp"
#include "sensor/proto/test_stage.hpp"

namespace menshen::sensor {

using testing::Stage;
using testing::Told;
using namespace std::string_literals;

namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string be(std::size_t bytes, std::size_t value) {
  std::string out;
  for (std::size_t i = bytes; i-- > 0;) out += static_cast<char>(value >> (8 * i) & 0xffU);
  return out;
}
std::string frame(std::size_t type, std::size_t flags, std::size_t stream,
                  const std::string& payload) {
  return be(3, payload.size()) + be(1, type) + be(1, flags) + be(4, stream) + payload;
}

// One side's HPACK state.
class Encoder {
 public:
  Encoder() {
    nghttp2_hd_deflater* made = nullptr;
    REQUIRE(nghttp2_hd_deflate_new(&made, 4096) == 0);
    deflater_.reset(made);
  }
  std::string block(const Fields& fields) {
    std::vector<nghttp2_nv> list;
    for (const auto& [name, value] : fields) {
      list.push_back({reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
                      reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
                      value.size(), NGHTTP2_NV_FLAG_NONE});
    }
    std::string out(nghttp2_hd_deflate_bound(deflater_.get(), list.data(), list.size()), '\0');
    const ssize_t size =
        nghttp2_hd_deflate_hd(deflater_.get(), reinterpret_cast<std::uint8_t*>(out.data()),
                              out.size(), list.data(), list.size());
    REQUIRE(size >= 0);
    out.resize(static_cast<std::size_t>(size));
    return out;
  }

 private:
  Handle<nghttp2_hd_deflater, &nghttp2_hd_deflate_del> deflater_;
};

const Fields get{{":method", "GET"},       {":scheme", "http"},
                 {":path", "/a%20b?x=1"},  {":authority", "Portal.example.CN:8080"},
                 {"user-agent", "curl/8"}, {"cookie", "a=1"},
                 {"cookie", "b=2"}};
const Fields ok{{":status", "200"}, {"server", "nginx"}, {"content-type", "text/plain"}};

bool has_event(const Told& told, std::string_view name) {
  return std::ranges::find(told.events, name) != told.events.end();
}

}  // namespace

TEST_CASE("a request and its response over HTTP/2, whole and in every small piece") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1, 3, 20}));
  Stage s;
  Encoder client;
  Encoder server;
  s.client(preface + frame(4, 0, 0, be(2, 4) + be(4, 65535) + be(2, 2) + be(4, 0)) +
               frame(1, 0x05, 1, client.block(get)),
           piece);
  CHECK(s.flow.app == AppProto::http2);
  s.server(frame(4, 0x01, 0, "") + frame(1, 0x04, 1, server.block(ok)) +
               frame(0, 0x08, 1, "\x03hello "s + "ppp") + frame(0, 0x01, 1, "world"),
           piece);
  REQUIRE(s.told.size() == 3);
  CHECK(s.told[0]["#>http2.settings.initial_window_size"] == "65535");
  CHECK(s.told[0]["#>http2.settings.enable_push"] == "0");
  CHECK(s.told[0].ended);
  const Told& t = s.told[1];
  CHECK(t[">http.method"] == "GET");
  CHECK(t[">http.uri"] == "/a b?x=1");
  CHECK(t[">http.uri.raw"] == "/a%20b?x=1");
  CHECK(t[">http.host"] == "portal.example.cn");
  CHECK(t[">http.host.raw"] == "Portal.example.CN:8080");
  CHECK(t[">http.cookie"] == "a=1; b=2");
  CHECK(t[">http.user_agent"] == "curl/8");
  CHECK(t[">http.protocol"] == "HTTP/2");
  CHECK(t[">http2.header_name"] == ":method,:scheme,:path,:authority,user-agent,cookie,cookie");
  CHECK(t["<http.stat_code"] == "200");
  CHECK(t["<http.server"] == "nginx");
  CHECK(t["<http.response_header"] == ":status: 200,server: nginx,content-type: text/plain");
  CHECK(t["<http.header_names"] == "\r\n:status\r\nserver\r\ncontent-type\r\n\r\n");
  CHECK(t["<http.response_body"] == "hello world");
  CHECK(t["#<http2.frametype"] == "1,0");
  CHECK(t.ended);
  CHECK(t.eve.find(R"("request_headers":[{"name":":method","value":"GET"})") != std::string::npos);
  CHECK(t.eve.find(R"("stream_id":1)") != std::string::npos);
}

TEST_CASE("streams side by side, header fields over several frames, trailers") {
  Stage s;
  Encoder client;
  Encoder server;
  const std::string first = client.block({{":method", "POST"}, {":path", "/up"}});
  s.client(preface + frame(1, 0, 1, first.substr(0, 3)) + frame(9, 0x04, 1, first.substr(3)) +
           frame(1, 0x25, 3, be(4, 0) + "\xff" + client.block(get)) + frame(0, 0, 1, "body") +
           frame(1, 0x05, 1, client.block({{"checksum", "x"}})));
  REQUIRE(s.told.size() == 2);
  CHECK(s.told[0][">http.request_body"] == "body");
  CHECK(s.told[0][">http.request_header"] == ":method: POST,:path: /up,checksum: x");
  CHECK(s.told[0]["#>http2.frametype"] == "1,9,0");
  CHECK(s.told[1]["#>http2.priority"] == "255");
  s.server(frame(1, 0x05, 3, server.block(ok)) + frame(3, 0, 1, be(4, 8)));
  CHECK(s.told[1].ended);
  CHECK(s.told[0].ended);
  CHECK(s.told[0]["#<http2.errorcode"] == "8");
}

TEST_CASE("bodies of HTTP/2 are decompressed and are files") {
  std::string zipped(200, '\0');
  uLongf size = zipped.size();
  const std::string text = "<?php system($_GET['c']); ?>";
  REQUIRE(compress(reinterpret_cast<Bytef*>(zipped.data()), &size,
                   reinterpret_cast<const Bytef*>(text.data()), text.size()) == Z_OK);
  zipped.resize(size);
  Stage s;
  Encoder client;
  Encoder server;
  s.client(preface + frame(1, 0x05, 1, client.block(get)));
  s.server(frame(1, 0x04, 1, server.block({{":status", "200"}, {"content-encoding", "deflate"}})) +
               frame(0, 0x01, 1, zipped),
           7);
  CHECK(s.told.at(0)["<http.response_body"] == text);
  CHECK(s.told[0]["<file.data"] == text);
  CHECK(s.told[0]["<file.name"] == "/a b");
}

TEST_CASE("a promised stream's request comes from the server") {
  Stage s;
  Encoder client;
  Encoder server;
  s.client(preface + frame(1, 0x05, 1, client.block(get)));
  s.server(frame(5, 0x04, 1, be(4, 2) + server.block({{":method", "GET"}, {":path", "/pushed"}})) +
           frame(1, 0x05, 2, server.block(ok)));
  REQUIRE(s.told.size() == 2);
  CHECK(s.told[1][">http.uri"] == "/pushed");
  CHECK(s.told[1].ended);
}

TEST_CASE("what is wrong with HTTP/2 is an event") {
  const auto told_of = [](const std::string& bytes) {
    Stage s;
    s.client(preface + bytes);
    return s.told.empty() ? Told{} : s.told.back();
  };
  Encoder client;
  CHECK(has_event(told_of(frame(1, 0x05, 1, "\xff\xff\xff\xff\xff\xff"s)), "http2.invalid_header"));
  CHECK(has_event(told_of(frame(0, 0x08, 1, "\xff")), "http2.invalid_frame_data"));
  CHECK(has_event(told_of(frame(9, 0x04, 1, "x")), "http2.invalid_frame_data"));
  CHECK(has_event(told_of(frame(8, 0, 0, "x")), "http2.invalid_frame_length"));
  CHECK(has_event(told_of(frame(1, 0x05, 1, client.block({{":authority", "u:p@host.cn"}}))),
                  "http2.userinfo_in_uri"));
  Encoder other;
  CHECK(
      has_event(told_of(frame(1, 0x05, 1, other.block({{":authority", "a.cn"}, {"host", "b.cn"}}))),
                "http2.authority_host_mismatch"));
}

TEST_CASE("a long frame of no interest is passed over, one with header fields ends the parser") {
  Stage s;
  Encoder client;
  s.client(preface + frame(7, 0, 0, std::string(100'000, 'x')) +
           frame(1, 0x05, 1, client.block(get)));
  CHECK(s.told.back()[">http.method"] == "GET");
  s.client(frame(1, 0x05, 3, std::string(70'000, 'x')));
  CHECK(s.proto.counters().limits_reached == 1);
}

TEST_CASE("streams beyond the limit end the parser") {
  ProtoLimits limits;
  limits.transactions = 3;
  Stage s(limits);
  Encoder client;
  std::string requests = preface;
  for (std::size_t id = 1; id < 20; id += 2) requests += frame(1, 0x05, id, client.block(get));
  s.client(requests);
  CHECK(s.proto.counters().limits_reached == 1);
  CHECK(has_event(s.told.at(3), "http2.too_many_streams"));
}

TEST_CASE("HTTP/1 changes to HTTP/2 in the clear") {
  Stage s;
  s.client("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
  Encoder server;
  s.server("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" +
           frame(1, 0x05, 1, server.block(ok)));
  CHECK(s.flow.app == AppProto::http2);
}

TEST_CASE("a table entry that is repeated without end is not kept without end") {
  Encoder client;
  Http2FieldDecoder decoder;
  std::vector<Http2Field> fields;
  // A literal that enters the table, then thousands of references to it.
  const std::string block =
      "\x40\x01x\x7f\x81\x06"s + std::string(896, 'v') + std::string(20'000, '\xbe');
  const auto status = decoder.decode(as_bytes(block), fields, 1000, 64U << 10U);
  CHECK(status == Http2FieldDecoder::Status::limit);
  CHECK(fields.size() == (64U << 10U) / 897);
}

// ---- DNS over HTTP (RFC 8484) ------------------------------------------------------------------

namespace {

// A question for the address of a name.
std::string dns_message(std::string_view label, bool response = false) {
  std::string message = be(2, 7) + be(2, response ? 0x8180 : 0x0100) + be(2, 1) +
                        be(2, response ? 1 : 0) + be(2, 0) + be(2, 0);
  message += be(1, label.size()) + std::string(label) + "\x07" + "example" + "\0"s;
  message += be(2, 1) + be(2, 1);
  if (response)
    message += "\xc0\x0c" + be(2, 1) + be(2, 1) + be(4, 60) + be(2, 4) + be(4, 0x0a000001);
  return message;
}

// "AAcBAAABAAAAAAAAA3d3dwdleGFtcGxlAAABAAE": dns_message("www") in base64url.
constexpr std::string_view www_encoded = "AAcBAAABAAAAAAAAA3d3dwdleGFtcGxlAAABAAE";

Fields dns_get(std::string path) {
  return {{":method", "GET"}, {":authority", "dns.example"}, {":path", std::move(path)}};
}
const Fields dns_ok{{":status", "200"}, {"content-type", "Application/DNS-message"}};

}  // namespace

TEST_CASE("DNS over HTTP: a query in the target, its answer as body, in every small piece") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1, 7}));
  Stage s;
  Encoder client;
  Encoder server;
  s.client(preface + frame(1, 0x05, 1,
                           client.block(dns_get("/dns-query?x=1&dns=" + std::string(www_encoded)))),
           piece);
  CHECK(s.flow.app == AppProto::doh2);
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0][">dns.query"] == "www.example");
  CHECK(s.told[0]["#>dns.rrtype"] == "1");
  CHECK(s.told[0][">http.uri.raw"].starts_with("/dns-query"));
  const std::string answer = dns_message("www", true);
  s.server(frame(1, 0x04, 1, server.block(dns_ok)) + frame(0, 0, 1, answer.substr(0, 9)) +
               frame(0, 0x01, 1, answer.substr(9)),
           piece);
  const Told& t = s.told[0];
  CHECK(t["<dns.answer.name"] == "www.example");
  CHECK(t["#<dns.rcode"] == "0");
  CHECK(t.ended);
  CHECK(t.events.empty());
  CHECK(t.carried_eve.find(R"("rdata":"10.0.0.1")") != std::string::npos);
  CHECK(t.eve.find(R"("version":"2")") != std::string::npos);
}

TEST_CASE("DNS over HTTP: a query as body, and a server that alone says what it is") {
  Stage s;
  Encoder client;
  Encoder server;
  const Fields post{
      {":method", "POST"}, {":path", "/r"}, {"content-type", "application/dns-message"}};
  s.client(preface + frame(1, 0x04, 1, client.block(post)) + frame(0, 0x01, 1, dns_message("abc")));
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0][">dns.query"] == "abc.example");
  // Its target and fields say nothing.
  s.client(frame(1, 0x05, 3, client.block(dns_get("/r"))));
  CHECK(s.told[1][">dns.query"] == "-");
  s.server(frame(1, 0x04, 3, server.block(dns_ok)) + frame(0, 1, 3, dns_message("abc", true)));
  CHECK(s.told[1]["<dns.query.name"] == "abc.example");
  CHECK(s.told[1].ended);
}

TEST_CASE("DNS over HTTP: what is no DNS message stays HTTP") {
  const auto [path, errors] = GENERATE(table<std::string, std::uint64_t>({
      {"/dns-query", 0},                              // no parameter
      {"/dns-query?dns=*", 0},                        // not base64url
      {"/dns-query?dns=AAAA", 1},                     // shorter than a header
      {"/other?dns=" + std::string(www_encoded), 0},  // nobody says that it is DNS
  }));
  CAPTURE(path);
  Stage s;
  Encoder client;
  s.client(preface + frame(1, 0x05, 1, client.block(dns_get(path))));
  CHECK(s.flow.app == AppProto::http2);
  CHECK(s.told[0][">dns.query"] == "-");
  CHECK(s.told[0].carried_eve.empty());
  CHECK(s.proto.counters().parser_errors == errors);
}

TEST_CASE("DNS over HTTP: a message at the largest size is read, a longer one is not") {
  const auto extra = GENERATE(std::size_t{0}, std::size_t{1});
  Stage s;
  Encoder client;
  const Fields post{
      {":method", "POST"}, {":path", "/r"}, {"content-type", "application/dns-message"}};
  std::string message = dns_message("abc");
  message.resize(65'535 + extra);
  std::string sent = preface + frame(1, 0x04, 1, client.block(post));
  for (std::size_t at = 0; at < message.size(); at += 16'000) {
    const bool last = at + 16'000 >= message.size();
    sent += frame(0, last ? 1 : 0, 1, message.substr(at, 16'000));
  }
  s.client(sent);
  CHECK((s.told[0][">dns.query"] == "abc.example") == (extra == 0));
  CHECK(s.proto.counters().limits_reached == extra);
}

}  // namespace menshen::sensor
