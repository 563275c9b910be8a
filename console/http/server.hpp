// HTTPS: TLS 1.2 and later, HTTP/1.1. The one place that knows the HTTP library.
//
// Hostile peers cost a bounded amount: so many threads, so many connections of one address
// (network_of()), so many bytes of a head and of a body, and a time by which a handshake, a request
// and each piece of an answer must be through. Beyond a limit the connection is closed.
// A request with Transfer-Encoding is refused (411), as is one with an Expect or Upgrade header
// (400).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "console/http/message.hpp"

namespace menshen::console {

inline constexpr std::size_t path_bytes_max = 1024;

struct ServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 8443;          // 0: any
  std::filesystem::path certificate;  // PEM: the chain and its key
  std::size_t threads = 64;           // connections answered at a time; as many more wait
  std::size_t connections_of_peer_max = 24;
  std::size_t head_bytes_max = 16U << 10U;
  std::chrono::milliseconds handshake{5'000};
  std::chrono::milliseconds request{15'000};   // head and body
  std::chrono::milliseconds body_mib{15'000};  // more for each MiB of a body
  std::chrono::milliseconds idle{5'000};       // between two requests of a connection
  std::chrono::milliseconds write{20'000};     // without the peer taking a byte
};

class Server {
 public:
  // Takes the port, which may need a right that is given up afterwards; answers nobody before
  // reload_certificate() and run().
  [[nodiscard]] static Result<std::unique_ptr<Server>> bind(ServerOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  // Answers until stop(). Starts its threads.
  [[nodiscard]] Result<void> run(Service& service);
  // From another thread; streams must be made to end by their owner.
  void stop();
  // New connections get the certificate that the file holds now; on an error the old one stays.
  [[nodiscard]] Result<void> reload_certificate();

  // One connection's requests given as bytes, the answers as they would be sent (without TLS). For
  // fuzzing and tests: ends where the input does.
  [[nodiscard]] static std::string answer_bytes(Service& service, std::string_view input,
                                                const ServerOptions& options = {});

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace menshen::console
