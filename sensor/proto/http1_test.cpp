#include <brotli/encode.h>

#include <catch2/catch.hpp>

#include "sensor/proto/test_deflate.hpp"
#include "sensor/proto/test_stage.hpp"

namespace menshen::sensor {

using testing::gzip;
using testing::Stage;
using testing::Told;

namespace {

constexpr std::string_view request =
    "POST /a/../shop/%69tem.php?q=%27%20or&x=1 HTTP/1.1\r\n"
    "Host: WWW.Example.cn:8080\r\n"
    "User-Agent: curl/7\r\n"
    "Accept: */*\r\n"
    "Cookie: id=1\r\n"
    "X-Test:   two words  \r\n"
    "Content-Type: text/plain\r\n"
    "Content-Length: 11\r\n"
    "\r\n"
    "hello world";
constexpr std::string_view response =
    "HTTP/1.1 200 Very OK\r\n"
    "Server: nginx\r\n"
    "Set-Cookie: a=b\r\n"
    "Content-Type: text/html; charset=utf-8\r\n"
    "Transfer-Encoding: chunked\r\n"
    "\r\n"
    "4\r\n<htm\r\n6\r\nl></ht\r\n3\r\nml>\r\n0\r\n\r\n";

std::string reply(std::string_view headers, std::string_view body) {
  return "HTTP/1.1 200 OK\r\n" + std::string(headers) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

}  // namespace

TEST_CASE("an HTTP exchange, whole and in every small piece") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1, 2, 3, 7, 100}));
  Stage s;
  s.client(request, piece);
  s.server(response, piece);
  CHECK(s.flow.app == AppProto::http1);
  REQUIRE(s.told.size() == 1);
  const Told& t = s.told[0];
  CHECK(t.ended);
  CHECK(t[">http.method"] == "POST");
  CHECK(t[">http.uri"] == "/shop/item.php?q=' or&x=1");
  CHECK(t[">http.uri.raw"] == "/a/../shop/%69tem.php?q=%27%20or&x=1");
  CHECK(t[">http.protocol"] == "HTTP/1.1");
  CHECK(t[">http.request_line"] == "POST /a/../shop/%69tem.php?q=%27%20or&x=1 HTTP/1.1");
  CHECK(t[">http.host"] == "www.example.cn");
  CHECK(t[">http.host.raw"] == "WWW.Example.cn:8080");
  CHECK(t[">http.user_agent"] == "curl/7");
  CHECK(t[">http.accept"] == "*/*");
  CHECK(t[">http.cookie"] == "id=1");
  CHECK(t[">http.content_type"] == "text/plain");
  CHECK(t[">http.content_len"] == "11");
  CHECK(t[">http.referer"] == "-");
  CHECK(t[">http.header"] ==
        "Host: WWW.Example.cn:8080\r\nUser-Agent: curl/7\r\nAccept: */*\r\nX-Test: two words\r\n"
        "Content-Type: text/plain\r\nContent-Length: 11\r\n");
  CHECK(t[">http.header_names"] ==
        "\r\nHost\r\nUser-Agent\r\nAccept\r\nCookie\r\nX-Test\r\nContent-Type\r\nContent-"
        "Length\r\n\r\n");
  const std::size_t head = request.find('\n') + 1;
  CHECK(t[">http.header.raw"] == request.substr(head, request.size() - head - 11));
  CHECK(t[">http.start"].substr(0, 20) == "POST /a/../shop/%69t");
  CHECK(t[">http.request_body"] == "hello world");
  CHECK(t["<http.stat_code"] == "200");
  CHECK(t["<http.stat_msg"] == "Very OK");
  CHECK(t["<http.response_line"] == "HTTP/1.1 200 Very OK");
  CHECK(t["<http.protocol"] == "HTTP/1.1");
  CHECK(t["<http.server"] == "nginx");
  CHECK(t["<http.cookie"] == "a=b");
  CHECK(t["<http.response_body"] == "<html></html>");
  CHECK(t["<http.header"].find("Set-Cookie") == std::string::npos);
  CHECK(t.eve == R"({"hostname":"www.example.cn","http_port":8080,)"
                 R"("url":"/a/../shop/%69tem.php?q=%27%20or&x=1","http_user_agent":"curl/7",)"
                 R"("http_content_type":"text/html","http_method":"POST","protocol":"HTTP/1.1",)"
                 R"("status":200,"length":31})");
}

