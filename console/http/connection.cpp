#include "console/http/connection.hpp"

#include <openssl/err.h>
#include <poll.h>

#include <algorithm>

namespace menshen::console {

bool Budget::take(std::string_view bytes) {
  constexpr std::string_view end = "\r\n\r\n";
  for (const char c : bytes) {
    if (matched_ == end.size()) {
      if (body_left_ == 0) return false;
      --body_left_;
      continue;
    }
    if (head_left_ == 0) return false;
    --head_left_;
    if (c == end[matched_]) {
      ++matched_;
    } else {
      matched_ = c == end[0] ? 1 : 0;
    }
  }
  return true;
}

Connection::Connection(const ServerOptions& options, std::string peer)
    : options_(options), peer_(std::move(peer)), budget_(options.head_bytes_max) {}

void Connection::begin_request() {
  budget_ = Budget(options_.head_bytes_max);
  until_ = std::chrono::steady_clock::now() + options_.request;
}

void Connection::admit_body(std::size_t bytes) {
  budget_.admit_body(bytes);
  until_ += options_.body_mib * static_cast<int>(bytes >> 20U);
}

ssize_t Connection::read(char* data, size_t size) {
  if (closing_ || broken_) return -1;
  const ssize_t got = receive(data, size, until_);
  if (got <= 0) return got;
  if (budget_.take({data, static_cast<std::size_t>(got)})) return got;
  broken_ = true;
  return -1;
}

ssize_t Connection::write(const char* data, size_t size) {
  if (broken_) return -1;
  const ssize_t done = deliver(data, size, std::chrono::steady_clock::now() + options_.write);
  if (done < 0) broken_ = true;
  return done;
}

void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  ip = peer_;
  port = 0;
}

void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}

bool TlsConnection::poll_until(short events, TimePoint until) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd waiting{fd_, events, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

// What OpenSSL needs before it can go on with the call that gave `result`.
bool TlsConnection::wait_for(int result, TimePoint until) {
  switch (SSL_get_error(tls_, result)) {
    case SSL_ERROR_WANT_READ:
      return poll_until(POLLIN, until);
    case SSL_ERROR_WANT_WRITE:
      return poll_until(POLLOUT, until);
    default:
      return false;
  }
}

bool TlsConnection::shake_hands(TimePoint until) {
  for (;;) {
    ERR_clear_error();
    const int done = SSL_accept(tls_);
    if (done == 1) return true;
    if (!wait_for(done, until)) return false;
  }
}

bool TlsConnection::wait_for_request(TimePoint until) {
  return SSL_pending(tls_) > 0 || poll_until(POLLIN, until);
}

ssize_t TlsConnection::receive(char* data, std::size_t size, TimePoint until) {
  const int wanted = static_cast<int>(std::min<std::size_t>(size, 1U << 20U));
  for (;;) {
    ERR_clear_error();
    const int got = SSL_read(tls_, data, wanted);
    if (got > 0) return got;
    if (SSL_get_error(tls_, got) == SSL_ERROR_ZERO_RETURN) return 0;
    if (!wait_for(got, until)) return -1;
  }
}

ssize_t TlsConnection::deliver(const char* data, std::size_t size, TimePoint until) {
  const int wanted = static_cast<int>(std::min<std::size_t>(size, 1U << 20U));
  if (wanted == 0) return 0;
  for (;;) {
    ERR_clear_error();
    const int done = SSL_write(tls_, data, wanted);
    if (done > 0) return done;
    if (!wait_for(done, until)) return -1;
  }
}

}  // namespace menshen::console
