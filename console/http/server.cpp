#include "console/http/server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/ip.hpp"
#include "console/http/certificate.hpp"
#include "console/http/connection.hpp"

namespace menshen::console {
namespace {

constexpr std::string_view session_cookie = "__Host-menshen";
constexpr std::size_t requests_of_connection_max = 1000;

using ContextHandle = Handle<SSL_CTX, &SSL_CTX_free>;

// Of this thread: what the library's callbacks, which do not know the connection, belong to.
thread_local Connection* current = nullptr;

std::string cookie_of(const std::string& header) {
  std::string_view rest = header;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(';'), rest.size());
    std::string_view part = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    while (part.starts_with(' ')) part.remove_prefix(1);
    if (part.starts_with(session_cookie) && part.substr(session_cookie.size()).starts_with('=')) {
      return std::string(part.substr(session_cookie.size() + 1));
    }
  }
  return {};
}

RequestHead head_of(const httplib::Request& request) {
  RequestHead head;
  head.method = request.method;
  head.path = request.path;
  for (const auto& [key, value] : request.params) head.query.emplace(key, value);
  head.session = cookie_of(request.get_header_value("Cookie"));
  head.csrf = request.get_header_value("X-CSRF-Token");
  head.origin = request.get_header_value("Origin");
  head.host = request.get_header_value("Host");
  head.content_type = request.get_header_value("Content-Type");
  head.peer = current->peer();
  head.accepts_gzip = request.get_header_value("Accept-Encoding").find("gzip") != std::string::npos;
  return head;
}

void put(Response&& from, httplib::Response& to) {
  to.status = from.status;
  for (const auto& [key, value] : from.headers) to.set_header(key, value);
  if (from.stream) {
    to.set_chunked_content_provider(
        from.type, [next = std::move(from.stream)](size_t, httplib::DataSink& sink) {
          std::string piece;
          if (!next(piece)) {
            sink.done();
            return true;
          }
          return piece.empty() || sink.write(piece.data(), piece.size());
        });
    return;
  }
  if (from.status == 204) return;
  // A body given at once would be compressed by the library, at its slowest.
  const auto page =
      from.page ? from.page : std::make_shared<const std::string>(std::move(from.body));
  if (page->empty()) return;
  to.set_content_provider(page->size(), from.type,
                          [page](size_t offset, size_t length, httplib::DataSink& sink) {
                            return sink.write(page->data() + offset, length);
                          });
}

Response refusal(int status, const char* code, const char* zh, const char* en) {
  Response response;
  response.status = status;
  response.body = fmt::format(R"({{"code":"{}","zh":"{}","en":"{}"}})", code, zh, en);
  return response;
}

bool expects_body(const std::string& method) {
  return method == "POST" || method == "PUT" || method == "PATCH" || method == "DELETE";
}

// Takes a finished head: an answer where it is refused, otherwise the body may come.
std::optional<Response> refuse(Service& service, const httplib::Request& request) {
  static constexpr std::array methods{"GET", "HEAD", "POST", "PUT", "DELETE"};
  if (std::ranges::find(methods, request.method) == methods.end()) {
    return refusal(405, "invalid", "不支持该方法", "no such method here");
  }
  if (request.path.size() > path_bytes_max || !request.path.starts_with('/') ||
      request.path.find('\0') != std::string::npos) {
    return refusal(400, "invalid", "路径无效", "the path is not valid");
  }
  if (request.has_header("Transfer-Encoding")) {
    return refusal(411, "invalid", "请求须带 Content-Length", "Content-Length is needed");
  }
  if (request.has_header("Expect") || request.has_header("Upgrade") ||
      request.get_header_value_count("Content-Length") > 1 ||
      request.get_header_value_count("Host") != 1) {
    return refusal(400, "invalid", "请求头无效", "the headers are not valid");
  }
  // A body in another coding is unpacked by the library, however large it becomes.
  if (request.has_header("Content-Encoding") || request.has_header("Range")) {
    return refusal(400, "invalid", "不支持 Content-Encoding 与 Range",
                   "Content-Encoding and Range are not supported");
  }
  const std::string text = request.get_header_value("Content-Length");
  if (text.find_first_not_of("0123456789") != std::string::npos || text.size() > 12) {
    return refusal(400, "invalid", "Content-Length 无效", "Content-Length is not valid");
  }
  const std::size_t length = text.empty() ? 0 : std::stoull(text);
  if (length == 0) return std::nullopt;
  if (!expects_body(request.method)) {
    return refusal(400, "invalid", "该请求不应有正文", "this request has no body");
  }
  if (!request.get_header_value("Content-Type").starts_with("application/json")) {
    return refusal(415, "invalid", "正文须为 application/json",
                   "the body must be application/json");
  }
  if (length > service.body_bytes_max(head_of(request))) {
    return refusal(413, "limit", "请求正文过大", "the body is too large");
  }
  current->admit_body(length);
  return std::nullopt;
}

