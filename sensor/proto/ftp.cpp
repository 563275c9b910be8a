// FTP's control connection (RFC 959; PORT, PASV; EPRT and EPSV of RFC 2428; AUTH of RFC 4217). A
// transaction is one command with its replies. Transfers announce their data connection
// (ftp_data.hpp).
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <nlohmann/json.hpp>

#include "sensor/proto/events.hpp"
#include "sensor/proto/field_transaction.hpp"
#include "sensor/proto/ftp_data.hpp"
#include "sensor/proto/line_reader.hpp"
#include "sensor/proto/parser.hpp"
#include "sensor/proto/probe.hpp"

namespace menshen::sensor {
namespace {

constexpr std::size_t line_max = 4096;       // bytes; beyond: event, cut
constexpr std::size_t reply_lines_max = 64;  // of one command that are kept

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return out;
}

std::optional<std::uint16_t> to_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return port;
}

struct Endpoint {
  IpAddr address;
  std::uint16_t port = 0;
};

// "192,168,0,13,234,10": from the first digit on.
std::optional<Endpoint> six_numbers(std::string_view text) {
  std::array<unsigned, 6> numbers{};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), numbers[i]);
    if (error != std::errc{} || numbers[i] > 255) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (i + 1 == numbers.size()) break;
    if (!text.starts_with(',')) return std::nullopt;
    text.remove_prefix(1);
  }
  return Endpoint{IpAddr::v4(numbers[0] << 24 | numbers[1] << 16 | numbers[2] << 8 | numbers[3]),
                  static_cast<std::uint16_t>(numbers[4] << 8 | numbers[5])};
}

// "|2|::1|2000|", any character as the separator; EPSV's reply leaves the first two empty.
std::optional<Endpoint> extended(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const char separator = text.front();
  std::array<std::string_view, 4> parts;
  for (std::string_view& part : parts) {
    part = text.substr(0, text.find(separator));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
  }
  const auto port = to_port(parts[3]);
  if (!port) return std::nullopt;
  return Endpoint{IpAddr::parse(parts[2]).value_or(IpAddr()), *port};
}

