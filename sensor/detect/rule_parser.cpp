#include "sensor/detect/rule_parser.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sensor/detect/rule_finish.hpp"
#include "sensor/proto/registry.hpp"

namespace menshen::sensor {
namespace {

// How far a protocol's transaction must be for the hooks that are its own.
struct Hook {
  std::string_view proto;
  std::string_view name;
  Direction direction = Direction::to_server;
  Buffer known = Buffer::count;
  bool complete = false;
  bool lasting = false;
};
constexpr auto forth = Direction::to_server;
constexpr auto back = Direction::to_client;
constexpr Hook hooks[] = {
    {"http1", "request_line", forth, Buffer::http_request_line},
    {"http1", "request_headers", forth, Buffer::http_request_line},
    {"http1", "request_body", forth, Buffer::http_request_body, false, true},
    {"http1", "request_trailer", forth, Buffer::count, true},
    {"http1", "response_line", back, Buffer::http_response_line},
    {"http1", "response_headers", back, Buffer::http_response_line},
    {"http1", "response_body", back, Buffer::http_response_body, false, true},
    {"http1", "response_trailer", back, Buffer::count, true},
    {"tls", "client_in_progress", forth, Buffer::tls_random},
    {"tls", "client_hello_done", forth, Buffer::tls_random},
    {"tls", "server_in_progress", back, Buffer::tls_random_response},
    {"tls", "server_hello", back, Buffer::tls_random_response},
    {"tls", "server_hello_done", back, Buffer::tls_random_response},
    {"tls", "server_cert_done", back, Buffer::tls_certs_response},
    {"ssh", "request_in_progress", forth, Buffer::ssh_software},
    {"ssh", "request_banner_wait_eol", forth, Buffer::ssh_software},
    {"ssh", "request_banner_done", forth, Buffer::ssh_software},
    {"ssh", "request_finished", forth, Buffer::count, true},
    {"ssh", "response_in_progress", back, Buffer::ssh_software_response},
    {"ssh", "response_banner_wait_eol", back, Buffer::ssh_software_response},
    {"ssh", "response_banner_done", back, Buffer::ssh_software_response},
    {"ssh", "response_finished", back, Buffer::count, true},
};
// Those that every protocol has.
constexpr Hook common_hooks[] = {
    {"", "request_started", forth},
    {"", "request_complete", forth, Buffer::count, true},
    {"", "response_started", back},
    {"", "response_complete", back, Buffer::count, true},
};

bool add_hook(Rule& rule, std::string_view proto, std::string_view name) {
  if (name == "flow_start") {  // the flow's first packet
    const auto exactly = [&rule](Field field, std::uint64_t packets) {
      rule.header.emplace_back(FieldTest{field, {NumberRange::Kind::equal, packets, 0}});
    };
    exactly(Field::flow_packets_to_server, 1);
    exactly(Field::flow_packets_to_client, 0);
    return true;
  }
  const auto app = app_proto_of(proto);
  const Hook* found = std::ranges::find_if(
      hooks, [&](const Hook& hook) { return hook.proto == proto && hook.name == name; });
  if (found == std::end(hooks)) found = std::ranges::find(common_hooks, name, &Hook::name);
  if (found == std::end(common_hooks) || !app) return false;
  rule.asks.emplace_back(
      StageTest{*app, found->direction, found->known, found->complete, found->lasting});
  return true;
}

class RuleReader {
 public:
  RuleReader(const RuleText& text, const ParseContext& context, Diagnostics& diagnostics)
      : text_(text), context_(context), diagnostics_(diagnostics), draft_(context.classifications) {
    draft_.datasets = context.datasets;
    draft_.folder = context.folder;
    draft_.reputation = context.reputation;
  }

