// Telnet (RFC 854): one transaction for each line of either side, without the negotiation.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"

namespace menshen::sensor {
namespace {

constexpr std::size_t line_bytes_max = 1024;  // a longer line is given in parts
constexpr std::byte iac{0xff};
constexpr unsigned subnegotiation = 250;
constexpr unsigned subnegotiation_end = 240;
constexpr unsigned will = 251;
constexpr unsigned dont = 254;

// The length of the command that begins with IAC; 0: more bytes must tell.
std::size_t command_bytes(Bytes bytes) {
  if (bytes.size() < 2) return 0;
  const auto command = std::to_integer<unsigned>(bytes[1]);
  if (command >= will && command <= dont) return 3;
  if (command != subnegotiation) return 2;
  for (std::size_t i = 2; i + 1 < std::min(bytes.size(), line_bytes_max); ++i) {
    if (bytes[i] != iac) continue;
    if (bytes[i + 1] == std::byte{subnegotiation_end}) return i + 2;
    ++i;  // a doubled byte is data
  }
  return bytes.size() < line_bytes_max ? 0 : line_bytes_max;
}

class TelnetParser final : public MessageParser {
 public:
  explicit TelnetParser(const ParserContext& context)
      : MessageParser(context, AppProto::telnet, Over::stream) {}

  // The next line begins anew.
  ParserStatus gap(Flow&, Direction, std::uint64_t, PacketMeta&) override {
    return ParserStatus::more;
  }

 protected:
  std::size_t extent(Direction direction, Bytes bytes) override {
    if (bytes[0] == iac) return command_bytes(bytes);
    std::size_t& scanned = scanned_[static_cast<std::size_t>(direction)];
    scanned = std::min(scanned, bytes.size());
    for (; scanned < std::min(bytes.size(), line_bytes_max); ++scanned) {
      if (bytes[scanned] == std::byte{'\n'}) return scanned + 1;
      if (bytes[scanned] == iac) return scanned;
    }
    return bytes.size() < line_bytes_max ? extent_unknown : line_bytes_max;
  }

  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    scanned_[static_cast<std::size_t>(direction)] = 0;
    FieldTransaction& transaction = exchange.begin(flow);
    transaction.one_way = direction;
    const bool command = bytes[0] == iac;
    transaction.add(command ? by(direction, Buffer::frame_header, Buffer::frame_header_response)
                            : by(direction, Buffer::frame_data, Buffer::frame_data_response),
                    as_text(bytes));
    exchange.finish(flow, transaction, direction, packet);
    return ParserStatus::more;
  }

 private:
  std::array<std::size_t, 2> scanned_{};  // of the line that begins, by direction
};

}  // namespace

// Only negotiation tells it from any text.
Guess probe_telnet(Direction /*direction*/, Bytes bytes) noexcept {
  if (bytes.size() < 2) return bytes.empty() || bytes[0] == iac ? Guess::more : Guess::no;
  const auto command = std::to_integer<unsigned>(bytes[1]);
  return bytes[0] == iac && command >= subnegotiation && command <= dont ? Guess::yes : Guess::no;
}

std::unique_ptr<Parser> make_telnet_parser(const ParserContext& context) {
  return std::make_unique<TelnetParser>(context);
}

}  // namespace menshen::sensor