// At most `threads` run and as many wait; then the accepting thread does, and the kernel's backlog
// fills up.
class BoundedQueue : public httplib::TaskQueue {
 public:
  explicit BoundedQueue(std::size_t threads) : waiting_max_(threads) {
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
  }
  void enqueue(std::function<void()> task) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return waiting_.size() < waiting_max_ || ending_; });
    waiting_.push_back(std::move(task));
    changed_.notify_all();
  }
  void shutdown() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    for (std::thread& each : threads_) each.join();
  }

 private:
  void work() {
    for (;;) {
      std::function<void()> task;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !waiting_.empty() || ending_; });
        if (waiting_.empty()) return;
        task = std::move(waiting_.front());
        waiting_.pop_front();
        changed_.notify_all();
      }
      task();
    }
  }

  std::size_t waiting_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

std::string peer_address(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "?";
  if (address.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address);
    ::inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
    return text.data();
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
  ::inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
  const std::string_view shown = text.data();
  return std::string(shown.starts_with("::ffff:") ? shown.substr(7) : shown);
}

Result<ContextHandle> make_context(const std::filesystem::path& certificate) {
  ContextHandle context(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_cipher_list(context.get(), "ECDHE+AESGCM:ECDHE+CHACHA20");
  MENSHEN_CHECK(use_certificate(context.get(), certificate));
  return context;
}

}  // namespace

const std::string& RequestHead::parameter(std::string_view name) const {
  static const std::string none;
  const auto at = query.find(name);
  return at == query.end() ? none : at->second;
}

std::string network_of(const std::string& peer) {
  const auto address = IpAddr::parse(peer);
  if (!address || address->is_v4()) return peer;
  auto bytes = address->bytes();
  std::fill(bytes.begin() + 8, bytes.end(), std::uint8_t{0});
  return IpAddr::v6(bytes).to_string() + "/64";
}

// The library's server with our own connections: it parses requests and writes answers.
class Server::Impl : public httplib::Server {
 public:
  explicit Impl(ServerOptions options) : options_(std::move(options)) {
    new_task_queue = [this]() -> httplib::TaskQueue* {
      return std::make_unique<BoundedQueue>(options_.threads).release();
    };
    set_payload_max_length(std::size_t{1} << 30U);  // the budget of each request is what bounds it
    set_tcp_nodelay(true);
  }

  void use(Service& service) {
    set_pre_routing_handler([&service](const httplib::Request& in, httplib::Response& out) {
      auto refused = refuse(service, in);
      if (refused) {
        current->refuse_rest();
        put(std::move(*refused), out);
        return HandlerResponse::Handled;
      }
      if (in.has_header("Content-Length") && in.get_header_value("Content-Length") != "0") {
        return HandlerResponse::Unhandled;  // its body is read, then a handler below answers
      }
      answer(service, in, out);
      return HandlerResponse::Handled;
    });
    const auto with_body = [&service](const httplib::Request& in, httplib::Response& out) {
      answer(service, in, out);
    };
    Post(".*", with_body);
    Put(".*", with_body);
    Delete(".*", with_body);
  }

  // A content provider is not asked by a server that does not listen.
  void pretend_to_listen(bool listening) {
    svr_sock_ = listening ? std::numeric_limits<int>::max() : INVALID_SOCKET;
  }

  bool process(Connection& connection, bool last, bool& closed) {
    connection.begin_request();
    current = &connection;
    const bool good = process_request(connection, last, closed, nullptr);
    current = nullptr;
    return good && !connection.closing();
  }

  Result<void> set_certificate() {
    auto context = MENSHEN_TRY(make_context(options_.certificate));
    const std::lock_guard lock(mutex_);
    context_ = std::move(context);
    return {};
  }

  const ServerOptions& options() const { return options_; }
  std::uint16_t port = 0;

