// SSH (RFC 4253): both banners, then the packets that are not encrypted yet: the key exchange with
// its algorithm lists, of which HASSH is the fingerprint. After both sides' new keys nothing can
// be read.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "sensor/proto/events.hpp"
#include "sensor/proto/field_transaction.hpp"
#include "sensor/proto/file.hpp"
#include "sensor/proto/line_reader.hpp"
#include "sensor/proto/parser.hpp"
#include "sensor/proto/probe.hpp"

namespace menshen::sensor {
namespace {

constexpr std::size_t banner_bytes_max = 256;  // RFC 4253 4.2: 255 with its end; beyond: cut, event
constexpr std::size_t banner_lines_max = 64;   // that a server may say before its banner
constexpr std::size_t record_bytes_max = 64U << 10U;  // beyond: an event, and the parser gives up
constexpr std::size_t record_head = 6;                // length, padding length, message number
constexpr std::uint8_t msg_kexinit = 20;
constexpr std::uint8_t msg_newkeys = 21;

struct Banner {
  std::string proto;
  std::string software;
};

// "SSH-2.0-OpenSSH_9.2p1 Debian-2"
std::optional<Banner> parse_banner(std::string_view line) {
  constexpr std::string_view start = "SSH-";
  if (!line.starts_with(start)) return std::nullopt;
  line.remove_prefix(start.size());
  const auto dash = line.find('-');
  if (dash == std::string_view::npos || dash == 0) return std::nullopt;
  const std::string_view software = line.substr(dash + 1);
  return Banner{std::string(line.substr(0, dash)),
                std::string(software.substr(0, software.find_first_of(" \r\n")))};
}

// RFC 4253 7.1. HASSH joins four of the ten lists: those of the direction.
std::optional<std::string> hassh_string(Bytes packet, Direction direction) {
  constexpr std::size_t cookie = 16;
  constexpr std::size_t lists = 10;
  ByteReader reader(packet);
  reader.skip(cookie);
  std::array<std::string_view, lists> names;
  for (std::string_view& list : names) list = as_text(reader.take(reader.be32()));
  if (!reader.ok()) return std::nullopt;
  const std::size_t side = direction == Direction::to_server ? 0 : 1;
  return fmt::format("{};{};{};{}", names[0], names[2 + side], names[4 + side], names[6 + side]);
}

class SshParser final : public Parser {
 public:
  explicit SshParser(const ParserContext& context) : context_(context) {
    ++context_.counters.transactions;
  }

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    Side& side = sides_[index(direction)];
    side.changed = false;
    ParserStatus status = ParserStatus::more;
    while (!bytes.empty() && status == ParserStatus::more) {
      if (side.state == State::banner) {
        status = banner(side, direction, bytes);
      } else if (side.state == State::records) {
        status = record(side, direction, bytes);
      } else {
        break;
      }
    }
    const bool over = sides_[0].state == State::encrypted && sides_[1].state == State::encrypted;
    if (side.changed || over) context_.observer.on_change(flow, transaction_, direction, packet);
    return over ? ParserStatus::done : status;
  }

  ParserStatus gap(Flow&, Direction direction, std::uint64_t, PacketMeta&) override {
    // Bytes within what is encrypted are not missed.
    return sides_[index(direction)].state == State::encrypted ? ParserStatus::more
                                                              : ParserStatus::broken;
  }
  void close(Flow& flow, Direction direction, PacketMeta& packet) override {
    transaction_.finish(direction);
    context_.observer.on_change(flow, transaction_, direction, packet);
  }
  void end(Flow& flow) override {
    transaction_.finish();
    context_.observer.on_end(flow, transaction_);
  }

 private:
  enum class State : std::uint8_t { banner, records, encrypted };
  struct Side {
    State state = State::banner;
    bool changed = false;
    std::size_t lines = 0;
    LineReader reader{banner_bytes_max};
    std::string held;  // the begin of a record
    Banner banner;
    std::string hassh;
    std::string hassh_string;
  };

  static std::size_t index(Direction direction) noexcept {
    return static_cast<std::size_t>(direction);
  }

  void note(Side& side, ProtoEvent event) {
    transaction_.add_event(event);
    side.changed = true;
  }