  std::optional<Rule> read() {
    auto parts = split_rule(text_.text());
    if (!parts) {
      diagnostics_.error("rule-syntax", text_.range(parts.error().offset, 1), parts.error().text);
      return std::nullopt;
    }
    if (!read_header(parts->header)) return std::nullopt;
    for (const RuleOption& option : parts->options) {
      if (!read_option(option)) return std::nullopt;
    }
    const Token first = parts->header.front();
    if (draft_.buffer_left_empty()) {
      return reject("rule-conflict", parts->options.back().keyword,
                    {"粘滞缓冲区没有任何匹配条件", "a sticky buffer has no test"});
    }
    if (draft_.rule.info.sid == 0) {
      return reject("rule-syntax", first, {"规则缺少 sid", "the rule has no sid"});
    }
    if (auto finished = finish_rule(draft_.rule); !finished) {
      return reject("rule-conflict", first, finished.error().text);
    }
    draft_.rule.info.line = static_cast<std::uint32_t>(text_.line());
    return std::move(draft_.rule);
  }

 private:
  std::nullopt_t reject(std::string code, const Token& token, Text text) {
    diagnostics_.error(std::move(code), text_.range(token.offset, token.text.size()),
                       std::move(text));
    return std::nullopt;
  }

  bool read_header(const std::vector<Token>& words) {
    if (words.size() != 7) {
      const Token place = words.empty() ? Token{text_.text(), 0} : words.front();
      reject("rule-syntax", place,
             {"规则头应为：动作 协议 源地址 源端口 方向 目的地址 目的端口",
              "a rule's header is: action protocol source ports direction destination ports"});
      return false;
    }
    return read_action(words[0]) && read_protocol(words[1]) && read_direction(words[4]) &&
           read_set(words[2], draft_.rule.src) && read_set(words[3], draft_.rule.sport) &&
           read_set(words[5], draft_.rule.dst) && read_set(words[6], draft_.rule.dport);
  }

  bool read_action(const Token& word) {
    struct Row {
      std::string_view name;
      RuleAction action;
      RejectTarget target;
    };
    static constexpr Row rows[] = {{"alert", RuleAction::alert, {}},
                                   {"pass", RuleAction::pass, {}},
                                   {"drop", RuleAction::drop, {}},
                                   {"reject", RuleAction::reject, RejectTarget::source},
                                   {"rejectsrc", RuleAction::reject, RejectTarget::source},
                                   {"rejectdst", RuleAction::reject, RejectTarget::destination},
                                   {"rejectboth", RuleAction::reject, RejectTarget::both}};
    for (const Row& row : rows) {
      if (row.name != word.text) continue;
      draft_.rule.info.action = row.action;
      draft_.rule.info.reject_target = row.target;
      return true;
    }
    if (word.text == "config") {  // acts on what is logged, and says nothing
      draft_.rule.noalert = true;
      return true;
    }
    reject("rule-syntax", word,
           {fmt::format("未知动作 \"{}\"", word.text),
            fmt::format("unknown action \"{}\"", word.text)});
    return false;
  }

  // "tcp", "http"; with a hook: "tcp:flow_start", "tls:client_hello_done".
  bool read_protocol(const Token& word) {
    const std::size_t colon = word.text.find(':');
    if (colon == std::string_view::npos) return read_plain_protocol(word);
    const Token hook{word.text.substr(colon + 1), word.offset + colon + 1};
    if (!read_plain_protocol({word.text.substr(0, colon), word.offset})) return false;
    if (add_hook(draft_.rule, word.text.substr(0, colon), hook.text)) return true;
    reject("unknown-protocol", hook,
           {fmt::format("不支持挂载点 \"{}\"", hook.text),
            fmt::format("hook \"{}\" is not supported", hook.text)});
    return false;
  }

