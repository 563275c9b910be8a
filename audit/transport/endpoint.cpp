#include "audit/transport/endpoint.hpp"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <charconv>
#include <cstring>
#include <system_error>

#include "base/handle.hpp"

namespace menshen::audit {
namespace {

constexpr int listen_backlog = 128;
// A flood of datagrams waits here while records are made of those before it.
constexpr int receive_buffer_bytes = 4 << 20;

std::string_view scheme_of(Protocol protocol) {
  switch (protocol) {
    case Protocol::udp:
      return "udp";
    case Protocol::tcp:
      return "tcp";
    case Protocol::tls:
      break;
  }
  return "tls";
}

Result<Handle<addrinfo, &::freeaddrinfo>> resolve(const Endpoint& endpoint, int flags) {
  addrinfo hints{};
  hints.ai_socktype = endpoint.protocol == Protocol::udp ? SOCK_DGRAM : SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      ::getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &found);
  if (error != 0) {
    return fail(ErrorCode::unavailable,
                {fmt::format("无法解析 {}：{}", endpoint.host, ::gai_strerror(error)),
                 fmt::format("cannot resolve {}: {}", endpoint.host, ::gai_strerror(error))});
  }
  return Handle<addrinfo, &::freeaddrinfo>(found);
}

// 0, or the errno why not.
int connect_one(int fd, const addrinfo& address, std::chrono::milliseconds timeout) {
  if (::connect(fd, address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  pollfd waiting{fd, POLLOUT, 0};
  if (::poll(&waiting, 1, static_cast<int>(timeout.count())) <= 0) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof(error);
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

}  // namespace

Result<Endpoint> Endpoint::parse(std::string_view text) {
  const auto wrong = [&] {
    return fail(
        ErrorCode::invalid,
        {fmt::format("地址应为 tcp://主机:端口、tls://主机:端口或 udp://主机:端口：{}", text),
         fmt::format("not tcp://HOST:PORT, tls://HOST:PORT or udp://HOST:PORT: {}", text)});
  };
  Endpoint endpoint;
  const std::size_t slashes = text.find("://");
  if (slashes == std::string_view::npos) return wrong();
  const std::string_view scheme = text.substr(0, slashes);
  if (scheme != "udp" && scheme != "tcp" && scheme != "tls") return wrong();
  endpoint.protocol = scheme == "udp"   ? Protocol::udp
                      : scheme == "tcp" ? Protocol::tcp
                                        : Protocol::tls;
  const std::string_view rest = text.substr(slashes + 3);
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) return wrong();
  std::string_view host = rest.substr(0, colon);
  const std::string_view port = rest.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return wrong();
  }
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
  if (host.empty() || host.find_first_of("/[]@ ") != std::string_view::npos ||
      error != std::errc{} || end != port.data() + port.size()) {
    return wrong();
  }
  endpoint.host = host;
  return endpoint;
}

std::string Endpoint::to_string() const {
  const bool bracket = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", scheme_of(protocol), bracket ? "[" : "", host,
                     bracket ? "]" : "", port);
}

Result<UniqueFd> connect_to(const Endpoint& endpoint, std::chrono::milliseconds timeout) {
  const auto found = MENSHEN_TRY(resolve(endpoint, AI_ADDRCONFIG));
  int error = EHOSTUNREACH;
  for (const addrinfo* each = found.get(); each != nullptr; each = each->ai_next) {
    UniqueFd fd(::socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
      error = errno;
      continue;
    }
    error = connect_one(fd.get(), *each, timeout);
    if (error != 0) continue;
    const int on = 1;
    static_cast<void>(::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)));
    return fd;
  }
  const std::string reason = std::generic_category().message(error);
  return fail(ErrorCode::unavailable,
              {fmt::format("无法连接 {}：{}", endpoint.to_string(), reason),
               fmt::format("cannot connect to {}: {}", endpoint.to_string(), reason)});
}

Result<UniqueFd> listen_at(const Endpoint& endpoint) {
  const auto found = MENSHEN_TRY(resolve(endpoint, AI_PASSIVE | AI_NUMERICHOST));
  const auto cannot = [&] {
    return fail_errno(
        {"无法监听 " + endpoint.to_string(), "cannot listen at " + endpoint.to_string()});
  };
  const bool datagrams = endpoint.protocol == Protocol::udp;
  UniqueFd fd(::socket(found->ai_family,
                       (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return cannot();
  const int on = 1;
  if (datagrams) {
    // As far as the system allows; less only loses sooner in a flood.
    static_cast<void>(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
                                   sizeof(receive_buffer_bytes)));
  } else if (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) {
    return cannot();
  }
  // "::" and "0.0.0.0" may both be listened at.
  if (found->ai_family == AF_INET6 &&
      ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) {
    return cannot();
  }
  if (::bind(fd.get(), found->ai_addr, found->ai_addrlen) != 0) return cannot();
  if (!datagrams && ::listen(fd.get(), listen_backlog) != 0) return cannot();
  return fd;
}

std::uint16_t bound_port(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return peer_of(address).port;
}

SocketPeer peer_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &address, sizeof(in));
    return {IpAddr::v4(ntohl(in.sin_addr.s_addr)), ntohs(in.sin_port)};
  }
  if (address.ss_family != AF_INET6) return {};
  sockaddr_in6 in{};
  std::memcpy(&in, &address, sizeof(in));
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
  return {IpAddr::v6(bytes), ntohs(in.sin6_port)};
}

}  // namespace menshen::audit
