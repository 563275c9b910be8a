// The application protocols that the sensor knows by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace menshen::sensor {

enum class AppProto : std::uint8_t {
  unknown,  // not looked at, or not decided yet
  http1,
  http2,
  doh2,  // HTTP/2 whose streams carry DNS messages
  dns,
  tls,
  quic,
  websocket,
  ssh,
  smtp,
  pop3,
  imap,
  ftp,
  ftp_data,
  tftp,
  smb,
  dcerpc,
  nfs,
  krb5,
  snmp,
  sip,
  mqtt,
  rfb,
  rdp,
  ike,
  pgsql,
  mysql,
  redis,
  modbus,
  dnp3,
  enip,
  dhcp,
  ldap,
  ntp,
  telnet,
  mdns,
  llmnr,
  bittorrent_dht,
  failed,  // looked, none of ours
  count,
};

// "http", "dns", "failed": EVE's app_proto and the rule language's protocol names.
[[nodiscard]] std::string_view app_proto_name(AppProto proto) noexcept;
// Also by the rule language's other names ("ssl", "http1"). No such protocol: nothing.
[[nodiscard]] std::optional<AppProto> app_proto_of(std::string_view name) noexcept;

}  // namespace menshen::sensor
