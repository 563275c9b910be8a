// HTTP/1 through libhtp: the one file that includes it.
//
// What each buffer holds follows Suricata's documentation of its keywords, so that rules written
// for it mean the same here.
#include <htp/htp.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "base/ascii.hpp"
#include "base/handle.hpp"
#include "sensor/proto/http1_events.hpp"
#include "sensor/proto/http_body.hpp"
#include "sensor/proto/http_transaction.hpp"
#include "sensor/proto/parser.hpp"
#include "sensor/proto/spoken.hpp"

namespace menshen::sensor {

namespace {

using ConfigHandle = Handle<htp_cfg_t, &htp_config_destroy>;
using ConnectionHandle = Handle<htp_connp_t, &htp_connp_destroy_all>;

constexpr std::size_t line_soft_max = 9000;
constexpr std::size_t line_hard_max = 18432;
constexpr std::size_t decompression_usec_max = 100'000;
// libhtp keeps a place for every transaction of a connection; between two messages it is begun
// anew.
constexpr std::size_t renew_after = 1024;
constexpr std::size_t connection_transactions_max = 65'536;
// Request bytes that wait for a response (CONNECT).
constexpr std::size_t waiting_bytes_max = 64U << 10U;
// libhtp keeps its messages with the connection: after so many it makes no more.
constexpr std::size_t messages_max = 512;
constexpr std::size_t lzma_memory_max = 1U << 20U;

std::string_view text_of(const bstr* text) noexcept {
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(bstr_ptr(text)), bstr_len(text)};
}

const htp_header_t* header_of(const htp_table_t* headers, const char* name) noexcept {
  return headers == nullptr ? nullptr
                            : static_cast<const htp_header_t*>(htp_table_get_c(headers, name));
}

bool equals(const bstr* name, const char* lower) noexcept {
  return bstr_cmp_c_nocase(name, lower) == 0;
}

struct HeaderBuffer {
  const char* name;
  Buffer buffer;
};
constexpr std::array<HeaderBuffer, 9> request_headers{{
    {"user-agent", Buffer::http_user_agent},
    {"referer", Buffer::http_referer},
    {"cookie", Buffer::http_cookie},
    {"accept", Buffer::http_accept},
    {"accept-encoding", Buffer::http_accept_enc},
    {"accept-language", Buffer::http_accept_lang},
    {"connection", Buffer::http_connection},
    {"content-type", Buffer::http_content_type},
    {"content-length", Buffer::http_content_len},
}};
constexpr std::array<HeaderBuffer, 6> response_headers{{
    {"connection", Buffer::http_response_connection},
    {"server", Buffer::http_server},
    {"location", Buffer::http_location},
    {"set-cookie", Buffer::http_set_cookie},
    {"content-type", Buffer::http_response_content_type},
    {"content-length", Buffer::http_response_content_len},
}};

constexpr std::pair<std::uint64_t, ProtoEvent> flag_events[] = {
    {HTP_REQUEST_INVALID_T_E, ProtoEvent::http_invalid_transfer_encoding_value_in_request},
    {HTP_REQUEST_INVALID_C_L, ProtoEvent::http_invalid_content_length_field_in_request},
    {HTP_HOST_MISSING, ProtoEvent::http_missing_host_header},
    {HTP_HOST_AMBIGUOUS, ProtoEvent::http_host_header_ambiguous},
    {HTP_HOSTU_INVALID, ProtoEvent::http_request_uri_host_invalid},
    {HTP_HOSTH_INVALID, ProtoEvent::http_request_header_host_invalid},
};

// The whole-head buffers of one direction.
struct HeadBuffers {
  Direction direction;
  Buffer line;
  Buffer header;
  Buffer names;
  Buffer start;
  const char* cookie;  // has its own buffer, and is not in `header`
};

void set_head(HttpTransaction& transaction, const htp_table_t* headers, const HeadBuffers& head) {
  std::string header;
  std::string names = "\r\n";
  std::string start(transaction.buffers.text(head.line));
  start += "\r\n";
  auto& lines = transaction.lines[static_cast<std::size_t>(head.direction)];
  lines.clear();
  const std::size_t count = headers == nullptr ? 0 : htp_table_size(headers);
  for (std::size_t i = 0; i < count; ++i) {
    const auto* field = static_cast<const htp_header_t*>(htp_table_get_index(headers, i, nullptr));
    if (field == nullptr) continue;
    std::string line(text_of(field->name));
    names += line;
    names += "\r\n";
    line += ": ";
    line += text_of(field->value);
    lines.push_back({.start = static_cast<std::uint32_t>(start.size()),
                     .length = static_cast<std::uint32_t>(line.size()),
                     .name_length = static_cast<std::uint32_t>(bstr_len(field->name))});
    line += "\r\n";
    start += line;
    if (!equals(field->name, head.cookie)) header += line;
  }
  names += "\r\n";
  start += "\r\n";
  transaction.buffers.set(head.header, header);
  transaction.buffers.set(head.names, names);
  transaction.buffers.set(head.start, start);
}

template <std::size_t N>
void set_headers(HttpTransaction& transaction, const htp_table_t* headers,
                 const std::array<HeaderBuffer, N>& wanted) {
  for (const auto& [name, buffer] : wanted) {
    const htp_header_t* field = header_of(headers, name);
    if (field != nullptr) transaction.buffers.set(buffer, text_of(field->value));
  }
}

// Path, query and fragment, decoded; the query once more, as servers do with its parameters.
std::string normalised_uri(htp_tx_t* tx) {
  std::string uri(text_of(tx->parsed_uri->path));
  if (tx->parsed_uri->query != nullptr) {
    bstr* query = bstr_dup(tx->parsed_uri->query);
    if (query != nullptr) {
      std::uint64_t flags = 0;
      htp_urldecode_inplace(tx->cfg, HTP_DECODER_URLENCODED, query, &flags);
      uri += '?';
      uri += text_of(query);
      bstr_free(query);
    }
  }
  if (tx->parsed_uri->fragment != nullptr) {
    uri += '#';
    uri += text_of(tx->parsed_uri->fragment);
  }
  return uri;
}

class Http1Parser;

struct Open {
  HttpTransaction transaction{AppProto::http1};
  std::array<std::optional<HttpBody>, 2> bodies;  // by Direction; before the transaction they end
  htp_tx_t* tx = nullptr;                         // libhtp's; destroyed with it
  std::array<std::size_t, 2> head_bytes{};
};

class Http1Parser final : public Parser {
 public:
  explicit Http1Parser(const ParserContext& context) : context_(context) { configure(); }

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    consumed_ = bytes.size();
    may_change_ = may_change_protocol(flow);
    if (finished_[index(direction)]) return ParserStatus::more;
    std::vector<std::byte>& waiting = waiting_[index(direction)];
    ParserStatus status = ParserStatus::more;
    if (!waiting.empty()) {
      status = wait(waiting, bytes);
    } else {
      status = give(direction, bytes, packet);
    }
    report(flow, direction, packet);
    std::vector<std::byte>& other = waiting_[index(reverse(direction))];
    if (status == ParserStatus::more && !other.empty()) {
      const std::vector<std::byte> held = std::exchange(other, {});
      status = give(reverse(direction), held, packet);
      report(flow, reverse(direction), packet);
    }
    if (open_.empty() && made_ > renew_after && waiting_[0].empty() && waiting_[1].empty()) {
      configure();
    }
    return status;
  }

