// MySQL's client/server protocol: the server's greeting, then one transaction a command. Rules have
// no keyword for it; events tell the commands.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t header_bytes = 4;
constexpr unsigned greeting = 10;          // the protocol's version
constexpr std::uint32_t with_tls = 0x800;  // a client's capability
constexpr std::size_t ssl_request_bytes = 32;
constexpr std::size_t query_bytes_max = 4096;  // of a statement that events show

constexpr std::pair<unsigned, std::string_view> commands[] = {
    {1, "quit"},          {2, "init_db"},       {3, "query"},       {4, "field_list"},
    {9, "statistics"},    {12, "process_kill"}, {14, "ping"},       {17, "change_user"},
    {22, "stmt_prepare"}, {23, "stmt_execute"}, {25, "stmt_close"}, {31, "reset_connection"}};

std::uint32_t length_of(ByteReader& reader) {
  const std::uint32_t low = le16(reader);
  return std::uint32_t{reader.u8()} << 16U | low;
}

class MysqlParser final : public MessageParser {
 public:
  explicit MysqlParser(const ParserContext& context)
      : MessageParser(context, AppProto::mysql, Over::stream) {}

 protected:
  std::size_t extent(Direction /*direction*/, Bytes bytes) override {
    if (bytes.size() < header_bytes) return extent_unknown;
    ByteReader reader(bytes);
    return header_bytes + length_of(reader);
  }

  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    ByteReader reader(bytes);
    static_cast<void>(length_of(reader));
    const unsigned sequence = reader.u8();
    if (direction == Direction::to_client) {
      if (!greeted_) read_greeting(reader);
      answered(flow, packet);
      return ParserStatus::more;
    }
    if (!logged_in_) return log_in(flow, reader, packet);
    if (sequence == 0) command(flow, reader, packet);
    return ParserStatus::more;
  }

 private:
  void read_greeting(ByteReader& reader) {
    greeted_ = true;
    reader.skip(1);
    const std::string_view rest = as_text(reader.rest());
    version_ = rest.substr(0, std::min<std::size_t>(rest.find('\0'), 128));
  }

  ParserStatus log_in(Flow& flow, ByteReader& reader, PacketMeta& packet) {
    logged_in_ = true;
    const std::size_t size = reader.remaining();
    const std::uint32_t capabilities = le32(reader);
    const bool tls = (capabilities & with_tls) != 0 && size == ssl_request_bytes;
    Json json{{"version", version_}, {"tls", tls}};
    if (!tls) {
      reader.seek(header_bytes + ssl_request_bytes);
      const std::string_view rest = as_text(reader.rest());
      json["user"] = rest.substr(0, rest.find('\0'));
    }
    begin(flow, json, packet);
    if (!tls) return ParserStatus::more;
    answered(flow, packet);
    return ParserStatus::tunnel;
  }

  void command(Flow& flow, ByteReader& reader, PacketMeta& packet) {
    answered(flow, packet);
    const unsigned code = reader.u8();
    Json json{{"version", version_}};
    const auto* found =
        std::ranges::find(commands, code, &std::pair<unsigned, std::string_view>::first);
    json["command"] =
        found != std::end(commands) ? std::string(found->second) : std::to_string(code);
    if (code == 3 || code == 22) json["query"] = as_text(reader.rest()).substr(0, query_bytes_max);
    begin(flow, json, packet);
  }

  void begin(Flow& flow, const Json& json, PacketMeta& packet) {
    FieldTransaction& transaction = exchange.begin(flow, 1);
    transaction.eve_json = eve_text(json);
    transaction.finish(Direction::to_server);
    exchange.tell(flow, transaction, Direction::to_server, packet);
  }

  // The first packet of an answer ends the transaction; rows are not read.
  void answered(Flow& flow, PacketMeta& packet) {
    if (FieldTransaction* open = exchange.find(1)) {
      exchange.finish(flow, *open, Direction::to_client, packet);
    }
  }

  bool greeted_ = false;
  bool logged_in_ = false;
  std::string version_;
};

}  // namespace

// The server begins: length, number 0, the protocol's version, its own as text.
Guess probe_mysql(Direction direction, Bytes bytes) noexcept {
  if (direction == Direction::to_server) return bytes.empty() ? Guess::more : Guess::no;
  ByteReader reader(bytes);
  const std::uint32_t length = length_of(reader);
  const unsigned sequence = reader.u8();
  const unsigned version = reader.u8();
  if (bytes.size() >= 3 && (length < 20 || length > 1024)) return Guess::no;
  if (!reader.ok()) return Guess::more;
  if (sequence != 0 || version != greeting) return Guess::no;
  const std::string_view rest = as_text(reader.rest());
  if (rest.empty()) return Guess::more;
  return rest[0] >= '0' && rest[0] <= '9' ? Guess::yes : Guess::no;
}

std::unique_ptr<Parser> make_mysql_parser(const ParserContext& context) {
  return std::make_unique<MysqlParser>(context);
}

}  // namespace menshen::sensor
