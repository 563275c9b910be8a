#include "audit/transport/stream.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <climits>
#include <csignal>
#include <system_error>

#include "base/ip.hpp"

namespace menshen::audit {
namespace {

using Context = Handle<SSL_CTX, &SSL_CTX_free>;

std::string ssl_reason() {
  const unsigned long code = ::ERR_get_error();
  ::ERR_clear_error();
  if (code == 0) return "TLS error";
  const char* reason = ::ERR_reason_error_string(code);
  return reason != nullptr ? reason : fmt::format("TLS error {:x}", code);
}

tl::unexpected<Error> fail_file(const std::filesystem::path& path) {
  const std::string reason = ssl_reason();
  return fail(ErrorCode::invalid, {fmt::format("TLS 无法使用 {}：{}", path.string(), reason),
                                   fmt::format("TLS cannot use {}: {}", path.string(), reason)});
}

Result<Context> make_context(const SSL_METHOD* method, const TlsFiles& files) {
  Context context(::SSL_CTX_new(method));
  if (!context || ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1) {
    return fail(ErrorCode::unavailable, {"无法初始化 TLS", "cannot set up TLS"});
  }
  ::SSL_CTX_set_mode(context.get(),
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  ::SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  if (!files.certificate.empty()) {
    if (::SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1) {
      return fail_file(files.certificate);
    }
    if (::SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
        ::SSL_CTX_check_private_key(context.get()) != 1) {
      return fail_file(files.key);
    }
  }
  if (!files.authorities.empty() &&
      ::SSL_CTX_load_verify_locations(context.get(), files.authorities.c_str(), nullptr) != 1) {
    return fail_file(files.authorities);
  }
  return context;
}

}  // namespace

void block_sigpipe() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGPIPE);
  static_cast<void>(::pthread_sigmask(SIG_BLOCK, &signals, nullptr));
}

Result<TlsContext> TlsContext::client(const TlsFiles& files) {
  Context context = MENSHEN_TRY(make_context(::TLS_client_method(), files));
  ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  return TlsContext(std::move(context));
}

Result<TlsContext> TlsContext::server(const TlsFiles& files) {
  Context context = MENSHEN_TRY(make_context(::TLS_server_method(), files));
  if (!files.authorities.empty()) {
    ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    ::SSL_CTX_set_client_CA_list(context.get(),
                                 ::SSL_load_client_CA_file(files.authorities.c_str()));
  }
  return TlsContext(std::move(context));
}

Result<Stream> Stream::client(UniqueFd socket, const TlsContext& context, const std::string& host) {
  Handle<SSL, &SSL_free> ssl(::SSL_new(context.context_.get()));
  if (!ssl || ::SSL_set_fd(ssl.get(), socket.get()) != 1) {
    return fail(ErrorCode::unavailable, {"无法建立 TLS 连接", "cannot begin TLS"});
  }
  const bool address = IpAddr::parse(host).has_value();
  X509_VERIFY_PARAM* wanted = ::SSL_get0_param(ssl.get());
  const bool named = address ? ::X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1
                             : ::SSL_set1_host(ssl.get(), host.c_str()) == 1 &&
                                   ::SSL_set_tlsext_host_name(ssl.get(), host.c_str()) == 1;
  if (!named) {
    return fail(ErrorCode::invalid,
                {"主机名无法用于证书校验：" + host, "no name for a certificate: " + host});
  }
  ::SSL_set_connect_state(ssl.get());
  return Stream(std::move(socket), std::move(ssl));
}

Result<Stream> Stream::server(UniqueFd socket, const TlsContext& context) {
  Handle<SSL, &SSL_free> ssl(::SSL_new(context.context_.get()));
  if (!ssl || ::SSL_set_fd(ssl.get(), socket.get()) != 1) {
    return fail(ErrorCode::unavailable, {"无法建立 TLS 连接", "cannot begin TLS"});
  }
  ::SSL_set_accept_state(ssl.get());
  return Stream(std::move(socket), std::move(ssl));
}

