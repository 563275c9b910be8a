#include "console/http/server.hpp"

#include <arpa/inet.h>
#include <httplib.h>
#include <poll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <thread>

#include "base/file.hpp"
#include "console/http/certificate.hpp"
#include "console/testing/fake_backend.hpp"

using namespace menshen;
using namespace menshen::console;
using testkit::TempDir;

namespace {

// Says what it was asked.
class Echo : public Service {
 public:
  std::size_t body_bytes_max(const RequestHead&) override { return 100; }
  Response answer(const Request& request) override {
    Response response;
    response.type = "text/plain";
    response.body = request.method + " " + request.path + " " + request.session + " " +
                    request.body + " from " + request.peer;
    return response;
  }
};

std::string ask(const std::string& text, const ServerOptions& options = {}) {
  Echo echo;
  return Server::answer_bytes(echo, text, options);
}

std::string get(const std::string& path, const std::string& headers = {}) {
  return ask("GET " + path + " HTTP/1.1\r\nHost: c\r\n" + headers + "\r\n");
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class Running {
 public:
  explicit Running(Service& service, ServerOptions options = {}) {
    options.certificate = folder / "server.pem";
    options.port = 0;
    REQUIRE(ensure_certificate(options.certificate, "menshen"));
    server = std::move(*Server::bind(options));
    REQUIRE(server->reload_certificate());
    thread = std::thread([this, &service] { static_cast<void>(server->run(service)); });
  }
  ~Running() {
    // Stopping a server that is not listening yet does nothing.
    while (!connected()) {
    }
    server->stop();
    thread.join();
  }
  [[nodiscard]] UniqueFd connect() const {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fd.reset();
    return fd;
  }
  [[nodiscard]] bool connected() const {
    httplib::SSLClient client("127.0.0.1", server->port());
    client.enable_server_certificate_verification(false);
    return static_cast<bool>(client.Get("/"));
  }

  TempDir folder;
  std::unique_ptr<Server> server;
  std::thread thread;
};

}  // namespace

TEST_CASE("requests are answered one after the other, with cookie and body") {
  const std::string out =
      ask("GET /a%20b HTTP/1.1\r\nHost: c\r\nCookie: x=1; __Host-menshen=abc; y=2\r\n\r\n"
          "POST /p HTTP/1.1\r\nHost: c\r\nContent-Type: application/json\r\nContent-Length: "
          "2\r\n\r\n{}");
  CHECK(has(out, "GET /a b abc  from 192.0.2.1"));
  CHECK(has(out, "POST /p  {} from 192.0.2.1"));
}

TEST_CASE("what a server must not swallow is refused") {
  CHECK(has(get("/", "Transfer-Encoding: chunked\r\n"), "HTTP/1.1 411"));
  CHECK(has(get("/", "Content-Encoding: gzip\r\n"), "HTTP/1.1 400"));
  CHECK(has(get("/", "Range: bytes=0-1,2-3\r\n"), "HTTP/1.1 4"));
  CHECK(has(get("/", "Upgrade: websocket\r\n"), "HTTP/1.1 400"));
  CHECK(has(get("/", "Host: other\r\n"), "HTTP/1.1 400"));
  CHECK(has(get("/", "Content-Length: 5\r\n") + "hello", "HTTP/1.1 400"));
  CHECK(has(ask("GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 400"));
  CHECK(has(ask("TRACE / HTTP/1.1\r\nHost: c\r\n\r\n"), "HTTP/1.1 4"));
  CHECK(has(ask("nonsense\r\n\r\n"), "HTTP/1.1 400"));
  const auto post = [](const std::string& headers, const std::string& body) {
    return ask("POST / HTTP/1.1\r\nHost: c\r\n" + headers + "\r\n" + body);
  };
  const std::string json = "Content-Type: application/json\r\n";
  CHECK(has(post("Content-Type: text/plain\r\nContent-Length: 2\r\n", "{}"), "HTTP/1.1 415"));
  CHECK(has(post(json + "Content-Length: 101\r\n", std::string(101, 'x')), "HTTP/1.1 413"));
  CHECK(has(post(json + "Content-Length: 100\r\n", std::string(100, 'x')), "HTTP/1.1 200"));
  CHECK(has(post(json + "Content-Length: -1\r\n", "{}"), "HTTP/1.1 400"));
  CHECK(has(post(json + "Content-Length: 2\r\nContent-Length: 3\r\n", "{}"), "HTTP/1.1 400"));
  CHECK_FALSE(
      has(post("Content-Length: 2\r\n", "GET /smuggled HTTP/1.1\r\nHost: c\r\n\r\n"), "smuggled"));
}

TEST_CASE("the head is bounded, in length, lines and path") {
  ServerOptions options;
  options.head_bytes_max = 4096;
  const std::string start = "GET / HTTP/1.1\r\nHost: c\r\n";
  const auto padded = [&](std::size_t bytes) {
    std::string text = start;
    while (text.size() + 4 < bytes) {
      text += "A: " +
              std::string(std::min<std::size_t>(bytes - text.size() - 4, 200), 'x')
                  .substr(3 < bytes - text.size() - 4 ? 3 : 0) +
              "\r\n";
    }
    return text + "\r\n";
  };
  CHECK(has(ask(padded(3000), options), "HTTP/1.1 200"));
  CHECK_FALSE(has(ask(padded(6000), options), "HTTP/1.1 200"));
  CHECK(has(get("/" + std::string(path_bytes_max - 1, 'x')), "HTTP/1.1 200"));
  CHECK(has(get("/" + std::string(path_bytes_max, 'x')), "HTTP/1.1 400"));
  // A library may read ranges with a regular expression, which must not use up the stack.
  std::string ranges = "Range: bytes=0-1";
  while (ranges.size() < 8000) ranges += ",0-1";
  CHECK_FALSE(has(get("/", ranges + "\r\n"), "HTTP/1.1 206"));
}

TEST_CASE("TLS 1.2 and later serve; older do not") {
  Echo echo;
  const Running running(echo);
  httplib::SSLClient client("127.0.0.1", running.server->port());
  client.enable_server_certificate_verification(false);
  const auto answer = client.Get("/hello");
  REQUIRE(answer);
  CHECK(has(answer->body, "GET /hello"));
  httplib::SSLClient old("127.0.0.1", running.server->port());
  old.enable_server_certificate_verification(false);
  SSL_CTX_set_min_proto_version(old.ssl_context(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(old.ssl_context(), TLS1_1_VERSION);
  CHECK_FALSE(old.Get("/hello"));
}

TEST_CASE("who does not speak is hung up on, and others are served meanwhile") {
  Echo echo;
  ServerOptions options;
  options.threads = 4;
  options.handshake = std::chrono::milliseconds(200);
  options.connections_of_peer_max = 3;
  const Running running(echo, options);
  std::vector<UniqueFd> silent;
  silent.reserve(12);
  for (int i = 0; i < 12; ++i) silent.push_back(running.connect());
  for (const UniqueFd& fd : silent) {
    REQUIRE(fd);
    pollfd waiting{fd.get(), POLLIN, 0};
    REQUIRE(::poll(&waiting, 1, 60'000) == 1);
    char byte = 0;
    CHECK(::recv(fd.get(), &byte, 1, 0) <= 0);
  }
  CHECK(running.connected());
}

TEST_CASE("the certificate is made once, told, and replaced only by a pair that fits") {
  const TempDir folder;
  const auto file = folder / "server.pem";
  CHECK(*ensure_certificate(file, "gate-1"));
  CHECK_FALSE(*ensure_certificate(file, "gate-1"));
  const auto info = read_certificate(file);
  REQUIRE(info);
  CHECK(info->self_signed);
  CHECK(has(info->subject, "gate-1"));
  CHECK(info->sha256.size() == 64);
  CHECK(std::ranges::count(info->names, "DNS:localhost") == 1);
  CHECK((std::filesystem::status(file).permissions() & std::filesystem::perms::group_all) ==
        std::filesystem::perms::none);

  const auto other = folder / "other.pem";
  REQUIRE(*ensure_certificate(other, "gate-2"));
  const std::string both = *read_file(other);
  CHECK(replace_certificate(file, both, both)->subject != info->subject);
  const std::string now = *read_file(file);
  const auto third = folder / "third.pem";
  REQUIRE(*ensure_certificate(third, "gate-3"));
  CHECK_FALSE(replace_certificate(file, both, *read_file(third)));
  CHECK_FALSE(replace_certificate(file, "nonsense", both));
  // A server would take the first key of the file, which is not this certificate's.
  const std::string stray = *read_file(third);
  const std::string stray_key = stray.substr(stray.find("-----BEGIN PRIVATE KEY"));
  CHECK_FALSE(replace_certificate(file, stray_key + both, both));
  CHECK_FALSE(replace_certificate(file, both, "nonsense"));
  CHECK(*read_file(file) == now);
  CHECK_FALSE(std::filesystem::exists(folder / "server.pem.new"));
}

TEST_CASE("pages are looked up by name, with the headers that keep strangers out") {
  FakeBackend back;
  ConsoleOptions options;
  options.accounts = back.folder / "accounts.json";
  options.password_cost = cheap_cost;
  auto pages = Pages::load(back.folder / "pages");
  REQUIRE(pages);
  const auto console = Console::open(options, back.backend(), std::move(*pages));
  REQUIRE(console);
  CHECK((*console)->needs_setup());
  CHECK(std::filesystem::exists(back.folder / "setup-code"));
  const auto request = [&](const std::string& path, const std::string& headers = {}) {
    return Server::answer_bytes(**console,
                                "GET " + path + " HTTP/1.1\r\nHost: c\r\n" + headers + "\r\n");
  };
  for (const char* path : {"/", "/events", "/assets/app.js", "/api/session", "/nothing.txt"}) {
    const std::string out = request(path);
    INFO(path);
    CHECK(has(out, "default-src 'none'"));
    CHECK(has(out, "frame-ancestors 'none'"));
    CHECK(has(out, "Strict-Transport-Security: max-age="));
    CHECK(has(out, "X-Content-Type-Options: nosniff"));
    CHECK(has(out, "Cache-Control: "));
    CHECK_FALSE(has(out, "unsafe"));
  }
  CHECK(has(request("/events"), "<title>console</title>"));
  CHECK(has(request("/assets/app.js"), "immutable"));
  CHECK(has(request("/assets/app.js", "Accept-Encoding: gzip\r\n"), "Content-Encoding: gzip"));
  for (const char* path : {"/../accounts.json", "/%2e%2e/accounts.json", "/assets/../../setup-code",
                           "/..%2faccounts.json", "/assets/%00app.js", "//etc/passwd.txt"}) {
    INFO(path);
    const std::string out = request(path);
    CHECK_FALSE(has(out, "HTTP/1.1 200"));
  }
  CHECK_FALSE(Pages::load(back.folder / "audit"));
}
