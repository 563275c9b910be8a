#include "sensor/detect/compiled_rules.hpp"

#include <algorithm>
#include <atomic>
#include <bitset>
#include <deque>
#include <functional>
#include <thread>

#include "base/ascii.hpp"
#include "sensor/detect/pattern_cache.hpp"

namespace menshen::sensor {
namespace {

constexpr std::size_t few_ports = 8;

// Literals that stand in nearly every message preselect nothing.
bool is_common(std::string_view pattern) {
  static constexpr std::string_view common[] = {
      "http/1.", "user-agent", "mozilla/",   "content-type", "content-length",
      "accept",  "host: ",     "connection", ".com",         "www.",
      "windows", "index.php",  ".php?",      "https://",     "http://"};
  const std::string lower = ascii_lower(pattern);
  return std::any_of(std::begin(common), std::end(common), [&](std::string_view c) {
    return lower == c || (lower.size() <= c.size() + 2 && lower.find(c) != std::string::npos);
  });
}

// Longer and more varied is better; a named buffer is better than the whole payload.
int strength(const Content& content, const BufferRef& buffer) {
  std::bitset<256> seen;
  for (const char c : content.pattern) seen.set(static_cast<unsigned char>(c));
  int score = static_cast<int>(std::min<std::size_t>(content.pattern.size(), 32)) +
              static_cast<int>(seen.count());
  if (is_common(content.pattern)) score /= 4;
  if (buffer.kind == BufferKind::transaction) score += 8;
  return score;
}

std::size_t searched_bytes(const Content& content) {
  return content.chop_length != 0 ? content.chop_length : content.pattern.size();
}

bool is_short(const Content& content) { return searched_bytes(content) < pattern_bytes_min; }

Pattern to_pattern(const Content& content, RuleIndex rule) {
  Pattern pattern;
  pattern.nocase = content.nocase;
  pattern.rule = rule;
  pattern.bytes = content.chop_length != 0
                      ? content.pattern.substr(content.chop_offset, content.chop_length)
                      : content.pattern;
  const bool constant = (!content.offset || content.offset->variable < 0) &&
                        (!content.depth || content.depth->variable < 0);
  if (content.startswith) {
    pattern.end_max = static_cast<std::uint32_t>(content.pattern.size());
  } else if (constant && content.depth) {
    pattern.end_max = static_cast<std::uint32_t>(content.depth->value +
                                                 (content.offset ? content.offset->value : 0));
  }
  return pattern;
}

// The ports where all of a set lies, if they are few.
std::vector<std::uint16_t> few(const PortSet& set) {
  std::vector<std::uint16_t> ports;
  if (set.is_any()) return ports;
  for (const auto& [first, last] : set.ranges()) {
    if (static_cast<std::size_t>(last - first) + ports.size() >= few_ports) return {};
    for (unsigned port = first; port <= last; ++port)
      ports.push_back(static_cast<std::uint16_t>(port));
  }
  return ports;
}

void add_always(AlwaysRules& always, const Rule& rule, RuleIndex index) {
  const auto destination = few(rule.dport);
  const auto source = few(rule.sport);
  if (rule.bidirectional || (destination.empty() && source.empty())) {
    always.any_port.push_back(index);
  } else if (!destination.empty()) {
    for (const auto port : destination) always.by_destination[port].push_back(index);
  } else {
    for (const auto port : source) always.by_source[port].push_back(index);
  }
}

// False: the rule names another protocol by its number (ip_proto).
bool ip_proto_fits(const Rule& rule, std::size_t transport) {
  return std::all_of(rule.header.begin(), rule.header.end(), [&](const HeaderTest& test) {
    const auto* field = std::get_if<FieldTest>(&test);
    const bool named = field != nullptr && field->field == Field::ip_proto &&
                       field->range.kind == NumberRange::Kind::equal && field->range.first <= 255;
    return !named || transport_index(static_cast<IpProto>(field->range.first)) == transport;
  });
}

bool goes(const Rule& rule, Direction direction) {
  return rule.transactional ||
         (direction == Direction::to_server ? rule.flow.to_server : rule.flow.to_client);
}

const Content& content_at(const Rule& rule, const FastPattern& place) {
  return std::get<Content>(rule.lists[place.list].tests[place.test].what);
}

// Rules that set flowbits come before those that read them; then priority; then as loaded.
bool precedes(const Rule& a, const Rule& b) {
  const auto bits = [](const Rule& rule) {
    return rule.reads_bits() ? (rule.writes_bits() ? 1 : 2) : 0;
  };
  const auto key = [&](const Rule& rule) {
    return std::tuple(rule.info.action, bits(rule), rule.info.priority, rule.order);
  };
  return key(a) < key(b);
}

class Compiler {
 public:
  Compiler(CompiledRules& compiled, const PatternCache* cache, std::size_t threads)
      : compiled_(compiled), cache_(cache), threads_(threads) {}

