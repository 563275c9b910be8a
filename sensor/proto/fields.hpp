// What rules may ask of a transaction, by name: its buffers (bytes) and its numbers.
//
// One enumerator for each thing and direction; the rule language's names for them stand in the
// tables. A row says which enumerator answers in each direction (count: none there; the same in
// both: the transaction itself has one direction). A name is offered to rules only while its
// protocol has a dissector (registry.hpp).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "sensor/flow/app_proto.hpp"

namespace menshen::sensor {

enum class Buffer : std::uint8_t {
  // http1
  http_method,
  http_uri,
  http_uri_raw,
  http_protocol,
  http_response_protocol,
  http_request_line,
  http_host,
  http_host_raw,
  http_user_agent,
  http_referer,
  http_cookie,
  http_set_cookie,
  http_accept,
  http_accept_enc,
  http_accept_lang,
  http_connection,
  http_response_connection,
  http_content_type,
  http_response_content_type,
  http_content_len,
  http_response_content_len,
  http_request_header,
  http_response_header,
  http_request_header_raw,
  http_response_header_raw,
  http_request_header_names,
  http_response_header_names,
  http_request_start,
  http_response_start,
  http_request_body,
  http_response_body,
  http_stat_code,
  http_stat_msg,
  http_response_line,
  http_server,
  http_location,
  http_request_header_line,
  http_response_header_line,
  // http2
  http2_header_name,
  http2_header_name_response,
  // dns
  dns_query,
  dns_query_response,
  dns_answer_name_request,
  dns_answer_name,
  dns_authorities_rrname_request,
  dns_authorities_rrname,
  dns_additionals_rrname_request,
  dns_additionals_rrname,
  dns_response_rrname,
  // tls
  tls_sni,
  tls_cert_subject_client,
  tls_cert_subject,
  tls_cert_issuer_client,
  tls_cert_issuer,
  tls_cert_serial_client,
  tls_cert_serial,
  tls_cert_fingerprint_client,
  tls_cert_fingerprint,
  tls_certs,
  tls_certs_response,
  tls_subjectaltname,
  tls_alpn,
  tls_alpn_response,
  tls_random,
  tls_random_response,
  tls_random_time,
  tls_random_time_response,
  tls_random_bytes,
  tls_random_bytes_response,
  ja3_hash,
  ja3_string,
  ja3s_hash,
  ja3s_string,
  ja4_hash,
  // quic
  quic_sni,
  quic_ua,
  quic_version,
  quic_version_response,
  quic_cyu_hash,
  quic_cyu_string,
  // websocket
  websocket_payload,
  websocket_payload_response,
  // ssh
  ssh_proto,
  ssh_proto_response,
  ssh_software,
  ssh_software_response,
  ssh_hassh,
  ssh_hassh_string,
  ssh_hassh_server,
  ssh_hassh_server_string,
  // smtp
  smtp_helo,
  smtp_mail_from,
  smtp_rcpt_to,
  email_from,
  email_to,
  email_cc,
  email_subject,
  email_date,
  email_message_id,
  email_x_mailer,
  email_url,
  email_received,
  email_body_md5,
  // ftp
  ftp_command,
  ftp_command_data,
  ftp_reply,
  ftp_completion_code,
  // ftp_data
  ftpdata_command,
  // smb
  smb_named_pipe,
  smb_share,
  smb_ntlmssp_user,
  smb_ntlmssp_domain,
  // dcerpc
  dcerpc_stub_data,
  dcerpc_stub_data_response,
  dcerpc_iface_bytes,
  // krb5
  krb5_cname,
  krb5_sname,
  // snmp
  snmp_community,
  snmp_usm,
  snmp_trap_oid,
  snmp_trap_address,
  // sip
  sip_method,
  sip_uri,
  sip_protocol,
  sip_protocol_response,
  sip_request_line,
  sip_stat_code,
  sip_stat_msg,
  sip_response_line,
  sip_from,
  sip_from_response,
  sip_to,
  sip_to_response,
  sip_via,
  sip_via_response,
  sip_user_agent,
  sip_user_agent_response,
  sip_content_type,
  sip_content_type_response,
  sip_content_length,
  sip_content_length_response,
  sdp_session_name,
  sdp_session_name_response,
  sdp_session_info,
  sdp_session_info_response,
  sdp_origin,
  sdp_origin_response,
  sdp_uri,
  sdp_uri_response,
  sdp_email,
  sdp_email_response,
  sdp_phone_number,
  sdp_phone_number_response,
  sdp_connection_data,
  sdp_connection_data_response,
  sdp_bandwidth,
  sdp_bandwidth_response,
  sdp_time,
  sdp_time_response,
  sdp_repeat_time,
  sdp_repeat_time_response,
  sdp_timezone,
  sdp_timezone_response,
  sdp_encryption_key,
  sdp_encryption_key_response,
  sdp_attribute,
  sdp_attribute_response,
  sdp_media_media,
  sdp_media_media_response,
  sdp_media_media_info,
  sdp_media_media_info_response,
  sdp_media_connection_data,
  sdp_media_connection_data_response,
  sdp_media_encryption_key,
  sdp_media_encryption_key_response,
  // mqtt
  mqtt_connect_clientid,
  mqtt_connect_username,
  mqtt_connect_password,
  mqtt_connect_willtopic,
  mqtt_connect_willmessage,
  mqtt_connect_protocol_string,
  mqtt_publish_topic,
  mqtt_publish_message,
  mqtt_subscribe_topic,
  mqtt_unsubscribe_topic,
  // rfb
  rfb_name,
  // ike
  ike_init_spi,
  ike_resp_spi,
  ike_nonce_payload,
  ike_nonce_payload_response,
  ike_key_exchange_payload,
  ike_key_exchange_payload_response,
  ike_vendor,
  // pgsql
  pgsql_query,
  // dnp3
  dnp3_data,
  dnp3_data_response,
  // enip
  enip_product_name,
  enip_service_name,
  // ldap
  ldap_request_dn,
  ldap_request_attribute_type,
  ldap_responses_dn,
  ldap_responses_message,
  ldap_responses_attribute_type,
  // ntp
  ntp_reference_id,
  // mdns
  mdns_queries_rrname,
  mdns_answers_rrname,
  mdns_authorities_rrname,
  mdns_additionals_rrname,
  mdns_response_rrname,
  // llmnr
  llmnr_queries_rrname,
  llmnr_answers_rrname,
  llmnr_authorities_rrname,
  llmnr_additionals_rrname,
  llmnr_response_rrname,
  // frames: a message and its parts, of whatever protocol the transaction has
  frame_pdu,
  frame_pdu_response,
  frame_header,
  frame_header_response,
  frame_data,
  frame_data_response,
  frame_line,
  frame_line_response,
  frame_headers,
  frame_headers_response,
  frame_body,
  frame_body_response,
  frame_item,
  frame_item_response,
  frame_inner,
  frame_inner_response,
  // any protocol that carries files
  file_data,
  file_data_response,
  file_name,
  file_name_response,
  file_ext,
  file_ext_response,
  file_magic,
  file_magic_response,
  file_md5,
  file_md5_response,
  file_sha1,
  file_sha1_response,
  file_sha256,
  file_sha256_response,
  count,
};

enum class Number : std::uint8_t {
  // http2
  http2_errorcode,
  http2_errorcode_response,
  http2_frametype,
  http2_frametype_response,
  http2_priority,
  http2_priority_response,
  http2_window,
  http2_window_response,
  http2_size_update,
  http2_size_update_response,
  http2_settings_header_table_size,
  http2_settings_header_table_size_response,
  http2_settings_enable_push,
  http2_settings_enable_push_response,
  http2_settings_max_concurrent_streams,
  http2_settings_max_concurrent_streams_response,
  http2_settings_initial_window_size,
  http2_settings_initial_window_size_response,
  http2_settings_max_frame_size,
  http2_settings_max_frame_size_response,
  http2_settings_max_header_list_size,
  http2_settings_max_header_list_size_response,
  // dns
  dns_opcode,
  dns_opcode_response,
  dns_rcode_request,
  dns_rcode,
  dns_rrtype,
  dns_rrtype_response,
  // tls
  tls_version,
  tls_version_response,
  tls_cert_chain_len,
  tls_cert_chain_len_response,
  tls_cert_notbefore,
  tls_cert_notafter,
  tls_cert_validity,  // when it was seen: 0 valid, 1 expired, 2 not valid yet
  ssl_state,
  // quic
  quic_version_number,
  // websocket
  websocket_opcode,
  websocket_opcode_response,
  websocket_flags,
  websocket_flags_response,
  websocket_mask,
  websocket_mask_response,
  // ftp
  ftp_dynamic_port,
  ftp_mode,
  ftp_reply_received,
  ftp_bounce,
  // smb
  smb_version,
  // dcerpc
  dcerpc_opnum,
  // krb5
  krb5_msg_type,
  krb5_err_code,
  krb5_ticket_encryption,
  // snmp
  snmp_version,
  snmp_pdu_type,
  snmp_trap_type,
  // mqtt
  mqtt_type,
  mqtt_protocol_version,
  mqtt_reason_code,
  mqtt_qos,
  mqtt_connack_session_present,
  mqtt_flags,
  mqtt_connect_flags,
  // rfb
  rfb_sectype,
  rfb_secresult,
  // ike
  ike_exchtype,
  ike_nonce_payload_length,
  ike_nonce_payload_length_response,
  ike_key_exchange_payload_length,
  ike_key_exchange_payload_length_response,
  ike_sa_alg_enc,
  ike_sa_alg_hash,
  ike_sa_alg_auth,
  ike_sa_alg_prf,
  ike_sa_alg_dh,
  ike_sa_alg_esn,
  ike_sa_auth_method,
  ike_sa_key_length,
  ike_sa_life_type,
  ike_sa_life_duration,
  // nfs
  nfs_version,
  nfs_procedure,
  // modbus
  modbus_function,
  modbus_subfunction,
  modbus_category,
  modbus_unit,
  modbus_access,
  modbus_address,
  modbus_address_last,
  modbus_value,
  // dnp3
  dnp3_func,
  dnp3_func_response,
  dnp3_ind,
  dnp3_obj,
  dnp3_obj_response,
  // enip
  enip_command,
  enip_command_response,
  cip_service,
  cip_service_response,
  enip_status,
  enip_state,
  enip_device_type,
  enip_capabilities,
  enip_cip_attribute,
  enip_cip_class,
  enip_cip_instance,
  enip_cip_status,
  enip_cip_extendedstatus,
  enip_identity_status,
  enip_product_code,
  enip_protocol_version,
  enip_revision,
  enip_serial,
  enip_vendor_id,
  // dhcp
  dhcp_leasetime,
  dhcp_rebinding_time,
  dhcp_renewal_time,
  // ldap
  ldap_request_operation,
  ldap_responses_operation,
  ldap_responses_count,
  ldap_responses_result_code,
  // ntp
  ntp_version,
  ntp_mode,
  ntp_stratum,
  // mdns
  mdns_response_code,
  // any protocol that carries files
  file_size,
  file_size_response,
  count,
};

template <class Field>
struct FieldName {
  std::string_view name;               // "http.uri"
  AppProto proto = AppProto::unknown;  // unknown: any that carries files
  Field to_server = Field::count;
  Field to_client = Field::count;
  bool many = false;    // several instances: each use of the keyword may match another one
  bool hidden = false;  // no keyword of its own: one with a syntax of its own looks there
};
using BufferName = FieldName<Buffer>;
using NumberName = FieldName<Number>;

// Every name in every spelling; the first row of a field has its canonical name.
[[nodiscard]] std::span<const BufferName> buffer_names() noexcept;
[[nodiscard]] std::span<const NumberName> number_names() noexcept;

// Whose transactions may have the fields of a row of `proto`: of DCERPC also SMB, of HTTP also
// HTTP/2, of HTTP/2 and DNS also DNS over HTTP. unknown: every protocol that carries files.
[[nodiscard]] std::span<const AppProto> carriers(AppProto proto) noexcept;
// The same of one buffer: fingerprints of TLS hellos are also in QUIC.
[[nodiscard]] std::span<const AppProto> carriers(Buffer buffer) noexcept;

// What `frame` may name: a protocol's frames by their names after its own ("sip", "request.body").
struct FrameName {
  AppProto proto = AppProto::unknown;
  std::string_view name;
  Buffer to_server = Buffer::count;
  Buffer to_client = Buffer::count;
};
[[nodiscard]] std::span<const FrameName> frame_names() noexcept;

// The canonical row of a field.
[[nodiscard]] const BufferName& buffer_info(Buffer buffer) noexcept;
[[nodiscard]] const NumberName& number_info(Number number) noexcept;

}  // namespace menshen::sensor
