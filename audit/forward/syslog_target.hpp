// A syslog receiver: RFC 5424 messages with octet counting over TLS (RFC 5425) or TCP (RFC 6587).
//
// Syslog has no answers. What has arrived is known from the connection's end: this side says that
// nothing follows and waits until the receiver closes too, and its TCP has acknowledged the last
// byte; Linux closes in order only if everything was read. A receiver that had ended before this
// side did confirms nothing. With TLS its own goodbye is not asked for, as widespread receivers do
// not send one: whoever can forge TCP on the way can make records look received.
// Receivers that never close (Confirm::sent) are believed when their TCP has acknowledged the last
// byte; a crash of theirs loses what they had not read then.
#pragma once

#include <chrono>
#include <optional>

#include "audit/forward/forwarder.hpp"
#include "audit/record/record.hpp"
#include "audit/transport/endpoint.hpp"
#include "audit/transport/stream.hpp"

namespace menshen::audit {

struct SyslogTargetOptions {
  enum class Confirm : std::uint8_t { closed, sent };
  Endpoint endpoint;  // tcp or tls
  TlsFiles files;
  std::string certificate_name;  // what the receiver's certificate must be for; empty: the host
  std::string origin;            // names this appliance: HOSTNAME and id
  Severity severity_min = Severity::info;
  std::size_t message_bytes_max = 8192;  // RFC 5425: receivers should take so much
  Confirm confirm = Confirm::closed;
  std::chrono::milliseconds timeout{10'000};  // of each step
};

// ErrorCode::invalid: the endpoint's protocol, or a file.
[[nodiscard]] Result<std::unique_ptr<Target>> make_syslog_target(SyslogTargetOptions options);

}  // namespace menshen::audit