  Result<void> run() {
    std::stable_sort(compiled_.rules.begin(), compiled_.rules.end(), precedes);
    for (auto& flags : compiled_.stream_preselected) flags.assign(compiled_.rules.size(), false);
    for (RuleIndex index = 0; index < compiled_.rules.size(); ++index) place(index);
    for (std::size_t t = 0; t < transports; ++t) index_addresses(t);
    for (std::size_t t = 0; t < transports; ++t) {
      for (std::size_t d = 0; d < directions; ++d) {
        add_jobs(packet_[t][d], compiled_.packet[t][d]);
      }
    }
    for (std::size_t d = 0; d < directions; ++d) {
      add_jobs(stream_[d], compiled_.stream[d]);
      for (auto& [key, group] : transaction_[d]) {
        add_job(group.patterns, transaction_databases_.emplace_back());
      }
    }
    MENSHEN_CHECK(compile_all());
    auto database = transaction_databases_.begin();
    for (std::size_t d = 0; d < directions; ++d) {
      for (auto& [key, group] : transaction_[d]) {
        const auto patterns = std::make_shared<const MultiPattern>(*std::move(*database++));
        for (std::size_t proto = 0; proto < app_protos; ++proto) {
          if (!group.protos.contains(static_cast<AppProto>(proto))) continue;
          compiled_.transaction[proto][d].buffers.push_back({key.buffer, key.transforms, patterns});
        }
      }
    }
    if (cache_ != nullptr) cache_->trim();
    return {};
  }

 private:
  struct GroupKey {
    Buffer buffer;
    std::vector<Transform> transforms;
    bool operator<(const GroupKey& other) const {
      return std::tie(buffer, transforms) < std::tie(other.buffer, other.transforms);
    }
  };
  using Patterns = std::vector<Pattern>;
  struct PayloadPatterns {
    Patterns whole;
    Patterns shorter;
  };
  struct BufferPatterns {
    Patterns patterns;
    AppProtoSet protos;  // of its rules
  };

  void place(RuleIndex index) {
    const Rule& rule = compiled_.rules[index];
    switch (rule.kind) {
      case RuleKind::ip_only:
        return place_plain(ip_only_, index);
      case RuleKind::app_only:
        return place_plain(compiled_.app_only, index);
      case RuleKind::transaction:
        return place_transaction(index);
      case RuleKind::like_ip_only:
      case RuleKind::packet:
        if (const auto anomaly = asks_for(rule)) {
          compiled_.by_anomaly[static_cast<std::size_t>(*anomaly)].push_back(index);
          // Where checksums are not verified, only the rule itself finds them wrong.
          if (anomaly_info(*anomaly).layer != AnomalyLayer::checksum) return;
        }
        return place_payload(index);
      case RuleKind::stream:
      case RuleKind::packet_stream:
        return place_payload(index);
    }
  }

  // Whether the rule can only match where a certain anomaly was noted.
  static std::optional<Anomaly> asks_for(const Rule& rule) {
    for (const HeaderTest& test : rule.header) {
      if (const auto* noted = std::get_if<AnomalyTest>(&test)) return noted->anomaly;
      const auto* sum = std::get_if<ChecksumTest>(&test);
      if (sum != nullptr && !sum->valid) return sum->wrong;
    }
    return std::nullopt;
  }

  void place_plain(std::array<std::vector<RuleIndex>, transports>& lists, RuleIndex index) {
    for (std::size_t t = 0; t < transports; ++t) {
      if (transport_fits(compiled_.rules[index].proto.transport, t)) lists[t].push_back(index);
    }
  }