  bool read_plain_protocol(const Token& word) {
    using Transport = RuleProto::Transport;
    using Part = RuleProto::Part;
    struct Row {
      std::string_view name;
      RuleProto proto;
    };
    static constexpr Row rows[] = {
        {"ip", {}},
        {"pkthdr", {}},
        {"ipv4", {.ip_version = 4}},
        {"ip4", {.ip_version = 4}},
        {"ipv6", {.ip_version = 6}},
        {"ip6", {.ip_version = 6}},
        {"tcp", {.transport = Transport::tcp}},
        {"tcp-pkt", {.transport = Transport::tcp, .part = Part::packet}},
        {"tcp-stream", {.transport = Transport::tcp, .part = Part::stream}},
        {"udp", {.transport = Transport::udp}},
        {"icmp", {.transport = Transport::icmp}},
        {"icmpv4", {.transport = Transport::icmpv4}},
        {"icmpv6", {.transport = Transport::icmpv6}},
        {"sctp", {.transport = Transport::sctp}},
    };
    for (const Row& row : rows) {
      if (row.name != word.text) continue;
      draft_.rule.proto = row.proto;
      return true;
    }
    if (read_application(word.text)) return true;
    reject("unknown-protocol", word,
           {fmt::format("本传感器不解析协议 \"{}\"", word.text),
            fmt::format("protocol \"{}\" is not parsed by this sensor", word.text)});
    return false;
  }

  // "http" is HTTP of any version, "http1" the first alone.
  bool read_application(std::string_view name) {
    using Transport = RuleProto::Transport;
    const auto app = app_proto_of(name);
    if (!app || *app == AppProto::unknown) return false;
    const auto protos = name == "http1" ? std::span(&*app, 1) : carriers(*app);
    ParsedOver over;
    for (const AppProto proto : protos) {
      over.streams = over.streams || parsed_over(proto).streams;
      over.datagrams = over.datagrams || parsed_over(proto).datagrams;
    }
    if (!over.streams && !over.datagrams) return false;
    draft_.rule.proto = {.transport = !over.datagrams ? Transport::tcp
                                      : !over.streams ? Transport::udp
                                                      : Transport::any,
                         .apps = protos};
    return true;
  }

  bool read_direction(const Token& word) {
    Rule& rule = draft_.rule;
    rule.bidirectional = word.text == "<>";
    rule.transactional = word.text == "=>";
    if (word.text == "->" || rule.bidirectional || rule.transactional) return true;
    reject("rule-syntax", word,
           {fmt::format("方向须为 ->、<> 或 =>，而非 \"{}\"", word.text),
            fmt::format("the direction must be ->, <> or =>, not \"{}\"", word.text)});
    return false;
  }

  template <class Set>
  bool read_set(const Token& word, Set& set) {
    auto parsed = Set::parse(word.text, context_.variables);
    if (parsed) {
      set = std::move(*parsed);
      return true;
    }
    reject("rule-address", word, parsed.error().text);
    return false;
  }

  bool read_option(const RuleOption& option) {
    const Keyword* keyword = find_keyword(option.keyword.text);
    const auto name = option.keyword.text;
    if (keyword == nullptr) {
      reject("unknown-keyword", option.keyword,
             {fmt::format("不支持关键字 \"{}\"", name),
              fmt::format("keyword \"{}\" is not supported", name)});
      return false;
    }
    const auto value = option.value.text;
    const bool missing = keyword->value == Keyword::Value::required && value.empty();
    const bool excess = keyword->value == Keyword::Value::none && !value.empty();
    if (missing || excess) {
      reject("keyword-value", option.keyword,
             missing
                 ? Text{fmt::format("{} 需要一个值", name), fmt::format("{} needs a value", name)}
                 : Text{fmt::format("{} 不带值", name), fmt::format("{} takes no value", name)});
      return false;
    }
    const auto parsed = keyword->parse(draft_, {name, value});
    if (parsed) return true;
    reject("keyword-value", option.keyword,
           {fmt::format("{}：{}", name, parsed.error().text.zh),
            fmt::format("{}: {}", name, parsed.error().text.en)});
    return false;
  }

