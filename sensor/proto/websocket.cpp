// WebSocket (RFC 6455) behind HTTP's upgrade: a transaction for each frame, with what its message
// has become by then. permessage-deflate (RFC 7692) is undone.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "sensor/proto/buffer_set.hpp"
#include "sensor/proto/decompress.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/parser.hpp"

namespace menshen::sensor {

namespace {

// Bytes of one message, and of one frame, that are kept; a frame is told of when so many are there.
constexpr std::size_t payload_kept_max = 64U << 10U;
constexpr std::size_t head_bytes_max = 14;
constexpr std::string_view deflate_tail("\x00\x00\xff\xff", 4);  // RFC 7692 7.2.2

constexpr std::uint8_t final_flag = 0x80;
constexpr std::uint8_t compressed_flag = 0x40;
constexpr std::uint8_t first_control = 8;
constexpr std::uint8_t continuation = 0;

constexpr std::size_t index(Direction direction) { return static_cast<std::size_t>(direction); }

std::string_view opcode_name(unsigned opcode) {
  switch (opcode) {
    case 0:
      return "continuation";
    case 1:
      return "text";
    case 2:
      return "binary";
    case 8:
      return "connection_close";
    case 9:
      return "ping";
    case 10:
      return "pong";
    default:
      return "unknown";
  }
}

class WebsocketTransaction final : public KnownTransaction {
 public:
  explicit WebsocketTransaction(Direction direction) { one_way = direction; }
  [[nodiscard]] AppProto proto() const noexcept override { return AppProto::websocket; }
  [[nodiscard]] bool complete(Direction) const noexcept override { return true; }
  [[nodiscard]] std::string eve() const override {
    const bool request = one_way == Direction::to_server;
    const auto opcode = static_cast<unsigned>(
        known.value(request ? Number::websocket_opcode : Number::websocket_opcode_response));
    const auto flags =
        known.value(request ? Number::websocket_flags : Number::websocket_flags_response);
    nlohmann::ordered_json json{{"fin", (flags & final_flag) != 0},
                                {"opcode", opcode_name(opcode)}};
    const Number mask = request ? Number::websocket_mask : Number::websocket_mask_response;
    if (known.instances(mask) != 0) json["mask"] = known.value(mask);
    return json.dump();
  }
};

class WebsocketParser final : public Parser {
 public:
  explicit WebsocketParser(const ParserContext& context) : context_(context) {}

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    Side& side = sides_[index(direction)];
    while (!bytes.empty()) {
      if (!side.in_frame) {
        if (!read_head(side, bytes)) return ParserStatus::more;
        if (side.left == 0) tell(flow, direction, packet);
        continue;
      }
      const Bytes part = bytes.first(std::min<std::uint64_t>(side.left, bytes.size()));
      bytes = bytes.subspan(part.size());
      const std::size_t room = payload_kept_max - std::min(payload_kept_max, side.payload.size());
      side.payload += as_text(part.first(std::min(room, part.size())));
      side.left -= part.size();
      if (!side.told && (side.left == 0 || part.size() >= room)) {
        if (side.left != 0) ++context_.counters.limits_reached;
        tell(flow, direction, packet);
      }
      if (side.left == 0) side.in_frame = false;
    }
    return ParserStatus::more;
  }

  ParserStatus gap(Flow&, Direction direction, std::uint64_t length, PacketMeta&) override {
    Side& side = sides_[index(direction)];
    // Only inside of a payload that is no longer looked at.
    if (!side.in_frame || !side.told || length > side.left) return ParserStatus::broken;
    side.left -= length;
    side.in_frame = side.left != 0;
    return ParserStatus::more;
  }
  void close(Flow&, Direction, PacketMeta&) override {}
  void end(Flow&) override {}

 private:
  struct Side {
    std::string head;
    std::string payload;  // as sent
    std::string message;  // of the data frames so far, readable
    std::uint64_t left = 0;
    std::uint32_t mask = 0;
    std::uint8_t first = 0;
    bool masked = false;
    bool in_frame = false;
    bool told = false;
    bool compressed = false;               // the message
    std::optional<Decompressor> inflater;  // its window goes on over messages
  };

