#include "sensor/proto/registry.hpp"

#include <algorithm>

#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/probe.hpp"

namespace menshen::sensor {
namespace {

Guess probe_nothing(Direction, Bytes) noexcept { return Guess::no; }

constexpr std::uint16_t ftp_ports[] = {21};
constexpr std::uint16_t tftp_ports[] = {69};
constexpr std::uint16_t dns_ports[] = {53};
constexpr std::uint16_t mdns_ports[] = {5353};
constexpr std::uint16_t llmnr_ports[] = {5355};

// Where a protocol's first bytes say too little.
constexpr std::uint16_t mqtt_ports[] = {1883};
constexpr std::uint16_t modbus_ports[] = {502};
constexpr std::uint16_t dnp3_ports[] = {20000};
constexpr std::uint16_t enip_ports[] = {44818, 2222};
constexpr std::uint16_t ntp_ports[] = {123};

constexpr Dissector streams[] = {
    {AppProto::http1, &probe_http1, &make_http1_parser},
    {AppProto::http2, &probe_http2, &make_http2_parser},
    {AppProto::doh2, &probe_nothing},  // HTTP/2 turns into it (doh.hpp)
    {AppProto::websocket, &probe_websocket, &make_websocket_parser},
    {AppProto::tls, &probe_tls, &make_tls_parser},
    {AppProto::ssh, &probe_ssh, &make_ssh_parser},
    {AppProto::ftp, &probe_ftp_port, &make_ftp_parser, ftp_ports},
    {AppProto::smb, &probe_smb, &make_smb_parser},
    {AppProto::dcerpc, &probe_dcerpc_stream, &make_dcerpc_stream_parser},
    {AppProto::smtp, &probe_smtp, &make_smtp_parser},
    {AppProto::pop3, &probe_pop3, &make_pop3_parser},
    {AppProto::imap, &probe_imap, &make_imap_parser},
    {AppProto::nfs, &probe_nfs_stream, &make_nfs_stream_parser},
    {AppProto::ftp, &probe_ftp, &make_ftp_parser},
    {AppProto::ftp_data, &probe_nothing},  // another flow says which it is (ftp_data.hpp)
    {AppProto::dns, &probe_dns_port_stream, &make_dns_stream_parser, dns_ports},
    {AppProto::dns, &probe_dns_stream, &make_dns_stream_parser},
    {AppProto::sip, &probe_sip, &make_sip_stream_parser},
    {AppProto::ldap, &probe_ldap_stream, &make_ldap_stream_parser},
    {AppProto::krb5, &probe_krb5_stream, &make_krb5_stream_parser},
    {AppProto::mqtt, &probe_mqtt, &make_mqtt_parser},
    {AppProto::mqtt, &probe_mqtt_by_port, &make_mqtt_parser, mqtt_ports},
    {AppProto::rfb, &probe_rfb, &make_rfb_parser},
    {AppProto::rdp, &probe_rdp, &make_rdp_parser},
    {AppProto::pgsql, &probe_pgsql, &make_pgsql_parser},
    {AppProto::mysql, &probe_mysql, &make_mysql_parser},
    {AppProto::redis, &probe_redis, &make_redis_parser},
    {AppProto::telnet, &probe_telnet, &make_telnet_parser},
    {AppProto::dnp3, &probe_dnp3, &make_dnp3_parser},
    {AppProto::dnp3, &probe_dnp3_by_port, &make_dnp3_parser, dnp3_ports},
    {AppProto::modbus, &probe_modbus, &make_modbus_parser, modbus_ports},
    {AppProto::enip, &probe_enip_stream, &make_enip_stream_parser, enip_ports},
};

constexpr Dissector datagrams[] = {
    {AppProto::dcerpc, &probe_dcerpc_datagram, &make_dcerpc_datagram_parser},
    {AppProto::nfs, &probe_nfs_datagram, &make_nfs_datagram_parser},
    {AppProto::tftp, &probe_tftp, &make_tftp_parser, tftp_ports},
    {AppProto::mdns, &probe_dns_port_datagram, &make_mdns_parser, mdns_ports},
    {AppProto::llmnr, &probe_dns_port_datagram, &make_llmnr_parser, llmnr_ports},
    {AppProto::dns, &probe_dns_port_datagram, &make_dns_datagram_parser, dns_ports},
    {AppProto::quic, &probe_quic, &make_quic_parser},
    {AppProto::dns, &probe_dns_datagram, &make_dns_datagram_parser},
    {AppProto::sip, &probe_sip, &make_sip_datagram_parser},
    {AppProto::snmp, &probe_snmp, &make_snmp_parser},
    {AppProto::krb5, &probe_krb5_datagram, &make_krb5_datagram_parser},
    {AppProto::ldap, &probe_ldap_datagram, &make_ldap_datagram_parser},
    {AppProto::dhcp, &probe_dhcp, &make_dhcp_parser},
    {AppProto::ike, &probe_ike, &make_ike_parser},
    {AppProto::bittorrent_dht, &probe_bittorrent_dht, &make_bittorrent_dht_parser},
    {AppProto::enip, &probe_enip_datagram, &make_enip_datagram_parser, enip_ports},
    {AppProto::ntp, &probe_ntp, &make_ntp_parser, ntp_ports},
};

bool asked_at(const Dissector& dissector, const FiveTuple& tuple) noexcept {
  return dissector.ports.empty() || std::ranges::any_of(dissector.ports, [&](std::uint16_t port) {
           return port == tuple.sport || port == tuple.dport;
         });
}

}  // namespace

std::span<const Dissector> stream_dissectors() noexcept { return streams; }
std::span<const Dissector> datagram_dissectors() noexcept { return datagrams; }

Recognised recognise(std::span<const Dissector> dissectors, const FiveTuple& tuple,
                     Direction direction, Bytes bytes) noexcept {
  bool more = false;
  for (const Dissector& dissector : dissectors) {
    if (!asked_at(dissector, tuple)) continue;
    const Guess guess = dissector.probe(direction, bytes);
    if (guess == Guess::yes) return {&dissector, false};
    more = more || guess == Guess::more;
  }
  return {nullptr, more};
}

ParsedOver parsed_over(AppProto proto) noexcept {
  const auto has = [&](std::span<const Dissector> rows) {
    return std::ranges::find(rows, proto, &Dissector::proto) != rows.end();
  };
  return {has(streams), has(datagrams)};
}

bool is_parsed(AppProto proto) noexcept {
  const ParsedOver over = parsed_over(proto);
  return over.streams || over.datagrams;
}

}  // namespace menshen::sensor
