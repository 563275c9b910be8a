#include "sensor/detect/rule_finish.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sensor/detect/keyword.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/registry.hpp"

namespace menshen::sensor {
namespace {

// What a rule asks of a transaction: by which name, of whose, in which directions.
struct Asked {
  std::string_view name;
  AppProtoSet protos;
  bool forth = true;
  bool back = true;
};

Asked asked_by(const BufferRef& buffer) {
  const bool forth = buffer.to_server != Buffer::count;
  return {buffer_info(forth ? buffer.to_server : buffer.to_client).name, buffer.protos(), forth,
          buffer.to_client != Buffer::count};
}

// Where a protocol's events and hooks are: of its own parser alone, but in DNS over HTTP.
std::span<const AppProto> seen_in(const AppProto& proto) {
  const bool in_doh = proto == AppProto::dns || proto == AppProto::http2;
  return in_doh ? carriers(proto) : std::span(&proto, 1);
}

Asked asked_by(const TransactionTest& test) {
  if (const auto* event = std::get_if<EventTest>(&test)) {
    const ProtoEventInfo& info = proto_event_info(event->event);
    return {info.name, seen_in(info.proto)};
  }
  if (const auto* stage = std::get_if<StageTest>(&test)) {
    const bool request = stage->direction == Direction::to_server;
    return {app_proto_name(stage->proto), seen_in(stage->proto), request, !request};
  }
  const auto& number = std::get<NumberTest>(test);
  const bool forth = number.to_server != Number::count;
  const NumberName& info = number_info(forth ? number.to_server : number.to_client);
  return {info.name, carriers(info.proto), forth, number.to_client != Number::count};
}

// The protocols that are parsed over the rule's transport.
AppProtoSet parsed_by(RuleProto::Transport transport) {
  using Transport = RuleProto::Transport;
  std::vector<AppProto> protos;
  for (std::size_t i = 0; i < static_cast<std::size_t>(AppProto::count); ++i) {
    const ParsedOver over = parsed_over(static_cast<AppProto>(i));
    const bool fits = transport == Transport::any   ? over.streams || over.datagrams
                      : transport == Transport::tcp ? over.streams
                      : transport == Transport::udp ? over.datagrams
                                                    : false;
    if (fits) protos.push_back(static_cast<AppProto>(i));
  }
  return std::span<const AppProto>(protos);
}

// A field belongs to some protocols, and maybe to one direction: the rule follows.
Result<void> follow(Rule& rule, const Asked& asked) {
  if (rule.proto.apps.empty()) {
    rule.proto.apps = asked.protos;
  } else {
    rule.proto.apps &= asked.protos;
  }
  if (rule.proto.apps.empty()) {
    return invalid(fmt::format("缓冲区 {} 不属于该规则的协议", asked.name),
                   fmt::format("buffer {} does not belong to the rule's protocol", asked.name));
  }
  rule.proto.apps &= parsed_by(rule.proto.transport);
  if (rule.proto.apps.empty()) {
    return invalid(fmt::format("缓冲区 {} 在该传输协议上不存在", asked.name),
                   fmt::format("buffer {} does not exist over this transport", asked.name));
  }
  if (rule.transactional) return {};
  rule.flow.to_server = rule.flow.to_server && asked.forth;
  rule.flow.to_client = rule.flow.to_client && asked.back;
  if (rule.flow.to_server || rule.flow.to_client) return {};
  return invalid(
      fmt::format("缓冲区 {} 与规则的方向或其他缓冲区矛盾", asked.name),
      fmt::format("buffer {} contradicts the rule's direction or its other buffers", asked.name));
}

Result<void> follow_fields(Rule& rule) {
  for (const TestList& list : rule.lists) {
    if (list.buffer.kind != BufferKind::transaction) continue;
    MENSHEN_CHECK(follow(rule, asked_by(list.buffer)));
  }
  for (const TransactionTest& test : rule.asks) MENSHEN_CHECK(follow(rule, asked_by(test)));
  return {};
}

bool asks_of_files(const Rule& rule) {
  return std::ranges::any_of(rule.lists, [](const TestList& list) {
    return list.buffer.kind == BufferKind::transaction &&
           (list.buffer.to_server >= Buffer::file_data && list.buffer.to_server < Buffer::count);
  });
}

bool only_whole_answers(const Test& test) {
  if (const auto* content = std::get_if<Content>(&test.what))
    return content->negated || content->endswith;
  if (const auto* regex = std::get_if<RegexTest>(&test.what)) return regex->negated;
  if (const auto* at = std::get_if<IsDataAt>(&test.what)) return at->negated;
  if (const auto* jump = std::get_if<ByteJump>(&test.what))
    return jump->from == ByteJump::From::end;
  if (const auto* decode = std::get_if<Base64Decode>(&test.what)) {
    return std::any_of(decode->tests.begin(), decode->tests.end(), only_whole_answers);
  }
  return std::holds_alternative<SizeTest>(test.what) || std::holds_alternative<Absent>(test.what) ||
         std::holds_alternative<Entropy>(test.what) ||
         std::holds_alternative<DatasetTest>(test.what);
}

void mark_relative(std::vector<Test>& tests) {
  for (std::size_t i = 0; i < tests.size(); ++i) {
    tests[i].relative_next = i + 1 < tests.size() && tests[i + 1].relative();
    if (auto* decode = std::get_if<Base64Decode>(&tests[i].what)) mark_relative(decode->tests);
  }
}

Result<void> finish_list(TestList& list) {
  mark_relative(list.tests);
  list.needs_complete =
      std::any_of(list.tests.begin(), list.tests.end(), only_whole_answers) ||
      std::any_of(list.transforms.begin(), list.transforms.end(),
                  [](const Transform& t) { return t.kind >= TransformKind::from_base64; });
  list.absent = std::any_of(list.tests.begin(), list.tests.end(),
                            [](const Test& t) { return std::holds_alternative<Absent>(t.what); });
  if (list.absent && list.buffer.kind != BufferKind::transaction) {
    return invalid("absent 须用于协议缓冲区", "absent needs a protocol buffer");
  }
  for (const Test& test : list.tests) {
    const auto* content = std::get_if<Content>(&test.what);
    if (content == nullptr) continue;
    const auto too_short = [&](const std::optional<Operand>& room) {
      return room && room->variable < 0 &&
             room->value < static_cast<std::int64_t>(content->pattern.size());
    };
    if (too_short(content->depth)) {
      return invalid("depth 小于匹配内容的长度", "depth is smaller than the pattern");
    }
    if (too_short(content->within)) {
      return invalid("within 小于匹配内容的长度", "within is smaller than the pattern");
    }
  }
  return {};
}

// The same for each packet of a flow, as its addresses are.
bool asks_addresses(const HeaderTest& test) {
  const auto* field = std::get_if<FieldTest>(&test);
  if (std::holds_alternative<ReputationTest>(test)) return true;
  return field != nullptr && field->field == Field::ip_proto;
}

// Tests that only a packet can answer, not the reassembled stream.
bool needs_packet(const Rule& rule) {
  const auto packet_test = [](const HeaderTest& test) {
    if (std::holds_alternative<AppProtoTest>(test)) return false;
    if (std::holds_alternative<VlanTest>(test)) return false;
    if (std::holds_alternative<ReputationTest>(test)) return false;
    const auto* field = std::get_if<FieldTest>(&test);
    if (field == nullptr) return true;
    if (field->field == Field::ip_proto) return false;
    const bool of_flow =
        field->field >= Field::flow_age && field->field < Field::stream_size_server;
    return !of_flow;
  };
  const auto packet_buffer = [](const TestList& list) {
    return list.buffer.kind != BufferKind::payload && list.buffer.kind != BufferKind::transaction;
  };
  return std::any_of(rule.header.begin(), rule.header.end(), packet_test) ||
         std::any_of(rule.lists.begin(), rule.lists.end(), packet_buffer);
}

bool anchored(const Rule& rule) {
  return std::any_of(rule.lists.begin(), rule.lists.end(), [](const TestList& list) {
    return list.buffer.kind == BufferKind::payload &&
           std::any_of(list.tests.begin(), list.tests.end(), [](const Test& test) {
             const auto* content = std::get_if<Content>(&test.what);
             return content != nullptr &&
                    (content->offset || content->depth || content->startswith);
           });
  });
}

bool changes_by_packet(const Rule& rule) {
  using State = FlowTest::State;
  return rule.reads_bits() || !rule.ints.empty() || rule.flow.state == State::established ||
         rule.flow.state == State::not_established;
}

RuleKind kind_of(const Rule& rule) {
  if (rule.has_transaction_tests()) return RuleKind::transaction;
  using Part = RuleProto::Part;
  using Transport = RuleProto::Transport;
  const auto transport = rule.proto.transport;
  const bool tcp = transport == Transport::any || transport == Transport::tcp;
  if (rule.has_payload_tests()) {
    if (rule.replaces) return RuleKind::packet;
    if (!tcp || rule.proto.part == Part::packet || rule.flow.no_stream) return RuleKind::packet;
    if (rule.proto.part == Part::stream || rule.flow.only_stream) return RuleKind::stream;
    if (needs_packet(rule)) return RuleKind::packet;
    return anchored(rule) ? RuleKind::packet_stream : RuleKind::stream;
  }
  if (!rule.lists.empty()) return RuleKind::packet;
  const bool app = !rule.proto.apps.empty() ||
                   std::any_of(rule.header.begin(), rule.header.end(), [](const HeaderTest& test) {
                     return std::holds_alternative<AppProtoTest>(test);
                   });
  if (needs_packet(rule) || changes_by_packet(rule)) return RuleKind::packet;
  if (app) return RuleKind::app_only;
  const bool by_address = std::ranges::all_of(rule.header, &asks_addresses);
  // Which packets the flow keyword means: those of both directions, in any state.
  const bool any_packet = rule.flow.state == FlowTest::State::any && rule.flow.to_server &&
                          rule.flow.to_client && (rule.flow.only_stream || rule.flow.no_stream);
  if (!by_address || (rule.flow.present && !any_packet)) return RuleKind::packet;
  return rule.src.negated() || rule.dst.negated() ? RuleKind::like_ip_only : RuleKind::ip_only;
}

bool has_replacement(const std::vector<Test>& tests) {
  return std::ranges::any_of(tests, [](const Test& test) {
    if (const auto* decode = std::get_if<Base64Decode>(&test.what)) {
      return has_replacement(decode->tests);
    }
    const auto* content = std::get_if<Content>(&test.what);
    return content != nullptr && !content->replacement.empty();
  });
}

// Bytes of packets as they are: nothing else can be put back.
Result<void> check_replacements(const Rule& rule) {
  if (!rule.replaces) return {};
  const bool of_stream = rule.proto.part == RuleProto::Part::stream || rule.flow.only_stream;
  const auto elsewhere = [](const TestList& list) {
    const bool nested = std::ranges::any_of(list.tests, [](const Test& test) {
      const auto* decode = std::get_if<Base64Decode>(&test.what);
      return decode != nullptr && has_replacement(decode->tests);
    });
    const bool raw = list.buffer.kind == BufferKind::payload && list.transforms.empty();
    return nested || (!raw && has_replacement(list.tests));
  };
  if (!of_stream && !rule.has_transaction_tests() && std::ranges::none_of(rule.lists, elsewhere)) {
    return {};
  }
  return invalid("replace 只能用于单个报文的原始载荷",
                 "replace works on the raw payload of single packets only");
}

}  // namespace

Result<void> finish_rule(Rule& rule) {
  // What is to be stored must be there: a rule that asks nothing else of files asks this.
  if (rule.file_store.wanted && !asks_of_files(rule)) {
    rule.lists.push_back(
        {{BufferKind::transaction, Buffer::file_data, Buffer::file_data_response}, {}, {}});
  }
  MENSHEN_CHECK(follow_fields(rule));
  MENSHEN_CHECK(check_replacements(rule));
  for (TestList& list : rule.lists) {
    MENSHEN_CHECK(finish_list(list));
    const bool tcp_buffer = list.buffer.kind == BufferKind::tcp_header;
    if (tcp_buffer && rule.proto.transport != RuleProto::Transport::tcp) {
      return invalid("tcp.hdr 需要协议 tcp", "tcp.hdr needs protocol tcp");
    }
  }
  if (rule.transactional && !rule.has_transaction_tests()) {
    return invalid("=> 规则须检查协议缓冲区", "a => rule must look at protocol buffers");
  }
  using State = FlowTest::State;
  if (rule.flow.only_stream && rule.flow.state == State::stateless) {
    return invalid("only_stream 与 stateless 矛盾", "only_stream contradicts stateless");
  }
  rule.kind = kind_of(rule);
  const bool same_sides =
      rule.src.ranges() == rule.dst.ranges() && rule.sport.ranges() == rule.dport.ranges();
  rule.two_rules = rule.bidirectional && !same_sides;
  return {};
}

}  // namespace menshen::sensor
