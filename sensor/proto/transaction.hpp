// What the protocol parsers make of a stream, and what rules may look at: transactions with named
// buffers.
//
// A transaction is one request with its response (HTTP), one query with its answer (DNS), one
// handshake (TLS). Buffers appear as bytes arrive and bodies grow; an observer is told after each
// change, so that an inline sensor can stop the very packet that completes an attack.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.hpp"
#include "sensor/flow/flow.hpp"
#include "sensor/packet/packet.hpp"
#include "sensor/proto/fields.hpp"

namespace menshen::sensor {

// Something that a parser found wrong or worth a rule (`app-layer-event`); the protocols'
// enumerators stand in events.hpp.
enum class ProtoEvent : std::uint16_t;

struct File;

class Transaction {
 public:
  struct View {
    Bytes bytes;
    bool complete = false;  // it will not grow, nor will another instance appear
  };

  Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  virtual ~Transaction();
  [[nodiscard]] virtual AppProto proto() const noexcept = 0;
  // How many instances of a buffer are known: several DNS queries, usually 0 or 1.
  [[nodiscard]] virtual std::size_t instances(Buffer buffer) const noexcept = 0;
  // Valid until the parser is given more data.
  [[nodiscard]] virtual View view(Buffer buffer, std::size_t instance = 0) const noexcept = 0;
  // The same for numbers. A list of answers has one instance for each.
  [[nodiscard]] virtual std::size_t numbers(Number) const noexcept { return 0; }
  [[nodiscard]] virtual std::uint64_t number(Number, std::size_t) const noexcept { return 0; }
  // Nothing more will come in this direction.
  [[nodiscard]] virtual bool complete(Direction direction) const noexcept = 0;
  // The protocol's own EVE object ("http": {...}) as JSON text, from what is known now.
  [[nodiscard]] virtual std::string eve() const = 0;
  // Another protocol's object, of what this one carries: "dns" of HTTP/2. Empty: none.
  [[nodiscard]] virtual std::string carried_eve() const { return {}; }

  // What rules see: the fields above, and those of the files it carries (file.hpp).
  [[nodiscard]] std::size_t field_count(Buffer buffer) const noexcept;
  [[nodiscard]] View field(Buffer buffer, std::size_t instance) const noexcept;
  [[nodiscard]] std::size_t field_count(Number number) const noexcept;
  [[nodiscard]] std::uint64_t field(Number number, std::size_t instance) const noexcept;

  void add_event(ProtoEvent event);

  std::uint64_t id = 0;  // counts from 0 within the flow
  // Its messages go this way alone: rules for the other direction never see it. Nothing: both ways.
  std::optional<Direction> one_way;
  bool little_endian = true;       // DCE/RPC: how its messages have their numbers
  std::vector<ProtoEvent> events;  // in the order of their appearance; each at most once
  // What it carries, by direction, in order (file.hpp).
  std::array<std::vector<std::unique_ptr<File>>, 2> files;
  std::unique_ptr<FlowSlot> detect;  // detect stage: what was inspected, what has fired
};

// Told by the proto stage, in stream order. A verdict is returned through `packet`.
class TransactionObserver {
 public:
  virtual ~TransactionObserver() = default;
  // Something of `transaction` changed because of data in `direction`.
  virtual void on_change(Flow& flow, Transaction& transaction, Direction direction,
                         PacketMeta& packet) = 0;
  // Complete in both directions (or the flow ended): the last call for it.
  virtual void on_end(Flow& flow, Transaction& transaction) = 0;
};

}  // namespace menshen::sensor
