#include "sensor/proto/dcerpc.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sensor/proto/endian_reader.hpp"
#include "sensor/proto/message_parser.hpp"
#include "sensor/proto/probe.hpp"

namespace menshen::sensor {
namespace {

constexpr std::size_t head_bytes = 16;
constexpr std::uint8_t first_fragment = 0x01;
constexpr std::uint8_t last_fragment = 0x02;
constexpr std::size_t uuid_bytes = 16;
constexpr std::size_t transfer_syntax_bytes = 20;

enum Type : std::uint8_t {
  type_request = 0,
  type_response = 2,
  type_fault = 3,
  type_bind = 11,
  type_bind_ack = 12,
  type_bind_nak = 13,
  type_alter = 14,
  type_alter_response = 15,
  type_max = 20,
};

std::string_view type_name(unsigned type) {
  static constexpr std::string_view names[] = {
      "REQUEST",   "PING",     "RESPONSE",      "FAULT",
      "WORKING",   "NOCALL",   "REJECT",        "ACK",
      "CL_CANCEL", "FACK",     "CANCEL_ACK",    "BIND",
      "BINDACK",   "BINDNAK",  "ALTER_CONTEXT", "ALTER_CONTEXT_RESP",
      "AUTH3",     "SHUTDOWN", "CO_CANCEL",     "ORPHANED",
      "RTS"};
  return type < std::size(names) ? names[type] : std::string_view("UNKNOWN");
}

// On the wire its first three parts are numbers in the sender's byte order.
std::array<std::uint8_t, uuid_bytes> read_uuid(EndianReader& reader, bool little) {
  std::array<std::uint8_t, uuid_bytes> uuid{};
  for (std::uint8_t& byte : uuid) byte = reader.u8();
  if (!little) return uuid;
  std::reverse(uuid.begin(), uuid.begin() + 4);
  std::swap(uuid[4], uuid[5]);
  std::swap(uuid[6], uuid[7]);
  return uuid;
}

std::string uuid_text(const std::array<std::uint8_t, uuid_bytes>& uuid) {
  std::string text;
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    fmt::format_to(std::back_inserter(text), "{:02x}", uuid[i]);
  }
  return text;
}

bool is_request(unsigned type) noexcept {
  return type == type_request || type == type_bind || type == type_alter || type == 16;
}

}  // namespace

struct DceRpc::Pdu {
  std::uint8_t type = 0;
  std::uint8_t flags = 0;
  bool little = true;
  std::uint16_t length = 0;
  std::uint32_t call = 0;
};

struct DceRpc::Call {
  explicit Call(AppProto proto) : transaction(proto) {}
  FieldTransaction transaction;
  std::uint32_t id = 0;
  unsigned request = type_max;
  unsigned response = type_max;
  std::uint16_t opnum = 0;
  std::array<std::size_t, 2> fragments{};
  std::array<std::string, 2> stub;
  std::vector<Interface> bound;
  std::array<bool, 2> done{};
};

DceRpc::DceRpc(const ParserContext& context, AppProto proto, std::uint64_t& next_id)
    : context_(context), proto_(proto), next_id_(&next_id) {}
DceRpc::~DceRpc() = default;

bool DceRpc::add(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) {
  std::string& held = held_[static_cast<std::size_t>(direction)];
  while (!bytes.empty() || held.size() >= head_bytes) {
    const auto need = [&](std::size_t count) {
      const Bytes part = bytes.first(std::min(count - std::min(count, held.size()), bytes.size()));
      held += as_text(part);
      bytes = bytes.subspan(part.size());
      return held.size() >= count;
    };
    if (!need(head_bytes)) return true;
    EndianReader head(as_bytes(held));
    const unsigned version = head.u8();
    head.skip(3);
    head.set_little((head.u8() & 0x10U) != 0);
    head.skip(3);
    const std::size_t length = head.u16();
    if (version != 5 || length < head_bytes) return false;
    if (!need(length)) return true;
    const std::string whole = std::exchange(held, {});
    if (!pdu(flow, direction, as_bytes(whole), packet)) return false;
  }
  return true;
}