  const RuleText& text_;
  const ParseContext& context_;
  Diagnostics& diagnostics_;
  RuleDraft draft_;
};

}  // namespace

std::optional<Rule> parse_rule(const RuleText& text, const ParseContext& context,
                               Diagnostics& diagnostics) {
  return RuleReader(text, context, diagnostics).read();
}

Classifications parse_classifications(std::string_view source, Diagnostics& diagnostics) {
  static constexpr std::string_view prefix = "config classification:";
  Classifications result;
  std::size_t number = 0;
  for (const auto raw : split(source, '\n')) {
    ++number;
    if (raw.empty() || raw.front() == '#') continue;
    const auto parts = raw.starts_with(prefix) ? split(raw.substr(prefix.size()), ',')
                                               : std::vector<std::string_view>{};
    const auto priority = parts.size() == 3 ? parse_number(parts[2]) : std::nullopt;
    if (!priority || *priority == 0 || *priority > 255 || parts[0].empty()) {
      diagnostics.error("classification", {{number, 1}, {number, raw.size() + 1}},
                        {"应为：config classification: 名称,说明,优先级",
                         "expected: config classification: name,description,priority"});
      continue;
    }
    result.insert_or_assign(
        std::string(parts[0]),
        Classification{std::string(parts[1]), static_cast<std::uint32_t>(*priority)});
  }
  return result;
}

const Classifications& default_classifications() {
  static const Classifications classes = {
      {"not-suspicious", {"Not Suspicious Traffic", 3}},
      {"unknown", {"Unknown Traffic", 3}},
      {"bad-unknown", {"Potentially Bad Traffic", 2}},
      {"attempted-recon", {"Attempted Information Leak", 2}},
      {"successful-recon-limited", {"Information Leak", 2}},
      {"successful-recon-largescale", {"Large Scale Information Leak", 2}},
      {"attempted-dos", {"Attempted Denial of Service", 2}},
      {"successful-dos", {"Denial of Service", 2}},
      {"attempted-user", {"Attempted User Privilege Gain", 1}},
      {"unsuccessful-user", {"Unsuccessful User Privilege Gain", 1}},
      {"successful-user", {"Successful User Privilege Gain", 1}},
      {"attempted-admin", {"Attempted Administrator Privilege Gain", 1}},
      {"successful-admin", {"Successful Administrator Privilege Gain", 1}},
      {"rpc-portmap-decode", {"Decode of an RPC Query", 2}},
      {"shellcode-detect", {"Executable code was detected", 1}},
      {"string-detect", {"A suspicious string was detected", 3}},
      {"suspicious-filename-detect", {"A suspicious filename was detected", 2}},
      {"suspicious-login", {"An attempted login using a suspicious username was detected", 2}},
      {"system-call-detect", {"A system call was detected", 2}},
      {"tcp-connection", {"A TCP connection was detected", 4}},
      {"trojan-activity", {"A Network Trojan was detected", 1}},
      {"unusual-client-port-connection", {"A client was using an unusual port", 2}},
      {"network-scan", {"Detection of a Network Scan", 3}},
      {"denial-of-service", {"Detection of a Denial of Service Attack", 2}},
      {"non-standard-protocol", {"Detection of a non-standard protocol or event", 2}},
      {"protocol-command-decode", {"Generic Protocol Command Decode", 3}},
      {"web-application-activity", {"access to a potentially vulnerable web application", 2}},
      {"web-application-attack", {"Web Application Attack", 1}},
      {"misc-activity", {"Misc activity", 3}},
      {"misc-attack", {"Misc Attack", 2}},
      {"icmp-event", {"Generic ICMP event", 3}},
      {"policy-violation", {"Potential Corporate Privacy Violation", 1}},
      {"default-login-attempt", {"Attempt to login by a default username and password", 2}},
      {"targeted-activity", {"Targeted Malicious Activity was Detected", 1}},
      {"exploit-kit", {"Exploit Kit Activity Detected", 1}},
      {"external-ip-check", {"Device Retrieving External IP Address Detected", 2}},
      {"domain-c2", {"Domain Observed Used for C2 Detected", 1}},
      {"pup-activity", {"Possibly Unwanted Program Detected", 2}},
      {"credential-theft", {"Successful Credential Theft Detected", 1}},
      {"social-engineering", {"Possible Social Engineering Attempted", 2}},
      {"coin-mining", {"Crypto Currency Mining Activity Detected", 2}},
      {"command-and-control", {"Malware Command and Control Activity Detected", 1}},
  };
  return classes;
}

}  // namespace menshen::sensor
