// HTTP/2 (RFC 9113): a transaction for each stream, and one for each frame of the connection
// itself. Bodies, files and header buffers are those of HTTP/1.
#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>

#include "base/ascii.hpp"
#include "sensor/proto/doh.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/http2_fields.hpp"
#include "sensor/proto/http_body.hpp"
#include "sensor/proto/http_transaction.hpp"
#include "sensor/proto/parser.hpp"

namespace menshen::sensor {

namespace {

constexpr std::string_view client_preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::size_t frame_header_bytes = 9;
// A longer frame (not DATA) is not kept; one with header fields ends the parser, which could no
// longer read later ones.
constexpr std::size_t frame_kept_max = 64U << 10U;
// Instances of one number that a stream keeps: further values are passed over.
constexpr std::size_t numbers_max = 64;
// Brotli and Zstandard windows are large: bodies beyond so many at once stay compressed.
constexpr std::size_t decompressors_max = 8;

enum class Frame : std::uint8_t {
  data = 0,
  headers = 1,
  priority = 2,
  rst_stream = 3,
  settings = 4,
  push_promise = 5,
  ping = 6,
  goaway = 7,
  window_update = 8,
  continuation = 9,
};
constexpr std::uint8_t end_stream_flag = 0x01;
constexpr std::uint8_t acknowledged_flag = 0x01;
constexpr std::uint8_t end_headers_flag = 0x04;
constexpr std::uint8_t padded_flag = 0x08;
constexpr std::uint8_t priority_flag = 0x20;

struct FieldBuffer {
  std::string_view name;
  Buffer buffer;
};
constexpr FieldBuffer request_fields[] = {
    {":method", Buffer::http_method},
    {"user-agent", Buffer::http_user_agent},
    {"referer", Buffer::http_referer},
    {"accept", Buffer::http_accept},
    {"accept-encoding", Buffer::http_accept_enc},
    {"accept-language", Buffer::http_accept_lang},
    {"content-type", Buffer::http_content_type},
    {"content-length", Buffer::http_content_len},
};
constexpr FieldBuffer response_fields[] = {
    {":status", Buffer::http_stat_code},
    {"server", Buffer::http_server},
    {"location", Buffer::http_location},
    {"connection", Buffer::http_response_connection},
    {"content-type", Buffer::http_response_content_type},
    {"content-length", Buffer::http_response_content_len},
};
constexpr Number settings_numbers[] = {
    Number::http2_settings_header_table_size,      Number::http2_settings_enable_push,
    Number::http2_settings_max_concurrent_streams, Number::http2_settings_initial_window_size,
    Number::http2_settings_max_frame_size,         Number::http2_settings_max_header_list_size,
};
// The same numbers of the server's frames stand behind those of the client's.
constexpr Number in_direction(Number number, Direction direction) {
  return direction == Direction::to_server
             ? number
             : static_cast<Number>(static_cast<unsigned>(number) + 1U);
}

constexpr std::size_t index(Direction direction) { return static_cast<std::size_t>(direction); }

// RFC 3986 2.1, each once.
std::string percent_decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    const char* digits = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(digits, digits + 2, value, 16).ptr == digits + 2) {
      out += static_cast<char>(value);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

// Without user information and port.
std::string host_of(std::string_view authority) {
  authority = authority.substr(
      authority.find('@') == std::string_view::npos ? 0 : authority.rfind('@') + 1);
  const std::size_t bracket = authority.find(']');
  const std::size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  std::string host(authority.substr(0, colon));
  host = ascii_lower(host);
  return host;
}

struct Stream {
  HttpTransaction transaction{AppProto::http2};
  std::array<std::optional<HttpBody>, 2> bodies;  // by Direction
  std::array<bool, 2> opened{};                   // a head was seen
  std::array<bool, 2> names_dns{};                // its fields say that its body is a DNS message
  std::string authority;
  bool reported = false;  // among the changed ones
};

class Http2Parser final : public Parser {
 public:
  explicit Http2Parser(const ParserContext& context) : context_(context) {}

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    Side& side = sides_[index(direction)];
    ParserStatus status = ParserStatus::more;
    if (direction == Direction::to_server && !read_preface(side, bytes)) {
      connection_event(flow, direction, packet, ProtoEvent::http2_invalid_client_magic);
      status = ParserStatus::broken;
    }
    while (status == ParserStatus::more && !bytes.empty()) {
      if (side.in_frame || read_frame_header(flow, direction, bytes, packet)) {
        status = read_payload(flow, direction, bytes, packet);
      }
      if (side.oversized) status = ParserStatus::limit;
    }
    report(flow, direction, packet);
    return status;
  }

  ParserStatus gap(Flow& flow, Direction direction, std::uint64_t length,
                   PacketMeta& packet) override {
    Side& side = sides_[index(direction)];
    // Inside of data alone it is known where the next frame begins.
    if (!side.in_frame || side.type != Frame::data || length > side.left) {
      return ParserStatus::broken;
    }
    side.left -= static_cast<std::uint32_t>(length);
    Stream* stream = find(side.stream_id);
    if (stream != nullptr && stream->bodies[index(direction)]) {
      stream->bodies[index(direction)]->gap(length);
    }
    if (side.left == 0) end_frame(flow, direction, packet);
    report(flow, direction, packet);
    return ParserStatus::more;
  }

  void close(Flow& flow, Direction direction, PacketMeta& packet) override {
    for (auto& [id, stream] : streams_) {
      if (!stream->transaction.done[index(direction)]) finish(*stream, direction, false);
    }
    report(flow, direction, packet);
  }

  void end(Flow& flow) override {
    for (auto& [id, stream] : streams_) {
      for (auto& body : stream->bodies) body.reset();
      stream->transaction.done = {true, true};
      context_.observer.on_end(flow, stream->transaction);
    }
    streams_.clear();
    changed_.clear();
  }

 private:
  struct Side {
    std::size_t preface = 0;  // bytes of it that were seen
    std::array<std::byte, frame_header_bytes> head{};
    std::size_t head_bytes = 0;
    bool in_frame = false;
    bool kept = false;       // the payload is gathered
    bool oversized = false;  // a frame that must be gathered and may not be
    Frame type = Frame::data;
    std::uint8_t flags = 0;
    std::uint32_t stream_id = 0;
    std::uint32_t left = 0;      // of the payload
    std::uint32_t data_end = 0;  // of `left`: padding
    bool padding_known = false;
    std::vector<std::byte> payload;
    std::vector<std::byte> block;  // header fields over several frames
    std::uint32_t block_stream = 0;
    bool block_open = false;  // CONTINUATION follows
    bool block_ends_stream = false;
    bool block_is_promise = false;
    Http2FieldDecoder fields;
  };

  // False: something else came.
  static bool read_preface(Side& side, Bytes& bytes) {
    while (side.preface < client_preface.size() && !bytes.empty()) {
      if (static_cast<char>(bytes.front()) != client_preface[side.preface]) return false;
      ++side.preface;
      bytes = bytes.subspan(1);
    }
    return true;
  }

  // True: the header is whole, its payload follows.
  bool read_frame_header(Flow& flow, Direction direction, Bytes& bytes, PacketMeta& packet) {
    Side& side = sides_[index(direction)];
    while (side.head_bytes < frame_header_bytes && !bytes.empty()) {
      side.head[side.head_bytes++] = bytes.front();
      bytes = bytes.subspan(1);
    }
    if (side.head_bytes < frame_header_bytes) return false;
    side.head_bytes = 0;
    ByteReader reader(side.head);
    side.left = reader.be24();
    side.type = static_cast<Frame>(reader.u8());
    side.flags = reader.u8();
    side.stream_id = reader.be32() & 0x7fffffffU;
    side.in_frame = true;
    side.padding_known = side.type != Frame::data || (side.flags & padded_flag) == 0;
    side.data_end = 0;
    side.payload.clear();
    const bool understood = side.type <= Frame::continuation;
    side.kept = understood && side.type != Frame::data && side.type != Frame::ping;
    if (side.kept && side.left > frame_kept_max) {
      const bool fields = side.type == Frame::headers || side.type == Frame::push_promise ||
                          side.type == Frame::continuation;
      side.oversized = fields;
      side.kept = false;
      connection_event(flow, direction, packet, ProtoEvent::http2_long_frame_data);
    }
    if (!understood)
      connection_event(flow, direction, packet, ProtoEvent::http2_invalid_frame_header);
    return true;
  }

  ParserStatus read_payload(Flow& flow, Direction direction, Bytes& bytes, PacketMeta& packet) {
    Side& side = sides_[index(direction)];
    if (!side.padding_known && side.left != 0) {
      if (bytes.empty()) return ParserStatus::more;
      side.data_end = std::to_integer<std::uint32_t>(bytes.front());
      bytes = bytes.subspan(1);
      --side.left;
      side.padding_known = true;
      if (side.data_end > side.left) {
        connection_event(flow, direction, packet, ProtoEvent::http2_invalid_frame_data);
        return ParserStatus::broken;
      }
    }
    const Bytes part = bytes.first(std::min<std::size_t>(side.left, bytes.size()));
    bytes = bytes.subspan(part.size());
    if (side.type == Frame::data) {
      const std::size_t data = side.left - std::min(side.left, side.data_end);
      give_data(direction, part.first(std::min(part.size(), data)));
    } else if (side.kept) {
      side.payload.insert(side.payload.end(), part.begin(), part.end());
    }
    side.left -= static_cast<std::uint32_t>(part.size());
    return side.left == 0 ? end_frame(flow, direction, packet) : ParserStatus::more;
  }

  ParserStatus end_frame(Flow& flow, Direction direction, PacketMeta& packet) {
    Side& side = sides_[index(direction)];
    side.in_frame = false;
    const std::vector<std::byte> payload = std::exchange(side.payload, {});
    const bool fields = side.type == Frame::headers || side.type == Frame::push_promise ||
                        side.type == Frame::continuation;
    if (side.stream_id == 0 && fields) {
      connection_event(flow, direction, packet, ProtoEvent::http2_invalid_frame_data);
      return ParserStatus::broken;
    }
    if (side.stream_id == 0) return connection_frame(flow, direction, payload, packet);
    switch (side.type) {
      case Frame::headers:
      case Frame::push_promise:
        return begin_block(flow, direction, payload, packet);
      case Frame::continuation:
        return continue_block(flow, direction, payload, packet);
      default:
        break;
    }
    Stream* stream = find(side.stream_id);
    if (stream == nullptr) return connection_frame(flow, direction, payload, packet);
    read_numbers(stream->transaction, direction, payload);
    touch(*stream, direction);
    if (side.type == Frame::data && (side.flags & end_stream_flag) != 0) {
      finish(*stream, direction, true);
    }
    if (side.type == Frame::rst_stream) {
      for (const Direction d : {Direction::to_server, Direction::to_client}) {
        if (!stream->transaction.done[index(d)]) finish(*stream, d, false);
      }
    }
    return ParserStatus::more;
  }

  // A frame that belongs to no open stream: a transaction of its own.
  ParserStatus connection_frame(Flow& flow, Direction direction, Bytes payload,
                                PacketMeta& packet) {
    HttpTransaction transaction(AppProto::http2);
    transaction.stream_id = sides_[index(direction)].stream_id;
    read_numbers(transaction, direction, payload);
    tell_once(flow, direction, packet, transaction);
    return ParserStatus::more;
  }

  void connection_event(Flow& flow, Direction direction, PacketMeta& packet, ProtoEvent event) {
    HttpTransaction transaction(AppProto::http2);
    transaction.add_event(event);
    tell_once(flow, direction, packet, transaction);
  }

  void tell_once(Flow& flow, Direction direction, PacketMeta& packet,
                 HttpTransaction& transaction) {
    transaction.id = next_id_++;
    transaction.one_way = direction;
    transaction.done = {true, true};
    ++context_.counters.transactions;
    context_.observer.on_change(flow, transaction, direction, packet);
    context_.observer.on_end(flow, transaction);
  }

  static void note(HttpTransaction& transaction, Direction direction, Number number,
                   std::uint64_t value) {
    const Number there = in_direction(number, direction);
    const std::size_t count = transaction.known.instances(there);
    if (count >= numbers_max) return;
    for (std::size_t i = 0; i < count; ++i) {
      if (transaction.known.value(there, i) == value) return;
    }
    transaction.known.add(there, value);
  }

  void read_numbers(HttpTransaction& transaction, Direction direction, Bytes payload) {
    const Side& side = sides_[index(direction)];
    note(transaction, direction, Number::http2_frametype, static_cast<std::uint64_t>(side.type));
    ByteReader reader(payload);
    switch (side.type) {
      case Frame::priority:
        reader.skip(4);
        note(transaction, direction, Number::http2_priority, reader.u8());
        break;
      case Frame::rst_stream:
        note(transaction, direction, Number::http2_errorcode, reader.be32());
        break;
      case Frame::goaway:
        reader.skip(4);
        note(transaction, direction, Number::http2_errorcode, reader.be32());
        break;
      case Frame::window_update:
        note(transaction, direction, Number::http2_window, reader.be32() & 0x7fffffffU);
        break;
      case Frame::settings:
        if ((side.flags & acknowledged_flag) != 0) break;
        while (reader.remaining() >= 6) {
          const std::size_t id = reader.be16();
          const std::uint32_t value = reader.be32();
          if (id == 0 || id > std::size(settings_numbers)) continue;
          note(transaction, direction, settings_numbers[id - 1], value);
        }
        break;
      default:
        break;
    }
    if (!reader.ok() || (side.type == Frame::settings && !reader.empty())) {
      transaction.add_event(ProtoEvent::http2_invalid_frame_length);
    }
  }

  ParserStatus begin_block(Flow& flow, Direction direction, Bytes payload, PacketMeta& packet) {
    Side& side = sides_[index(direction)];
    ByteReader reader(payload);
    std::size_t padding = 0;
    if ((side.flags & padded_flag) != 0) padding = reader.u8();
    side.block_stream = side.stream_id;
    side.block_is_promise = side.type == Frame::push_promise;
    side.block_ends_stream = !side.block_is_promise && (side.flags & end_stream_flag) != 0;
    std::optional<std::uint8_t> weight;
    if (side.block_is_promise) {
      side.block_stream = reader.be32() & 0x7fffffffU;
    } else if ((side.flags & priority_flag) != 0) {
      reader.skip(4);
      weight = reader.u8();
    }
    if (!reader.ok() || padding > reader.remaining()) {
      connection_event(flow, direction, packet, ProtoEvent::http2_invalid_frame_data);
      return ParserStatus::broken;
    }
    const Bytes fragment = reader.take(reader.remaining() - padding);
    side.block.assign(fragment.begin(), fragment.end());
    side.block_open = (side.flags & end_headers_flag) == 0;
    Stream* stream = open(side.block_stream, direction);
    if (stream == nullptr) {
      connection_event(flow, direction, packet, ProtoEvent::http2_too_many_streams);
      return ParserStatus::limit;
    }
    note(stream->transaction, direction, Number::http2_frametype,
         static_cast<std::uint64_t>(side.type));
    if (weight) note(stream->transaction, direction, Number::http2_priority, *weight);
    return side.block_open ? ParserStatus::more : end_block(*stream, direction);
  }

  ParserStatus continue_block(Flow& flow, Direction direction, Bytes payload, PacketMeta& packet) {
    Side& side = sides_[index(direction)];
    Stream* stream = find(side.block_stream);
    if (!side.block_open || stream == nullptr || side.stream_id != side.block_stream) {
      connection_event(flow, direction, packet, ProtoEvent::http2_invalid_frame_data);
      return ParserStatus::broken;
    }
    if (side.block.size() + payload.size() > frame_kept_max) return ParserStatus::limit;
    side.block.insert(side.block.end(), payload.begin(), payload.end());
    note(stream->transaction, direction, Number::http2_frametype,
         static_cast<std::uint64_t>(side.type));
    side.block_open = (side.flags & end_headers_flag) == 0;
    return side.block_open ? ParserStatus::more : end_block(*stream, direction);
  }

  ParserStatus end_block(Stream& stream, Direction direction) {
    Side& side = sides_[index(direction)];
    const std::vector<std::byte> block = std::exchange(side.block, {});
    std::vector<Http2Field> fields;
    const ProtoLimits& limits = context_.limits;
    const auto status =
        side.fields.decode(block, fields, limits.http_header_count, limits.http_headers);
    touch(stream, direction);
    for (const std::uint64_t size : side.fields.size_updates()) {
      note(stream.transaction, direction, Number::http2_size_update, size);
    }
    if (status == Http2FieldDecoder::Status::broken) {
      stream.transaction.add_event(ProtoEvent::http2_invalid_header);
      return ParserStatus::broken;
    }
    // What a server promises is the request that it answers.
    const Direction of = side.block_is_promise ? Direction::to_server : direction;
    set_head(stream, of, fields);
    touch(stream, of);
    if (side.block_ends_stream || side.block_is_promise) finish(stream, of, true);
    if (status == Http2FieldDecoder::Status::limit) return ParserStatus::limit;
    return ParserStatus::more;
  }

  // A head, or the fields behind a body.
  void set_head(Stream& stream, Direction direction, const std::vector<Http2Field>& fields) {
    HttpTransaction& transaction = stream.transaction;
    const bool request = direction == Direction::to_server;
    std::string& header = transaction.buffers.slot(request ? Buffer::http_request_header
                                                           : Buffer::http_response_header);
    std::string names;
    for (const Http2Field& field : fields) {
      transaction.lines[index(direction)].push_back(
          {.start = static_cast<std::uint32_t>(header.size()),
           .length = static_cast<std::uint32_t>(field.name.size() + 2 + field.value.size()),
           .name_length = static_cast<std::uint32_t>(field.name.size())});
      header += field.name + ": " + field.value + "\r\n";
      names += field.name + "\r\n";
    }
    const std::string raw = header;
    transaction.buffers.set(
        request ? Buffer::http_request_header_raw : Buffer::http_response_header_raw, raw);
    std::string& all_names = transaction.buffers.slot(request ? Buffer::http_request_header_names
                                                              : Buffer::http_response_header_names);
    if (all_names.size() >= 4) all_names.resize(all_names.size() - 2);
    all_names += (all_names.empty() ? "\r\n" : "") + names + "\r\n";
    if (std::exchange(stream.opened[index(direction)], true)) return;
    transaction.buffers.set(request ? Buffer::http_protocol : Buffer::http_response_protocol,
                            "HTTP/2");
    for (const Http2Field& field : fields) {
      if (request) {
        set_request_field(stream, field);
      } else {
        set_field(transaction, field, response_fields, Buffer::http_set_cookie, "set-cookie");
        if (field.name == ":status") {
          std::from_chars(field.value.data(), field.value.data() + field.value.size(),
                          transaction.status);
        }
      }
    }
    note_dns(stream, direction, fields);
    begin_body(stream, direction, fields);
  }

  // RFC 8484: a query in the target, or messages as bodies.
  void note_dns(Stream& stream, Direction direction, const std::vector<Http2Field>& fields) {
    const auto named = [&](std::string_view name) {
      const auto found = std::ranges::find(fields, name, &Http2Field::name);
      return found != fields.end() && names_dns_message(found->value);
    };
    stream.names_dns[index(direction)] = named("content-type");
    if (direction != Direction::to_server) return;
    const std::string_view target = stream.transaction.buffers.text(Buffer::http_uri_raw);
    if (!named("accept") && !named("content-type") && !is_dns_path(target)) return;
    if (const auto message = dns_of_target(target)) carry_dns(stream, direction, *message);
  }

  void carry_dns(Stream& stream, Direction direction, std::string_view bytes) {
    if (bytes.size() > doh_message_bytes_max) {
      ++context_.counters.limits_reached;
      return;
    }
    auto message = parse_dns(as_bytes(bytes), context_.limits.dns_records);
    if (!message) {
      ++context_.counters.parser_errors;
      return;
    }
    if (message->cut) ++context_.counters.limits_reached;
    stream.transaction.carry(direction, std::move(*message));
  }

  static void set_field(HttpTransaction& transaction, const Http2Field& field,
                        std::span<const FieldBuffer> wanted, Buffer cookie,
                        std::string_view cookie_name) {
    if (field.name == cookie_name) {
      // A client may send its cookies one by one (RFC 9113 8.2.3).
      std::string& all = transaction.buffers.slot(cookie);
      if (!all.empty()) all += "; ";
      all += field.value;
      return;
    }
    const auto found = std::ranges::find(wanted, field.name, &FieldBuffer::name);
    if (found == wanted.end()) return;
    std::string& text = transaction.buffers.slot(found->buffer);
    if (!text.empty()) text += ", ";
    text += field.value;
  }

  static void set_request_field(Stream& stream, const Http2Field& field) {
    HttpTransaction& transaction = stream.transaction;
    set_field(transaction, field, request_fields, Buffer::http_cookie, "cookie");
    if (field.name == ":path") {
      transaction.buffers.set(Buffer::http_uri_raw, field.value);
      transaction.buffers.set(Buffer::http_uri, percent_decoded(field.value));
    } else if (field.name == "x-forwarded-for") {
      transaction.forwarded_for = field.value;
    } else if (field.name == ":authority" || field.name == "host") {
      const std::string host = host_of(field.value);
      if (!stream.authority.empty() && host != transaction.hostname) {
        transaction.add_event(ProtoEvent::http2_authority_host_mismatch);
      }
      if (field.value.find('@') != std::string::npos) {
        transaction.add_event(ProtoEvent::http2_userinfo_in_uri);
      }
      if (!stream.authority.empty()) return;
      stream.authority = field.value;
      transaction.hostname = host;
      transaction.buffers.set(Buffer::http_host, host);
      transaction.buffers.set(Buffer::http_host_raw, field.value);
    }
  }

  void begin_body(Stream& stream, Direction direction, const std::vector<Http2Field>& fields) {
    const auto value_of = [&](std::string_view name) {
      const auto found = std::ranges::find(fields, name, &Http2Field::name);
      return found == fields.end() ? std::string_view() : std::string_view(found->value);
    };
    HttpTransaction& transaction = stream.transaction;
    HttpBody::Head head;
    head.content_type = value_of("content-type");
    head.content_disposition = value_of("content-disposition");
    head.path = transaction.buffers.text(Buffer::http_uri);
    head.path = head.path.substr(0, head.path.find('?'));
    head.coding = content_coding_of(value_of("content-encoding"));
    if (head.coding && decompressors() >= decompressors_max) {
      head.coding.reset();
      ++context_.counters.limits_reached;
    }
    const std::string_view method = transaction.buffers.text(Buffer::http_method);
    head.is_file = direction == Direction::to_client || method == "POST" || method == "PUT";
    stream.bodies[index(direction)].emplace(
        context_.files, transaction, direction, head,
        DecompressLimits{.output_bytes = context_.limits.http_decompressed});
  }

  [[nodiscard]] std::size_t decompressors() const {
    std::size_t count = 0;
    for (const auto& [id, stream] : streams_) {
      for (const auto& body : stream->bodies) count += body && body->decompresses() ? 1 : 0;
    }
    return count;
  }

  void give_data(Direction direction, Bytes bytes) {
    Stream* stream = find(sides_[index(direction)].stream_id);
    if (stream == nullptr || bytes.empty()) return;
    auto& body = stream->bodies[index(direction)];
    if (!body) return;
    HttpTransaction& transaction = stream->transaction;
    const bool request = direction == Direction::to_server;
    const ProtoLimits& limits = context_.limits;
    std::string& text =
        transaction.buffers.slot(request ? Buffer::http_request_body : Buffer::http_response_body);
    const bool kept =
        body->append(bytes, text, request ? limits.http_request_body : limits.http_response_body);
    if (!kept && !std::exchange(transaction.body_cut[index(direction)], true)) {
      ++context_.counters.limits_reached;
    }
    if (body->coding_broken() || body->bomb()) {
      transaction.add_event(ProtoEvent::http2_failed_decompression);
    }
    if (!request) transaction.response_bytes += bytes.size();
    touch(*stream, direction);
  }

  void finish(Stream& stream, Direction direction, bool whole) {
    auto& body = stream.bodies[index(direction)];
    if (body) {
      body->end(whole);
      body.reset();
      const bool request = direction == Direction::to_server;
      const std::string_view text = stream.transaction.buffers.text(
          request ? Buffer::http_request_body : Buffer::http_response_body);
      if (stream.names_dns[index(direction)] && !text.empty()) carry_dns(stream, direction, text);
    }
    stream.transaction.done[index(direction)] = true;
    touch(stream, direction);
  }

  Stream* find(std::uint32_t id) {
    const auto found = streams_.find(id);
    return found == streams_.end() ? nullptr : found->second.get();
  }

  // Null: too many are open.
  Stream* open(std::uint32_t id, Direction direction) {
    if (Stream* known = find(id); known != nullptr) return known;
    if (streams_.size() >= context_.limits.transactions) return nullptr;
    auto stream = std::make_unique<Stream>();
    stream->transaction.id = next_id_++;
    stream->transaction.stream_id = id;
    ++context_.counters.transactions;
    // Identifiers only grow (RFC 9113 5.1.1).
    if (direction == Direction::to_server) {
      if (id <= last_request_) stream->transaction.add_event(ProtoEvent::http2_stream_id_reuse);
      last_request_ = std::max(last_request_, id);
    }
    return (streams_[id] = std::move(stream)).get();
  }

  void touch(Stream& stream, Direction direction) {
    stream.transaction.changed[index(direction)] = true;
    if (!std::exchange(stream.reported, true)) changed_.push_back(stream.transaction.stream_id);
  }

  // Tells of every change, and lets go of what has ended.
  void report(Flow& flow, Direction direction, PacketMeta& packet) {
    for (const std::uint32_t id : std::exchange(changed_, {})) {
      Stream* stream = find(id);
      if (stream == nullptr) continue;
      stream->reported = false;
      HttpTransaction& transaction = stream->transaction;
      if (transaction.proto() == AppProto::doh2) flow.app = AppProto::doh2;
      for (const Direction d : {direction, reverse(direction)}) {
        if (!std::exchange(transaction.changed[index(d)], false)) continue;
        context_.observer.on_change(flow, transaction, d, packet);
      }
      if (!transaction.done[0] || !transaction.done[1]) continue;
      context_.observer.on_end(flow, transaction);
      streams_.erase(id);
    }
  }

  ParserContext context_;
  std::array<Side, 2> sides_;
  std::map<std::uint32_t, std::unique_ptr<Stream>> streams_;  // by identifier
  std::vector<std::uint32_t> changed_;                        // since the observer was told
  std::uint32_t last_request_ = 0;
  std::uint64_t next_id_ = 0;
};

}  // namespace

std::unique_ptr<Parser> make_http2_parser(const ParserContext& context) {
  return std::make_unique<Http2Parser>(context);
}

}  // namespace menshen::sensor
