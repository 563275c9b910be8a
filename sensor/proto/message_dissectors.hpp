// How the protocols whose messages are parsed whole are recognised, and what parses them. Each
// stands in the file of its name; Dissector states the contract.
#pragma once

#include <memory>

#include "sensor/proto/registry.hpp"

namespace menshen::sensor {

[[nodiscard]] Guess probe_sip(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_sip_stream_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_sip_datagram_parser(const ParserContext& context);

[[nodiscard]] Guess probe_mqtt(Direction direction, Bytes bytes) noexcept;
// Also what begins in the middle: any fixed header.
[[nodiscard]] Guess probe_mqtt_by_port(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_mqtt_parser(const ParserContext& context);

[[nodiscard]] Guess probe_snmp(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_snmp_parser(const ParserContext& context);

[[nodiscard]] Guess probe_krb5_stream(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_krb5_datagram(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_krb5_stream_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_krb5_datagram_parser(const ParserContext& context);

[[nodiscard]] Guess probe_ldap_stream(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_ldap_datagram(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_ldap_stream_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_ldap_datagram_parser(const ParserContext& context);

[[nodiscard]] Guess probe_modbus(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_modbus_parser(const ParserContext& context);

[[nodiscard]] Guess probe_dnp3(Direction direction, Bytes bytes) noexcept;
// Also where the first frame's checksum is wrong.
[[nodiscard]] Guess probe_dnp3_by_port(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_dnp3_parser(const ParserContext& context);

[[nodiscard]] Guess probe_enip_stream(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] Guess probe_enip_datagram(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_enip_stream_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_enip_datagram_parser(const ParserContext& context);

[[nodiscard]] Guess probe_ike(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_ike_parser(const ParserContext& context);

[[nodiscard]] Guess probe_rfb(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_rfb_parser(const ParserContext& context);

[[nodiscard]] Guess probe_rdp(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_rdp_parser(const ParserContext& context);

[[nodiscard]] Guess probe_ntp(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_ntp_parser(const ParserContext& context);

[[nodiscard]] Guess probe_dhcp(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_dhcp_parser(const ParserContext& context);

[[nodiscard]] Guess probe_pgsql(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_pgsql_parser(const ParserContext& context);

[[nodiscard]] Guess probe_mysql(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_mysql_parser(const ParserContext& context);

[[nodiscard]] Guess probe_redis(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_redis_parser(const ParserContext& context);

[[nodiscard]] Guess probe_telnet(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_telnet_parser(const ParserContext& context);

[[nodiscard]] Guess probe_bittorrent_dht(Direction direction, Bytes bytes) noexcept;
[[nodiscard]] std::unique_ptr<Parser> make_bittorrent_dht_parser(const ParserContext& context);

}  // namespace menshen::sensor