bool DceRpc::pdu(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) {
  EndianReader reader(bytes);
  Pdu head;
  reader.skip(2);
  head.type = reader.u8();
  head.flags = reader.u8();
  head.little = (reader.u8() & 0x10U) != 0;
  reader.set_little(head.little);
  reader.skip(3);
  head.length = reader.u16();
  reader.skip(2);
  head.call = reader.u32();
  if (head.type > type_max) return false;
  const auto d = static_cast<std::size_t>(direction);
  const bool asks = is_request(head.type);
  Call& call = call_of(flow, head.call, asks && (head.flags & first_fragment) != 0);
  ++call.fragments[d];
  call.transaction.little_endian = head.little;
  if (proto_ == AppProto::dcerpc) frames(call, d, bytes);
  (asks ? call.request : call.response) = head.type;
  switch (head.type) {
    case type_bind:
    case type_alter:
      reader.set_little(head.little);
      bind(reader, call);
      break;
    case type_bind_ack:
    case type_alter_response:
      bind_ack(reader);
      break;
    case type_request:
      request(reader, head, call);
      break;
    case type_response: {
      // With the eight bytes that stand before the stub, as rules expect them.
      const std::string_view stub = as_text(reader.rest());
      call.stub[1] +=
          stub.substr(0, dcerpc_stub_max - std::min(dcerpc_stub_max, call.stub[1].size()));
      break;
    }
    default:
      break;
  }
  const bool last = (head.flags & last_fragment) != 0 || head.type != type_request;
  change(flow, call, direction,
         head.type == type_response ? (head.flags & last_fragment) != 0 : last, packet);
  return true;
}

void DceRpc::frames(Call& call, std::size_t d, Bytes bytes) {
  call.transaction.add(d == 0 ? Buffer::frame_pdu : Buffer::frame_pdu_response, as_text(bytes));
  call.transaction.add(d == 0 ? Buffer::frame_header : Buffer::frame_header_response,
                       as_text(bytes.first(head_bytes)));
  call.transaction.add(d == 0 ? Buffer::frame_data : Buffer::frame_data_response,
                       as_text(bytes.subspan(head_bytes)));
}

void DceRpc::bind(EndianReader& reader, Call& call) {
  constexpr std::size_t sizes_and_group = 8;
  reader.skip(sizes_and_group);
  const unsigned count = reader.u8();
  reader.skip(3);
  asked_.clear();
  for (unsigned i = 0; i < count && reader.ok(); ++i) {
    Interface one;
    one.context = reader.u16();
    const std::size_t syntaxes = reader.u8();
    reader.skip(1);
    one.uuid = read_uuid(reader, true);
    one.version = reader.u16();
    one.minor = reader.u16();
    reader.skip(syntaxes * transfer_syntax_bytes);
    if (!reader.ok()) return;
    asked_.push_back(one.context);
    call.bound.push_back(one);
    std::erase_if(interfaces_, [&](const Interface& old) { return old.context == one.context; });
    if (interfaces_.size() < dcerpc_interfaces_max) interfaces_.push_back(one);
  }
}

void DceRpc::bind_ack(EndianReader& reader) {
  constexpr std::size_t sizes_and_group = 8;
  reader.skip(sizes_and_group);
  reader.skip(reader.u16());
  reader.align(4);
  const unsigned count = reader.u8();
  reader.skip(3);
  for (unsigned i = 0; i < count && i < asked_.size() && reader.ok(); ++i) {
    const unsigned result = reader.u16();
    reader.skip(2 + transfer_syntax_bytes);
    if (!reader.ok()) return;
    for (Interface& one : interfaces_) {
      if (one.context == asked_[i]) one.rejected = result != 0;
    }
  }
}

void DceRpc::request(EndianReader& reader, const Pdu& head, Call& call) {
  reader.skip(4);
  const std::uint16_t context = reader.u16();
  const std::uint16_t opnum = reader.u16();
  // An object's UUID, where there is one, belongs to what rules see as the stub.
  const std::string_view stub = as_text(reader.rest());
  if (!reader.ok()) return;
  const bool first = call.fragments[0] <= 1;
  if (first) {
    call.opnum = opnum;
    call.transaction.add(Number::dcerpc_opnum, opnum);
    for (const Interface& one : interfaces_) {
      if (one.context != context || one.rejected) continue;
      std::string bytes(reinterpret_cast<const char*>(one.uuid.data()), one.uuid.size());
      bytes += static_cast<char>(one.version >> 8U);
      bytes += static_cast<char>(one.version & 0xffU);
      bytes += static_cast<char>(head.flags & first_fragment);
      call.transaction.add(Buffer::dcerpc_iface_bytes, bytes);
    }
  }
  call.stub[0] += stub.substr(0, dcerpc_stub_max - std::min(dcerpc_stub_max, call.stub[0].size()));
}

