// One connection's bytes, with the limits that hold while a request is read. Internal to http/.
#pragma once

#include <httplib.h>
#include <openssl/ssl.h>

#include <chrono>
#include <string>
#include <string_view>

#include "base/handle.hpp"
#include "console/http/server.hpp"

namespace menshen::console {

using TlsHandle = Handle<SSL, &SSL_free>;

// Counts what a request may bring: its head, then as many bytes of a body as were admitted.
class Budget {
 public:
  explicit Budget(std::size_t head_bytes) : head_left_(head_bytes) {}
  void admit_body(std::size_t bytes) { body_left_ = bytes; }
  // False: too much. The head ends with its empty line; a body may follow in the same read.
  [[nodiscard]] bool take(std::string_view bytes);

 private:
  std::size_t head_left_;
  std::size_t body_left_ = 0;
  std::string_view::size_type matched_ = 0;  // of "\r\n\r\n"
};

class Connection : public httplib::Stream {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  Connection(const ServerOptions& options, std::string peer);

  void begin_request();
  void admit_body(std::size_t bytes);
  // Nothing more is read from it, and it closes after this answer.
  void refuse_rest() { closing_ = true; }
  [[nodiscard]] bool closing() const { return closing_; }
  [[nodiscard]] const std::string& peer() const { return peer_; }

  [[nodiscard]] bool is_readable() const override { return true; }
  [[nodiscard]] bool is_writable() const override { return !broken_; }
  ssize_t read(char* data, size_t size) override;
  ssize_t write(const char* data, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  [[nodiscard]] socket_t socket() const override { return -1; }

 protected:
  // -1: broken or too late; 0: the end.
  virtual ssize_t receive(char* data, std::size_t size, TimePoint until) = 0;
  virtual ssize_t deliver(const char* data, std::size_t size, TimePoint until) = 0;

 private:
  const ServerOptions& options_;
  std::string peer_;
  Budget budget_;
  TimePoint until_{};
  bool closing_ = false;
  bool broken_ = false;
};

// Over TLS, on a socket that does not block.
class TlsConnection : public Connection {
 public:
  TlsConnection(const ServerOptions& options, std::string peer, SSL* tls, int fd)
      : Connection(options, std::move(peer)), tls_(tls), fd_(fd) {}
  [[nodiscard]] bool shake_hands(TimePoint until);
  // Something has come, or the other end has closed, before then.
  [[nodiscard]] bool wait_for_request(TimePoint until);

 protected:
  ssize_t receive(char* data, std::size_t size, TimePoint until) override;
  ssize_t deliver(const char* data, std::size_t size, TimePoint until) override;

 private:
  [[nodiscard]] bool wait_for(int result, TimePoint until);
  [[nodiscard]] bool poll_until(short events, TimePoint until);
  SSL* tls_;
  int fd_;
};

}  // namespace menshen::console
