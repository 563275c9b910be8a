// What the protocol parsers make of a stream, and what rules may look at: transactions with named
// buffers.
//
// A transaction is one request with its response (HTTP), one query with its answer (DNS), one
// handshake (TLS). Buffers appear as bytes arrive and bodies grow; an observer is told after each
// change, so that an inline sensor can stop the very packet that completes an attack.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.hpp"
#include "sensor/flow/flow.hpp"
#include "sensor/packet/packet.hpp"

namespace menshen::sensor {

// One value per sticky buffer; its rule-language name and direction stand in buffer_info().
enum class Buffer : std::uint8_t {
  // HTTP request
  http_method,
  http_uri,
  http_uri_raw,
  http_protocol,
  http_request_line,
  http_host,
  http_host_raw,
  http_user_agent,
  http_referer,
  http_cookie,
  http_accept,
  http_accept_enc,
  http_accept_lang,
  http_connection,
  http_content_type,
  http_content_len,
  http_request_header,
  http_request_header_raw,
  http_request_header_names,
  http_request_start,
  http_request_body,
  // HTTP response
  http_stat_code,
  http_stat_msg,
  http_response_line,
  http_server,
  http_location,
  http_set_cookie,
  http_response_content_type,
  http_response_content_len,
  http_response_protocol,
  http_response_header,
  http_response_header_raw,
  http_response_header_names,
  http_response_start,
  http_response_body,
  // DNS, TLS
  dns_query,
  dns_answer_name,
  tls_sni,
  tls_version,
  tls_cert_subject,
  tls_cert_issuer,
  tls_cert_serial,
  tls_cert_fingerprint,
  count,
};

struct BufferInfo {
  std::string_view name;  // "http.uri"
  AppProto proto;
  Direction direction;
};
[[nodiscard]] const BufferInfo& buffer_info(Buffer buffer) noexcept;

class Transaction {
 public:
  struct View {
    Bytes bytes;
    bool complete = false;  // it will not grow, nor will another instance appear
  };

  virtual ~Transaction() = default;
  [[nodiscard]] virtual AppProto proto() const noexcept = 0;
  // How many instances of a buffer are known: several DNS queries, usually 0 or 1.
  [[nodiscard]] virtual std::size_t instances(Buffer buffer) const noexcept = 0;
  // Valid until the parser is given more data.
  [[nodiscard]] virtual View view(Buffer buffer, std::size_t instance = 0) const noexcept = 0;
  // Nothing more will come in this direction.
  [[nodiscard]] virtual bool complete(Direction direction) const noexcept = 0;
  // The protocol's own EVE object ("http": {...}) as JSON text, from what is known now.
  [[nodiscard]] virtual std::string eve() const = 0;

  std::uint64_t id = 0;              // counts from 0 within the flow
  std::unique_ptr<FlowSlot> detect;  // detect stage: what was inspected, what has fired
};

// Told by the proto stage, in stream order. A verdict is returned through `packet`.
class TransactionObserver {
 public:
  virtual ~TransactionObserver() = default;
  // Something of `transaction` changed because of data in `direction`.
  virtual void on_change(Flow& flow, Transaction& transaction, Direction direction,
                         PacketMeta& packet) = 0;
  // Complete in both directions (or the flow ended): the last call for it.
  virtual void on_end(Flow& flow, Transaction& transaction) = 0;
};

}  // namespace menshen::sensor
