// One connected socket that does not block, plain or with TLS (1.2 and later, by OpenSSL).
//
// The caller waits (poll) for what an operation asks for and calls it again. With TLS, a peer that
// does not show a certificate which the authorities vouch for gets no connection; a client also
// checks that the certificate is of the host it meant. Not thread-safe: one owner. The thread that
// uses a Stream has SIGPIPE blocked (block_sigpipe).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/file.hpp"
#include "base/handle.hpp"
#include "base/result.hpp"

extern "C" {
struct ssl_ctx_st;
struct ssl_st;
void SSL_CTX_free(ssl_ctx_st* context);
void SSL_free(ssl_st* connection);
}

namespace menshen::audit {

struct TlsFiles {
  std::filesystem::path certificate;  // PEM, with its chain; a client's may be empty
  std::filesystem::path key;          // PEM
  std::filesystem::path authorities;  // PEM: who vouches for the other side
};

class TlsContext {
 public:
  // ErrorCode::invalid names the file that cannot be used.
  [[nodiscard]] static Result<TlsContext> client(const TlsFiles& files);
  // Without authorities clients need no certificate.
  [[nodiscard]] static Result<TlsContext> server(const TlsFiles& files);

 private:
  friend class Stream;
  explicit TlsContext(Handle<ssl_ctx_st, &SSL_CTX_free> context) : context_(std::move(context)) {}
  Handle<ssl_ctx_st, &SSL_CTX_free> context_;
};

enum class Io : std::uint8_t {
  done,
  want_read,   // again once the socket is readable
  want_write,  // again once it is writable
  ended,       // the peer has said its last
  failed       // see error()
};

class Stream {
 public:
  explicit Stream(UniqueFd socket) : fd_(std::move(socket)) {}  // plain
  // `host`: what the peer's certificate must be for, a name or an address.
  [[nodiscard]] static Result<Stream> client(UniqueFd socket, const TlsContext& context,
                                             const std::string& host);
  [[nodiscard]] static Result<Stream> server(UniqueFd socket, const TlsContext& context);

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  // Done at once where there is no TLS.
  [[nodiscard]] Io handshake();
  [[nodiscard]] Io read(std::span<char> into, std::size_t& got);
  [[nodiscard]] Io write(std::string_view bytes, std::size_t& sent);
  // Tells the peer that nothing follows; reading goes on.
  [[nodiscard]] Io end();
  // The subject's common name in the peer's verified certificate; empty: none.
  [[nodiscard]] std::string peer_name() const;
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  Stream(UniqueFd socket, Handle<ssl_st, &SSL_free> ssl)
      : fd_(std::move(socket)), ssl_(std::move(ssl)) {}
  [[nodiscard]] Io outcome(int result);
  [[nodiscard]] Io failed_by_errno(int error);

  UniqueFd fd_;
  Handle<ssl_st, &SSL_free> ssl_;
  std::string error_;
};

// For the calling thread: OpenSSL writes to sockets whose peer may have gone.
void block_sigpipe();

}  // namespace menshen::audit