TEST_CASE("the request can be stopped before its response exists") {
  Stage s;
  s.drop_at_change = 1;
  s.client("GET /evil HTTP/1.1\r\n");
  CHECK(s.told.at(0)[">http.uri"] == "/evil");
  CHECK(s.packet.dropped());
}

TEST_CASE("pipelined requests keep their answers") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1, 5}));
  Stage s;
  s.client("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n", piece);
  s.server(reply("Server: one\r\n", "first") + reply("Server: two\r\n", "second"), piece);
  REQUIRE(s.told.size() == 2);
  CHECK(s.told[0][">http.uri"] == "/1");
  CHECK(s.told[0]["<http.response_body"] == "first");
  CHECK(s.told[1][">http.host"] == "b");
  CHECK(s.told[1]["<http.server"] == "two");
  CHECK(s.told[1].ended);
}

TEST_CASE("100 Continue is not the response") {
  Stage s;
  s.client("POST /u HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  s.server("HTTP/1.1 100 Continue\r\n\r\n");
  s.client("abc");
  s.server("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0][">http.request_body"] == "abc");
  CHECK(s.told[0]["<http.stat_code"] == "403");
}

TEST_CASE("compressed bodies are opened") {
  Stage s;
  const std::string body = gzip("the quick brown fox");
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1}));
  s.client("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  s.server(reply("Content-Encoding: gzip\r\n", body), piece);
  CHECK(s.told.at(0)["<http.response_body"] == "the quick brown fox");
  CHECK(s.told[0].ended);
}