  ParserStatus gap(Flow& flow, Direction direction, std::uint64_t length,
                   PacketMeta& packet) override {
    if (finished_[index(direction)]) return ParserStatus::more;
    // Only where a body stands does libhtp know what is missing.
    for (const auto& open : open_) {
      if (open->transaction.done[index(direction)]) continue;
      if (open->bodies[index(direction)]) open->bodies[index(direction)]->gap(length);
      break;
    }
    const int status = direction == Direction::to_server
                           ? htp_connp_req_data(connection_.get(), nullptr, nullptr, length)
                           : htp_connp_res_data(connection_.get(), nullptr, nullptr, length);
    report(flow, direction, packet);
    return status == HTP_STREAM_ERROR || status == HTP_STREAM_CLOSED ? ParserStatus::broken
                                                                     : ParserStatus::more;
  }

  void close(Flow& flow, Direction direction, PacketMeta& packet) override {
    if (finished_[index(direction)]) return;
    finished_[index(direction)] = true;
    if (direction == Direction::to_server) {
      htp_connp_req_close(connection_.get(), nullptr);
    } else {
      // A body that ends with the connection ends now; the server reads no further requests either.
      htp_connp_close(connection_.get(), nullptr);
    }
    report(flow, direction, packet);
    for (const auto& open : open_) {
      HttpTransaction& transaction = open->transaction;
      if (transaction.done[index(direction)]) continue;
      open->bodies[index(direction)].reset();
      transaction.done[index(direction)] = true;
      changed(*open, direction);
    }
    report(flow, direction, packet);
  }

