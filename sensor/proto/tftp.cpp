// TFTP (RFC 1350): the request that names a file. The transfer runs on ports of its own.
#include <nlohmann/json.hpp>

#include "sensor/proto/message_parser.hpp"
#include "sensor/proto/probe.hpp"

namespace menshen::sensor {
namespace {

constexpr std::size_t name_max = 512;  // bytes of a name; a request is one small datagram

struct Request {
  bool write = false;
  std::string_view file;
  std::string_view mode;
};

std::optional<Request> parse(Bytes bytes) noexcept {
  ByteReader reader(bytes);
  const unsigned operation = reader.be16();
  if (operation != 1 && operation != 2) return std::nullopt;
  const std::string_view text = as_text(reader.rest());
  const auto end = text.find('\0');
  if (end == std::string_view::npos || end == 0 || end > name_max) return std::nullopt;
  const auto mode_end = text.find('\0', end + 1);
  if (mode_end == std::string_view::npos) return std::nullopt;
  return Request{operation == 2, text.substr(0, end), text.substr(end + 1, mode_end - end - 1)};
}

class TftpParser final : public MessageParser {
 public:
  explicit TftpParser(const ParserContext& context)
      : MessageParser(context, AppProto::tftp, Over::datagrams) {}

 private:
  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    const auto request = parse(bytes);
    if (!request) return ParserStatus::more;
    FieldTransaction& transaction = exchange.begin(flow);
    transaction.one_way = direction;
    transaction.eve_json = eve_text({{"packet", request->write ? "write" : "read"},
                                     {"file", request->file},
                                     {"mode", request->mode}});
    exchange.finish(flow, transaction, direction, packet);
    return ParserStatus::more;
  }
};

}  // namespace

Guess probe_tftp(Direction, Bytes bytes) noexcept { return parse(bytes) ? Guess::yes : Guess::no; }

std::unique_ptr<Parser> make_tftp_parser(const ParserContext& context) {
  return std::make_unique<TftpParser>(context);
}

}  // namespace menshen::sensor
