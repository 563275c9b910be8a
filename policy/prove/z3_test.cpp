// A second prover asked the same questions: Z3 over bit vectors, with a reading of nf_tables and of
// the policy of its own. It knows neither classes nor diagrams.
#include <z3++.h>

#include <fmt/format.h>
#include <algorithm>

#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <optional>
#include <random>

#include "policy/policy.hpp"
#include "policy/prove/prove.hpp"

namespace menshen::policy::prove {
namespace {

constexpr nft::LowerOptions lowered{.generation = 7};

// A connection being opened, in IPv4: what a rule can read of it.
struct Opening {
  explicit Opening(z3::context& c)
      : src(c.bv_const("src", 32)),
        dst(c.bv_const("dst", 32)),
        protocol(c.bv_const("protocol", 8)),
        port(c.bv_const("port", 16)),
        in(c.bv_const("in", 8)),
        out(c.bv_const("out", 8)) {}
  z3::expr src, dst, protocol, port, in, out;  // interfaces by number
};

const std::vector<std::string> interfaces{"a0", "b0", "c0", "other0"};

// The fate as a number: 0 drop, 1 pass, 2 inspect.
class Reader {
 public:
  Reader(z3::context& c, const nft::Ruleset& ruleset, const Opening& o)
      : c_(c), ruleset_(ruleset), o_(o), mark_(c.bv_val(0, 32)) {}

  z3::expr fate() { return chain("forward"); }

 private:
  // A register: bytes as they lie in the packet, as one number; host-order values as such.
  struct Register {
    std::optional<z3::expr> value;
    bool interface = false;
  };

