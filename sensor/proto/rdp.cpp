// RDP's connection request and confirmation (MS-RDPBCGR 2.2.1.1, 2.2.1.2): one transaction for
// both. What follows is TLS, or is not read.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

constexpr unsigned tpkt_version = 3;
constexpr unsigned connection_request = 0xe0;
constexpr unsigned connection_confirm = 0xd0;
constexpr std::size_t fixed_bytes = 11;  // TPKT, and X.224 up to its variable part
constexpr std::string_view cookie_start = "Cookie: mstshash=";

struct Flag {
  std::uint32_t bit;
  std::string_view name;
};
constexpr Flag protocols[] = {{1, "ssl"}, {2, "credssp"}, {4, "rdstls"}, {8, "early_user_auth"}};

// The negotiation structure at the end: type, flags, length 8, what is asked for or chosen.
std::optional<std::uint32_t> read_negotiation(ByteReader& reader, unsigned wanted) {
  const unsigned type = reader.u8();
  reader.skip(1);
  const unsigned length = le16(reader);
  const std::uint32_t value = le32(reader);
  if (!reader.ok() || type != wanted || length != 8) return std::nullopt;
  return value;
}

class RdpParser final : public MessageParser {
 public:
  explicit RdpParser(const ParserContext& context)
      : MessageParser(context, AppProto::rdp, Over::stream) {}

 protected:
  std::size_t extent(Direction /*direction*/, Bytes bytes) override {
    if (over_) return bytes.size();
    if (bytes.size() < 4) return extent_unknown;
    ByteReader reader(bytes);
    if (reader.u8() != tpkt_version) return extent_broken;
    reader.skip(1);
    const std::size_t length = reader.be16();
    return length < fixed_bytes ? extent_broken : length;
  }

  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    if (over_) return ParserStatus::more;
    ByteReader reader(bytes);
    reader.skip(5);
    const unsigned code = reader.u8();
    reader.seek(fixed_bytes);
    if (direction == Direction::to_server && code == connection_request) {
      request(flow, reader, packet);
      return ParserStatus::more;
    }
    if (direction == Direction::to_client && code == connection_confirm) {
      return confirm(flow, reader, packet);
    }
    over_ = true;
    return ParserStatus::more;
  }

 private:
  void request(Flow& flow, ByteReader& reader, PacketMeta& packet) {
    FieldTransaction& transaction = exchange.begin(flow, 1);
    Json json{{"tx_id", transaction.id}, {"event_type", "initial_request"}};
    ByteReader ahead = reader;
    const std::string_view rest = as_text(ahead.rest());
    if (rest.starts_with(cookie_start)) {
      const std::size_t end = std::min(rest.find("\r\n"), rest.size());
      json["cookie"] = rest.substr(cookie_start.size(), end - cookie_start.size());
      reader.skip(std::min(end + 2, rest.size()));
    }
    if (const auto wanted = read_negotiation(reader, 1)) json["flags"] = names(*wanted);
    transaction.eve_json = eve_text(json);
    transaction.finish(Direction::to_server);
    exchange.tell(flow, transaction, Direction::to_server, packet);
  }

  ParserStatus confirm(Flow& flow, ByteReader& reader, PacketMeta& packet) {
    const auto chosen = read_negotiation(reader, 2);
    over_ = true;
    if (FieldTransaction* open = exchange.find(1)) {
      Json json{{"event_type", "initial_response"}};
      json["protocol"] = !chosen || *chosen == 0 ? "rdp" : names(*chosen).front();
      add_eve(*open, "response", json);
      exchange.finish(flow, *open, Direction::to_client, packet);
    }
    return chosen && *chosen != 0 ? ParserStatus::tunnel : ParserStatus::more;
  }

  static Json names(std::uint32_t flags) {
    Json list = Json::array();
    for (const Flag& flag : protocols) {
      if ((flags & flag.bit) != 0) list.push_back(flag.name);
    }
    if (list.empty()) list.push_back("unknown");
    return list;
  }

  bool over_ = false;
};

}  // namespace

Guess probe_rdp(Direction direction, Bytes bytes) noexcept {
  ByteReader reader(bytes);
  const unsigned version = reader.u8();
  const unsigned reserved = reader.u8();
  const std::size_t length = reader.be16();
  const std::size_t header = reader.u8();
  const unsigned code = reader.u8();
  if (!bytes.empty() && version != tpkt_version) return Guess::no;
  if (!reader.ok()) return Guess::more;
  const bool forth = direction == Direction::to_server;
  const bool whole = length >= fixed_bytes && header + 5 == length;
  return reserved == 0 && whole && code == (forth ? connection_request : connection_confirm)
             ? Guess::yes
             : Guess::no;
}

std::unique_ptr<Parser> make_rdp_parser(const ParserContext& context) {
  return std::make_unique<RdpParser>(context);
}

}  // namespace menshen::sensor