  void end(Flow& flow) override {
    for (const auto& open : open_) {
      if (open->transaction.closed) continue;
      for (auto& body : open->bodies) body.reset();
      open->transaction.done = {true, true};
      context_.observer.on_end(flow, open->transaction);
    }
    changed_.clear();
    open_.clear();
  }

  [[nodiscard]] std::size_t consumed() const noexcept override { return consumed_; }
  [[nodiscard]] AppProto next() const noexcept override { return next_; }

 private:
  static std::size_t index(Direction direction) noexcept {
    return static_cast<std::size_t>(direction);
  }

  void configure() {
    connection_.reset();
    config_.reset(htp_config_create());
    htp_cfg_t* config = config_.get();
    const ProtoLimits& limits = context_.limits;
    htp_config_set_server_personality(config, HTP_SERVER_IDS);
    htp_config_set_parse_request_cookies(config, 0);
    htp_config_set_plusspace_decode(config, HTP_DECODER_URLENCODED, 0);
    // A request that names a coding and does not use it is to be read all the same (HttpBody).
    htp_config_set_request_decompression(config, 0);
    htp_config_set_response_decompression(config, 1);
    htp_config_set_response_decompression_layer_limit(config, static_cast<int>(limits.http_layers));
    htp_config_set_lzma_layers(config, 1);
    htp_config_set_lzma_memlimit(config, lzma_memory_max);
    htp_config_set_compression_bomb_limit(config, limits.http_decompressed);
    htp_config_set_compression_time_limit(config, decompression_usec_max);
    htp_config_set_field_limits(config, line_soft_max, line_hard_max);
    htp_config_set_number_headers_limit(config, limits.http_header_count);
    htp_config_set_parse_request_auth(config, 1);
    htp_config_set_log_level(config, HTP_LOG_WARNING);
    htp_config_register_log(config, on_message);
    htp_config_register_request_start(config, [](htp_tx_t* tx) { return start(tx); });
    htp_config_register_response_start(config, [](htp_tx_t* tx) { return start_response(tx); });
    htp_config_register_request_line(config, on_request_line);
    htp_config_register_request_headers(config, on_request_headers);
    htp_config_register_request_header_data(
        config, [](htp_tx_data_t* data) { return on_head(data, Direction::to_server); });
    htp_config_register_request_body_data(
        config, [](htp_tx_data_t* data) { return on_body(data, Direction::to_server); });
    htp_config_register_request_complete(
        config, [](htp_tx_t* tx) { return on_complete(tx, Direction::to_server); });
    htp_config_register_response_line(config, on_response_line);
    htp_config_register_response_headers(config, on_response_headers);
    htp_config_register_response_header_data(
        config, [](htp_tx_data_t* data) { return on_head(data, Direction::to_client); });
    htp_config_register_response_body_data(
        config, [](htp_tx_data_t* data) { return on_body(data, Direction::to_client); });
    htp_config_register_response_complete(
        config, [](htp_tx_t* tx) { return on_complete(tx, Direction::to_client); });
    connection_.reset(htp_connp_create(config));
    htp_connp_set_user_data(connection_.get(), this);
    htp_connp_open(connection_.get(), nullptr, 0, nullptr, 0, nullptr);
    made_ = 0;
    messages_ = 0;
  }