  z3::expr chain(const std::string& name) {
    const auto found = std::find_if(ruleset_.chains.begin(), ruleset_.chains.end(),
                                    [&](const nft::Chain& chain) { return chain.name == name; });
    REQUIRE(found != ruleset_.chains.end());
    const std::pair key{name, mark_.hash()};
    if (const auto known = chains_.find(key); known != chains_.end()) return known->second;
    z3::expr fate = rules(found->rules, 0);
    chains_.emplace(key, fate);
    return fate;
  }
  z3::expr rules(const std::vector<nft::Rule>& all, std::size_t next) {
    if (next == all.size()) return c_.int_val(0);
    std::map<int, Register> registers;
    z3::expr matches = c_.bool_val(true);
    const z3::expr mark_before = mark_;
    std::optional<z3::expr> taken;
    for (const nft::Expression& expression : all[next].expressions) {
      taken = step(expression, registers, matches);
      if (taken) break;
    }
    if (!taken) return rules(all, next + 1);  // only counts or logs
    mark_ = mark_before;                      // no rule here reads what a broken one wrote
    const z3::expr otherwise = rules(all, next + 1);
    return z3::ite(matches, *taken, otherwise);
  }
  std::optional<z3::expr> verdict(const nft::Verdict& v) {
    if (v.kind == nft::Verdict::Kind::accept) return c_.int_val(1);
    if (v.kind == nft::Verdict::Kind::drop) return c_.int_val(0);
    return chain(v.chain);
  }
  std::optional<z3::expr> step(const nft::Expression& e, std::map<int, Register>& r,
                               z3::expr& matches) {
    if (const auto* address = std::get_if<nft::LoadAddress>(&e)) {
      r[address->to] = {address->v6 ? c_.bv_val(0, 32) : address->source ? o_.src : o_.dst, false};
    } else if (const auto* meta = std::get_if<nft::LoadMeta>(&e)) {
      using Key = nft::LoadMeta::Key;
      if (meta->key == Key::nfproto) r[meta->to] = {c_.bv_val(2, 8), false};
      if (meta->key == Key::l4proto) r[meta->to] = {o_.protocol, false};
      if (meta->key == Key::mark) r[meta->to] = {mark_, false};
      if (meta->key == Key::iifname) r[meta->to] = {o_.in, true};
      if (meta->key == Key::oifname) r[meta->to] = {o_.out, true};
    } else if (const auto* ct = std::get_if<nft::LoadCt>(&e)) {
      using Key = nft::LoadCt::Key;
      if (ct->key == Key::state) r[ct->to] = {c_.bv_val(8, 32), false};  // new
      if (ct->key == Key::mark) r[ct->to] = {c_.bv_val(0, 32), false};
      if (ct->key == Key::original_src4) r[ct->to] = {o_.src, false};
      if (ct->key == Key::original_dst4) r[ct->to] = {o_.dst, false};
      if (ct->key == Key::original_protocol) r[ct->to] = {o_.protocol, false};
      if (ct->key == Key::original_dport) r[ct->to] = {o_.port, false};
      if (ct->key == Key::original_src6 || ct->key == Key::original_dst6) {
        matches = c_.bool_val(false);
        r[ct->to] = {c_.bv_val(0, 32), false};
      }
    } else if (const auto* set_mark = std::get_if<nft::SetMark>(&e)) {
      mark_ = *r.at(set_mark->from).value;
    } else if (const auto* constant = std::get_if<nft::SetValue>(&e)) {
      r[constant->to] = {c_.bv_val(constant->value, 32), false};
    } else if (const auto* keep = std::get_if<nft::KeepPrefix>(&e)) {
      if (keep->bytes == 4) {
        const auto mask = keep->bits == 0 ? 0U : 0xffff'ffffU << (32U - keep->bits);
        Register& reg = r.at(keep->slot);
        reg.value = *reg.value & c_.bv_val(mask, 32);
      }
    } else if (const auto* compared = std::get_if<nft::Compare>(&e)) {
      const z3::expr value = c_.bv_val(compared->bytes.at(0), 8);
      const z3::expr& reg = *r.at(compared->slot).value;
      matches = matches && (compared->equal ? reg == value : reg != value);
    } else if (const auto* lookup = std::get_if<nft::Lookup>(&e)) {
      return look_up(*lookup, r, matches);
    } else if (std::holds_alternative<nft::Queue>(e)) {
      return c_.int_val(2);
    } else if (const auto* judged = std::get_if<nft::Verdict>(&e)) {
      return verdict(*judged);
    }
    return std::nullopt;
  }
  // One part of an element's key against a register.
  z3::expr part(const Register& reg, nft::FieldType type, const nft::Element& element,
                std::size_t at) {
    const auto number = [&](const nft::ElementKey& key, std::size_t bytes) {
      unsigned value = 0;
      for (std::size_t i = 0; i < bytes; ++i) value = value << 8U | key.bytes[at + i];
      return value;
    };
    if (reg.interface) {
      const char* text = reinterpret_cast<const char*>(element.first.bytes.data() + at);
      const auto found = std::find(interfaces.begin(), interfaces.end(), text);
      if (found == interfaces.end()) return c_.bool_val(false);
      return *reg.value == c_.bv_val(static_cast<unsigned>(found - interfaces.begin()), 8);
    }
    switch (type) {
      case nft::FieldType::ipv4:
        return z3::uge(*reg.value, c_.bv_val(number(element.first, 4), 32)) &&
               z3::ule(*reg.value, c_.bv_val(number(element.last, 4), 32));
      case nft::FieldType::port:
        return z3::uge(*reg.value, c_.bv_val(number(element.first, 2), 16)) &&
               z3::ule(*reg.value, c_.bv_val(number(element.last, 2), 16));
      case nft::FieldType::protocol:
        return *reg.value == c_.bv_val(number(element.first, 1), 8);
      case nft::FieldType::ipv6:
        return c_.bool_val(false);
      default: {
        unsigned host = 0;
        std::memcpy(&host, element.first.bytes.data() + at, sizeof(host));
        return *reg.value == c_.bv_val(host, 32);
      }
    }
  }
  std::optional<z3::expr> look_up(const nft::Lookup& l, std::map<int, Register>& r,
                                  z3::expr& matches) {
    const auto set = std::find_if(ruleset_.sets.begin(), ruleset_.sets.end(),
                                  [&](const nft::Set& each) { return each.name == l.set; });
    REQUIRE(set != ruleset_.sets.end());
    z3::expr found = c_.bool_val(false);
    z3::expr value = c_.bv_val(0, 32);
    std::optional<z3::expr> out;
    for (const nft::Element& element : set->elements) {
      z3::expr here = c_.bool_val(true);
      std::size_t at = 0;
      for (const nft::FieldType type : set->key) {
        here = here && part(r.at(l.from + static_cast<int>(at / 4)), type, element, at);
        at += nft::padded_bytes(type);
      }
      found = found || here;
      if (l.data == nft::DataType::id) value = z3::ite(here, c_.bv_val(element.value, 32), value);
      if (l.data == nft::DataType::verdict) {
        const z3::expr target = *verdict(set->verdicts.at(element.value));
        out = out ? z3::ite(here, target, *out) : target;
      }
    }
    matches = matches && (l.inverted ? !found : found);
    if (l.data == nft::DataType::id) r[l.to] = {value, false};
    if (l.data == nft::DataType::verdict && !out) out = c_.int_val(0);
    return out;
  }

