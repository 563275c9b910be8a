// Where to connect to or listen at: "tls://log.example:6514", "tcp://[2001:db8::1]:601".
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/file.hpp"
#include "base/ip.hpp"
#include "base/result.hpp"

namespace menshen::audit {

enum class Protocol : std::uint8_t { udp, tcp, tls };

struct Endpoint {
  Protocol protocol = Protocol::tcp;
  std::string host;  // a name or an address, without brackets
  std::uint16_t port = 0;

  // udp://, tcp:// or tls://, host, colon, port. ErrorCode::invalid.
  [[nodiscard]] static Result<Endpoint> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
};

// Resolves the name and connects by TCP, trying its addresses in turn, `timeout` for each. The
// socket does not block. ErrorCode::unavailable.
[[nodiscard]] Result<UniqueFd> connect_to(const Endpoint& endpoint,
                                          std::chrono::milliseconds timeout);
// Binds (and listens, but for UDP). The host must be an address; port 0: any. Does not block.
[[nodiscard]] Result<UniqueFd> listen_at(const Endpoint& endpoint);
// The port a socket is bound to.
[[nodiscard]] std::uint16_t bound_port(int fd);

struct SocketPeer {
  IpAddr address;
  std::uint16_t port = 0;
};
// From what accept(2) or recvmsg(2) filled in; "::" for another family.
[[nodiscard]] SocketPeer peer_of(const sockaddr_storage& address);

}  // namespace menshen::audit
