// NTP (RFC 5905): one transaction a message, in its direction.
#include <nlohmann/json.hpp>

#include "base/ip.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t header_bytes = 48;
constexpr unsigned symmetric_active = 1;
constexpr unsigned symmetric_passive = 2;
constexpr unsigned client = 3;
constexpr unsigned server = 4;
constexpr unsigned control_mode = 6;  // and private: other formats

class NtpParser final : public MessageParser {
 public:
  explicit NtpParser(const ParserContext& context)
      : MessageParser(context, AppProto::ntp, Over::datagrams) {}

 protected:
  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    FieldTransaction& transaction = exchange.begin(flow);
    transaction.one_way = direction;
    ByteReader reader(bytes);
    const unsigned first = reader.u8();
    const unsigned version = first >> 3U & 7U;
    const unsigned mode = first & 7U;
    transaction.add(Number::ntp_version, version);
    transaction.add(Number::ntp_mode, mode);
    Json json{{"version", version}, {"mode", mode}};
    const bool whole = mode >= control_mode || bytes.size() >= header_bytes;
    if (!whole) transaction.add_event(ProtoEvent::ntp_malformed_data);
    judge(transaction, direction, mode);
    if (whole && mode < control_mode) {
      const unsigned stratum = reader.u8();
      reader.seek(12);
      const Bytes reference = reader.take(4);
      transaction.add(Number::ntp_stratum, stratum);
      transaction.add(Buffer::ntp_reference_id, as_text(reference));
      json["stratum"] = stratum;
      // A clock's name, or the address of the server it follows.
      json["reference_id"] = stratum < 2 ? std::string(as_text(reference))
                                         : IpAddr::v4(ByteReader(reference).be32()).to_string();
    }
    transaction.eve_json = eve_text(json);
    exchange.finish(flow, transaction, direction, packet);
    return whole ? ParserStatus::more : ParserStatus::broken;
  }

 private:
  // Which way which mode goes.
  void judge(FieldTransaction& transaction, Direction direction, unsigned mode) {
    const bool asks = mode == symmetric_active || mode == client;
    const bool answers = mode == symmetric_passive || mode == server;
    if (direction == Direction::to_server) {
      if (answers) transaction.add_event(ProtoEvent::ntp_not_request);
      asked_ = asked_ || asks;
    } else {
      if (asks) transaction.add_event(ProtoEvent::ntp_not_response);
      if (answers && !asked_) transaction.add_event(ProtoEvent::ntp_unsolicited_response);
    }
  }

  bool asked_ = false;
};

}  // namespace

// Its header says little: asked at its port.
Guess probe_ntp(Direction /*direction*/, Bytes bytes) noexcept {
  if (bytes.empty()) return Guess::no;
  const auto first = std::to_integer<unsigned>(bytes[0]);
  const unsigned version = first >> 3U & 7U;
  const unsigned mode = first & 7U;
  if (version == 0 || version > 4 || mode == 0) return Guess::no;
  return mode >= control_mode || bytes.size() >= header_bytes ? Guess::yes : Guess::no;
}

std::unique_ptr<Parser> make_ntp_parser(const ParserContext& context) {
  return std::make_unique<NtpParser>(context);
}

}  // namespace menshen::sensor