  // Lets libhtp read; what it leaves because the other direction must go on first waits.
  ParserStatus give(Direction direction, Bytes bytes, PacketMeta& /*packet*/) {
    limit_reached_ = false;
    // libhtp would keep the first bytes to itself while it looks for a method among them.
    if (tunnel_agreed_ && !bytes.empty()) {
      consumed_ = 0;
      return ParserStatus::tunnel;
    }
    if (bytes.empty()) return ParserStatus::more;
    fed_ = bytes;
    chunk_end_ = 0;
    feeding_ = direction;
    const bool request = direction == Direction::to_server;
    const int status =
        request ? htp_connp_req_data(connection_.get(), nullptr, bytes.data(), bytes.size())
                : htp_connp_res_data(connection_.get(), nullptr, bytes.data(), bytes.size());
    fed_ = {};  // what comes with the connection's end has no bytes beside it
    if (limit_reached_) return ParserStatus::limit;
    const std::size_t used = request ? htp_connp_req_data_consumed(connection_.get())
                                     : htp_connp_res_data_consumed(connection_.get());
    switch (status) {
      case HTP_STREAM_ERROR:
        return ParserStatus::broken;
      case HTP_STREAM_TUNNEL:
        consumed_ = std::min(used, bytes.size());
        return ParserStatus::tunnel;
      case HTP_STREAM_DATA_OTHER:
        return wait(waiting_[index(direction)], bytes.subspan(std::min(used, bytes.size())));
      default:
        return ParserStatus::more;
    }
  }

  static ParserStatus wait(std::vector<std::byte>& waiting, Bytes bytes) {
    if (waiting.size() + bytes.size() > waiting_bytes_max) return ParserStatus::limit;
    waiting.insert(waiting.end(), bytes.begin(), bytes.end());
    return ParserStatus::more;
  }

  // Tells of every change, in order, and lets go of what has ended. Only what changed is looked at:
  // a peer may keep hundreds of requests open and send byte by byte.
  void report(Flow& flow, Direction direction, PacketMeta& packet) {
    bool ended = false;
    for (Open* open : changed_) {
      HttpTransaction& transaction = open->transaction;
      for (const Direction d : {direction, reverse(direction)}) {
        if (!std::exchange(transaction.changed[index(d)], false)) continue;
        context_.observer.on_change(flow, transaction, d, packet);
      }
      if (transaction.done[0] && transaction.done[1]) {
        ended = transaction.closed = true;
        context_.observer.on_end(flow, transaction);
      }
    }
    changed_.clear();
    if (!ended) return;
    std::erase_if(open_, [](const std::unique_ptr<Open>& open) {
      if (!open->transaction.closed) return false;
      htp_tx_set_user_data(open->tx, nullptr);
      htp_tx_destroy(open->tx);  // refuses while it is not complete; the connection frees it then
      return true;
    });
  }

  // libhtp's warnings and errors.
  static int on_message(htp_log_t* message) {
    auto& parser = *static_cast<Http1Parser*>(htp_connp_get_user_data(message->connp));
    htp_tx_t* tx = parser.feeding_ == Direction::to_server ? htp_connp_get_in_tx(message->connp)
                                                           : htp_connp_get_out_tx(message->connp);
    Open* open = tx == nullptr ? nullptr : open_of(tx);
    if (open == nullptr && !parser.open_.empty()) open = parser.open_.back().get();
    const bool last = ++parser.messages_ >= messages_max;
    if (last) htp_config_set_log_level(parser.config_.get(), HTP_LOG_NONE);
    if (open == nullptr) return HTP_OK;
    auto event = http1_event_of(message->msg, parser.feeding_);
    if (!event && message->level == HTP_LOG_ERROR) event = ProtoEvent::http_unknown_error;
    if (event) open->transaction.add_event(*event);
    if (last) open->transaction.add_event(ProtoEvent::http_too_many_warnings);
    // Rules of either direction may ask for it.
    if (event || last) {
      for (const Direction d : {Direction::to_server, Direction::to_client}) changed(*open, d);
    }
    return HTP_OK;
  }

  static void add_flag_events(Open& open, const htp_tx_t* tx) {
    for (const auto& [flag, event] : flag_events) {
      if ((tx->flags & flag) != 0) open.transaction.add_event(event);
    }
  }