  // By the side that names less; a rule for both ways stands on both.
  void index_addresses(std::size_t t) {
    std::vector<AddressIndex::Entry> sources;
    std::vector<AddressIndex::Entry> destinations;
    for (const RuleIndex index : ip_only_[t]) {
      const Rule& rule = compiled_.rules[index];
      const bool by_source =
          !rule.src.is_any() && (rule.dst.is_any() || rule.dst.negated() ||
                                 rule.src.ranges().size() >= rule.dst.ranges().size());
      const AddressSet& named = by_source ? rule.src : rule.dst;
      if (by_source || rule.bidirectional) sources.push_back({&named, index});
      if (!by_source || rule.bidirectional) destinations.push_back({&named, index});
    }
    compiled_.ip_only[t] = {AddressIndex(sources), AddressIndex(destinations)};
  }

  void place_payload(RuleIndex index) {
    const Rule& rule = compiled_.rules[index];
    const bool packets = rule.kind != RuleKind::stream;
    const bool streams = rule.kind == RuleKind::stream || rule.kind == RuleKind::packet_stream;
    for (const Direction direction : {Direction::to_server, Direction::to_client}) {
      if (!goes(rule, direction)) continue;
      const auto d = static_cast<std::size_t>(direction);
      const auto pattern = choose_fast_pattern(rule, direction);
      const bool short_one = pattern && is_short(content_at(rule, *pattern));
      const auto add = [&](PayloadPatterns& patterns, PayloadGroup& group, bool takes_short) {
        if (!pattern || (short_one && !takes_short)) {
          add_always(group.always, rule, index);
          ++compiled_.summary.always_checked;
          return;
        }
        Pattern literal = to_pattern(content_at(rule, *pattern), index);
        (short_one ? patterns.shorter : patterns.whole).push_back(std::move(literal));
      };
      for (std::size_t t = 0; t < transports; ++t) {
        if (!transport_fits(rule.proto.transport, t) || !ip_proto_fits(rule, t)) continue;
        // What TCP's stream does not carry is looked at packet by packet.
        if (packets || t != 0) {
          add(packet_[t][d], compiled_.packet[t][d], true);
        }
      }
      if (!streams) continue;
      add(stream_[d], compiled_.stream[d], false);
      compiled_.stream_wanted[d] = true;
      if (pattern && !short_one) compiled_.stream_preselected[d][index] = true;
    }
  }

  void place_transaction(RuleIndex index) {
    const Rule& rule = compiled_.rules[index];
    bool placed = false;
    for (const Direction direction : {Direction::to_server, Direction::to_client}) {
      if (!goes(rule, direction)) continue;
      const auto d = static_cast<std::size_t>(direction);
      if (rule.has_payload_tests()) compiled_.stream_wanted[d] = true;
      const auto pattern = choose_fast_pattern(rule, direction);
      if (pattern) {
        const TestList& list = rule.lists[pattern->list];
        BufferPatterns& group = transaction_[d][{list.buffer.in(direction), list.transforms}];
        group.patterns.push_back(to_pattern(content_at(rule, *pattern), index));
        group.protos |= rule.proto.apps;
        placed = true;
      } else if (!rule.transactional) {
        always_in_transactions(rule, index, d);
      }
    }
    if (rule.transactional && !placed) always_in_transactions(rule, index, 0);
  }

  void always_in_transactions(const Rule& rule, RuleIndex index, std::size_t d) {
    for (std::size_t proto = 0; proto < app_protos; ++proto) {
      if (!rule.proto.apps.contains(static_cast<AppProto>(proto))) continue;
      add_always(compiled_.transaction[proto][d].always, rule, index);
    }
    ++compiled_.summary.always_checked;
  }

  void add_job(const Patterns& patterns, std::optional<MultiPattern>& database) {
    if (!patterns.empty()) jobs_.push_back({&patterns, &database});
  }

  void add_jobs(const PayloadPatterns& patterns, PayloadGroup& group) {
    add_job(patterns.whole, group.patterns);
    add_job(patterns.shorter, group.short_patterns);
  }

  // The largest first: the last to end is a small one.
  Result<void> compile_all() {
    std::ranges::sort(jobs_, std::ranges::greater(),
                      [](const Job& job) { return job.patterns->size(); });
    std::atomic<std::size_t> next = 0;
    std::vector<Result<void>> results(jobs_.size());
    const auto work = [&] {
      for (std::size_t i = next++; i < jobs_.size(); i = next++) {
        auto made = MultiPattern::compile(*jobs_[i].patterns, cache_);
        if (made) {
          *jobs_[i].database = *std::move(made);
        } else {
          results[i] = tl::make_unexpected(std::move(made).error());
        }
      }
    };
    {
      std::vector<std::jthread> helpers;
      const std::size_t wanted = std::min<std::size_t>(threads_, jobs_.size());
      for (std::size_t i = 1; i < wanted; ++i) helpers.emplace_back(work);
      work();
    }
    for (auto& result : results) MENSHEN_CHECK(std::move(result));
    for (const Job& job : jobs_) compiled_.summary.patterns += (*job.database)->size();
    return {};
  }