class FtpParser final : public Parser {
 public:
  explicit FtpParser(const ParserContext& context) : context_(context) {}

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    const std::size_t whole = bytes.size();
    ParserStatus status = ParserStatus::more;
    while (!bytes.empty() && status == ParserStatus::more) {
      const bool client = direction == Direction::to_server;
      const auto line = (client ? commands_ : replies_).next(bytes);
      if (!line) break;
      status = client ? command(flow, *line, packet) : reply(flow, *line, packet);
    }
    consumed_ = whole - bytes.size();
    return status;
  }

  ParserStatus gap(Flow& flow, Direction direction, std::uint64_t, PacketMeta&) override {
    if (direction == Direction::to_server) {
      commands_.clear();
      return ParserStatus::more;
    }
    // Which reply answers which command is not known any more.
    replies_.clear();
    while (!open_.empty()) retire(flow);
    return ParserStatus::more;
  }
  void close(Flow&, Direction, PacketMeta&) override {}
  void end(Flow& flow) override {
    while (!open_.empty()) retire(flow);
  }
  [[nodiscard]] std::size_t consumed() const noexcept override { return consumed_; }

 private:
  struct Exchange {
    FieldTransaction transaction{AppProto::ftp};
    std::string command;
    std::string data;
    nlohmann::ordered_json replies = nlohmann::ordered_json::array();
    nlohmann::ordered_json codes = nlohmann::ordered_json::array();
    std::optional<bool> active;  // of a command that names a port
    std::uint16_t port = 0;
    bool cut = false;
    bool many_lines = false;
  };

  Exchange& begin(Flow& flow) {
    // Commands without replies are what a flood is made of: the oldest gives way.
    if (open_.size() >= std::max(context_.limits.transactions, 1U)) {
      ++context_.counters.limits_reached;
      retire(flow);
    }
    open_.push_back(std::make_unique<Exchange>());
    open_.back()->transaction.id = next_id_++;
    ++context_.counters.transactions;
    return *open_.back();
  }

  void retire(Flow& flow) {
    Exchange& oldest = *open_.front();
    oldest.transaction.finish();
    write_eve(oldest);
    context_.observer.on_end(flow, oldest.transaction);
    open_.pop_front();
  }

  // ---- client

  ParserStatus command(Flow& flow, const LineReader::Line& line, PacketMeta& packet) {
    Exchange& one = begin(flow);
    if (line.cut) {
      one.cut = true;
      one.transaction.add_event(ProtoEvent::ftp_request_command_too_long);
    }
    const auto space = line.text.find(' ');
    one.command = upper(line.text.substr(0, space));
    if (space != std::string_view::npos) one.data = line.text.substr(space + 1);
    one.transaction.add(Buffer::ftp_command, one.command);
    one.transaction.add(Buffer::ftp_command_data, one.data);
    if (one.command == "PORT" || one.command == "EPRT") {
      const auto place = one.command == "PORT" ? six_numbers(one.data) : extended(one.data);
      if (place) {
        set_port(one, true, place->port);
        one.transaction.add(Number::ftp_bounce, place->address != flow.tuple.src ? 1 : 0);
      }
    } else if (is_transfer(one.command)) {
      expect(flow, one, packet);
    }
    write_eve(one);
    context_.observer.on_change(flow, one.transaction, Direction::to_server, packet);
    return ParserStatus::more;
  }

  static bool is_transfer(std::string_view command) noexcept {
    return command == "RETR" || command == "STOR" || command == "APPE" || command == "STOU";
  }

  void set_port(Exchange& one, bool active, std::uint16_t port) {
    active_ = active;
    port_ = port;
    one.active = active;
    one.port = port;
    one.transaction.add(Number::ftp_dynamic_port, port);
    one.transaction.add(Number::ftp_mode, active ? 0 : 1);
  }

  // Active: the server begins the data connection. The addresses are the control connection's.
  void expect(const Flow& flow, const Exchange& one, const PacketMeta& packet) {
    if (port_ == 0) return;
    const bool download = one.command == "RETR";
    ExpectedFlow expected;
    expected.initiator = active_ ? flow.tuple.dst : flow.tuple.src;
    expected.responder = active_ ? flow.tuple.src : flow.tuple.dst;
    expected.port = std::exchange(port_, std::uint16_t{0});
    expected.attachment = flow.tuple.attachment;
    expected.command = one.command;
    expected.file = one.data;
    expected.carries = active_ == download ? Direction::to_server : Direction::to_client;
    expected.until = std::max(packet.time, flow.last) + expected_flow_lasts;
    context_.expected.add(std::move(expected));
  }

  // ---- server

  ParserStatus reply(Flow& flow, const LineReader::Line& line, PacketMeta& packet) {
    const bool unasked = open_.empty();
    Exchange& one = unasked ? begin(flow) : *open_.front();
    if (line.cut) one.transaction.add_event(ProtoEvent::ftp_response_command_too_long);
    const std::string_view text = line.text;
    const auto digit = [&](std::size_t i) {
      return i < text.size() && text[i] >= '0' && text[i] <= '9';
    };
    const bool coded = digit(0) && digit(1) && digit(2) && (text.size() == 3 || !digit(3));
    const bool last = coded && (text.size() == 3 || text[3] != '-');
    if (one.replies.size() < reply_lines_max) keep(one, text, coded);
    if (!last) {
      context_.observer.on_change(flow, one.transaction, Direction::to_client, packet);
      return ParserStatus::more;
    }
    const unsigned code =
        static_cast<unsigned>((text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0'));
    if (code == 227 || code == 229) passive(one, text, code);
    const bool preliminary = code < 200;
    const bool secured = one.command == "AUTH" && code == 234;
    if (!unasked && !preliminary) one.transaction.add(Number::ftp_reply_received, 1);
    write_eve(one);
    context_.observer.on_change(flow, one.transaction, Direction::to_client, packet);
    if (preliminary) return ParserStatus::more;
    retire(flow);
    return secured ? ParserStatus::tunnel : ParserStatus::more;
  }

  static void keep(Exchange& one, std::string_view text, bool coded) {
    const std::string_view words =
        coded ? text.substr(std::min<std::size_t>(4, text.size())) : text;
    one.replies.push_back(words);
    one.transaction.add(Buffer::ftp_reply, words);
    if (!coded) return;
    one.codes.push_back(text.substr(0, 3));
    one.transaction.add(Buffer::ftp_completion_code, text.substr(0, 3));
  }

  void passive(Exchange& one, std::string_view text, unsigned code) {
    std::optional<Endpoint> place;
    const auto open = text.rfind('(');
    if (code == 227) {
      const auto first =
          open != std::string_view::npos ? open + 1 : text.find_first_of("0123456789", 4);
      if (first < text.size()) place = six_numbers(text.substr(first));
    } else if (open != std::string_view::npos) {
      place = extended(text.substr(open + 1));
    }
    if (place) set_port(one, false, place->port);
  }

  static void write_eve(Exchange& one) {
    nlohmann::ordered_json json;
    if (!one.command.empty()) json["command"] = one.command;
    if (!one.data.empty()) json["command_data"] = one.data;
    if (one.cut) json["command_truncated"] = true;
    if (!one.replies.empty()) json["reply"] = one.replies;
    if (!one.codes.empty()) json["completion_code"] = one.codes;
    if (one.active) {
      json["dynamic_port"] = one.port;
      json["mode"] = *one.active ? "active" : "passive";
    }
    json["reply_received"] = one.replies.empty() ? "no" : "yes";
    one.transaction.eve_json =
        json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }

  ParserContext context_;
  LineReader commands_{line_max};
  LineReader replies_{line_max};
  std::deque<std::unique_ptr<Exchange>> open_;
  std::uint64_t next_id_ = 0;
  std::size_t consumed_ = 0;
  bool active_ = false;
  std::uint16_t port_ = 0;  // where the next transfer goes
};

}  // namespace

