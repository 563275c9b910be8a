// DNS over UDP and TCP: one transaction for a query and its answer.
#include <algorithm>
#include <array>
#include <deque>
#include <optional>

#include "sensor/proto/dns_fields.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/parser.hpp"

namespace menshen::sensor {

namespace {

class DnsTransaction final : public Transaction {
 public:
  explicit DnsTransaction(AppProto proto) : proto_(proto) {}
  [[nodiscard]] AppProto proto() const noexcept override { return proto_; }
  [[nodiscard]] std::size_t instances(Buffer buffer) const noexcept override {
    return buffers_.instances(buffer);
  }
  [[nodiscard]] View view(Buffer buffer, std::size_t instance) const noexcept override {
    if (instance >= buffers_.instances(buffer)) return {};
    return {as_bytes(buffers_.text(buffer, instance)), true};
  }
  [[nodiscard]] std::size_t numbers(Number number) const noexcept override {
    return numbers_.instances(number);
  }
  [[nodiscard]] std::uint64_t number(Number number, std::size_t instance) const noexcept override {
    return numbers_.value(number, instance);
  }
  [[nodiscard]] bool complete(Direction direction) const noexcept override {
    return ended || one_way || messages_[static_cast<std::size_t>(direction)].has_value();
  }
  // Of the last message.
  [[nodiscard]] std::string eve() const override {
    const auto& last = messages_[1] ? messages_[1] : messages_[0];
    return last ? dns_eve(*last, id) : "{}";
  }

  // The message of a direction: a query or an answer, and its bytes.
  void set(Direction direction, DnsMessage message, Bytes bytes) {
    buffers_.set(direction == Direction::to_server ? Buffer::frame_pdu : Buffer::frame_pdu_response,
                 as_text(bytes));
    add_dns_fields(message, proto_, direction, buffers_, numbers_);
    if (proto_ == AppProto::dns) add_dns_events(message, *this);
    messages_[static_cast<std::size_t>(direction)] = std::move(message);
  }
  // Waits for the answer to this query?
  [[nodiscard]] bool asks(std::uint16_t message_id) const noexcept {
    return messages_[0] && messages_[0]->id == message_id;
  }

  bool ended = false;  // the flow, or its patience with this query

 private:
  AppProto proto_;
  std::array<std::optional<DnsMessage>, 2> messages_;  // by Direction
  BufferSet buffers_;
  NumberSet numbers_;
};

// The open queries of one flow, and what a message does to them.
class DnsExchange {
 public:
  explicit DnsExchange(const ParserContext& context) : context_(context) {}

  // False: not a DNS message.
  bool message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) {
    auto parsed = parse_dns(bytes, context_.limits.dns_records);
    if (!parsed) return false;
    if (parsed->cut) ++context_.counters.limits_reached;
    const bool response = parsed->is_response();
    // A capture may begin with an answer: then the server is who sends it.
    if (!begun_) reversed_ = response == (direction == Direction::to_server);
    begun_ = true;
    const bool to_client = (direction == Direction::to_client) != reversed_;
    if (response != to_client) {
      misplaced(flow, to_client ? Direction::to_client : Direction::to_server, std::move(*parsed),
                bytes, packet);
    } else if (response) {
      respond(flow, std::move(*parsed), bytes, packet);
    } else {
      ask(flow, std::move(*parsed), bytes, packet);
    }
    return true;
  }

  void end(Flow& flow) {
    while (!open_.empty()) retire(flow, 0);
  }

 private:
  // An answer to the server, or a question to the client.
  void misplaced(Flow& flow, Direction direction, DnsMessage message, Bytes bytes,
                 PacketMeta& packet) {
    DnsTransaction& transaction = add();
    transaction.set(direction, std::move(message), bytes);
    transaction.add_event(direction == Direction::to_server ? ProtoEvent::dns_not_a_request
                                                            : ProtoEvent::dns_not_a_response);
    context_.observer.on_change(flow, transaction, direction, packet);
    retire(flow, open_.size() - 1);
  }

  void ask(Flow& flow, DnsMessage query, Bytes bytes, PacketMeta& packet) {
    // Unanswered queries are what a flood is made of: the oldest gives way.
    if (open_.size() >= std::max(context_.limits.transactions, 1U)) {
      ++context_.counters.limits_reached;
      retire(flow, 0);
    }
    DnsTransaction& transaction = add();
    transaction.set(Direction::to_server, std::move(query), bytes);
    context_.observer.on_change(flow, transaction, Direction::to_server, packet);
  }

