#include "policy/prove/splits.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <unordered_map>

#include "policy/prove/world.hpp"

namespace menshen::policy::prove {
namespace {

Value key_value(const nft::ElementKey& key, std::size_t offset, Kind kind) {
  return value_of_bytes(key.bytes.data() + offset, width_of(kind));
}

std::optional<Kind> kind_of(const nft::Expression& expression) {
  if (const auto* address = std::get_if<nft::LoadAddress>(&expression))
    return address->v6 ? Kind::ipv6 : Kind::ipv4;
  if (const auto* meta = std::get_if<nft::LoadMeta>(&expression)) {
    switch (meta->key) {
      case nft::LoadMeta::Key::l4proto:
        return Kind::protocol;
      case nft::LoadMeta::Key::iifname:
      case nft::LoadMeta::Key::oifname:
        return Kind::interface;
      case nft::LoadMeta::Key::nfproto:
      case nft::LoadMeta::Key::mark:
        return std::nullopt;
    }
  }
  if (const auto* ct = std::get_if<nft::LoadCt>(&expression)) {
    switch (ct->key) {
      case nft::LoadCt::Key::mark:
        return Kind::ct_mark;
      case nft::LoadCt::Key::original_src4:
      case nft::LoadCt::Key::original_dst4:
        return Kind::ipv4;
      case nft::LoadCt::Key::original_src6:
      case nft::LoadCt::Key::original_dst6:
        return Kind::ipv6;
      case nft::LoadCt::Key::original_protocol:
        return Kind::protocol;
      case nft::LoadCt::Key::original_dport:
        return Kind::port;
      case nft::LoadCt::Key::state:
        return std::nullopt;
    }
  }
  return std::nullopt;
}

nft::Slot slot_of(const nft::Expression& expression) {
  if (const auto* address = std::get_if<nft::LoadAddress>(&expression)) return address->to;
  if (const auto* meta = std::get_if<nft::LoadMeta>(&expression)) return meta->to;
  return std::get<nft::LoadCt>(expression).to;
}

// What a register holds of a packet: a field, of which all but the first bits may be cleared.
struct Held {
  Kind kind{};
  std::optional<std::uint8_t> kept;
};
using Slots = std::array<std::optional<Held>, 32>;

class Collector {
 public:
  explicit Collector(const nft::Ruleset& ruleset) : ruleset_(ruleset) {}
  std::array<std::vector<std::vector<Range>>, kinds> run();

 private:
  void look_up(const nft::Lookup& lookup, const Slots& slots);
  void add_set(const nft::Set& set, std::size_t part, std::size_t offset, const Held& held);

  const nft::Ruleset& ruleset_;
  std::set<std::tuple<std::string, std::size_t, Kind, std::optional<std::uint8_t>>> seen_;
  std::array<std::vector<std::vector<Range>>, kinds> out_;
  std::array<std::vector<Range>, kinds> compared_;
};

void Collector::add_set(const nft::Set& set, std::size_t part, std::size_t offset,
                        const Held& held) {
  const Kind kind = held.kind;
  if (!seen_.emplace(set.name, part, kind, held.kept).second) return;
  std::vector<Range> ranges;
  std::uint32_t label = 0;
  for (const nft::Element& element : set.elements) {
    Range range{key_value(element.first, offset, kind), key_value(element.last, offset, kind),
                ++label};
    if (held.kept) {
      // One with other bits set is never found.
      if (prefix_first(range.first, *held.kept) != range.first) continue;
      range.last = prefix_last(range.first, *held.kept, width_of(kind));
    }
    // Ranges that lead to the same value need not be told apart.
    if (set.key.size() == 1 && set.data != nft::DataType::none) range.label = element.value + 1;
    if (set.key.size() == 1 && set.data == nft::DataType::none) range.label = 1;
    ranges.push_back(range);
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.first < b.first; });
  ranges.erase(std::unique(ranges.begin(), ranges.end(),
                           [](const Range& a, const Range& b) { return a.first == b.first; }),
               ranges.end());
  out_[static_cast<std::size_t>(kind)].push_back(std::move(ranges));
}

void Collector::look_up(const nft::Lookup& lookup, const Slots& slots) {
  const auto set = std::find_if(ruleset_.sets.begin(), ruleset_.sets.end(),
                                [&](const nft::Set& each) { return each.name == lookup.set; });
  if (set == ruleset_.sets.end()) return;
  std::size_t offset = 0;
  for (std::size_t part = 0; part < set->key.size(); ++part) {
    const std::size_t slot = lookup.from + offset / 4;
    if (slot < slots.size() && slots[slot]) add_set(*set, part, offset, *slots[slot]);
    offset += nft::padded_bytes(set->key[part]);
  }
}

std::array<std::vector<std::vector<Range>>, kinds> Collector::run() {
  for (const nft::Chain& chain : ruleset_.chains) {
    for (const nft::Rule& rule : chain.rules) {
      Slots slots{};
      for (const nft::Expression& expression : rule.expressions) {
        if (const auto kind = kind_of(expression)) slots.at(slot_of(expression)) = Held{*kind, {}};
        if (const auto* keep = std::get_if<nft::KeepPrefix>(&expression)) {
          auto& held = slots.at(keep->slot);
          if (held) held->kept = keep->bits;
        }
        if (const auto* lookup = std::get_if<nft::Lookup>(&expression)) {
          look_up(*lookup, slots);
          if (lookup->data == nft::DataType::id) slots.at(lookup->to).reset();
        }
        if (const auto* value = std::get_if<nft::SetValue>(&expression))
          slots.at(value->to).reset();
        if (const auto* meta = std::get_if<nft::LoadMeta>(&expression);
            meta != nullptr && !kind_of(expression))
          slots.at(meta->to).reset();
        const auto* compare = std::get_if<nft::Compare>(&expression);
        if (compare == nullptr || !slots.at(compare->slot)) continue;
        const Kind kind = slots.at(compare->slot)->kind;
        const Value value = value_of_bytes(compare->bytes.data(), compare->bytes.size());
        compared_[static_cast<std::size_t>(kind)].push_back({value, value, 1});
      }
    }
  }
  // Each compared value on its own.
  for (std::size_t kind = 0; kind < kinds; ++kind)
    for (const Range& each : compared_[kind]) out_[kind].push_back({each});
  return std::move(out_);
}

}  // namespace

