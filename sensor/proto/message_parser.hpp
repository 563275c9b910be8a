// For protocols whose messages are parsed whole: the open transactions of a flow, and a stream cut
// into messages.
//
// A parser states how long a message is and what it means; holding half of one, limits and the
// observer are dealt with here. Memory per direction: what is missing to one message, at most
// message_bytes_max. Work is linear if extent() is constant or goes on where it ended.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "sensor/proto/field_transaction.hpp"
#include "sensor/proto/parser.hpp"

namespace menshen::sensor {

// Of one message in a stream that are kept and parsed; the rest of it is skipped, and counted.
inline constexpr std::size_t message_bytes_max = 64U << 10U;

// The open transactions of one flow, oldest first.
class Exchange {
 public:
  // `at_limit` is added to what gives way.
  Exchange(const ParserContext& context, AppProto proto, ProtoEvent at_limit = {})
      : context_(context), proto_(proto), at_limit_(at_limit) {}

  // A new one. Where as many are open as may be (ProtoLimits::transactions), the oldest ends and
  // the limit is counted.
  FieldTransaction& begin(Flow& flow, std::uint64_t key = 0);
  // The oldest with this key; null: none. Valid until it ends.
  [[nodiscard]] FieldTransaction* find(std::uint64_t key) noexcept;

  void tell(Flow& flow, FieldTransaction& transaction, Direction direction, PacketMeta& packet);
  // Nothing more will come: tells, and ends it.
  void finish(Flow& flow, FieldTransaction& transaction, Direction direction, PacketMeta& packet);
  void end_all(Flow& flow);

 private:
  struct Open {
    std::uint64_t key;
    std::unique_ptr<FieldTransaction> transaction;
  };
  void retire(Flow& flow, std::deque<Open>::iterator place);

  ParserContext context_;
  AppProto proto_;
  ProtoEvent at_limit_;
  std::deque<Open> open_;
  std::uint64_t next_id_ = 0;
};

class MessageParser : public Parser {
 public:
  enum class Over : std::uint8_t { datagrams, stream };

  MessageParser(const ParserContext& context, AppProto proto, Over over, ProtoEvent at_limit = {})
      : exchange(context, proto, at_limit), context_(context), over_(over) {}

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override;
  ParserStatus gap(Flow&, Direction, std::uint64_t, PacketMeta&) override {
    return ParserStatus::broken;
  }
  void close(Flow&, Direction, PacketMeta&) override {}
  void end(Flow& flow) override { exchange.end_all(flow); }
  [[nodiscard]] std::size_t consumed() const noexcept override { return consumed_; }

 protected:
  static constexpr std::size_t extent_unknown = 0;
  static constexpr auto extent_broken = static_cast<std::size_t>(-1);

  // Of the message that begins here, in bytes: extent_unknown where more of it must tell,
  // extent_broken where none can.
  [[nodiscard]] virtual std::size_t extent(Direction direction, Bytes bytes);
  // One message. Over datagrams `broken` is counted, and the next is parsed.
  virtual ParserStatus message(Flow& flow, Direction direction, Bytes bytes,
                               PacketMeta& packet) = 0;

  [[nodiscard]] bool over_stream() const noexcept { return over_ == Over::stream; }
  // The message at hand was longer than what was kept of it.
  [[nodiscard]] bool message_cut() const noexcept { return cut_; }

  Exchange exchange;

 private:
  // Parses what is whole; returns how many bytes were used.
  std::size_t cut(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet,
                  ParserStatus& status);

  ParserContext context_;
  Over over_;
  bool cut_ = false;
  std::size_t consumed_ = 0;
  std::array<std::vector<std::byte>, 2> held_;
  std::array<std::size_t, 2> skip_{};  // of a message that was cut
};

// The same thing's field in a direction.
template <class Field>
[[nodiscard]] constexpr Field by(Direction direction, Field to_server, Field to_client) noexcept {
  return direction == Direction::to_server ? to_server : to_client;
}

// Little-endian numbers of the reader's next bytes.
[[nodiscard]] std::uint16_t le16(ByteReader& reader) noexcept;
[[nodiscard]] std::uint32_t le32(ByteReader& reader) noexcept;

// EVE's text of an object; bytes that are not UTF-8 are replaced.
[[nodiscard]] std::string eve_text(const nlohmann::ordered_json& object);
// Adds a member to the transaction's object.
void add_eve(FieldTransaction& transaction, std::string_view key,
             const nlohmann::ordered_json& value);
// "0a1b": bytes as EVE and rules write them.
[[nodiscard]] std::string hex_text(Bytes bytes, std::string_view separator = {});

}  // namespace menshen::sensor
