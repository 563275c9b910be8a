#include "sensor/flow/app_proto.hpp"

#include <utility>

namespace menshen::sensor {
namespace {

constexpr std::pair<std::string_view, AppProto> names[] = {
    {"unknown", AppProto::unknown},
    {"http", AppProto::http1},
    {"http2", AppProto::http2},
    {"doh2", AppProto::doh2},
    {"dns", AppProto::dns},
    {"tls", AppProto::tls},
    {"quic", AppProto::quic},
    {"websocket", AppProto::websocket},
    {"ssh", AppProto::ssh},
    {"smtp", AppProto::smtp},
    {"pop3", AppProto::pop3},
    {"imap", AppProto::imap},
    {"ftp", AppProto::ftp},
    {"ftp-data", AppProto::ftp_data},
    {"tftp", AppProto::tftp},
    {"smb", AppProto::smb},
    {"dcerpc", AppProto::dcerpc},
    {"nfs", AppProto::nfs},
    {"krb5", AppProto::krb5},
    {"snmp", AppProto::snmp},
    {"sip", AppProto::sip},
    {"mqtt", AppProto::mqtt},
    {"rfb", AppProto::rfb},
    {"rdp", AppProto::rdp},
    {"ike", AppProto::ike},
    {"pgsql", AppProto::pgsql},
    {"mysql", AppProto::mysql},
    {"redis", AppProto::redis},
    {"modbus", AppProto::modbus},
    {"dnp3", AppProto::dnp3},
    {"enip", AppProto::enip},
    {"dhcp", AppProto::dhcp},
    {"ldap", AppProto::ldap},
    {"ntp", AppProto::ntp},
    {"telnet", AppProto::telnet},
    {"mdns", AppProto::mdns},
    {"llmnr", AppProto::llmnr},
    {"bittorrent-dht", AppProto::bittorrent_dht},
    {"failed", AppProto::failed},
    // Other spellings.
    {"http1", AppProto::http1},
    {"ssl", AppProto::tls},
    {"ikev2", AppProto::ike},
};

}  // namespace

std::string_view app_proto_name(AppProto proto) noexcept {
  for (const auto& [name, named] : names) {
    if (named == proto) return name;
  }
  return "unknown";
}

std::optional<AppProto> app_proto_of(std::string_view name) noexcept {
  for (const auto& [known, proto] : names) {
    if (known == name) return proto;
  }
  return std::nullopt;
}

}  // namespace menshen::sensor
