#include "policy/prove/intent.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "policy/nft/ruleset.hpp"

namespace menshen::policy::prove {
namespace {

class Builder {
 public:
  Builder(const Policy& policy, const World& world, Outcomes& outcomes,
          const IntentOptions& options)
      : policy_(policy),
        world_(world),
        d_(world.diagrams()),
        outcomes_(outcomes),
        options_(options) {}
  Node run();

 private:
  using Lines = std::vector<std::uint32_t>;
  // Every class of a domain, by its number.
  using ClassesOf = std::vector<std::vector<Class>>;

  Node drop(const char* reason) {
    return terminal(outcomes_.number({Fate::drop, 0, false, 0, reason}));
  }
  Node passing(bool inspected, bool mark);
  std::uint32_t treatment(std::uint32_t line);

  void index_lines();
  Node pairs(const Lines& lines, const ClassesOf& classes);
  Node same_domain(const ClassesOf& classes);
  Node flows(const Lines& lines, const ClassesOf& classes, const Labels& domains);
  Node decide(Family family);
  Node egress(Family family, Node decide);
  Node ends(Family family, Field address, Field interface, Node inside, Node unknown, Node wrong);
  Node track(Node egress);
  Node known(Node egress);

  const Policy& policy_;
  const World& world_;
  Diagrams& d_;
  Outcomes& outcomes_;
  const IntentOptions& options_;
  std::vector<Lines> by_service_;
  Lines any_service_;
  Node any_service_pairs_ = nothing;
  Lines icmp_;
  std::unordered_map<std::string, Node> flows_;  // by the lines' numbers
};

Node Builder::passing(bool inspected, bool mark) {
  Outcome outcome;
  outcome.fate = inspected ? Fate::inspect : Fate::pass;
  if (inspected) {
    outcome.queue = options_.queue;
    outcome.bypass = options_.queue_bypass;
  }
  if (mark) outcome.mark = inspected ? nft::mark_inspected : nft::mark_allowed;
  outcome.reason = inspected ? "inspected" : "allowed";
  return terminal(outcomes_.number(outcome));
}

std::uint32_t Builder::treatment(std::uint32_t line) {
  const Line& by = policy_.lines()[line];
  if (by.action == Action::deny) return value_of(drop("denied_line"));
  return value_of(passing(by.inspect != Inspect::none, true));
}

void Builder::index_lines() {
  by_service_.resize(policy_.services().size());
  for (std::uint32_t i = 0; i < policy_.lines().size(); ++i) {
    const Line& line = policy_.lines()[i];
    if (line.services.empty()) any_service_.push_back(i);
    bool icmp = false;
    for (const std::uint32_t service : line.services) {
      by_service_[service].push_back(i);
      icmp |= policy_.services()[service].icmp;
    }
    if (icmp) icmp_.push_back(i);
  }
}

// The first of these lines that covers each pair: terminals are line + 1.
Node Builder::pairs(const Lines& lines, const ClassesOf& classes) {
  const auto src = world_.levels(Field::original_src);
  const auto dst = world_.levels(Field::original_dst);
  std::vector<Level> both;
  for (std::size_t bit = 0; bit < src.size(); ++bit) both.insert(both.end(), {src[bit], dst[bit]});
  const std::size_t bits = src.size();
  const auto spread = [&](Class cls, std::size_t first, std::size_t stride, Point& point) {
    for (std::size_t bit = 0; bit < bits; ++bit) {
      if ((cls >> (bits - 1 - bit) & 1U) == 0) continue;
      const std::size_t at = first + bit * stride;
      (at < 64 ? point.high : point.low) |= std::uint64_t{1} << (63U - at % 64U);
    }
  };
  std::vector<Point> narrow;
  std::vector<Point> from_any;
  std::vector<Point> any_to;
  Node out = nothing;
  for (const std::uint32_t index : lines) {
    const Line& line = policy_.lines()[index];
    const std::uint32_t value = index + 1;
    if (line.from.empty() && line.to.empty()) {
      out = d_.least(out, terminal(value));
      continue;
    }
    for (const DomainId from : line.from) {
      for (const Class source : classes[from]) {
        if (line.to.empty()) {
          Point point{0, 0, value};
          spread(source, 0, 1, point);
          from_any.push_back(point);
        }
        for (const DomainId to : line.to) {
          for (const Class target : classes[to]) {
            Point point{0, 0, value};
            spread(source, 0, 2, point);
            spread(target, 1, 2, point);
            narrow.push_back(point);
          }
        }
      }
    }
    if (!line.from.empty()) continue;
    for (const DomainId to : line.to) {
      for (const Class target : classes[to]) {
        Point point{0, 0, value};
        spread(target, 0, 1, point);
        any_to.push_back(point);
      }
    }
  }
  out = d_.least(out, diagram_of(d_, src, std::move(from_any)));
  out = d_.least(out, diagram_of(d_, dst, std::move(any_to)));
  return d_.least(out, diagram_of(d_, both, std::move(narrow)));
}

// 1 where both ends are of one domain.
Node Builder::same_domain(const ClassesOf& classes) {
  const auto src = world_.levels(Field::original_src);
  const auto dst = world_.levels(Field::original_dst);
  const auto one_of = [&](Field field, const std::vector<Class>& some) {
    std::vector<std::pair<Class, Node>> nodes;
    for (const Class cls : some) nodes.emplace_back(cls, always);
    return world_.select(field, nothing, std::move(nodes));
  };
  // Equal bit by bit, for the classes that are all of their domain.
  Node equal = always;
  for (std::size_t bit = src.size(); bit-- > 0;) {
    equal = d_.make(src[bit], d_.make(dst[bit], equal, nothing), d_.make(dst[bit], nothing, equal));
  }
  std::vector<std::pair<Class, Node>> whole;
  Node out = nothing;
  for (DomainId domain = 1; domain < classes.size(); ++domain) {
    if (classes[domain].size() == 1) whole.emplace_back(classes[domain].front(), always);
    if (classes[domain].size() > 1) {
      out = d_.over(out, d_.both(one_of(Field::original_src, classes[domain]),
                                 one_of(Field::original_dst, classes[domain])));
    }
  }
  const Node alone = world_.select(Field::original_src, nothing, std::move(whole));
  return d_.over(out, d_.both(alone, equal));
}

// What lines of some services, and those of every service, make of each pair.
Node Builder::flows(const Lines& lines, const ClassesOf& classes, const Labels& domains) {
  std::string key(reinterpret_cast<const char*>(lines.data()), lines.size() * sizeof(lines[0]));
  const auto [known, fresh] = flows_.try_emplace(std::move(key), nothing);
  if (!fresh) return known->second;
  const Node first = d_.least(pairs(lines, classes), any_service_pairs_);
  const Node by_line = d_.map(first, [&](std::uint32_t value) {
    return value == 0 ? value_of(drop("denied_default")) : treatment(value - 1);
  });
  // A line covers domains only: an address outside of them is covered by none.
  const Node from = world_.known(Field::original_src, domains);
  const Node to = world_.known(Field::original_dst, domains);
  const Node covered = d_.choose(d_.both(from, to), by_line, drop("denied_default"));
  return known->second = d_.choose(same_domain(classes), passing(false, true), covered);
}

Node Builder::decide(Family family) {
  ClassesOf classes(policy_.domains().size() + 1);
  const Labels& domains = world_.domains(family);
  for (Class cls = 0; cls < domains.size(); ++cls)
    if (domains[cls] != domain_any) classes[domains[cls]].push_back(cls);
  if (family == Family::v4 || domains != world_.domains(Family::v4)) {
    flows_.clear();
    any_service_pairs_ = pairs(any_service_, classes);
  }
  std::vector<Node> of_set;
  for (const auto& services : world_.service_sets()) {
    Lines lines;
    for (const std::uint32_t service : services)
      lines.insert(lines.end(), by_service_[service].begin(), by_service_[service].end());
    std::sort(lines.begin(), lines.end());
    lines.erase(std::unique(lines.begin(), lines.end()), lines.end());
    of_set.push_back(flows(lines, classes, domains));
  }
  const auto ports = [&](const Labels& sets) {
    std::vector<Node> nodes;
    for (const std::uint32_t set : sets) nodes.push_back(of_set[set]);
    return world_.select(Field::original_port, nodes);
  };
  const Node tcp = ports(world_.tcp_services());
  const Node udp = ports(world_.udp_services());
  const Node icmp = flows(icmp_, classes, domains);
  const Space& protocols = world_.space(Field::original_protocol, family);
  std::vector<Node> nodes(world_.classes(Field::original_protocol), of_set.front());
  for (Class cls = 0; cls < nodes.size(); ++cls) {
    if (!protocols.inhabited(cls)) continue;
    switch (protocols.example(cls)[0]) {
      case 1:
      case 58:
        nodes[cls] = icmp;
        break;
      case 6:
        nodes[cls] = tcp;
        break;
      case 17:
        nodes[cls] = udp;
        break;
      default:
        break;
    }
  }
  return world_.select(Field::original_protocol, nodes);
}

// An address of a domain, at an interface of that domain.
Node Builder::ends(Family family, Field address, Field interface, Node inside, Node unknown,
                   Node wrong) {
  std::vector<std::pair<Class, Node>> claimed;
  for (const Domain& domain : policy_.domains())
    for (const std::string& name : domain.interfaces)
      claimed.emplace_back(world_.interface_class(name), wrong);
  const Node roaming = world_.select(interface, inside, std::move(claimed));
  std::vector<Node> nodes;
  for (const DomainId domain : world_.domains(family)) {
    if (domain == domain_any) {
      nodes.push_back(unknown);
      continue;
    }
    const auto& names = policy_.domain(domain).interfaces;
    if (names.empty()) {
      nodes.push_back(roaming);
      continue;
    }
    std::vector<std::pair<Class, Node>> own;
    for (const std::string& name : names) own.emplace_back(world_.interface_class(name), inside);
    nodes.push_back(world_.select(interface, wrong, std::move(own)));
  }
  return world_.select(address, nodes);
}

Node Builder::known(Node egress) {
  const Space& marks = world_.space(Field::ct_mark, Family::v4);
  std::vector<Node> nodes(world_.classes(Field::ct_mark), egress);
  for (Class cls = 0; cls < nodes.size(); ++cls) {
    if (!marks.inhabited(cls)) continue;
    std::uint32_t mark = 0;
    std::memcpy(&mark, marks.example(cls).data(), sizeof(mark));
    if (mark == nft::mark_of(options_.generation, nft::mark_allowed))
      nodes[cls] = passing(false, false);
    if (mark == nft::mark_of(options_.generation, nft::mark_inspected))
      nodes[cls] = passing(true, false);
  }
  return world_.select(Field::ct_mark, nodes);
}

Node Builder::track(Node egress) {
  const Node decided = known(egress);
  const Space& protocols = world_.space(Field::protocol, Family::v4);
  std::vector<Node> errors(world_.classes(Field::protocol), nothing);
  for (Class cls = 0; cls < errors.size(); ++cls) {
    if (!protocols.inhabited(cls)) continue;
    const std::uint8_t number = protocols.example(cls)[0];
    if (number == 1 || number == 58) errors[cls] = always;
  }
  const Node related = d_.choose(world_.select(Field::protocol, errors), decided, egress);
  const Space& states = world_.space(Field::state, Family::v4);
  std::vector<Node> nodes(world_.classes(Field::state), drop("invalid"));
  for (Class cls = 0; cls < nodes.size(); ++cls) {
    switch (static_cast<State>(states.example(cls)[0])) {
      case State::established:
        nodes[cls] = decided;
        break;
      case State::related:
        nodes[cls] = related;
        break;
      case State::new_:
        nodes[cls] = egress;
        break;
      case State::untracked:
      case State::invalid:
        break;
    }
  }
  return world_.select(Field::state, nodes);
}

Node Builder::egress(Family family, Node decide) {
  return ends(family, Field::dst, Field::out_interface, decide, drop("unknown_destination"),
              drop("misrouted"));
}

Node Builder::run() {
  index_lines();
  std::array<Node, 2> roots{};
  for (const Family family : {Family::v4, Family::v6}) {
    const Node inside = track(egress(family, decide(family)));
    roots[static_cast<std::size_t>(family)] = ends(family, Field::src, Field::in_interface, inside,
                                                   drop("unknown_source"), drop("spoofed"));
  }
  return world_.family(roots[0], roots[1]);
}

}  // namespace

Node intent_of(const Policy& policy, const World& world, Outcomes& outcomes,
               const IntentOptions& options) {
  return Builder(policy, world, outcomes, options).run();
}

}  // namespace menshen::policy::prove