Guess probe_ftp(Direction direction, Bytes bytes) noexcept {
  const std::string_view text = as_text(bytes);
  if (direction == Direction::to_server) {
    bool more = false;
    for (const std::string_view start : {"USER ", "FEAT\r\n", "AUTH TLS", "AUTH SSL", "PORT "}) {
      if (text.starts_with(start)) return Guess::yes;
      more = more || start.starts_with(text);
    }
    return more ? Guess::more : Guess::no;
  }
  constexpr std::string_view start = "220";
  if (text.size() <= start.size()) return start.starts_with(text) ? Guess::more : Guess::no;
  if (!text.starts_with(start) || (text[3] != ' ' && text[3] != '-')) return Guess::no;
  const std::string_view line = text.substr(0, text.find('\n'));
  for (const std::string_view word : {"FTP", "ftp", "Ftp"}) {
    if (line.find(word) != std::string_view::npos) return Guess::yes;
  }
  return line.size() == text.size() && text.size() < 512 ? Guess::more : Guess::no;
}

// At FTP's own port any greeting does.
Guess probe_ftp_port(Direction direction, Bytes bytes) noexcept {
  const std::string_view text = as_text(bytes);
  if (direction == Direction::to_client) {
    if (text.size() < 4) return std::string_view("220").starts_with(text) ? Guess::more : Guess::no;
    return text.starts_with("220 ") || text.starts_with("220-") ? Guess::yes : Guess::no;
  }
  return probe_ftp(direction, bytes);
}

std::unique_ptr<Parser> make_ftp_parser(const ParserContext& context) {
  return std::make_unique<FtpParser>(context);
}

}  // namespace menshen::sensor