Io Stream::failed_by_errno(int error) {
  error_ = std::generic_category().message(error);
  return Io::failed;
}

Io Stream::outcome(int result) {
  const int error = errno;
  switch (::SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return Io::want_read;
    case SSL_ERROR_WANT_WRITE:
      return Io::want_write;
    case SSL_ERROR_ZERO_RETURN:
      return Io::ended;
    case SSL_ERROR_SYSCALL:
      if (error == 0) return Io::ended;
      ::ERR_clear_error();
      return failed_by_errno(error);
    default:
      break;
  }
  // Closed without TLS's own goodbye: TCP's says that it had read everything, or it is a reset.
  if (ERR_GET_REASON(::ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    ::ERR_clear_error();
    return Io::ended;
  }
  const long verified = ::SSL_get_verify_result(ssl_.get());
  error_ = ssl_reason();
  if (verified != X509_V_OK) error_ = ::X509_verify_cert_error_string(verified);
  return Io::failed;
}

Io Stream::handshake() {
  if (!ssl_) return Io::done;
  ::ERR_clear_error();
  errno = 0;
  const int result = ::SSL_do_handshake(ssl_.get());
  if (result == 1) return Io::done;
  const Io io = outcome(result);
  if (io == Io::ended) {
    error_ = "the peer closed during the TLS handshake";
    return Io::failed;
  }
  return io;
}

Io Stream::read(std::span<char> into, std::size_t& got) {
  got = 0;
  errno = 0;
  if (ssl_) {
    ::ERR_clear_error();
    const int result = ::SSL_read_ex(ssl_.get(), into.data(), into.size(), &got);
    return result == 1 ? Io::done : outcome(result);
  }
  ssize_t n = 0;
  do {
    n = ::recv(fd_.get(), into.data(), into.size(), 0);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    return errno == EAGAIN || errno == EWOULDBLOCK ? Io::want_read : failed_by_errno(errno);
  }
  got = static_cast<std::size_t>(n);
  return n == 0 ? Io::ended : Io::done;
}

Io Stream::write(std::string_view bytes, std::size_t& sent) {
  sent = 0;
  errno = 0;
  if (ssl_) {
    ::ERR_clear_error();
    const int result = ::SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent);
    return result == 1 ? Io::done : outcome(result);
  }
  ssize_t n = 0;
  do {
    n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    return errno == EAGAIN || errno == EWOULDBLOCK ? Io::want_write : failed_by_errno(errno);
  }
  sent = static_cast<std::size_t>(n);
  return Io::done;
}

Io Stream::end() {
  if (ssl_) {
    ::ERR_clear_error();
    errno = 0;
    const int result = ::SSL_shutdown(ssl_.get());
    if (result < 0) {
      const Io io = outcome(result);
      if (io == Io::want_read || io == Io::want_write || io == Io::failed) return io;
    }
  }
  if (::shutdown(fd_.get(), SHUT_WR) != 0) return failed_by_errno(errno);
  return Io::done;
}

std::string Stream::peer_name() const {
  if (!ssl_) return {};
  const Handle<X509, &X509_free> certificate(::SSL_get1_peer_certificate(ssl_.get()));
  if (!certificate || ::SSL_get_verify_result(ssl_.get()) != X509_V_OK) return {};
  const X509_NAME* subject = ::X509_get_subject_name(certificate.get());
  const int at = ::X509_NAME_get_index_by_NID(const_cast<X509_NAME*>(subject), NID_commonName, -1);
  if (at < 0) return {};
  const ASN1_STRING* value = ::X509_NAME_ENTRY_get_data(::X509_NAME_get_entry(subject, at));
  unsigned char* text = nullptr;
  const int length = ::ASN1_STRING_to_UTF8(&text, value);
  if (length < 0) return {};
  std::string name(reinterpret_cast<char*>(text), static_cast<std::size_t>(length));
  ::OPENSSL_free(text);
  return name;
}

}  // namespace menshen::audit
