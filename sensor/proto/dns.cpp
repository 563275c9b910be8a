// DNS over UDP and TCP: one transaction for a query and its answer.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>

#include "sensor/proto/dns_message.hpp"
#include "sensor/proto/parser.hpp"

namespace menshen::sensor {

namespace {

using Json = nlohmann::ordered_json;

Json record_json(const DnsRecord& record, bool answer) {
  Json json{{"rrname", record.name}, {"rrtype", dns_type_name(record.type)}};
  if (answer) {
    json["ttl"] = record.ttl;
    if (!record.rdata.empty()) json["rdata"] = record.rdata;
  }
  return json;
}

class DnsTransaction final : public Transaction {
 public:
  [[nodiscard]] AppProto proto() const noexcept override { return AppProto::dns; }

  [[nodiscard]] std::size_t instances(Buffer buffer) const noexcept override {
    const auto* records = records_of(buffer);
    return records == nullptr ? 0 : records->size();
  }

  [[nodiscard]] View view(Buffer buffer, std::size_t instance) const noexcept override {
    const auto* records = records_of(buffer);
    if (records == nullptr || instance >= records->size()) return {};
    return {as_bytes((*records)[instance].name), true};
  }

  [[nodiscard]] bool complete(Direction direction) const noexcept override {
    return ended || (direction == Direction::to_server ? query.has_value() : answer.has_value());
  }

  [[nodiscard]] std::string eve() const override {
    const DnsMessage& message = answer ? *answer : *query;
    Json json{{"version", 3},
              {"type", answer ? "response" : "request"},
              {"tx_id", id},
              {"id", message.id},
              {"flags", fmt::format("{:x}", message.flags)}};
    constexpr std::array<std::pair<std::string_view, unsigned>, 6> flags{{{"qr", 0x8000},
                                                                          {"aa", 0x0400},
                                                                          {"tc", 0x0200},
                                                                          {"rd", 0x0100},
                                                                          {"ra", 0x0080},
                                                                          {"z", 0x0040}}};
    for (const auto& [name, bit] : flags) {
      if ((message.flags & bit) != 0) json[std::string(name)] = true;
    }
    json["opcode"] = message.opcode();
    json["rcode"] = dns_rcode_name(message.rcode());
    if (!message.questions.empty()) {
      json["rrname"] = message.questions.front().name;
      json["rrtype"] = dns_type_name(message.questions.front().type);
    }
    for (const DnsRecord& record : message.questions) {
      json["queries"].push_back(record_json(record, false));
    }
    for (const DnsRecord& record : message.answers) {
      json["answers"].push_back(record_json(record, true));
      if (!record.rdata.empty())
        json["grouped"][dns_type_name(record.type)].push_back(record.rdata);
    }
    for (const DnsRecord& record : message.authorities) {
      json["authorities"].push_back(record_json(record, true));
    }
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  std::optional<DnsMessage> query;
  std::optional<DnsMessage> answer;
  bool ended = false;  // the flow, or its patience with this query

 private:
  [[nodiscard]] const std::vector<DnsRecord>* records_of(Buffer buffer) const noexcept {
    if (buffer == Buffer::dns_query && (query || answer)) {
      return query ? &query->questions : &answer->questions;
    }
    if (buffer == Buffer::dns_answer_name && answer) return &answer->answers;
    return nullptr;
  }
};

// The open queries of one flow, and what a message does to them.
class DnsExchange {
 public:
  explicit DnsExchange(const ParserContext& context) : context_(context) {}

  // False: not a DNS message.
  bool message(Flow& flow, Bytes bytes, PacketMeta& packet) {
    auto parsed = parse_dns(bytes, context_.limits.dns_records);
    if (!parsed) return false;
    if (parsed->cut) ++context_.counters.limits_reached;
    if (parsed->is_response()) {
      respond(flow, std::move(*parsed), packet);
    } else {
      ask(flow, std::move(*parsed), packet);
    }
    return true;
  }

  void end(Flow& flow) {
    while (!open_.empty()) retire(flow, 0);
  }

 private:
  void ask(Flow& flow, DnsMessage query, PacketMeta& packet) {
    // Unanswered queries are what a flood is made of: the oldest gives way.
    if (open_.size() >= std::max(context_.limits.transactions, 1U)) {
      ++context_.counters.limits_reached;
      retire(flow, 0);
    }
    DnsTransaction& transaction = add();
    transaction.query = std::move(query);
    context_.observer.on_change(flow, transaction, Direction::to_server, packet);
  }

  void respond(Flow& flow, DnsMessage answer, PacketMeta& packet) {
    const auto asked = std::find_if(open_.begin(), open_.end(), [&](const auto& transaction) {
      return transaction->query && transaction->query->id == answer.id;
    });
    DnsTransaction& transaction = asked == open_.end() ? add() : **asked;
    const auto place = static_cast<std::size_t>(asked - open_.begin());
    transaction.answer = std::move(answer);
    context_.observer.on_change(flow, transaction, Direction::to_client, packet);
    retire(flow, asked == open_.end() ? open_.size() - 1 : place);
  }

  DnsTransaction& add() {
    open_.push_back(std::make_unique<DnsTransaction>());
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
};

class DnsDatagramParser final : public Parser {
 public:
  explicit DnsDatagramParser(const ParserContext& context)
      : counters_(context.counters), exchange_(context) {}

  ParserStatus feed(Flow& flow, Direction /*direction*/, Bytes bytes, PacketMeta& packet) override {
    if (!exchange_.message(flow, bytes, packet)) ++counters_.parser_errors;
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
          if (!exchange_.message(flow, bytes.subspan(2, whole - 2), packet)) {
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
        if (!exchange_.message(flow, Bytes(message).subspan(2), packet)) {
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

}  // namespace

std::unique_ptr<Parser> make_dns_stream_parser(const ParserContext& context) {
  return std::make_unique<DnsStreamParser>(context);
}

std::unique_ptr<Parser> make_dns_datagram_parser(const ParserContext& context) {
  return std::make_unique<DnsDatagramParser>(context);
}

}  // namespace menshen::sensor