  ParserStatus banner(Side& side, Direction direction, Bytes& bytes) {
    const auto line = side.reader.next(bytes);
    if (!line) return ParserStatus::more;
    auto found = parse_banner(line->text);
    if (!found) {
      // A server may greet before its banner (RFC 4253 4.2).
      if (!line->text.starts_with("SSH-") && ++side.lines < banner_lines_max) {
        return ParserStatus::more;
      }
      note(side, ProtoEvent::ssh_invalid_banner);
      return ParserStatus::broken;
    }
    if (line->cut) note(side, ProtoEvent::ssh_long_banner);
    const bool client = direction == Direction::to_server;
    side.banner = std::move(*found);
    transaction_.add(client ? Buffer::ssh_proto : Buffer::ssh_proto_response, side.banner.proto);
    transaction_.add(client ? Buffer::ssh_software : Buffer::ssh_software_response,
                     side.banner.software);
    side.state = State::records;
    side.changed = true;
    write_eve();
    return ParserStatus::more;
  }

  ParserStatus record(Side& side, Direction direction, Bytes& bytes) {
    const auto need = [&](std::size_t count) {
      const Bytes part =
          bytes.first(std::min(count - std::min(count, side.held.size()), bytes.size()));
      side.held += as_text(part);
      bytes = bytes.subspan(part.size());
      return side.held.size() >= count;
    };
    if (!need(record_head)) return ParserStatus::more;
    ByteReader head(as_bytes(side.held));
    const std::size_t length = head.be32();
    if (length < 2) {
      note(side, ProtoEvent::ssh_invalid_record);
      return ParserStatus::broken;
    }
    if (length > record_bytes_max) {
      note(side, ProtoEvent::ssh_long_kex_record);
      return ParserStatus::limit;
    }
    if (!need(length + sizeof(std::uint32_t))) return ParserStatus::more;
    whole_record(side, direction);
    side.held.clear();
    return ParserStatus::more;
  }

  void whole_record(Side& side, Direction direction) {
    const bool client = direction == Direction::to_server;
    const std::string_view pdu = side.held;
    transaction_.add(client ? Buffer::frame_pdu : Buffer::frame_pdu_response, pdu);
    transaction_.add(client ? Buffer::frame_header : Buffer::frame_header_response,
                     pdu.substr(0, record_head));
    transaction_.add(client ? Buffer::frame_data : Buffer::frame_data_response,
                     pdu.substr(record_head));
    side.changed = true;
    const auto message = static_cast<std::uint8_t>(pdu[record_head - 1]);
    if (message == msg_newkeys) {
      side.state = State::encrypted;
      transaction_.finish(direction);
    }
    if (message != msg_kexinit || !side.hassh.empty()) return;
    auto text = hassh_string(as_bytes(pdu.substr(record_head)), direction);
    if (!text) return note(side, ProtoEvent::ssh_invalid_record);
    side.hassh_string = std::move(*text);
    side.hassh = hash_hex(FileHash::md5, as_bytes(side.hassh_string));
    transaction_.add(client ? Buffer::ssh_hassh : Buffer::ssh_hassh_server, side.hassh);
    transaction_.add(client ? Buffer::ssh_hassh_string : Buffer::ssh_hassh_server_string,
                     side.hassh_string);
    write_eve();
  }

  void write_eve() {
    nlohmann::ordered_json json;
    for (const bool client : {true, false}) {
      const Side& side = sides_[client ? 0 : 1];
      if (side.banner.proto.empty()) continue;
      nlohmann::ordered_json& one = json[client ? "client" : "server"];
      one["proto_version"] = side.banner.proto;
      one["software_version"] = side.banner.software;
      if (side.hassh.empty()) continue;
      one["hassh"] = {{"hash", side.hassh}, {"string", side.hassh_string}};
    }
    transaction_.eve_json =
        json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }

  ParserContext context_;
  FieldTransaction transaction_{AppProto::ssh};
  std::array<Side, 2> sides_;
};

}  // namespace

Guess probe_ssh(Direction, Bytes bytes) noexcept {
  constexpr std::string_view start = "SSH-";
  const std::string_view text = as_text(bytes).substr(0, start.size());
  if (text == start) return Guess::yes;
  return start.starts_with(text) ? Guess::more : Guess::no;
}

std::unique_ptr<Parser> make_ssh_parser(const ParserContext& context) {
  return std::make_unique<SshParser>(context);
}

}  // namespace menshen::sensor