  static Http1Parser& parser_of(const htp_tx_t* tx) noexcept {
    return *static_cast<Http1Parser*>(htp_connp_get_user_data(tx->connp));
  }

  // Null after the observer was told of the end.
  static Open* open_of(const htp_tx_t* tx) noexcept {
    return static_cast<Open*>(htp_tx_get_user_data(tx));
  }

  static void changed(Open& open, Direction direction) {
    auto& flags = open.transaction.changed;
    if (!flags[0] && !flags[1]) parser_of(open.tx).changed_.push_back(&open);
    flags[index(direction)] = true;
  }

  // A request without a protocol may be answered with one: then its answer is no bare body.
  static int start_response(htp_tx_t* tx) {
    tx->is_protocol_0_9 = 0;
    return start(tx);
  }

  static int start(htp_tx_t* tx) {
    if (open_of(tx) != nullptr) return HTP_OK;
    Http1Parser& parser = parser_of(tx);
    auto open = std::make_unique<Open>();
    open->tx = tx;
    open->transaction.id = parser.next_id_++;
    htp_tx_set_user_data(tx, open.get());
    parser.open_.push_back(std::move(open));
    ++parser.made_;
    ++parser.context_.counters.transactions;
    // One flood of tiny requests in one packet must not pile up before feed() looks. libhtp does
    // not heed an error here (it would begin the same transaction for ever): the next hook says it.
    parser.limit_reached_ = parser.limit_reached_ ||
                            parser.open_.size() > parser.context_.limits.transactions ||
                            parser.made_ > connection_transactions_max;
    return HTP_OK;
  }

  static int on_request_line(htp_tx_t* tx) {
    Open* open = open_of(tx);
    if (parser_of(tx).limit_reached_) return HTP_ERROR;
    if (open == nullptr) return HTP_OK;
    BufferSet& buffers = open->transaction.buffers;
    const auto set = [&](Buffer buffer, const bstr* text) {
      if (text != nullptr) buffers.set(buffer, text_of(text));
    };
    if (tx->is_protocol_0_9 != 0) parser_of(tx).look_for_fields(*open);
    set(Buffer::http_request_line, tx->request_line);
    set(Buffer::http_method, tx->request_method);
    set(Buffer::http_uri_raw, tx->request_uri);
    set(Buffer::http_protocol, tx->request_protocol);
    if (tx->parsed_uri != nullptr) buffers.set(Buffer::http_uri, normalised_uri(tx));
    if (is_double_encoded(buffers.text(Buffer::http_uri_raw))) {
      open->transaction.add_event(ProtoEvent::http_double_encoded_uri);
    }
    changed(*open, Direction::to_server);
    return HTP_OK;
  }

  // A request without a protocol has no header fields (RFC 1945 5.1). libhtp asks only the next
  // line whether it is one; where any of what came with it is, the protocol is only missing.
  void look_for_fields(Open& open) {
    const auto used = htp_connp_req_data_consumed(connection_.get());
    const std::string_view rest = as_text(fed_.subspan(std::min(used, fed_.size())));
    const std::size_t first = rest.find_first_not_of("\r\n");
    if (feeding_ != Direction::to_server || first == std::string_view::npos) return;
    if (rest.find(':', first) == std::string_view::npos) return;
    open.tx->is_protocol_0_9 = 0;
    open.transaction.add_event(ProtoEvent::http_request_line_missing_protocol);
  }

  static int on_request_headers(htp_tx_t* tx) {
    Open* open = open_of(tx);
    if (open == nullptr) return HTP_OK;
    HttpTransaction& transaction = open->transaction;
    set_headers(transaction, tx->request_headers, request_headers);
    set_head(transaction, tx->request_headers,
             {Direction::to_server, Buffer::http_request_line, Buffer::http_request_header,
              Buffer::http_request_header_names, Buffer::http_request_start, "cookie"});
    const htp_header_t* forwarded = header_of(tx->request_headers, "x-forwarded-for");
    if (forwarded != nullptr) transaction.forwarded_for = text_of(forwarded->value);
    set_host(transaction, tx);
    add_flag_events(*open, tx);
    check_authorization(transaction, tx);
    begin_body(*open, tx, Direction::to_server);
    changed(*open, Direction::to_server);
    return HTP_OK;
  }

