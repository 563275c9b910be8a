// For tests: a proto stage fed without packets, and what it told.
#pragma once

#include <string>
#include <vector>

#include "sensor/proto/events.hpp"
#include "sensor/proto/proto.hpp"

namespace menshen::sensor::testing {

// The last state of each transaction, as text.
struct Told {
  std::uint64_t id = 0;
  // Name (with > or <) and bytes; numbers have a # before their name: "#>tls.cert_chain_len".
  std::vector<std::pair<std::string, std::string>> buffers;
  std::vector<std::string> events;
  std::string eve;
  std::string carried_eve;
  std::size_t changes = 0;
  bool ended = false;

  [[nodiscard]] std::string operator[](std::string_view name) const {
    std::string found = "-";
    for (const auto& [key, bytes] : buffers) {
      if (key != name) continue;
      found = found == "-" ? bytes : found.append(",").append(bytes);
    }
    return found;
  }
};

class Stage : public TransactionObserver {
 public:
  explicit Stage(const ProtoLimits& limits = {}) : proto(limits, *this) {
    flow.tuple.proto = IpProto::tcp;
    flow.tuple.sport = 40'000;
    flow.tuple.dport = 8000;
  }

  void on_change(Flow&, Transaction& transaction, Direction, PacketMeta& with) override {
    Told& t = take(transaction);
    ++t.changes;
    if (drop_at_change != 0 && ++changes_ == drop_at_change) with.verdict = Verdict::drop;
  }
  void on_end(Flow&, Transaction& transaction) override { take(transaction).ended = true; }

  void client(std::string_view text, std::size_t piece = std::string_view::npos) {
    feed(Direction::to_server, text, piece);
  }
  void server(std::string_view text, std::size_t piece = std::string_view::npos) {
    feed(Direction::to_client, text, piece);
  }
  void feed(Direction direction, std::string_view text, std::size_t piece) {
    while (!text.empty()) {
      // A copy of its own, so that reading past it is seen.
      const std::string part(text.substr(0, piece));
      packet = PacketMeta{};
      packet.time = time;
      packet.direction = direction;
      proto.on_stream_data(flow, direction, as_bytes(part), packet);
      text.remove_prefix(part.size());
    }
  }
  void datagram(Direction direction, std::string_view text) {
    packet = PacketMeta{};
    packet.time = time;
    packet.direction = direction;
    packet.data = as_bytes(text).data();
    packet.payload_length = static_cast<std::uint32_t>(text.size());
    proto.on_udp(flow, packet);
  }
  void close(Direction direction) { proto.on_stream_close(flow, direction, nullptr); }
  void finish() {
    close(Direction::to_server);
    close(Direction::to_client);
    proto.on_close(flow);
  }

  std::vector<Told> told;
  ProtoStage proto;
  Flow flow;
  PacketMeta packet;
  WallTime time = 0;  // of the packets
  std::size_t drop_at_change = 0;

 private:
  Told& take(const Transaction& transaction) {
    while (told.size() <= transaction.id) told.emplace_back();
    Told& t = told[transaction.id];
    t.id = transaction.id;
    t.buffers.clear();
    for (std::size_t b = 0; b < static_cast<std::size_t>(Buffer::count); ++b) {
      const auto buffer = static_cast<Buffer>(b);
      const BufferName& info = buffer_info(buffer);
      const std::string arrow = info.to_server == buffer ? ">" : "<";
      for (std::size_t i = 0; i < transaction.field_count(buffer); ++i) {
        t.buffers.emplace_back(arrow + std::string(info.name),
                               as_text(transaction.field(buffer, i).bytes));
      }
    }
    for (std::size_t n = 0; n < static_cast<std::size_t>(Number::count); ++n) {
      const auto number = static_cast<Number>(n);
      const NumberName& info = number_info(number);
      const std::string arrow = info.to_server == number ? "#>" : "#<";
      for (std::size_t i = 0; i < transaction.numbers(number); ++i) {
        t.buffers.emplace_back(arrow + std::string(info.name),
                               std::to_string(transaction.number(number, i)));
      }
    }
    t.events.clear();
    for (const ProtoEvent event : transaction.events) {
      t.events.emplace_back(proto_event_info(event).name);
    }
    t.eve = transaction.eve();
    t.carried_eve = transaction.carried_eve();
    return t;
  }

  std::size_t changes_ = 0;
};

}  // namespace menshen::sensor::testing