  struct Job {
    const Patterns* patterns;
    std::optional<MultiPattern>* database;
  };

  CompiledRules& compiled_;
  const PatternCache* cache_;
  std::size_t threads_;
  std::array<ByDirection<PayloadPatterns>, transports> packet_;
  std::array<std::vector<RuleIndex>, transports> ip_only_;
  ByDirection<PayloadPatterns> stream_;
  ByDirection<std::map<GroupKey, BufferPatterns>> transaction_;
  std::deque<std::optional<MultiPattern>> transaction_databases_;  // in the order of transaction_
  std::vector<Job> jobs_;
};

}  // namespace

void AlwaysRules::append(std::uint16_t source, std::uint16_t destination,
                         std::vector<RuleIndex>& out) const {
  out.insert(out.end(), any_port.begin(), any_port.end());
  if (const auto found = by_destination.find(destination); found != by_destination.end()) {
    out.insert(out.end(), found->second.begin(), found->second.end());
  }
  if (const auto found = by_source.find(source); found != by_source.end()) {
    out.insert(out.end(), found->second.begin(), found->second.end());
  }
}

std::vector<const MultiPattern*> CompiledRules::databases() const {
  std::vector<const MultiPattern*> all;
  const auto add = [&all](const PayloadGroup& group) {
    for (const auto* patterns : {&group.patterns, &group.short_patterns}) {
      if (*patterns) all.push_back(&**patterns);
    }
  };
  for (const auto& by_direction : packet) {
    for (const PayloadGroup& group : by_direction) add(group);
  }
  for (const PayloadGroup& group : stream) add(group);
  for (const auto& by_direction : transaction) {
    for (const TransactionGroup& group : by_direction) {
      for (const BufferGroup& buffer : group.buffers) all.push_back(buffer.patterns.get());
    }
  }
  return all;
}

std::size_t transport_index(IpProto proto) noexcept {
  switch (proto) {
    case IpProto::tcp:
      return 0;
    case IpProto::udp:
      return 1;
    case IpProto::icmp:
    case IpProto::icmpv6:
      return 2;
    default:
      return 3;
  }
}

bool transport_fits(RuleProto::Transport wanted, std::size_t index) noexcept {
  using Transport = RuleProto::Transport;
  switch (wanted) {
    case Transport::any:
      return true;
    case Transport::tcp:
      return index == 0;
    case Transport::udp:
      return index == 1;
    case Transport::icmp:
    case Transport::icmpv4:
    case Transport::icmpv6:
      return index == 2;
    case Transport::sctp:
      return index == 3;
  }
  return false;
}

std::optional<FastPattern> choose_fast_pattern(const Rule& rule, Direction direction) {
  std::optional<FastPattern> best;
  int best_score = -1;
  for (std::size_t l = 0; l < rule.lists.size(); ++l) {
    const TestList& list = rule.lists[l];
    const bool transaction = list.buffer.kind == BufferKind::transaction;
    const bool usable =
        transaction ? list.buffer.in(direction) != Buffer::count && !list.absent
                    : list.buffer.kind == BufferKind::payload && rule.kind != RuleKind::transaction;
    if (!usable) continue;
    for (std::size_t t = 0; t < list.tests.size(); ++t) {
      const auto* content = std::get_if<Content>(&list.tests[t].what);
      if (content == nullptr || content->negated) continue;
      const std::size_t least = transaction ? pattern_bytes_min : short_pattern_bytes_min;
      if (searched_bytes(*content) < least) continue;
      const int score = is_short(*content)      ? 0
                        : content->fast_pattern ? 1000
                                                : 1 + strength(*content, list.buffer);
      if (score <= best_score) continue;
      best_score = score;
      best = FastPattern{l, t};
    }
  }
  return best;
}

Result<void> compile_rules(CompiledRules& compiled, const PatternCache* cache,
                           std::size_t threads) {
  return Compiler(compiled, cache, threads).run();
}

}  // namespace menshen::sensor