 private:
  static void answer(Service& service, const httplib::Request& in, httplib::Response& out) {
    Request request;
    static_cast<RequestHead&>(request) = head_of(in);
    request.body = in.body;
    const bool head_only = request.method == "HEAD";
    if (head_only) request.method = "GET";
    Response response = service.answer(request);
    if (head_only) response.stream = nullptr;
    put(std::move(response), out);
  }

  bool process_and_close_socket(socket_t fd) override {
    const std::string peer = peer_address(fd);
    if (enter(peer)) {
      serve(fd, peer);
      leave(peer);
    }
    ::shutdown(fd, SHUT_RDWR);
    ::close(fd);
    return true;
  }

  void serve(int fd, const std::string& peer) {
    using clock = std::chrono::steady_clock;
    const int flags = ::fcntl(fd, F_GETFL, 0);
    if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return;
    std::shared_ptr<SSL_CTX> context;
    {
      const std::lock_guard lock(mutex_);
      context = context_;
    }
    const TlsHandle tls(context ? SSL_new(context.get()) : nullptr);
    if (!tls || SSL_set_fd(tls.get(), fd) != 1) return;
    TlsConnection connection(options_, peer, tls.get(), fd);
    if (!connection.shake_hands(clock::now() + options_.handshake)) return;
    auto wait = options_.request;
    for (std::size_t i = 1; i <= requests_of_connection_max && is_running(); ++i) {
      if (!connection.wait_for_request(clock::now() + wait)) break;
      wait = options_.idle;
      bool closed = false;
      if (!process(connection, i == requests_of_connection_max, closed) || closed) break;
    }
    ERR_clear_error();
    SSL_shutdown(tls.get());
    ERR_clear_error();
  }

  bool enter(const std::string& peer) {
    const std::lock_guard lock(mutex_);
    auto& count = peers_[network_of(peer)];
    if (count >= options_.connections_of_peer_max) return false;
    ++count;
    return true;
  }
  void leave(const std::string& peer) {
    const std::lock_guard lock(mutex_);
    const auto at = peers_.find(network_of(peer));
    if (--at->second == 0) peers_.erase(at);
  }

  ServerOptions options_;
  std::mutex mutex_;
  std::shared_ptr<SSL_CTX> context_;
  std::map<std::string, std::size_t> peers_;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::bind(ServerOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  const ServerOptions& used = impl->options();
  int port = used.port;
  const bool bound = used.port == 0 ? (port = impl->bind_to_any_port(used.address)) > 0
                                    : impl->bind_to_port(used.address, used.port);
  if (!bound) {
    return fail_errno({fmt::format("无法监听 {} 端口 {}", used.address, used.port),
                       fmt::format("cannot listen on {} port {}", used.address, used.port)});
  }
  impl->port = static_cast<std::uint16_t>(port);
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::uint16_t Server::port() const { return impl_->port; }

Result<void> Server::run(Service& service) {
  impl_->use(service);
  if (impl_->listen_after_bind()) return {};
  return fail(ErrorCode::io, {"HTTPS 服务意外终止", "the HTTPS server ended unexpectedly"});
}

void Server::stop() { impl_->stop(); }

Result<void> Server::reload_certificate() { return impl_->set_certificate(); }

namespace {

class MemoryConnection : public Connection {
 public:
  MemoryConnection(const ServerOptions& options, std::string_view input)
      : Connection(options, "192.0.2.1"), input_(input) {}
  [[nodiscard]] bool at_end() const { return input_.empty(); }
  std::string output;

 protected:
  ssize_t receive(char* data, std::size_t size, TimePoint) override {
    const std::size_t length = std::min(size, input_.size());
    input_.copy(data, length);
    input_.remove_prefix(length);
    return static_cast<ssize_t>(length);
  }
  ssize_t deliver(const char* data, std::size_t size, TimePoint) override {
    output.append(data, size);
    return static_cast<ssize_t>(size);
  }

 private:
  std::string_view input_;
};

}  // namespace

std::string Server::answer_bytes(Service& service, std::string_view input,
                                 const ServerOptions& options) {
  Impl server(options);
  server.use(service);
  server.pretend_to_listen(true);
  MemoryConnection connection(server.options(), input);
  bool closed = false;
  while (!connection.at_end() && !closed && server.process(connection, false, closed)) {
  }
  server.pretend_to_listen(false);
  return std::move(connection.output);
}

}  // namespace menshen::console