DceRpc::Call& DceRpc::call_of(Flow& flow, std::uint32_t id, bool fresh) {
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    if (calls_[i]->id != id) continue;
    if (!fresh) return *calls_[i];
    retire(flow, i);
    break;
  }
  if (calls_.size() >= dcerpc_calls_max) {
    ++context_.counters.limits_reached;
    retire(flow, 0);
  }
  calls_.push_back(std::make_unique<Call>(proto_));
  calls_.back()->id = id;
  calls_.back()->transaction.id = (*next_id_)++;
  ++context_.counters.transactions;
  return *calls_.back();
}

void DceRpc::change(Flow& flow, Call& call, Direction direction, bool last, PacketMeta& packet) {
  const auto d = static_cast<std::size_t>(direction);
  if (last && !call.done[d]) {
    call.done[d] = true;
    if (!call.stub[d].empty()) {
      call.transaction.add(d == 0 ? Buffer::dcerpc_stub_data : Buffer::dcerpc_stub_data_response,
                           call.stub[d]);
    }
    call.transaction.finish(direction);
  }
  write_eve(call);
  context_.observer.on_change(flow, call.transaction, direction, packet);
  if (!call.done[0] || !call.done[1]) return;
  const auto place = std::ranges::find(calls_, call.id, [](const auto& one) { return one->id; });
  retire(flow, static_cast<std::size_t>(place - calls_.begin()));
}

void DceRpc::retire(Flow& flow, std::size_t place) {
  Call& call = *calls_[place];
  call.transaction.finish();
  context_.observer.on_end(flow, call.transaction);
  calls_.erase(calls_.begin() + static_cast<std::ptrdiff_t>(place));
}

void DceRpc::end(Flow& flow) {
  while (!calls_.empty()) retire(flow, 0);
}

void DceRpc::write_eve(Call& call) {
  nlohmann::ordered_json json;
  if (call.request < type_max) json["request"] = type_name(call.request);
  if (call.response < type_max) json["response"] = type_name(call.response);
  if (call.request == type_request) {
    json["opnum"] = call.opnum;
    json["req"] = {{"frag_cnt", call.fragments[0]}, {"stub_data_size", call.stub[0].size()}};
  }
  if (call.response == type_response) {
    json["res"] = {{"frag_cnt", call.fragments[1]}, {"stub_data_size", call.stub[1].size()}};
  }
  for (const Interface& one : call.bound) {
    json["interfaces"].push_back(
        {{"uuid", uuid_text(one.uuid)}, {"version", fmt::format("{}.{}", one.version, one.minor)}});
  }
  json["call_id"] = call.id;
  json["rpc_version"] = "5.0";
  if (proto_ == AppProto::smb) {
    call.transaction.eve_json = nlohmann::ordered_json{{"dcerpc", json}}.dump();
  } else {
    call.transaction.eve_json = json.dump();
  }
}

// ---- over TCP and UDP ---------------------------------------------------------------------------

namespace {

class DceRpcStreamParser final : public Parser {
 public:
  explicit DceRpcStreamParser(const ParserContext& context)
      : rpc_(context, AppProto::dcerpc, next_id_) {}

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    return rpc_.add(flow, direction, bytes, packet) ? ParserStatus::more : ParserStatus::broken;
  }
  ParserStatus gap(Flow&, Direction, std::uint64_t, PacketMeta&) override {
    return ParserStatus::broken;
  }
  void close(Flow&, Direction, PacketMeta&) override {}
  void end(Flow& flow) override { rpc_.end(flow); }

 private:
  std::uint64_t next_id_ = 0;
  DceRpc rpc_;
};

