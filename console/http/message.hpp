// A request and its answer as the rest of the console sees them: plain values, nothing of the
// library that carries them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace menshen::console {

// What is known before the body is read.
struct RequestHead {
  std::string method;                                     // "GET"
  std::string path;                                       // decoded, begins with '/'
  std::map<std::string, std::string, std::less<>> query;  // decoded; of a repeated key, the first
  std::string session;  // value of the session cookie; empty: none
  std::string csrf;     // X-CSRF-Token
  std::string origin;   // Origin; empty: not sent
  std::string host;     // Host
  std::string content_type;
  std::string peer;           // address of the other end, as text
  bool accepts_gzip = false;  // Accept-Encoding

  // The parameter, empty where it is not given.
  [[nodiscard]] const std::string& parameter(std::string_view name) const;
};

struct Request : RequestHead {
  std::string body;
};

// Gives the next piece of an endless answer, waiting for it; false: the end. Called by one thread.
// An empty piece is sent as nothing.
using NextPiece = std::function<bool(std::string& piece)>;

struct Response {
  int status = 200;
  std::string type = "application/json";
  std::string body;
  std::shared_ptr<const std::string> page;  // instead of `body`: shared, never copied by us
  std::vector<std::pair<std::string, std::string>> headers;
  NextPiece stream;  // instead of a body
};

// Whom a limit "of one address" counts: an IPv4 address, or the /64 network of an IPv6 one, whose
// addresses one host has for nothing.
[[nodiscard]] std::string network_of(const std::string& peer);

// What answers. Every function is called by many threads at once.
class Service {
 public:
  virtual ~Service() = default;
  // The largest body that is read for this request; more is answered with 413. 0: none.
  [[nodiscard]] virtual std::size_t body_bytes_max(const RequestHead& head) = 0;
  [[nodiscard]] virtual Response answer(const Request& request) = 0;
};

}  // namespace menshen::console
