// BitTorrent's distributed hash table (BEP 5): one transaction a datagram, in its direction.
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/ip.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

constexpr unsigned depth_max = 8;
constexpr std::size_t node_bytes = 26;  // id, address, port
constexpr std::size_t nodes_max = 64;

// Reads bencoding: strings and numbers one by one, the rest skipped. Strict; sets `ok`.
class Bencode {
 public:
  explicit Bencode(std::string_view text) : text_(text) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] char next() const { return ok_ && !text_.empty() ? text_[0] : '\0'; }
  bool take(char c) {
    if (next() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool expect(char c) { return take(c) || fail(); }

  std::string_view string() {
    const std::int64_t size = number(':');
    if (!ok_ || size < 0 || static_cast<std::uint64_t>(size) > text_.size()) {
      fail();
      return {};
    }
    const std::string_view taken = text_.substr(0, static_cast<std::size_t>(size));
    text_.remove_prefix(taken.size());
    return taken;
  }

  std::int64_t integer() { return expect('i') ? number('e') : 0; }

  // Whatever comes next.
  void skip(unsigned depth = 0) {
    if (depth > depth_max) {
      fail();
    } else if (next() == 'i') {
      integer();
    } else if (next() == 'l' || next() == 'd') {
      text_.remove_prefix(1);
      while (ok_ && !take('e')) skip(depth + 1);
    } else {
      string();
    }
  }

 private:
  std::int64_t number(char end) {
    constexpr std::size_t digits_max = 20;
    const std::size_t stop = ok_ ? text_.substr(0, digits_max).find(end) : std::string_view::npos;
    std::int64_t value = 0;
    if (stop != std::string_view::npos) {
      const auto [last, error] = std::from_chars(text_.data(), text_.data() + stop, value);
      if (error == std::errc{} && last == text_.data() + stop) {
        text_.remove_prefix(stop + 1);
        return value;
      }
    }
    fail();
    return 0;
  }
  bool fail() {
    ok_ = false;
    return false;
  }

  std::string_view text_;
  bool ok_ = true;
};

std::string hex(std::string_view bytes) { return hex_text(as_bytes(bytes)); }

Json read_nodes(std::string_view bytes) {
  Json list = Json::array();
  ByteReader reader(as_bytes(bytes));
  while (reader.remaining() >= node_bytes && list.size() < nodes_max) {
    const std::string id = hex_text(reader.take(20));
    const std::string ip = IpAddr::v4(reader.be32()).to_string();
    list.push_back({{"id", id}, {"ip", ip}, {"port", reader.be16()}});
  }
  return list;
}

// The arguments of a request or response.
Json read_arguments(Bencode& reader) {
  Json json = Json::object();
  reader.expect('d');
  while (reader.ok() && !reader.take('e')) {
    const std::string_view key = reader.string();
    if (key == "id" || key == "target" || key == "info_hash" || key == "token") {
      json[std::string(key)] = hex(reader.string());
    } else if (key == "port" || key == "implied_port") {
      json[std::string(key)] = reader.integer();
    } else if (key == "nodes") {
      json["nodes"] = read_nodes(reader.string());
    } else {
      reader.skip();
    }
  }
  return json;
}

Json read_error(Bencode& reader) {
  Json json = Json::object();
  reader.expect('l');
  json["num"] = reader.integer();
  json["msg"] = reader.string();
  while (reader.ok() && !reader.take('e')) reader.skip();
  return json;
}

Json read_message(Bencode& reader) {
  Json json = Json::object();
  reader.expect('d');
  while (reader.ok() && !reader.take('e')) {
    const std::string_view key = reader.string();
    if (key == "t") {
      json["transaction_id"] = hex(reader.string());
    } else if (key == "q") {
      json["request_type"] = reader.string();
    } else if (key == "v") {
      json["client_version"] = hex(reader.string());
    } else if (key == "a") {
      json["request"] = read_arguments(reader);
    } else if (key == "r") {
      json["response"] = read_arguments(reader);
    } else if (key == "e" && reader.next() == 'l') {
      json["error"] = read_error(reader);
    } else {
      reader.skip();
    }
  }
  return json;
}

class BittorrentDhtParser final : public MessageParser {
 public:
  explicit BittorrentDhtParser(const ParserContext& context)
      : MessageParser(context, AppProto::bittorrent_dht, Over::datagrams) {}

 protected:
  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    FieldTransaction& transaction = exchange.begin(flow);
    transaction.one_way = direction;
    Bencode reader(as_text(bytes));
    transaction.eve_json = eve_text(read_message(reader));
    if (!reader.ok()) transaction.add_event(ProtoEvent::bittorrent_dht_malformed_packet);
    exchange.finish(flow, transaction, direction, packet);
    return reader.ok() ? ParserStatus::more : ParserStatus::broken;
  }
};

}  // namespace

Guess probe_bittorrent_dht(Direction /*direction*/, Bytes bytes) noexcept {
  constexpr std::string_view starts[] = {"d1:ad2:id20:", "d1:rd2:id20:", "d2:ip", "d1:el"};
  const std::string_view text = as_text(bytes);
  for (const std::string_view start : starts) {
    if (text.starts_with(start)) return Guess::yes;
  }
  return Guess::no;
}

std::unique_ptr<Parser> make_bittorrent_dht_parser(const ParserContext& context) {
  return std::make_unique<BittorrentDhtParser>(context);
}

}  // namespace menshen::sensor