// C706's connectionless form: everything stands in each datagram's head.
class DceRpcDatagramParser final : public MessageParser {
 public:
  explicit DceRpcDatagramParser(const ParserContext& context)
      : MessageParser(context, AppProto::dcerpc, Over::datagrams) {}

 private:
  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    EndianReader reader(bytes);
    const unsigned version = reader.u8();
    const unsigned type = reader.u8();
    reader.skip(2);
    const bool little = (reader.u8() & 0x10U) != 0;
    reader.set_little(little);
    reader.skip(3);
    reader.skip(uuid_bytes);
    const auto uuid = read_uuid(reader, little);
    reader.skip(uuid_bytes + 4);
    const std::uint32_t interface_version = reader.u32();
    reader.skip(4);
    const std::uint16_t opnum = reader.u16();
    reader.skip(4);
    const std::size_t length = reader.u16();
    reader.skip(4);
    const std::string_view stub = as_text(reader.take(std::min(length, reader.remaining())));
    if (!reader.ok() || version != 4) return ParserStatus::broken;
    FieldTransaction& transaction = exchange.begin(flow);
    if (type == type_request) {
      transaction.add(Number::dcerpc_opnum, opnum);
      std::string iface(reinterpret_cast<const char*>(uuid.data()), uuid.size());
      iface += static_cast<char>(interface_version >> 8U & 0xffU);
      iface += static_cast<char>(interface_version & 0xffU);
      iface += '\1';
      transaction.add(Buffer::dcerpc_iface_bytes, iface);
    }
    if (!stub.empty()) {
      transaction.add(direction == Direction::to_server ? Buffer::dcerpc_stub_data
                                                        : Buffer::dcerpc_stub_data_response,
                      stub);
    }
    nlohmann::ordered_json json;
    json[type == type_request ? "request" : "response"] = type_name(type);
    json["opnum"] = opnum;
    json["interfaces"].push_back(
        {{"uuid", uuid_text(uuid)}, {"version", fmt::format("{}.0", interface_version)}});
    json["rpc_version"] = "4.0";
    transaction.eve_json = json.dump();
    transaction.one_way = direction;
    exchange.finish(flow, transaction, direction, packet);
    return ParserStatus::more;
  }
};

}  // namespace

Guess probe_dcerpc_stream(Direction, Bytes bytes) noexcept {
  const auto at = [&](std::size_t i) { return std::to_integer<unsigned>(bytes[i]); };
  if (bytes.size() < 10) {
    const bool may = (bytes.empty() || at(0) == 5) && (bytes.size() < 2 || at(1) <= 1) &&
                     (bytes.size() < 3 || at(2) < type_max);
    return may ? Guess::more : Guess::no;
  }
  const bool order = (at(4) & 0xefU) == 0 && at(5) <= 3 && at(6) == 0 && at(7) == 0;
  const unsigned length = (at(4) & 0x10U) != 0 ? at(8) | at(9) << 8U : at(8) << 8U | at(9);
  return at(0) == 5 && at(1) <= 1 && at(2) < type_max && order && length >= head_bytes ? Guess::yes
                                                                                       : Guess::no;
}

Guess probe_dcerpc_datagram(Direction, Bytes bytes) noexcept {
  constexpr std::size_t datagram_head = 80;
  const auto at = [&](std::size_t i) { return std::to_integer<unsigned>(bytes[i]); };
  if (bytes.size() < datagram_head) return Guess::no;
  const bool order = (at(4) & 0xefU) == 0 && at(5) <= 3 && at(6) == 0;
  const unsigned length = (at(4) & 0x10U) != 0 ? at(74) | at(75) << 8U : at(74) << 8U | at(75);
  const bool flags = (at(2) & 0x81U) == 0 && (at(3) & 0xfcU) == 0;
  return at(0) == 4 && at(1) <= 10 && flags && order && length + datagram_head <= bytes.size()
             ? Guess::yes
             : Guess::no;
}

std::unique_ptr<Parser> make_dcerpc_stream_parser(const ParserContext& context) {
  return std::make_unique<DceRpcStreamParser>(context);
}
std::unique_ptr<Parser> make_dcerpc_datagram_parser(const ParserContext& context) {
  return std::make_unique<DceRpcDatagramParser>(context);
}

}  // namespace menshen::sensor