std::size_t width_of(Kind kind) {
  switch (kind) {
    case Kind::ipv4:
    case Kind::ct_mark:
      return 4;
    case Kind::protocol:
      return 1;
    case Kind::port:
      return 2;
    case Kind::ipv6:
    case Kind::interface:
    case Kind::count:
      break;
  }
  return 16;
}

std::array<std::vector<std::vector<Range>>, kinds> splits_of(const nft::Ruleset& ruleset) {
  return Collector(ruleset).run();
}

std::vector<Range> domain_ranges(const Policy& policy, bool v6) {
  const Family family = v6 ? Family::v6 : Family::v4;
  const std::size_t width = width_of(v6 ? Kind::ipv6 : Kind::ipv4);
  std::map<unsigned, std::map<Value, DomainId>> by_length;
  std::vector<Value> starts{Value{}};
  const auto bound = [&](const Value& first, const Value& last) {
    starts.push_back(first);
    if (last != highest_value(width)) starts.push_back(value_after(last, width));
  };
  for (DomainId id = 1; id <= policy.domains().size(); ++id) {
    for (const Prefix& prefix : policy.domain(id).networks) {
      if (prefix.is_v4() == v6) continue;
      by_length[prefix.length()][value_of(prefix.first(), family)] = id;
      bound(value_of(prefix.first(), family), value_of(prefix.last(), family));
    }
  }
  // An IPv4 address written as IPv6 belongs to no domain: ::ffff:0:0/96.
  const Value mapped = value_of(IpAddr::v4(0), Family::v6);
  if (v6) bound(mapped, value_of(IpAddr::v4(0xffff'ffff), Family::v6));
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());

  const auto domain = [&](const Value& address) -> DomainId {
    if (v6 && std::equal(mapped.begin(), mapped.begin() + 12, address.begin())) return domain_any;
    for (auto length = by_length.rbegin(); length != by_length.rend(); ++length) {
      Value masked{};
      for (unsigned bit = 0; bit < length->first; ++bit)
        masked[bit / 8] |= static_cast<std::uint8_t>(address[bit / 8] & 0x80U >> bit % 8);
      const auto found = length->second.find(masked);
      if (found != length->second.end()) return found->second;
    }
    return domain_any;
  };
  std::vector<Range> out;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    Value last = highest_value(width);
    if (i + 1 < starts.size()) {
      last = starts[i + 1];
      for (std::size_t b = width; b-- > 0;)
        if (last[b]-- != 0) break;
    }
    out.push_back({starts[i], last, domain(starts[i])});
  }
  return out;
}

std::vector<Range> service_ranges(const Policy& policy, std::vector<PortRange> Service::*ports,
                                  std::vector<std::vector<std::uint32_t>>& sets) {
  struct Change {
    std::uint32_t port;
    std::uint32_t service;
    bool begins;
  };
  std::vector<Change> changes;
  for (std::uint32_t s = 0; s < policy.services().size(); ++s) {
    for (const PortRange& range : policy.services()[s].*ports) {
      changes.push_back({range.first, s, true});
      changes.push_back({range.last + 1U, s, false});
    }
  }
  std::sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
    return std::tuple(a.port, a.begins, a.service) < std::tuple(b.port, b.begins, b.service);
  });
  std::map<std::vector<std::uint32_t>, std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < sets.size(); ++i) numbers.emplace(sets[i], i);
  const auto port_value = [](std::uint32_t port) {
    Value value{};
    value[0] = static_cast<std::uint8_t>(port >> 8U);
    value[1] = static_cast<std::uint8_t>(port & 0xffU);
    return value;
  };
  std::vector<Range> out;
  std::set<std::uint32_t> open;
  for (std::size_t i = 0; i < changes.size();) {
    const std::uint32_t port = changes[i].port;
    for (; i < changes.size() && changes[i].port == port; ++i) {
      if (changes[i].begins) {
        open.insert(changes[i].service);
      } else {
        open.erase(changes[i].service);
      }
    }
    if (open.empty()) continue;
    std::vector<std::uint32_t> set(open.begin(), open.end());
    const auto [known, fresh] = numbers.try_emplace(set, static_cast<std::uint32_t>(sets.size()));
    if (fresh) sets.push_back(std::move(set));
    out.push_back({port_value(port), port_value(changes[i].port - 1), known->second});
  }
  return out;
}

}  // namespace menshen::policy::prove