TEST_CASE("a compressed request body is opened too") {
  Stage s;
  const std::string body = gzip("web shell");
  s.client("POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body);
  CHECK(s.told.at(0)[">http.request_body"] == "web shell");
}

TEST_CASE("a decompression bomb stops at its limit") {
  Stage s;
  const std::string body = gzip(std::string(64U << 20U, '\0'));
  s.client("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  s.server(reply("Content-Encoding: gzip\r\n", body), 1460);
  CHECK(s.told.at(0)["<http.response_body"].size() <= ProtoLimits{}.http_response_body);
  CHECK(s.proto.counters().limits_reached == 1);
}

TEST_CASE("bodies are kept up to their limit, and complete there") {
  ProtoLimits limits;
  limits.http_request_body = 5;
  limits.http_response_body = 7;
  Stage s(limits);
  s.client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789");
  s.server(reply("", "0123456789"));
  CHECK(s.told.at(0)[">http.request_body"] == "01234");
  CHECK(s.told[0]["<http.response_body"] == "0123456");
  CHECK(s.proto.counters().limits_reached == 2);
}

TEST_CASE("a body without a length ends with the connection") {
  Stage s;
  s.client("GET / HTTP/1.0\r\n\r\n");
  s.server("HTTP/1.0 200 OK\r\n\r\nuntil the");
  CHECK_FALSE(s.told.at(0).ended);
  s.server(" end");
  s.close(Direction::to_client);
  CHECK(s.told[0]["<http.response_body"] == "until the end");
  CHECK(s.told[0].ended);
}

TEST_CASE("requests without answers end with the flow") {
  Stage s;
  s.client("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n");
  s.finish();
  REQUIRE(s.told.size() == 2);
  CHECK(s.told[0].ended);
  CHECK(s.told[1].ended);
}

TEST_CASE("more open transactions than the limit: the parser gives up, by policy") {
  ProtoLimits limits;
  limits.transactions = 10;
  const bool drops = GENERATE(false, true);
  limits.exceptions.set(ExceptionTrigger::app_limit,
                        drops ? ExceptionPolicy::drop_flow : ExceptionPolicy::ignore);
  Stage s(limits);
  std::string flood;
  for (int i = 0; i < 50; ++i) flood += "GET / HTTP/1.1\r\n\r\n";
  s.client(flood);
  CHECK(s.told.size() <= 11);
  CHECK(s.proto.counters().limits_reached == 1);
  CHECK(s.packet.dropped() == drops);
  CHECK((s.packet.reason == DropReason::proto_limit) == drops);
  CHECK((s.flow.action == FlowAction::drop) == drops);
  for (const Told& t : s.told) CHECK(t.ended);
}

TEST_CASE("a head beyond its limits ends the parser") {
  ProtoLimits limits;
  limits.http_headers = 1000;
  Stage s(limits);
  std::string head = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 100; ++i) head += "X-" + std::to_string(i) + ": 0123456789\r\n";
  s.client(head, 100);
  CHECK(s.proto.counters().limits_reached == 1);
}

TEST_CASE("a long-lived connection keeps no trace of what has ended") {
  Stage s;
  for (int i = 0; i < 5000; ++i) {
    s.client("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    s.server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  }
  REQUIRE(s.told.size() == 5000);
  CHECK(s.told.back().ended);
  CHECK(s.told.back()["<http.response_body"] == "ok");
}

TEST_CASE("a tunnel is looked at anew") {
  Stage s;
  s.client("CONNECT www.example.cn:80 HTTP/1.1\r\nHost: www.example.cn\r\n\r\n");
  s.server("HTTP/1.1 200 Connection established\r\n\r\n");
  s.client("GET /inside HTTP/1.1\r\nHost: b\r\n\r\n");
  CHECK(s.flow.app == AppProto::http1);
  CHECK(s.told.back()[">http.uri"] == "/inside");
}

TEST_CASE("a gap within a body is survived") {
  Stage s;
  s.client("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  s.server("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nbegin");
  s.proto.on_stream_gap(s.flow, Direction::to_client, 4, s.packet);
  s.server("end");
  CHECK(s.told.at(0).ended);
  CHECK(s.told[0]["<http.response_body"].substr(0, 5) == "begin");
}

TEST_CASE("bytes that are no HTTP after all end the parser, not the program") {
  Stage s;
  s.client("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  s.server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\nnot a chunk\r\n");
  s.server("more");
  s.finish();
  CHECK(s.told.at(0).ended);
}

namespace {

bool has_event(const Told& told, std::string_view name) {
  return std::ranges::find(told.events, name) != told.events.end();
}
Told of_request(const std::string& sent) {
  Stage s;
  s.client(sent);
  s.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  return s.told.at(0);
}

}  // namespace

TEST_CASE("each header field is an instance") {
  Stage s;
  s.client("GET / HTTP/1.1\r\nHost: a\r\nCookie: c=1\r\nX-Long: one\r\n two\r\n\r\n");
  s.server("HTTP/1.1 204 No Content\r\nServer: nginx\r\n\r\n");
  CHECK(s.told.at(0)[">http.request_header"] == "Host: a,Cookie: c=1,X-Long: one two");
  CHECK(s.told[0]["<http.response_header"] == "Server: nginx");
}

TEST_CASE("what is wrong with HTTP is an event") {
  CHECK(has_event(of_request("GET / HTTP/1.1\r\n\r\n"), "http.missing_host_header"));
  CHECK(has_event(of_request("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
                  "http.host_header_ambiguous"));
  CHECK(has_event(of_request("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"),
                  "http.request_field_missing_colon"));
  CHECK(has_event(of_request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "3;x=y\r\nabc\r\n0\r\n\r\n"),
                  "http.request_chunk_extension"));
  CHECK(has_event(of_request("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n"
                             "4 \ntiti\n0 ; x=y\n\n"),
                  "http.request_chunk_extension"));
  CHECK(has_event(of_request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
                             "Content-Length: 2\r\n\r\nab"),
                  "http.duplicate_content_length_field_in_request"));
  CHECK(has_event(of_request("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Odd x\r\n\r\n"),
                  "http.request_auth_unrecognized"));
  CHECK(of_request("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n").events.empty());
}

TEST_CASE("messages about a connection come to an end") {
  Stage s;
  for (int i = 0; i < 600; ++i) {
    s.client("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n");
    s.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  }
  CHECK(has_event(s.told.at(500), "http.request_field_missing_colon"));
  CHECK(has_event(s.told.at(511), "http.too_many_warnings"));
  CHECK(s.told.at(599).events.empty());
}

TEST_CASE("bodies are files, named by the form, the disposition or the path") {
  Stage s;
  const std::string form =
      "--b\r\nContent-Disposition: form-data; name=f; filename=\"x.php\"\r\n\r\n"
      "<?php evil(); ?>\r\n--b--\r\n";
  s.client(
      "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
      "Content-Length: " +
          std::to_string(form.size()) + "\r\n\r\n" + form,
      10);
  s.server(
      "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=r.txt\r\n"
      "Content-Length: 5\r\n\r\nhello");
  CHECK(s.told.at(0)[">file.name"] == "x.php");
  CHECK(s.told[0][">file.data"] == "<?php evil(); ?>");
  CHECK(s.told[0]["<file.name"] == "r.txt");
  CHECK(s.told[0]["<file.data"] == "hello");
  Stage get;
  get.client("GET /dir/page.html?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
  get.server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  CHECK(get.told.at(0)["<file.name"] == "/dir/page.html");
  CHECK(get.told[0][">file.name"] == "-");
}

TEST_CASE("a file's name that is cut is told of, in its part alone or after others") {
  const auto named = [](std::size_t bytes) {
    const std::string form =
        "--b\r\nContent-Disposition: form-data; name=f; filename=\"x\"\r\n\r\n1\r\n"
        "--b\r\nContent-Disposition: form-data; name=g; filename=\"" +
        std::string(bytes, 'n') + "\"\r\n\r\n2\r\n--b--\r\n";
    Stage s;
    s.client(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        "Content-Length: " +
        std::to_string(form.size()) + "\r\n\r\n" + form);
    return has_event(s.told.at(0), "http.file_name_too_long");
  };
  CHECK_FALSE(named(1023));
  CHECK(named(1024));
  CHECK(named(2000));
}

TEST_CASE("a Brotli body is opened") {
  const std::string text = "<html>hello hello hello hello</html>";
  std::size_t size = BrotliEncoderMaxCompressedSize(text.size());
  std::string packed(size, '\0');
  REQUIRE(BrotliEncoderCompress(5, 22, BROTLI_MODE_GENERIC, text.size(),
                                reinterpret_cast<const std::uint8_t*>(text.data()), &size,
                                reinterpret_cast<std::uint8_t*>(packed.data())) == BROTLI_TRUE);
  packed.resize(size);
  Stage s;
  s.client("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  s.server("HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: " + std::to_string(size) +
               "\r\n\r\n" + packed,
           9);
  CHECK(s.told.at(0)["<http.response_body"] == text);
}

TEST_CASE("a target whose escapes are escaped themselves") {
  const auto [target, encoded] = GENERATE(table<std::string, bool>({
      {"/a%20b", false},
      {"/100%25", false},
      {"/100%25x", false},
      {"/%252e%252e/", true},
      {"/a?b=%2541", true},
      {"/%25%2541", true},
  }));
  CAPTURE(target);
  Stage s;
  s.client("GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(s.told.size() == 1);
  const auto& events = s.told[0].events;
  CHECK((std::ranges::find(events, "http.double_encoded_uri") != events.end()) == encoded);
}

}  // namespace menshen::sensor