  z3::context& c_;
  const nft::Ruleset& ruleset_;
  const Opening& o_;
  z3::expr mark_;
  std::map<std::pair<std::string, unsigned>, z3::expr> chains_;  // by name and mark
};

z3::expr in_networks(z3::context& c, const Domain& domain, const z3::expr& address) {
  z3::expr any = c.bool_val(false);
  for (const Prefix& prefix : domain.networks) {
    if (!prefix.is_v4()) continue;
    any = any || (z3::uge(address, c.bv_val(prefix.first().v4_value(), 32)) &&
                  z3::ule(address, c.bv_val(prefix.last().v4_value(), 32)));
  }
  return any;
}

// The networks of these policies do not nest.
z3::expr intended(z3::context& c, const Policy& policy, const Opening& o) {
  const auto at = [&](const Domain& domain, const z3::expr& address, const z3::expr& interface) {
    z3::expr attached = c.bool_val(false);
    for (const std::string& name : domain.interfaces) {
      const auto found = std::find(interfaces.begin(), interfaces.end(), name);
      attached =
          attached || interface == c.bv_val(static_cast<unsigned>(found - interfaces.begin()), 8);
    }
    return in_networks(c, domain, address) && attached;
  };
  const auto named = [&](const std::vector<DomainId>& list, const z3::expr& address) {
    z3::expr any = c.bool_val(list.empty());
    for (const DomainId id : list) any = any || in_networks(c, policy.domain(id), address);
    return any;
  };
  z3::expr fate = c.int_val(0);
  for (std::size_t i = policy.lines().size(); i-- > 0;) {
    const Line& line = policy.lines()[i];
    z3::expr service = c.bool_val(line.services.empty());
    for (const std::uint32_t s : line.services) {
      const Service& of = policy.services()[s];
      const auto ports = [&](unsigned protocol, const std::vector<PortRange>& ranges) {
        for (const PortRange& range : ranges) {
          service = service || (o.protocol == c.bv_val(protocol, 8) &&
                                z3::uge(o.port, c.bv_val(range.first, 16)) &&
                                z3::ule(o.port, c.bv_val(range.last, 16)));
        }
      };
      ports(6, of.tcp);
      ports(17, of.udp);
      if (of.icmp)
        service = service || o.protocol == c.bv_val(1, 8) || o.protocol == c.bv_val(58, 8);
    }
    const int treated = line.action == Action::deny ? 0 : line.inspect == Inspect::none ? 1 : 2;
    fate = z3::ite(named(line.from, o.src) && named(line.to, o.dst) && service, c.int_val(treated),
                   fate);
  }
  z3::expr known = c.bool_val(false);
  z3::expr same = c.bool_val(false);
  for (const Domain& from : policy.domains()) {
    for (const Domain& to : policy.domains()) {
      const z3::expr ends = at(from, o.src, o.in) && at(to, o.dst, o.out);
      known = known || ends;
      if (from.name == to.name) same = same || ends;
    }
  }
  return z3::ite(known, z3::ite(same, c.int_val(1), fate), c.int_val(0));
}

bool differ_by_z3(const Policy& policy, const nft::Ruleset& ruleset) {
  z3::context c;
  const Opening o(c);
  z3::solver solver(c);
  solver.add(z3::ult(o.in, c.bv_val(static_cast<unsigned>(interfaces.size()), 8)));
  solver.add(z3::ult(o.out, c.bv_val(static_cast<unsigned>(interfaces.size()), 8)));
  solver.add(Reader(c, ruleset, o).fate() != intended(c, policy, o));
  return solver.check() == z3::sat;
}

}  // namespace

TEST_CASE("Z3 and the proof agree, on rulesets that are right and on rulesets that are not") {
  std::mt19937 random(5);
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  int violated = 0;
  for (int round = 0; round < 6; ++round) {
    std::string text =
        "domains:\n  a: {networks: [10.1.0.0/16], interfaces: [a0]}\n"
        "  b: {networks: [10.2.0.0/16, 10.4.0.0/24], interfaces: [b0]}\n"
        "  c: {networks: [10.3.0.0/16], interfaces: [c0]}\n"
        "services:\n  w: {tcp: [80, \"8000-8100\"]}\n  x: {tcp: [\"8080-9000\"], udp: "
        "[53]}\n  z: {icmp: true}\nflows:\n";
    const std::vector<std::string> names{"a", "b", "c", "any"};
    const std::vector<std::string> services{"w", "x", "z", "any"};
    const std::vector<std::string> more{"", ", action: deny", ", inspect: block"};
    for (std::size_t i = 0; i < 3; ++i) {
      const std::string& from = names[below(4)];
      std::string to = names[below(4)];
      while (to == from && to != "any") to = names[below(4)];
      const std::string& service = services[below(4)];
      text += fmt::format("  - {{from: {}, to: {}, service: {}{}}}\n", from, to, service,
                          more[below(3)]);
    }
    const auto loaded = load("z3.yaml", text, {std::chrono::year(2026) / 11 / 23, Expired::error});
    if (!loaded.policy) continue;
    INFO(text);
    nft::Ruleset ruleset = nft::lower(*loaded.policy, lowered);
    CHECK(prove(*loaded.policy, ruleset, lowered).conclusion == Conclusion::proved);
    CHECK_FALSE(differ_by_z3(*loaded.policy, ruleset));

    // Another value, or one element less, in what decides.
    for (const std::string name : {"flows", "net4", "net4_16", "tcp_classes"}) {
      nft::Ruleset changed = ruleset;
      auto& set = *std::find_if(changed.sets.begin(), changed.sets.end(),
                                [&](const nft::Set& each) { return each.name == name; });
      if (set.elements.empty()) continue;
      const std::size_t at = below(set.elements.size());
      if (below(2) == 0) {
        set.elements.erase(set.elements.begin() + static_cast<std::ptrdiff_t>(at));
      } else {
        set.elements[at].value = static_cast<std::uint32_t>(1 + below(3));
      }
      const Report report = prove(*loaded.policy, changed, lowered);
      const bool other = differ_by_z3(*loaded.policy, changed);
      INFO(name << " " << at << ": " << words(report).en);
      // The proof looks at more than openings in IPv4, and at counters and marks.
      if (report.conclusion == Conclusion::proved) CHECK_FALSE(other);
      if (other) CHECK(report.conclusion == Conclusion::violated);
      violated += other ? 1 : 0;
    }
  }
  CHECK(violated > 1);
}

}  // namespace menshen::policy::prove
