#include "sensor/proto/registry.hpp"

#include <algorithm>

#include "sensor/proto/probe.hpp"

namespace menshen::sensor {
namespace {

constexpr std::uint16_t ftp_ports[] = {21};

constexpr Dissector streams[] = {
    {AppProto::http1, &probe_http1, &make_http1_parser},
    {AppProto::tls, &probe_tls, &make_tls_parser},
    {AppProto::ssh, &probe_ssh, &make_ssh_parser},
    {AppProto::ftp, &probe_ftp_port, &make_ftp_parser, ftp_ports},
    {AppProto::smb, &probe_smb, &make_smb_parser},
    {AppProto::dcerpc, &probe_dcerpc_stream, &make_dcerpc_stream_parser},
    {AppProto::smtp, &probe_smtp, &make_smtp_parser},
    {AppProto::ftp, &probe_ftp, &make_ftp_parser},
    {AppProto::dns, &probe_dns_stream, &make_dns_stream_parser},
};

constexpr Dissector datagrams[] = {
    {AppProto::dcerpc, &probe_dcerpc_datagram, &make_dcerpc_datagram_parser},
    {AppProto::dns, &probe_dns_datagram, &make_dns_datagram_parser},
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