  // True: a frame begins.
  static bool read_head(Side& side, Bytes& bytes) {
    for (;;) {
      ByteReader reader(as_bytes(side.head));
      side.first = reader.u8();
      const std::uint8_t second = reader.u8();
      side.masked = (second & 0x80U) != 0;
      side.left = second & 0x7fU;
      if (side.left == 126) side.left = reader.be16();
      if (side.left == 127) side.left = reader.be64();
      side.mask = side.masked ? reader.be32() : 0;
      if (reader.ok()) break;
      if (bytes.empty() || side.head.size() >= head_bytes_max) return false;
      side.head += static_cast<char>(bytes.front());
      bytes = bytes.subspan(1);
    }
    side.in_frame = side.left != 0;
    side.told = false;
    side.payload.clear();
    return true;
  }

  void tell(Flow& flow, Direction direction, PacketMeta& packet) {
    Side& side = sides_[index(direction)];
    side.told = true;
    const bool request = direction == Direction::to_server;
    const std::uint8_t opcode = side.first & 0x0fU;
    WebsocketTransaction transaction(direction);
    transaction.id = next_id_++;
    transaction.known.set(request ? Number::websocket_opcode : Number::websocket_opcode_response,
                          opcode);
    transaction.known.set(request ? Number::websocket_flags : Number::websocket_flags_response,
                          side.first & 0xf0U);
    if (side.masked) {
      transaction.known.set(request ? Number::websocket_mask : Number::websocket_mask_response,
                            side.mask);
    }
    BufferSet& buffers = transaction.buffers;
    buffers.set(request ? Buffer::frame_header : Buffer::frame_header_response, side.head);
    buffers.set(request ? Buffer::frame_data : Buffer::frame_data_response, side.payload);
    buffers.set(request ? Buffer::frame_pdu : Buffer::frame_pdu_response, side.head + side.payload);
    buffers.set(request ? Buffer::websocket_payload : Buffer::websocket_payload_response,
                readable(side, opcode));
    side.head.clear();
    ++context_.counters.transactions;
    context_.observer.on_change(flow, transaction, direction, packet);
    context_.observer.on_end(flow, transaction);
  }

  // The payload without its mask; of data frames the whole message up to here.
  std::string readable(Side& side, std::uint8_t opcode) {
    std::string payload = side.payload;
    for (std::size_t i = 0; side.masked && i < payload.size(); ++i) {
      const std::uint32_t byte = side.mask >> (24U - 8U * (i % 4)) & 0xffU;
      payload[i] = static_cast<char>(static_cast<unsigned char>(payload[i]) ^ byte);
    }
    if (opcode >= first_control) return payload;
    if (opcode != continuation) {
      side.message.clear();
      side.compressed = (side.first & compressed_flag) != 0;
    }
    const std::size_t room = payload_kept_max - std::min(payload_kept_max, side.message.size());
    if (!side.compressed) {
      side.message.append(payload, 0, room);
      return side.message;
    }
    if ((side.first & final_flag) != 0) payload += deflate_tail;
    if (!side.inflater) side.inflater.emplace(ContentCoding::raw_deflate, DecompressLimits{});
    const auto status = side.inflater->feed(as_bytes(payload), [&](Bytes opened) {
      const std::size_t left = payload_kept_max - std::min(payload_kept_max, side.message.size());
      side.message += as_text(opened.first(std::min(left, opened.size())));
    });
    if (status == Decompressor::Status::bomb) ++context_.counters.limits_reached;
    if (status != Decompressor::Status::more) side.inflater.reset();
    return side.message;
  }

  ParserContext context_;
  std::array<Side, 2> sides_;
  std::uint64_t next_id_ = 0;
};

}  // namespace

std::unique_ptr<Parser> make_websocket_parser(const ParserContext& context) {
  return std::make_unique<WebsocketParser>(context);
}

}  // namespace menshen::sensor