  void respond(Flow& flow, DnsMessage answer, Bytes bytes, PacketMeta& packet) {
    const auto asked = std::ranges::find_if(
        open_, [&](const auto& transaction) { return transaction->asks(answer.id); });
    const auto place = static_cast<std::size_t>(asked - open_.begin());
    DnsTransaction& transaction = asked == open_.end() ? add() : *open_[place];
    transaction.set(Direction::to_client, std::move(answer), bytes);
    context_.observer.on_change(flow, transaction, Direction::to_client, packet);
    retire(flow, place);
  }

  DnsTransaction& add() {
    open_.push_back(std::make_unique<DnsTransaction>(AppProto::dns));
    open_.back()->id = next_id_++;
    ++context_.counters.transactions;
    return *open_.back();
  }

  void retire(Flow& flow, std::size_t place) {
    open_[place]->ended = true;
    context_.observer.on_end(flow, *open_[place]);
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(place));
  }

  ParserContext context_;
  std::deque<std::unique_ptr<DnsTransaction>> open_;
  std::uint64_t next_id_ = 0;
  bool begun_ = false;
  bool reversed_ = false;  // the flow's initiator is the server
};

class DnsDatagramParser final : public Parser {
 public:
  explicit DnsDatagramParser(const ParserContext& context)
      : counters_(context.counters), exchange_(context) {}

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    if (!exchange_.message(flow, direction, bytes, packet)) ++counters_.parser_errors;
    return ParserStatus::more;  // the next datagram is independent of this one
  }
  ParserStatus gap(Flow&, Direction, std::uint64_t, PacketMeta&) override {
    return ParserStatus::more;
  }
  void close(Flow&, Direction, PacketMeta&) override {}
  void end(Flow& flow) override { exchange_.end(flow); }

 private:
  ProtoCounters& counters_;
  DnsExchange exchange_;
};

// RFC 1035 4.2.2: each message behind two bytes of its length.
class DnsStreamParser final : public Parser {
 public:
  explicit DnsStreamParser(const ParserContext& context) : exchange_(context) {}

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    std::vector<std::byte>& held = held_[static_cast<std::size_t>(direction)];
    while (!bytes.empty()) {
      if (held.empty()) {
        const std::size_t whole = message_bytes(bytes);
        if (whole != 0 && bytes.size() >= whole) {  // no copy
          if (!exchange_.message(flow, direction, bytes.subspan(2, whole - 2), packet)) {
            return ParserStatus::broken;
          }
          bytes = bytes.subspan(whole);
          continue;
        }
      }
      const std::size_t wanted = std::max<std::size_t>(message_bytes(held), 2) - held.size();
      const Bytes part = bytes.first(std::min(wanted, bytes.size()));
      held.insert(held.end(), part.begin(), part.end());
      bytes = bytes.subspan(part.size());
      if (message_bytes(held) == held.size()) {
        const std::vector<std::byte> message = std::exchange(held, {});
        if (!exchange_.message(flow, direction, Bytes(message).subspan(2), packet)) {
          return ParserStatus::broken;
        }
      }
    }
    return ParserStatus::more;
  }
  ParserStatus gap(Flow&, Direction, std::uint64_t, PacketMeta&) override {
    return ParserStatus::broken;
  }
  void close(Flow&, Direction, PacketMeta&) override {}
  void end(Flow& flow) override { exchange_.end(flow); }

 private:
  // With the length itself; 0: not known yet.
  static std::size_t message_bytes(Bytes bytes) noexcept {
    return bytes.size() < 2 ? 0 : ByteReader(bytes).be16() + std::size_t{2};
  }

  DnsExchange exchange_;
  std::array<std::vector<std::byte>, 2> held_;
};

// mDNS and LLMNR: every message stands for itself.
class LocalDnsParser final : public Parser {
 public:
  LocalDnsParser(const ParserContext& context, AppProto proto) : context_(context), proto_(proto) {}

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    auto parsed = parse_dns(bytes, context_.limits.dns_records);
    if (!parsed) {
      ++context_.counters.parser_errors;
      return ParserStatus::more;
    }
    DnsTransaction transaction(proto_);
    transaction.id = next_id_++;
    transaction.one_way = direction;
    transaction.set(direction, std::move(*parsed), bytes);
    ++context_.counters.transactions;
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
  AppProto proto_;
  std::uint64_t next_id_ = 0;
};

}  // namespace

std::unique_ptr<Parser> make_mdns_parser(const ParserContext& context) {
  return std::make_unique<LocalDnsParser>(context, AppProto::mdns);
}

std::unique_ptr<Parser> make_llmnr_parser(const ParserContext& context) {
  return std::make_unique<LocalDnsParser>(context, AppProto::llmnr);
}

std::unique_ptr<Parser> make_dns_stream_parser(const ParserContext& context) {
  return std::make_unique<DnsStreamParser>(context);
}

std::unique_ptr<Parser> make_dns_datagram_parser(const ParserContext& context) {
  return std::make_unique<DnsDatagramParser>(context);
}

}  // namespace menshen::sensor