  // libhtp knows Basic and Digest; Bearer (RFC 6750) is no anomaly either.
  static void check_authorization(HttpTransaction& transaction, const htp_tx_t* tx) {
    const htp_header_t* field = header_of(tx->request_headers, "authorization");
    const bool odd =
        tx->request_auth_type == HTP_AUTH_UNRECOGNIZED || (tx->flags & HTP_AUTH_INVALID) != 0;
    if (!odd || field == nullptr || bstr_begins_with_c_nocase(field->value, "bearer ") != 0) return;
    transaction.add_event(ProtoEvent::http_request_auth_unrecognized);
  }

  static void begin_body(Open& open, const htp_tx_t* tx, Direction direction) {
    const bool request = direction == Direction::to_server;
    const htp_table_t* headers = request ? tx->request_headers : tx->response_headers;
    const auto value_of = [&](const char* name) {
      const htp_header_t* field = header_of(headers, name);
      return field == nullptr ? std::string_view() : text_of(field->value);
    };
    const Http1Parser& parser = parser_of(tx);
    HttpBody::Head head;
    head.content_type = value_of("content-type");
    head.content_disposition = value_of("content-disposition");
    if (tx->parsed_uri != nullptr) head.path = text_of(tx->parsed_uri->path);
    // What libhtp does not open itself.
    const auto coding = content_coding_of(value_of("content-encoding"));
    if (request || coding == ContentCoding::brotli || coding == ContentCoding::zstd) {
      head.coding = coding;
    }
    head.is_file = !request || tx->request_method_number == HTP_M_POST ||
                   tx->request_method_number == HTP_M_PUT;
    open.bodies[index(direction)].emplace(
        parser.context_.files, open.transaction, direction, head,
        DecompressLimits{.output_bytes = parser.context_.limits.http_decompressed});
  }

  static void set_host(HttpTransaction& transaction, const htp_tx_t* tx) {
    if (tx->request_hostname != nullptr) {
      transaction.hostname = ascii_lower(text_of(tx->request_hostname));
      transaction.buffers.set(Buffer::http_host, transaction.hostname);
    }
    transaction.port = tx->request_port_number;
    const htp_header_t* host = header_of(tx->request_headers, "host");
    if (tx->parsed_uri != nullptr && tx->parsed_uri->hostname != nullptr) {
      transaction.buffers.set(Buffer::http_host_raw, text_of(tx->parsed_uri->hostname));
    } else if (host != nullptr) {
      transaction.buffers.set(Buffer::http_host_raw, text_of(host->value));
    }
  }

  // A 100 Continue is followed by the response itself.
  static bool is_interim(const htp_tx_t* tx) noexcept { return tx->response_status_number == 100; }

  static int on_response_line(htp_tx_t* tx) {
    Open* open = open_of(tx);
    if (parser_of(tx).limit_reached_) return HTP_ERROR;
    if (open == nullptr || is_interim(tx)) return HTP_OK;
    BufferSet& buffers = open->transaction.buffers;
    const auto set = [&](Buffer buffer, const bstr* text) {
      if (text != nullptr) buffers.set(buffer, text_of(text));
    };
    set(Buffer::http_response_line, tx->response_line);
    set(Buffer::http_response_protocol, tx->response_protocol);
    set(Buffer::http_stat_code, tx->response_status);
    set(Buffer::http_stat_msg, tx->response_message);
    open->transaction.status = tx->response_status_number;
    changed(*open, Direction::to_client);
    return HTP_OK;
  }

  static int on_response_headers(htp_tx_t* tx) {
    Open* open = open_of(tx);
    if (open == nullptr) return HTP_OK;
    set_headers(open->transaction, tx->response_headers, response_headers);
    if (tx->response_status_number == 101) {
      note_upgrade(tx);
      judge_change(open->transaction, tx);
    }
    if (!is_interim(tx)) begin_body(*open, tx, Direction::to_client);
    set_head(open->transaction, tx->response_headers,
             {Direction::to_client, Buffer::http_response_line, Buffer::http_response_header,
              Buffer::http_response_header_names, Buffer::http_response_start, "set-cookie"});
    changed(*open, Direction::to_client);
    return HTP_OK;
  }

