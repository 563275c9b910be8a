// The text of iptables-save and ip6tables-save (iptables-save(8)): the filter table's FORWARD chain
// and the chains that it jumps to.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "policy/import/first_match.hpp"
#include "policy/import/readers.hpp"
#include "policy/import/regions.hpp"

namespace menshen::policy::imports {
namespace {

constexpr std::size_t words_max = 256;  // of one rule

// Words apart by spaces; double quotes hold one together, a backslash escapes within them.
std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> out;
  std::string word;
  bool quoted = false;
  bool any = false;
  for (std::size_t i = 0; i < line.size() && out.size() < words_max; ++i) {
    const char c = line[i];
    if (quoted && c == '\\' && i + 1 < line.size()) {
      word += line[++i];
    } else if (c == '"') {
      quoted = !quoted;
      any = true;
    } else if (!quoted && (c == ' ' || c == '\t' || c == '\r')) {
      if (any || !word.empty()) out.push_back(std::move(word));
      word.clear();
      any = false;
    } else {
      word += c;
    }
  }
  if (any || !word.empty()) out.push_back(std::move(word));
  return out;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  while (true) {
    const std::size_t at = text.find(separator);
    out.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "80", "1024:65535", "22,80:90"
std::optional<ServiceSet> ports_of(std::string_view text) {
  ServiceSet out;
  for (const std::string_view each : split(text, ',')) {
    const std::size_t colon = each.find(':');
    const auto part = [&](std::string_view t, std::uint16_t otherwise) {
      return t.empty() ? std::optional(otherwise) : port_of(t);
    };
    const auto first = part(each.substr(0, colon), 0);
    const auto last = colon == std::string_view::npos ? first : part(each.substr(colon + 1), 65535);
    if (!first || !last || *last < *first || each.empty()) return std::nullopt;
    for (const IpProto proto : {IpProto::tcp, IpProto::udp})
      out = either(out, ServiceSet::of_ports(proto, *first, *last));
  }
  return out;
}

class RuleReader {
 public:
  RuleReader(const ImportOptions& options, bool v6) : options_(options) {
    step.match.v4 = !v6;
    step.match.v6 = v6;
  }
  // "-A CHAIN ..." without the first two words.
  void read(std::span<const std::string> words);

  Step step;

 private:
  void option(const std::string& name, const std::string& value, bool negated);
  void target(const std::string& name);
  void states(std::string_view list, bool negated);
  void services(const std::optional<ServiceSet>& set, bool negated, const std::string& value);
  void unknown(const std::string& what) {
    if (!step.match.unknown)
      step.match.unknown =
          Text{"条件无法表达：" + what, "the condition cannot be expressed: " + what};
  }

  const ImportOptions& options_;
  ServiceSet protocol_ = ServiceSet::all();
};

void RuleReader::services(const std::optional<ServiceSet>& set, bool negated,
                          const std::string& value) {
  if (!set) return unknown(value);
  const ServiceSet named = both(protocol_, *set);
  step.match.services = both(step.match.services, negated ? without(protocol_, named) : named);
  if (step.match.services.other && step.match.services != ServiceSet::all()) unknown("! " + value);
}

void RuleReader::states(std::string_view list, bool negated) {
  bool fresh = false;
  bool known = false;
  for (const std::string_view each : split(list, ',')) {
    fresh |= each == "NEW";
    known |= each == "ESTABLISHED" || each == "RELATED";
  }
  if (fresh != negated) return;  // new connections are what lines speak of
  const bool invalid = list.find("INVALID") != std::string_view::npos;
  step.match.state = known && !negated ? State::known : invalid ? State::invalid : State::other;
}

void RuleReader::target(const std::string& name) {
  if (name == "ACCEPT") {
    step.kind = Step::Kind::accept;
  } else if (name == "DROP" || name == "REJECT") {
    step.kind = Step::Kind::drop;
  } else if (name == "RETURN") {
    step.kind = Step::Kind::leave;
  } else if (name == "LOG" || name == "NFLOG" || name == "ULOG") {
    step.match.unknown = Text{"日志规则未导入（log: true 可替代）",
                              "logging is not carried over (log: true does it)"};
  } else if (name == "MARK" || name == "CONNMARK" || name == "TCPMSS" || name == "CT") {
    step.match.unknown =
        Text{"目标 " + name + " 未导入", "target " + name + " is not carried over"};
  } else {
    step.kind = Step::Kind::jump;
    step.target = name;
  }
}

void RuleReader::option(const std::string& name, const std::string& value, bool negated) {
  Match& match = step.match;
  if (name == "-s" || name == "-d" || name == "--source" || name == "--destination") {
    std::vector<Prefix> networks;
    for (const std::string_view each : split(value, ','))
      if (const auto network = parse_network(each)) networks.push_back(*network);
    if (networks.empty()) return unknown(name + " " + value);
    restrict_to(name == "-s" || name == "--source" ? match.from : match.to, std::move(networks),
                negated);
  } else if (name == "-i" || name == "-o") {
    auto networks = networks_behind(value, options_);
    std::erase_if(networks, [&](const Prefix& p) { return p.is_v4() ? !match.v4 : !match.v6; });
    if (networks.empty()) {
      if (!match.unknown) match.unknown = interface_unknown(value);
      return;
    }
    restrict_to(name == "-i" ? match.from : match.to, std::move(networks), negated);
  } else if (name == "-p") {
    const auto set = ServiceSet::of_protocol(value);
    if (!set || negated) return unknown((negated ? "! -p " : "-p ") + value);
    protocol_ = *set;
    services(set, false, value);
  } else if (name == "--dport" || name == "--dports") {
    services(ports_of(value), negated, name + " " + value);
  } else if (name == "--ctstate" || name == "--state") {
    states(value, negated);
  } else if (name == "--src-range" || name == "--dst-range") {
    const auto ends = split(value, '-');
    const auto first = IpAddr::parse(ends.front());
    const auto last = IpAddr::parse(ends.back());
    if (!first || !last) return unknown(name + " " + value);
    auto networks = prefixes_of_range(*first, *last);
    if (networks.empty()) return unknown(name + " " + value);
    restrict_to(name == "--src-range" ? match.from : match.to, std::move(networks), negated);
  } else if (name == "--comment") {
    step.reason = value;
  } else if (name == "-j" || name == "-g") {
    target(value);
    if (name == "-g" && step.kind == Step::Kind::jump) step.kind = Step::Kind::go_to;
  } else if ((name == "--icmp-type" || name == "--icmpv6-type") && value == "any") {
    return;
  } else {
    unknown(fmt::format("{}{} {}", negated ? "! " : "", name, value));
  }
}

void RuleReader::read(std::span<const std::string> words) {
  bool negated = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "!") {
      negated = true;
      continue;
    }
    // Modules only name where an option comes from; each option is looked at itself.
    if (word == "--syn" && !negated) continue;
    const bool two = word == "--tcp-flags";
    if (two && i + 2 < words.size() && words[i + 1] == "FIN,SYN,RST,ACK" && words[i + 2] == "SYN") {
      i += 2;
      continue;
    }
    std::string value;
    while (i + 1 < words.size() && !words[i + 1].starts_with('-') && words[i + 1] != "!")
      value += (value.empty() ? "" : " ") + words[++i];
    if (word == "-m" || word == "--reject-with" || word == "-c" || word.starts_with("--log-") ||
        word.starts_with("--nflog-"))
      continue;
    option(word, value, negated);
    negated = false;
  }
}

class FileReader {
 public:
  FileReader(const Source& source, const ImportOptions& options, Writer& writer)
      : source_(source), options_(options), writer_(writer) {
    // Its first comment names the program; rules without addresses would not tell.
    v6_ = source.text.find("ip6tables-save") != std::string::npos;
  }
  Result<Program> run();

