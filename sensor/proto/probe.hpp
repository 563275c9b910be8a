// What do these first bytes of one direction speak? Dissector::probe states the contract.
#pragma once

#include "sensor/proto/registry.hpp"

namespace menshen::sensor {

[[nodiscard]] Guess probe_http1(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_tls(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_dns_stream(Direction direction, Bytes bytes) noexcept;
// A datagram is DNS if its header makes sense and its questions are whole and well-formed.
[[nodiscard]] Guess probe_dns_datagram(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_ssh(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_ftp(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_ftp_port(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_smb(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_dcerpc_stream(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_dcerpc_datagram(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_smtp(Direction direction, Bytes bytes) noexcept;

}  // namespace menshen::sensor