  static void judge_change(HttpTransaction& transaction, const htp_tx_t* tx) {
    if (parser_of(tx).may_change_) return;
    transaction.add_event(ProtoEvent::http_failed_protocol_change);
  }

  // RFC 6455 4.2.2, RFC 7540 3.2.
  static void note_upgrade(const htp_tx_t* tx) {
    const htp_header_t* upgrade = header_of(tx->response_headers, "upgrade");
    if (upgrade == nullptr) return;
    Http1Parser& parser = parser_of(tx);
    if (equals(upgrade->value, "websocket")) parser.next_ = AppProto::websocket;
    if (equals(upgrade->value, "h2c")) parser.next_ = AppProto::http2;
  }

  static int on_head(htp_tx_data_t* data, Direction direction) {
    Open* open = open_of(data->tx);
    if (open == nullptr || data->data == nullptr) return HTP_OK;
    if (direction == Direction::to_client && is_interim(data->tx)) return HTP_OK;
    Http1Parser& parser = parser_of(data->tx);
    std::size_t& bytes = open->head_bytes[index(direction)];
    bytes += data->len;
    if (bytes > parser.context_.limits.http_headers) {
      parser.limit_reached_ = true;
      return HTP_ERROR;
    }
    open->transaction.buffers
        .slot(direction == Direction::to_server ? Buffer::http_request_header_raw
                                                : Buffer::http_response_header_raw)
        .append(reinterpret_cast<const char*>(data->data), data->len);
    return HTP_OK;
  }

  static int on_body(htp_tx_data_t* data, Direction direction) {
    Open* open = open_of(data->tx);
    if (open == nullptr || data->data == nullptr || data->len == 0) return HTP_OK;
    Http1Parser& parser = parser_of(data->tx);
    const bool request = direction == Direction::to_server;
    const ProtoLimits& limits = parser.context_.limits;
    const std::size_t most = request ? limits.http_request_body : limits.http_response_body;
    HttpTransaction& transaction = open->transaction;
    std::string& body =
        transaction.buffers.slot(request ? Buffer::http_request_body : Buffer::http_response_body);
    if (request && data->tx->request_transfer_coding == HTP_CODING_CHUNKED) {
      parser.check_chunk(transaction, {data->data, data->len});
    }
    const std::size_t before = body.size();
    auto& reader = open->bodies[index(direction)];
    if (!reader) begin_body(*open, data->tx, direction);
    const Bytes bytes = std::as_bytes(std::span(data->data, data->len));
    const bool kept = reader->append(bytes, body, most);
    if (body.size() != before || !transaction.files[index(direction)].empty()) {
      changed(*open, direction);
    }
    if (!kept && !std::exchange(transaction.body_cut[index(direction)], true)) {
      ++parser.context_.counters.limits_reached;
    }
    add_body_events(*open, direction);
    if (!request) note_length(transaction, data->tx);
    return HTP_OK;
  }

  // RFC 9112 7.1.1: a chunk's line may carry extensions, which nobody uses but who hides something.
  // libhtp does not tell of them; the line stands before the chunk's data where both came at once.
  void check_chunk(HttpTransaction& transaction, std::span<const unsigned char> data) {
    const auto* first = reinterpret_cast<const unsigned char*>(fed_.data());
    chunk_end_ = 0;
    if (std::less<>()(data.data(), first) || std::less<>()(first + fed_.size(), data.data())) {
      return;
    }
    const auto at = static_cast<std::size_t>(data.data() - first);
    chunk_end_ = at + data.size();
    constexpr std::size_t line_bytes_max = 256;
    const std::string_view before = as_text(fed_.first(at));
    const std::string_view near =
        before.substr(before.size() - std::min(before.size(), line_bytes_max));
    if (near.size() < 2 || !near.ends_with('\n')) return;
    const std::size_t line = near.find_last_of('\n', near.size() - 2);
    add_chunk_event(transaction, near.substr(line == std::string_view::npos ? 0 : line + 1));
  }

