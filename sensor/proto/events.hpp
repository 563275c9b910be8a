// What parsers find wrong or worth a rule: the `app-layer-event` names of the rule language.
//
// Included by the parsers and by the one keyword; a parser adds each event to its transaction once
// (Transaction::add_event).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "sensor/proto/transaction.hpp"

namespace menshen::sensor {

enum class ProtoEvent : std::uint16_t {
  none,
  // quic
  quic_failed_decrypt,
  quic_error_on_data,
  quic_crypto_frag_too_long,
  // dns
  dns_malformed_data,
  dns_invalid_authorities,
  dns_invalid_additionals,
  dns_name_too_long,
  dns_not_a_request,
  dns_not_a_response,
  dns_z_flag_set,
  dns_invalid_opcode,
  // http2
  http2_invalid_frame_header,
  http2_invalid_client_magic,
  http2_invalid_frame_data,
  http2_invalid_header,
  http2_invalid_frame_length,
  http2_long_frame_data,
  http2_stream_id_reuse,
  http2_failed_decompression,
  http2_too_many_streams,
  http2_authority_host_mismatch,
  http2_userinfo_in_uri,
  // http
  http_double_encoded_uri,
  http_failed_protocol_change,
  http_gzip_decompression_failed,
  http_lzma_memlimit_reached,
  http_request_field_missing_colon,
  http_response_field_missing_colon,
  http_request_header_invalid,
  http_response_header_invalid,
  http_invalid_request_chunk_len,
  http_invalid_response_chunk_len,
  http_invalid_content_length_field_in_response,
  http_100_continue_already_seen,
  http_unable_to_match_response_to_request,
  http_invalid_request_field_folding,
  http_invalid_response_field_folding,
  http_request_field_too_long,
  http_response_field_too_long,
  http_uri_delim_non_compliant,
  http_method_delim_non_compliant,
  http_request_line_leading_whitespace,
  http_request_line_missing_protocol,
  http_request_line_invalid,
  http_request_line_incomplete,
  http_too_many_encoding_layers,
  http_abnormal_ce_header,
  http_response_multipart_byteranges,
  http_response_abnormal_transfer_encoding,
  http_response_chunked_old_proto,
  http_response_invalid_protocol,
  http_response_invalid_status,
  http_request_body_unexpected,
  http_duplicate_content_length_field_in_request,
  http_duplicate_content_length_field_in_response,
  http_compression_bomb,
  http_request_too_many_headers,
  http_response_too_many_headers,
  http_invalid_transfer_encoding_value_in_request,
  http_missing_host_header,
  http_host_header_ambiguous,
  http_request_uri_host_invalid,
  http_request_header_host_invalid,
  http_invalid_content_length_field_in_request,
  http_request_header_repetition,
  http_response_header_repetition,
  http_request_auth_unrecognized,
  http_too_many_warnings,
  http_unknown_error,
  http_multipart_generic_error,
  http_multipart_no_filedata,
  http_multipart_invalid_header,
  http_file_name_too_long,
  http_request_chunk_extension,
  // tls
  tls_invalid_sslv2_header,
  tls_invalid_tls_header,
  tls_invalid_record_version,
  tls_invalid_record_type,
  tls_invalid_record_length,
  tls_invalid_ssl_record,
  tls_invalid_handshake_message,
  tls_handshake_invalid_length,
  tls_too_many_records_in_packet,
  tls_error_message_encountered,
  tls_heartbeat_message,
  tls_invalid_heartbeat_message,
  tls_overflow_heartbeat_message,
  tls_dataleak_heartbeat_mismatch,
  tls_multiple_sni_extensions,
  tls_invalid_sni_type,
  tls_invalid_sni_length,
  tls_invalid_certificate,
  tls_certificate_missing_element,
  tls_certificate_unknown_element,
  tls_certificate_invalid_length,
  // sip
  sip_incomplete_data,
  sip_invalid_data,
  // mqtt
  mqtt_missing_connect,
  mqtt_missing_publish,
  mqtt_missing_subscribe,
  mqtt_missing_unsubscribe,
  mqtt_double_connect,
  mqtt_unintroduced_message,
  mqtt_invalid_qos_level,
  mqtt_missing_msg_id,
  mqtt_unassigned_msg_type,
  mqtt_too_many_transactions,
  mqtt_malformed_traffic,
  // snmp
  snmp_malformed_data,
  snmp_unknown_security_model,
  snmp_version_mismatch,
  // krb5
  krb5_malformed_data,
  krb5_weak_encryption,
  // ldap
  ldap_too_many_transactions,
  ldap_invalid_data,
  ldap_request_not_found,
  ldap_incomplete_data,
  // modbus
  modbus_invalid_protocol_id,
  modbus_unsolicited_response,
  modbus_invalid_length,
  modbus_invalid_unit_identifier,
  modbus_invalid_function_code,
  modbus_invalid_value,
  modbus_invalid_exception_code,
  modbus_value_mismatch,
  modbus_flooded,
  // dnp3
  dnp3_flooded,
  dnp3_len_too_small,
  dnp3_bad_link_crc,
  dnp3_bad_transport_crc,
  dnp3_unknown_object,
  dnp3_max_points_per_object,
  dnp3_too_long_reassembly,
  // enip
  enip_too_many_transactions,
  enip_invalid_pdu,
  // ike
  ike_malformed_data,
  ike_no_encryption,
  ike_weak_crypto_enc,
  ike_weak_crypto_prf,
  ike_weak_crypto_dh,
  ike_weak_crypto_auth,
  ike_weak_crypto_no_dh,
  ike_weak_crypto_no_auth,
  ike_invalid_proposal,
  ike_unknown_proposal,
  ike_payload_extra_data,
  ike_multiple_server_proposal,
  // rfb
  rfb_unimplemented_security_type,
  rfb_unknown_security_result,
  rfb_malformed_message,
  rfb_confused_state,
  // dhcp
  dhcp_truncated_options,
  dhcp_malformed_options,
  // ntp
  ntp_unsolicited_response,
  ntp_malformed_data,
  ntp_not_request,
  ntp_not_response,
  // pgsql
  pgsql_invalid_length,
  pgsql_malformed_request,
  pgsql_malformed_response,
  pgsql_too_many_transactions,
  // bittorrent-dht
  bittorrent_dht_malformed_packet,
  // ssh
  ssh_invalid_banner,
  ssh_long_banner,
  ssh_invalid_record,
  ssh_long_kex_record,
  // smtp
  smtp_invalid_reply,
  smtp_unable_to_match_reply_with_request,
  smtp_max_command_line_len_exceeded,
  smtp_max_reply_line_len_exceeded,
  smtp_invalid_pipelined_sequence,
  smtp_bdat_chunk_len_exceeded,
  smtp_no_server_welcome_message,
  smtp_tls_rejected,
  smtp_data_command_rejected,
  smtp_failed_protocol_change,
  smtp_mime_parse_failed,
  smtp_mime_malformed_msg,
  smtp_mime_invalid_base64,
  smtp_mime_invalid_qp,
  smtp_mime_long_line,
  smtp_mime_long_enc_line,
  smtp_mime_long_header_name,
  smtp_mime_long_header_value,
  smtp_mime_long_boundary,
  smtp_mime_long_filename,
  smtp_duplicate_fields,
  smtp_unparsable_content,
  smtp_truncated_line,
  // ftp
  ftp_request_command_too_long,
  ftp_response_command_too_long,
  // smb
  smb_malformed_data,
  smb_malformed_ntlmssp_request,
  smb_negotiate_malformed_dialects,
  smb_response_to_server,
  smb_request_to_client,
  smb_read_request_too_large,
  smb_read_response_too_large,
  smb_write_request_too_large,
  // nfs
  nfs_malformed_data,
  count,
};

struct ProtoEventInfo {
  std::string_view name;  // "http.request_too_long", as rules write it
  AppProto proto = AppProto::unknown;
};

[[nodiscard]] const ProtoEventInfo& proto_event_info(ProtoEvent event) noexcept;
// No such event: nothing.
[[nodiscard]] std::optional<ProtoEvent> proto_event_of(std::string_view name) noexcept;

}  // namespace menshen::sensor
