#include "sensor/proto/events.hpp"

namespace menshen::sensor {
namespace {

constexpr struct {
  ProtoEvent event;
  ProtoEventInfo info;
} rows[] = {
    {ProtoEvent::none, {}},
    {ProtoEvent::tls_invalid_sslv2_header, {"tls.invalid_sslv2_header", AppProto::tls}},
    {ProtoEvent::tls_invalid_tls_header, {"tls.invalid_tls_header", AppProto::tls}},
    {ProtoEvent::tls_invalid_record_version, {"tls.invalid_record_version", AppProto::tls}},
    {ProtoEvent::tls_invalid_record_type, {"tls.invalid_record_type", AppProto::tls}},
    {ProtoEvent::tls_invalid_record_length, {"tls.invalid_record_length", AppProto::tls}},
    {ProtoEvent::tls_invalid_ssl_record, {"tls.invalid_ssl_record", AppProto::tls}},
    {ProtoEvent::tls_invalid_handshake_message, {"tls.invalid_handshake_message", AppProto::tls}},
    {ProtoEvent::tls_handshake_invalid_length, {"tls.handshake_invalid_length", AppProto::tls}},
    {ProtoEvent::tls_too_many_records_in_packet, {"tls.too_many_records_in_packet", AppProto::tls}},
    {ProtoEvent::tls_error_message_encountered, {"tls.error_message_encountered", AppProto::tls}},
    {ProtoEvent::tls_heartbeat_message, {"tls.heartbeat_message", AppProto::tls}},
    {ProtoEvent::tls_invalid_heartbeat_message, {"tls.invalid_heartbeat_message", AppProto::tls}},
    {ProtoEvent::tls_overflow_heartbeat_message, {"tls.overflow_heartbeat_message", AppProto::tls}},
    {ProtoEvent::tls_multiple_sni_extensions, {"tls.multiple_sni_extensions", AppProto::tls}},
    {ProtoEvent::tls_invalid_sni_type, {"tls.invalid_sni_type", AppProto::tls}},
    {ProtoEvent::tls_invalid_sni_length, {"tls.invalid_sni_length", AppProto::tls}},
    {ProtoEvent::tls_invalid_certificate, {"tls.invalid_certificate", AppProto::tls}},
    {ProtoEvent::tls_certificate_missing_element,
     {"tls.certificate_missing_element", AppProto::tls}},
    {ProtoEvent::tls_certificate_unknown_element,
     {"tls.certificate_unknown_element", AppProto::tls}},
    {ProtoEvent::tls_certificate_invalid_length, {"tls.certificate_invalid_length", AppProto::tls}},
    {ProtoEvent::sip_incomplete_data, {"sip.incomplete_data", AppProto::sip}},
    {ProtoEvent::sip_invalid_data, {"sip.invalid_data", AppProto::sip}},
    {ProtoEvent::mqtt_missing_connect, {"mqtt.missing_connect", AppProto::mqtt}},
    {ProtoEvent::mqtt_missing_publish, {"mqtt.missing_publish", AppProto::mqtt}},
    {ProtoEvent::mqtt_missing_subscribe, {"mqtt.missing_subscribe", AppProto::mqtt}},
    {ProtoEvent::mqtt_missing_unsubscribe, {"mqtt.missing_unsubscribe", AppProto::mqtt}},
    {ProtoEvent::mqtt_double_connect, {"mqtt.double_connect", AppProto::mqtt}},
    {ProtoEvent::mqtt_unintroduced_message, {"mqtt.unintroduced_message", AppProto::mqtt}},
    {ProtoEvent::mqtt_invalid_qos_level, {"mqtt.invalid_qos_level", AppProto::mqtt}},
    {ProtoEvent::mqtt_missing_msg_id, {"mqtt.missing_msg_id", AppProto::mqtt}},
    {ProtoEvent::mqtt_unassigned_msg_type, {"mqtt.unassigned_msg_type", AppProto::mqtt}},
    {ProtoEvent::mqtt_too_many_transactions, {"mqtt.too_many_transactions", AppProto::mqtt}},
    {ProtoEvent::mqtt_malformed_traffic, {"mqtt.malformed_traffic", AppProto::mqtt}},
    {ProtoEvent::snmp_malformed_data, {"snmp.malformed_data", AppProto::snmp}},
    {ProtoEvent::snmp_unknown_security_model, {"snmp.unknown_security_model", AppProto::snmp}},
    {ProtoEvent::snmp_version_mismatch, {"snmp.version_mismatch", AppProto::snmp}},
    {ProtoEvent::krb5_malformed_data, {"krb5.malformed_data", AppProto::krb5}},
    {ProtoEvent::krb5_weak_encryption, {"krb5.weak_encryption", AppProto::krb5}},
    {ProtoEvent::ldap_too_many_transactions, {"ldap.too_many_transactions", AppProto::ldap}},
    {ProtoEvent::ldap_invalid_data, {"ldap.invalid_data", AppProto::ldap}},
    {ProtoEvent::ldap_request_not_found, {"ldap.request_not_found", AppProto::ldap}},
    {ProtoEvent::ldap_incomplete_data, {"ldap.incomplete_data", AppProto::ldap}},
    {ProtoEvent::modbus_invalid_protocol_id, {"modbus.invalid_protocol_id", AppProto::modbus}},
    {ProtoEvent::modbus_unsolicited_response, {"modbus.unsolicited_response", AppProto::modbus}},
    {ProtoEvent::modbus_invalid_length, {"modbus.invalid_length", AppProto::modbus}},
    {ProtoEvent::modbus_invalid_unit_identifier,
     {"modbus.invalid_unit_identifier", AppProto::modbus}},
    {ProtoEvent::modbus_invalid_function_code, {"modbus.invalid_function_code", AppProto::modbus}},
    {ProtoEvent::modbus_invalid_value, {"modbus.invalid_value", AppProto::modbus}},
    {ProtoEvent::modbus_invalid_exception_code,
     {"modbus.invalid_exception_code", AppProto::modbus}},
    {ProtoEvent::modbus_value_mismatch, {"modbus.value_mismatch", AppProto::modbus}},
    {ProtoEvent::modbus_flooded, {"modbus.flooded", AppProto::modbus}},
    {ProtoEvent::dnp3_flooded, {"dnp3.flooded", AppProto::dnp3}},
    {ProtoEvent::dnp3_len_too_small, {"dnp3.len_too_small", AppProto::dnp3}},
    {ProtoEvent::dnp3_bad_link_crc, {"dnp3.bad_link_crc", AppProto::dnp3}},
    {ProtoEvent::dnp3_bad_transport_crc, {"dnp3.bad_transport_crc", AppProto::dnp3}},
    {ProtoEvent::dnp3_unknown_object, {"dnp3.unknown_object", AppProto::dnp3}},
    {ProtoEvent::dnp3_max_points_per_object, {"dnp3.max_points_per_object", AppProto::dnp3}},
    {ProtoEvent::dnp3_too_long_reassembly, {"dnp3.too_long_reassembly", AppProto::dnp3}},
    {ProtoEvent::enip_too_many_transactions, {"enip.too_many_transactions", AppProto::enip}},
    {ProtoEvent::enip_invalid_pdu, {"enip.invalid_pdu", AppProto::enip}},
    {ProtoEvent::ike_malformed_data, {"ike.malformed_data", AppProto::ike}},
    {ProtoEvent::ike_no_encryption, {"ike.no_encryption", AppProto::ike}},
    {ProtoEvent::ike_weak_crypto_enc, {"ike.weak_crypto_enc", AppProto::ike}},
    {ProtoEvent::ike_weak_crypto_prf, {"ike.weak_crypto_prf", AppProto::ike}},
    {ProtoEvent::ike_weak_crypto_dh, {"ike.weak_crypto_dh", AppProto::ike}},
    {ProtoEvent::ike_weak_crypto_auth, {"ike.weak_crypto_auth", AppProto::ike}},
    {ProtoEvent::ike_weak_crypto_no_dh, {"ike.weak_crypto_no_dh", AppProto::ike}},
    {ProtoEvent::ike_weak_crypto_no_auth, {"ike.weak_crypto_no_auth", AppProto::ike}},
    {ProtoEvent::ike_invalid_proposal, {"ike.invalid_proposal", AppProto::ike}},
    {ProtoEvent::ike_unknown_proposal, {"ike.unknown_proposal", AppProto::ike}},
    {ProtoEvent::ike_payload_extra_data, {"ike.payload_extra_data", AppProto::ike}},
    {ProtoEvent::ike_multiple_server_proposal, {"ike.multiple_server_proposal", AppProto::ike}},
    {ProtoEvent::rfb_unimplemented_security_type,
     {"rfb.unimplemented_security_type", AppProto::rfb}},
    {ProtoEvent::rfb_unknown_security_result, {"rfb.unknown_security_result", AppProto::rfb}},
    {ProtoEvent::rfb_malformed_message, {"rfb.malformed_message", AppProto::rfb}},
    {ProtoEvent::rfb_confused_state, {"rfb.confused_state", AppProto::rfb}},
    {ProtoEvent::dhcp_truncated_options, {"dhcp.truncated_options", AppProto::dhcp}},
    {ProtoEvent::dhcp_malformed_options, {"dhcp.malformed_options", AppProto::dhcp}},
    {ProtoEvent::ntp_unsolicited_response, {"ntp.unsolicited_response", AppProto::ntp}},
    {ProtoEvent::ntp_malformed_data, {"ntp.malformed_data", AppProto::ntp}},
    {ProtoEvent::ntp_not_request, {"ntp.not_request", AppProto::ntp}},
    {ProtoEvent::ntp_not_response, {"ntp.not_response", AppProto::ntp}},
    {ProtoEvent::pgsql_invalid_length, {"pgsql.invalid_length", AppProto::pgsql}},
    {ProtoEvent::pgsql_malformed_request, {"pgsql.malformed_request", AppProto::pgsql}},
    {ProtoEvent::pgsql_malformed_response, {"pgsql.malformed_response", AppProto::pgsql}},
    {ProtoEvent::pgsql_too_many_transactions, {"pgsql.too_many_transactions", AppProto::pgsql}},
    {ProtoEvent::bittorrent_dht_malformed_packet,
     {"bittorrent-dht.malformed_packet", AppProto::bittorrent_dht}},
    // Other spellings.
    {ProtoEvent::ike_malformed_data, {"ikev2.malformed_data", AppProto::ike}},
    {ProtoEvent::ike_no_encryption, {"ikev2.no_encryption", AppProto::ike}},
    {ProtoEvent::ike_weak_crypto_enc, {"ikev2.weak_crypto_enc", AppProto::ike}},
    {ProtoEvent::ike_weak_crypto_prf, {"ikev2.weak_crypto_prf", AppProto::ike}},
    {ProtoEvent::ike_weak_crypto_dh, {"ikev2.weak_crypto_dh", AppProto::ike}},
    {ProtoEvent::ike_weak_crypto_auth, {"ikev2.weak_crypto_auth", AppProto::ike}},
    {ProtoEvent::ike_weak_crypto_no_dh, {"ikev2.weak_crypto_no_dh", AppProto::ike}},
    {ProtoEvent::ike_weak_crypto_no_auth, {"ikev2.weak_crypto_no_auth", AppProto::ike}},
    {ProtoEvent::ike_invalid_proposal, {"ikev2.invalid_proposal", AppProto::ike}},
    {ProtoEvent::ike_unknown_proposal, {"ikev2.unknown_proposal", AppProto::ike}},
    {ProtoEvent::ike_payload_extra_data, {"ikev2.payload_extra_data", AppProto::ike}},
    {ProtoEvent::ike_multiple_server_proposal, {"ikev2.multiple_server_proposal", AppProto::ike}},
};

}  // namespace

const ProtoEventInfo& proto_event_info(ProtoEvent event) noexcept {
  for (const auto& row : rows) {
    if (row.event == event) return row.info;
  }
  return rows[0].info;
}

std::optional<ProtoEvent> proto_event_of(std::string_view name) noexcept {
  for (const auto& row : rows) {
    if (!name.empty() && row.info.name == name) return row.event;
  }
  return std::nullopt;
}

}  // namespace menshen::sensor