  // The last chunk has no data: its line follows that of the one before.
  void check_last_chunk(HttpTransaction& transaction) {
    if (chunk_end_ == 0 || chunk_end_ > fed_.size()) return;
    std::string_view rest = as_text(fed_.subspan(std::exchange(chunk_end_, 0)));
    rest.remove_prefix(std::min(rest.find_first_not_of("\r\n"), rest.size()));
    add_chunk_event(transaction, rest.substr(0, rest.find('\n')));
  }

  static void add_chunk_event(HttpTransaction& transaction, std::string_view line) {
    if (line.find(';') != std::string_view::npos) {
      transaction.add_event(ProtoEvent::http_request_chunk_extension);
    }
  }

  static void add_body_events(Open& open, Direction direction) {
    HttpTransaction& transaction = open.transaction;
    const auto& body = open.bodies[index(direction)];
    if (!body) return;
    if (body->bomb()) transaction.add_event(ProtoEvent::http_compression_bomb);
    if (body->coding_broken()) transaction.add_event(ProtoEvent::http_gzip_decompression_failed);
    switch (body->fault()) {
      case MultipartReader::Fault::none:
        break;
      case MultipartReader::Fault::generic:
        transaction.add_event(ProtoEvent::http_multipart_generic_error);
        break;
      case MultipartReader::Fault::invalid_header:
        transaction.add_event(ProtoEvent::http_multipart_invalid_header);
        break;
      case MultipartReader::Fault::no_file_data:
        transaction.add_event(ProtoEvent::http_multipart_no_filedata);
        break;
    }
    if (body->long_name()) transaction.add_event(ProtoEvent::http_file_name_too_long);
  }

  static void note_length(HttpTransaction& transaction, const htp_tx_t* tx) noexcept {
    transaction.response_bytes =
        static_cast<std::uint64_t>(std::max<std::int64_t>(tx->response_message_len, 0));
  }

  static int on_complete(htp_tx_t* tx, Direction direction) {
    Open* open = open_of(tx);
    if (open == nullptr) return HTP_OK;
    open->transaction.done[index(direction)] = true;
    add_flag_events(*open, tx);
    if (direction == Direction::to_server && tx->request_transfer_coding == HTP_CODING_CHUNKED) {
      parser_of(tx).check_last_chunk(open->transaction);
    }
    auto& body = open->bodies[index(direction)];
    if (body) {
      body->end(true);
      add_body_events(*open, direction);
    }
    if (direction == Direction::to_client) {
      note_length(open->transaction, tx);
      const bool agreed =
          tx->request_method_number == HTP_M_CONNECT && tx->response_status_number / 100 == 2;
      parser_of(tx).tunnel_agreed_ = parser_of(tx).tunnel_agreed_ || agreed;
      if (agreed) judge_change(open->transaction, tx);
    }
    changed(*open, direction);
    return HTP_OK;
  }

  ParserContext context_;
  ConfigHandle config_;
  ConnectionHandle connection_;  // before config_ in destruction
  std::vector<std::unique_ptr<Open>> open_;
  std::vector<Open*> changed_;  // those of open_ that have something to tell
  std::array<std::vector<std::byte>, 2> waiting_;
  std::array<bool, 2> finished_{};
  std::size_t made_ = 0;       // in this connection_
  std::size_t messages_ = 0;   // of libhtp about it
  Bytes fed_;                  // what libhtp reads now
  std::size_t chunk_end_ = 0;  // in fed_: behind the last chunk of a request; 0: none
  Direction feeding_ = Direction::to_server;
  std::size_t consumed_ = 0;
  std::uint64_t next_id_ = 0;
  AppProto next_ = AppProto::unknown;  // what the peers agreed to change to
  bool limit_reached_ = false;
  bool may_change_ = true;      // to another protocol
  bool tunnel_agreed_ = false;  // a CONNECT was answered: what follows is another protocol
};

}  // namespace

std::unique_ptr<Parser> make_http1_parser(const ParserContext& context) {
  return std::make_unique<Http1Parser>(context);
}

}  // namespace menshen::sensor