 private:
  void line(std::string_view text, std::size_t number);
  void rule(std::string_view text, std::size_t number);
  std::string place(std::size_t number) const { return fmt::format("{}:{}", source_.name, number); }

  const Source& source_;
  const ImportOptions& options_;
  Writer& writer_;
  bool v6_ = false;
  std::string table_;
  Program program_;
  std::map<std::string, std::size_t> elsewhere_;  // rules that are not forwarding's, by chain
};

void FileReader::rule(std::string_view text, std::size_t number) {
  std::string_view rest = text;
  if (rest.starts_with('[')) rest.remove_prefix(std::min(rest.find(']'), rest.size() - 1) + 1);
  const auto words = words_of(rest);
  if (words.size() < 2 || words[0] != "-A") {
    writer_.loss(Effect::more_open, place(number), {"无法理解的行", "the line is not understood"});
    return;
  }
  if (table_ != "filter" || words[1] == "INPUT" || words[1] == "OUTPUT") {
    ++elsewhere_[fmt::format("{} {}", table_, words[1])];
    return;
  }
  RuleReader reader(options_, v6_);
  reader.read(std::span(words).subspan(2));
  reader.step.place = place(number);
  program_.chains[words[1]].push_back(std::move(reader.step));
}

void FileReader::line(std::string_view text, std::size_t number) {
  while (!text.empty() && (text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  if (text.empty() || text.front() == '#' || text == "COMMIT") return;
  if (text.front() == '*') {
    table_ = text.substr(1);
    return;
  }
  if (text.front() != ':') return rule(text, number);
  const auto words = words_of(text.substr(1));
  if (table_ != "filter" || words.size() < 2) return;
  program_.chains[words[0]];
  if (words[0] != "FORWARD") return;
  program_.base = "FORWARD";
  program_.policy = words[1] == "ACCEPT" ? Action::allow : Action::deny;
}

Result<Program> FileReader::run() {
  (v6_ ? program_.v6 : program_.v4) = true;
  std::size_t number = 0;
  for (const std::string_view each : split(source_.text, '\n')) line(each, ++number);
  if (program_.base.empty()) {
    return fail(ErrorCode::invalid,
                {source_.name + " 中没有 filter 表的 FORWARD 链，不是 iptables-save 的输出",
                 source_.name + " has no FORWARD chain of the filter table: not what "
                                "iptables-save prints"});
  }
  for (const auto& [chain, count] : elsewhere_) {
    const bool changes = chain.starts_with("nat ") || chain.starts_with("mangle ");
    writer_.loss(changes ? Effect::more_closed : Effect::none, source_.name,
                 {fmt::format("{} 链的 {} 条规则不属于转发过滤，未导入", chain, count),
                  fmt::format("{} rules of {} are not about forwarding; left out", count, chain)});
  }
  return std::move(program_);
}

}  // namespace

Result<void> read_iptables(std::span<const Source> sources, const ImportOptions& options,
                           Writer& writer) {
  Program all;
  for (const Source& source : sources) {
    Program one = MENSHEN_TRY(FileReader(source, options, writer).run());
    if ((one.v4 && all.v4) || (one.v6 && all.v6)) {
      return fail(ErrorCode::invalid, {"每个地址族只能导入一个文件：" + source.name,
                                       "one file for each family: " + source.name});
    }
    all.v4 |= one.v4;
    all.v6 |= one.v6;
    // Both families in one program: each one's chains behind a jump that takes its packets only.
    const std::string prefix = one.v6 ? "6:" : "4:";
    for (auto& [name, steps] : one.chains) {
      for (Step& step : steps) {
        if (!step.target.empty()) step.target.insert(0, prefix);
      }
      all.chains[prefix + name] = std::move(steps);
    }
    Step enter;
    enter.kind = Step::Kind::jump;
    enter.target = prefix + one.base;
    enter.match.v4 = one.v4;
    enter.match.v6 = one.v6;
    enter.place = source.name;
    Step rest = enter;
    rest.kind = one.policy == Action::allow ? Step::Kind::accept : Step::Kind::drop;
    all.chains["base"].push_back(std::move(enter));
    if (one.policy == Action::allow) all.chains["base"].push_back(std::move(rest));
  }
  all.base = "base";
  return write_first_match(all, writer);
}

}  // namespace menshen::policy::imports
