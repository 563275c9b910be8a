// What do these first bytes of one direction speak? Dissector::probe states the contract.
#pragma once

#include "sensor/proto/registry.hpp"

namespace menshen::sensor {

[[nodiscard]] Guess probe_http1(Direction direction, Bytes bytes) noexcept;
// A client's connection preface (RFC 9113 3.4); a server may speak first, and is then told by it.
[[nodiscard]] Guess probe_http2(Direction direction, Bytes bytes) noexcept;
// Nobody's first bytes: begins where HTTP changes to it.
[[nodiscard]] Guess probe_websocket(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_tls(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_dns_stream(Direction direction, Bytes bytes) noexcept;
// A datagram is DNS if its header makes sense and its questions are whole and well-formed.
[[nodiscard]] Guess probe_dns_datagram(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_ssh(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_ftp(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_ftp_port(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_pop3(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_imap(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_tftp(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_nfs_stream(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_nfs_datagram(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_smb(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_dcerpc_stream(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_dcerpc_datagram(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_smtp(Direction direction, Bytes bytes) noexcept;
// A long header of a version that can be read.
[[nodiscard]] Guess probe_quic(Direction direction, Bytes bytes) noexcept;
// The same at the ports of DNS, mDNS and LLMNR, where the message's shape is enough.
[[nodiscard]] Guess probe_dns_port_stream(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_dns_port_datagram(Direction direction, Bytes bytes) noexcept;

}  // namespace menshen::sensor
