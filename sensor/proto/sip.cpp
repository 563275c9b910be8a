// SIP (RFC 3261) over UDP and TCP: one transaction a message, in its direction.
#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/ascii.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"
#include "sensor/proto/sdp.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t headers_max = 256;  // of one message that rules see; the rest is not read
constexpr std::size_t first_line_max = 2048;
constexpr std::string_view version_start = "SIP/";

bool is_token(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-.!%*_+`'~").find(c) != std::string_view::npos;
}

std::string_view trim_blank(std::string_view text) {
  constexpr std::string_view blank = " \t\r\n";
  const std::size_t from = text.find_first_not_of(blank);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(blank) - from + 1);
}

// "INVITE sip:bob@example.org SIP/2.0" or "SIP/2.0 200 OK", in its three parts.
struct FirstLine {
  bool request = false;
  std::array<std::string_view, 3> parts;
};

std::optional<FirstLine> read_first_line(std::string_view line) {
  const std::size_t first = line.find(' ');
  if (first == std::string_view::npos) return std::nullopt;
  FirstLine read;
  read.request = !line.starts_with(version_start);
  // A reason phrase may contain blanks, and may be missing.
  const std::size_t second = read.request ? line.rfind(' ') : line.find(' ', first + 1);
  read.parts[0] = line.substr(0, first);
  if (second == std::string_view::npos) {
    read.parts[1] = line.substr(first + 1);
  } else if (second > first) {
    read.parts[1] = line.substr(first + 1, second - first - 1);
    read.parts[2] = line.substr(second + 1);
  }
  if (read.request) {
    const bool method = !read.parts[0].empty() && std::ranges::all_of(read.parts[0], is_token);
    if (!method || read.parts[1].empty() || !read.parts[2].starts_with(version_start)) {
      return std::nullopt;
    }
  } else if (read.parts[1].size() != 3 ||
             !std::ranges::all_of(read.parts[1], [](char c) { return c >= '0' && c <= '9'; })) {
    return std::nullopt;
  }
  return read;
}

struct HeaderKind {
  std::string_view name;
  std::string_view compact;
  Buffer to_server;
  Buffer to_client;
};

constexpr HeaderKind header_kinds[] = {
    {"From", "f", Buffer::sip_from, Buffer::sip_from_response},
    {"To", "t", Buffer::sip_to, Buffer::sip_to_response},
    {"Via", "v", Buffer::sip_via, Buffer::sip_via_response},
    {"User-Agent", "", Buffer::sip_user_agent, Buffer::sip_user_agent_response},
    {"Content-Type", "c", Buffer::sip_content_type, Buffer::sip_content_type_response},
    {"Content-Length", "l", Buffer::sip_content_length, Buffer::sip_content_length_response},
};

const HeaderKind* header_kind(std::string_view name) {
  for (const HeaderKind& kind : header_kinds) {
    if (ascii_equal_nocase(name, kind.name) ||
        (!kind.compact.empty() && ascii_equal_nocase(name, kind.compact))) {
      return &kind;
    }
  }
  return nullptr;
}

struct Header {
  std::string_view name;
  std::string_view value;  // with the line ends of a folded one
};

// The next header of a block of lines; nothing at its end. A line without a colon has no name.
std::optional<Header> next_header(std::string_view& block) {
  if (block.empty()) return std::nullopt;
  std::size_t end = 0;
  do {
    end = std::min(block.find('\n', end), block.size() - 1) + 1;
  } while (end < block.size() && (block[end] == ' ' || block[end] == '\t'));
  const std::string_view line = block.substr(0, end);
  block.remove_prefix(end);
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return Header{{}, trim_blank(line)};
  return Header{trim_blank(line.substr(0, colon)), trim_blank(line.substr(colon + 1))};
}

// A message in its parts; each with the line ends that belong to it.
struct Parts {
  std::string_view line;
  std::string_view headers;
  std::string_view body;
  bool whole = false;  // the empty line is there
};

Parts split_message(std::string_view text) {
  Parts parts;
  const std::size_t line = std::min(text.find('\n'), text.size() - 1) + 1;
  parts.line = text.substr(0, line);
  text.remove_prefix(line);
  const std::size_t end = text.starts_with("\r\n") ? 0 : text.find("\r\n\r\n");
  parts.whole = end != std::string_view::npos;
  parts.headers = text.substr(0, end == 0 || !parts.whole ? end : end + 2);
  if (parts.whole) parts.body = text.substr(end == 0 ? 2 : end + 4);
  return parts;
}

class SipParser final : public MessageParser {
 public:
  SipParser(const ParserContext& context, Over over)
      : MessageParser(context, AppProto::sip, over) {}

 protected:
  std::size_t extent(Direction direction, Bytes bytes) override {
    const std::string_view text = as_text(bytes);
    if (text[0] == '\r' || text[0] == '\n' || text[0] == '\0') return 1;  // keeps a path open
    std::size_t& scanned = scanned_[static_cast<std::size_t>(direction)];
    const std::size_t end = text.find("\r\n\r\n", scanned);
    if (end == std::string_view::npos) {
      scanned = text.size() - std::min<std::size_t>(text.size(), 3);
      return extent_unknown;
    }
    scanned = end;
    return end + 4 + body_bytes(text.substr(0, end + 2));
  }

  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    scanned_[static_cast<std::size_t>(direction)] = 0;
    const std::string_view text = as_text(bytes);
    if (text.find_first_not_of(std::string_view("\r\n\0", 3)) == std::string_view::npos) {
      return ParserStatus::more;
    }
    FieldTransaction& transaction = exchange.begin(flow);
    transaction.one_way = direction;
    const Parts parts = split_message(text);
    const std::string_view line = trim_blank(parts.line);
    const auto first = read_first_line(line);
    if (!first) {
      transaction.add_event(ProtoEvent::sip_invalid_data);
    } else {
      if (!parts.whole) transaction.add_event(ProtoEvent::sip_incomplete_data);
      read(transaction, direction, line, *first, parts);
      transaction.add(by(direction, Buffer::frame_pdu, Buffer::frame_pdu_response), text);
    }
    exchange.finish(flow, transaction, direction, packet);
    return first ? ParserStatus::more : ParserStatus::broken;
  }

 private:
  static std::size_t body_bytes(std::string_view head) {
    std::size_t length = 0;
    head.remove_prefix(head.find('\n') + 1);
    while (const auto header = next_header(head)) {
      const HeaderKind* kind = header_kind(header->name);
      if (kind == nullptr || kind->to_server != Buffer::sip_content_length) continue;
      const std::string_view digits = header->value;
      std::uint32_t value = 0;
      std::from_chars(digits.data(), digits.data() + digits.size(), value);
      length = value;
    }
    return length;
  }

  static void read(FieldTransaction& into, Direction direction, std::string_view line,
                   const FirstLine& first, const Parts& parts) {
    Json json = Json::object();
    const auto& part = first.parts;
    if (first.request) {
      into.add(Buffer::sip_method, part[0]);
      into.add(Buffer::sip_uri, part[1]);
      into.add(by(direction, Buffer::sip_protocol, Buffer::sip_protocol_response), part[2]);
      into.add(Buffer::sip_request_line, line);
      json = {{"method", part[0]}, {"uri", part[1]}, {"version", part[2]}, {"request_line", line}};
    } else {
      into.add(by(direction, Buffer::sip_protocol, Buffer::sip_protocol_response), part[0]);
      into.add(Buffer::sip_stat_code, part[1]);
      if (!part[2].empty()) into.add(Buffer::sip_stat_msg, part[2]);
      into.add(Buffer::sip_response_line, line);
      json = {
          {"version", part[0]}, {"code", part[1]}, {"reason", part[2]}, {"response_line", line}};
    }
    into.add(by(direction, Buffer::frame_line, Buffer::frame_line_response), parts.line);
    into.add(by(direction, Buffer::frame_headers, Buffer::frame_headers_response), parts.headers);
    if (!parts.body.empty()) {
      into.add(by(direction, Buffer::frame_body, Buffer::frame_body_response), parts.body);
    }
    if (read_headers(into, direction, parts.headers)) {
      Json sdp = read_sdp(parts.body, direction, into);
      if (!sdp.is_null()) json["sdp"] = std::move(sdp);
    }
    into.eve_json = eve_text(json);
  }

  // Does the body describe a session?
  static bool read_headers(FieldTransaction& into, Direction direction, std::string_view block) {
    bool session = false;
    std::size_t left = headers_max;
    while (left-- > 0) {
      const auto header = next_header(block);
      if (!header) break;
      const HeaderKind* kind = header_kind(header->name);
      if (kind == nullptr) continue;
      into.add(by(direction, kind->to_server, kind->to_client), header->value);
      constexpr std::string_view sdp = "application/sdp";
      session = session || (kind->to_server == Buffer::sip_content_type &&
                            ascii_equal_nocase(header->value.substr(0, sdp.size()), sdp));
    }
    return session;
  }

  std::array<std::size_t, 2> scanned_{};  // of the message that begins, by direction
};

}  // namespace

// Either peer asks and answers.
Guess probe_sip(Direction /*direction*/, Bytes bytes) noexcept {
  std::string_view text = as_text(bytes);
  // What keeps a path open.
  text.remove_prefix(std::min(text.find_first_not_of("\r\n"), text.size()));
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, std::min(end, first_line_max));
  if (end < text.size()) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    return read_first_line(line) ? Guess::yes : Guess::no;
  }
  if (text.size() >= first_line_max) return Guess::no;
  // A method or the version, then whatever follows.
  if (line.starts_with(version_start) || version_start.starts_with(line)) return Guess::more;
  const auto method = static_cast<std::size_t>(
      std::find_if_not(line.begin(), line.end(), [](char c) { return c >= 'A' && c <= 'Z'; }) -
      line.begin());
  constexpr std::size_t method_max = 16;
  if (method == 0 || method > method_max) return Guess::no;
  if (method == line.size()) return Guess::more;
  return line[method] == ' ' ? Guess::more : Guess::no;
}

std::unique_ptr<Parser> make_sip_stream_parser(const ParserContext& context) {
  return std::make_unique<SipParser>(context, MessageParser::Over::stream);
}
std::unique_ptr<Parser> make_sip_datagram_parser(const ParserContext& context) {
  return std::make_unique<SipParser>(context, MessageParser::Over::datagrams);
}

}  // namespace menshen::sensor
