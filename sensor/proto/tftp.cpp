// TFTP (RFC 1350): the request that names a file. The transfer runs on ports of its own.
#include <nlohmann/json.hpp>

#include "sensor/proto/field_transaction.hpp"
#include "sensor/proto/parser.hpp"
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

class TftpParser final : public Parser {
 public:
  explicit TftpParser(const ParserContext& context) : context_(context) {}

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    const auto request = parse(bytes);
    if (!request) return ParserStatus::more;
    FieldTransaction transaction(AppProto::tftp);
    transaction.id = next_id_++;
    transaction.one_way = direction;
    ++context_.counters.transactions;
    const nlohmann::ordered_json json = {{"packet", request->write ? "write" : "read"},
                                         {"file", request->file},
                                         {"mode", request->mode}};
    transaction.eve_json =
        json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    transaction.finish();
    context_.observer.on_change(flow, transaction, direction, packet);
    context_.observer.on_end(flow, transaction);
    return ParserStatus::more;
  }
  ParserStatus gap(Flow&, Direction, std::uint64_t, PacketMeta&) override {
    return ParserStatus::more;
  }
  void close(Flow&, Direction, PacketMeta&) override {}
  void end(Flow&) override {}

 private:
  ParserContext context_;
  std::uint64_t next_id_ = 0;
};

}  // namespace

Guess probe_tftp(Direction, Bytes bytes) noexcept { return parse(bytes) ? Guess::yes : Guess::no; }

std::unique_ptr<Parser> make_tftp_parser(const ParserContext& context) {
  return std::make_unique<TftpParser>(context);
}

}  // namespace menshen::sensor
