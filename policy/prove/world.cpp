#include "policy/prove/world.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "policy/prove/splits.hpp"

namespace menshen::policy::prove {
namespace {

constexpr std::size_t index(Field field) { return static_cast<std::size_t>(field); }

std::optional<Kind> kind_of(Field field, Family family) {
  switch (field) {
    case Field::src:
    case Field::dst:
    case Field::original_src:
    case Field::original_dst:
      return family == Family::v4 ? Kind::ipv4 : Kind::ipv6;
    case Field::in_interface:
    case Field::out_interface:
      return Kind::interface;
    case Field::protocol:
    case Field::original_protocol:
      return Kind::protocol;
    case Field::original_port:
      return Kind::port;
    case Field::ct_mark:
      return Kind::ct_mark;
    case Field::family:
    case Field::state:
    case Field::chance:
    case Field::count:
      break;
  }
  return std::nullopt;
}

// A field with a handful of values: they are numbered in this order.
Space closed(std::span<const std::uint8_t> values, std::size_t width) {
  std::vector<Space::Atom> atoms;
  for (const std::uint8_t value : values) {
    const Value bytes = value_of_bytes(&value, 1);
    atoms.push_back({bytes, bytes, static_cast<Class>(atoms.size())});
  }
  return {std::move(atoms), width};
}

constexpr std::array<std::uint8_t, 2> family_values{2, 10};  // NFPROTO_IPV4, NFPROTO_IPV6
constexpr std::array<std::uint8_t, 5> state_values{1, 2, 4, 8, 64};
constexpr std::uint8_t sctp = 132;

template <class T>
Value value_of_number(T number) {
  std::array<std::uint8_t, sizeof(T)> bytes{};
  std::memcpy(bytes.data(), &number, sizeof(T));
  return value_of_bytes(bytes.data(), bytes.size());
}

Value value_of_port(std::uint16_t port) {
  const std::array<std::uint8_t, 2> bytes{static_cast<std::uint8_t>(port >> 8U),
                                          static_cast<std::uint8_t>(port & 0xffU)};
  return value_of_bytes(bytes.data(), bytes.size());
}

}  // namespace

Value value_of(const IpAddr& address, Family family) {
  return family == Family::v6 ? address.bytes() : value_of_bytes(address.bytes().data() + 12, 4);
}

Value value_of(const std::string& interface) {
  Value value{};
  std::copy_n(interface.begin(), std::min<std::size_t>(interface.size(), 15), value.begin());
  return value;
}

World::World(const Policy& policy, const nft::Ruleset& ruleset, Diagrams& diagrams)
    : diagrams_(diagrams) {
  spaces(policy, ruleset);
  lay_out();
}

namespace {

std::vector<Range> interface_ranges(const Policy& policy) {
  std::map<Value, std::uint32_t> named;
  for (const Domain& domain : policy.domains())
    for (const std::string& name : domain.interfaces)
      named.try_emplace(value_of(name), static_cast<std::uint32_t>(named.size() + 1));
  std::vector<Range> out;
  for (const auto& [value, label] : named) out.push_back({value, value, label});
  return out;
}

// Those that the policy itself tells apart.
std::vector<Range> protocol_ranges() {
  std::vector<Range> out;
  for (const std::uint8_t number : std::array<std::uint8_t, 4>{1, 6, 17, 58})
    out.push_back({value_of_number(number), value_of_number(number), number});
  return out;
}

std::uint32_t label_at(const std::vector<Range>& ranges, const Value& value) {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), value,
                       [](const Value& v, const Range& range) { return v < range.first; });
  if (after == ranges.begin() || std::prev(after)->last < value) return 0;
  return std::prev(after)->label;
}

}  // namespace

void World::spaces(const Policy& policy, const nft::Ruleset& ruleset) {
  std::array<std::vector<std::vector<Range>>, kinds> splits;
  const auto of = [&](Kind kind) -> auto& { return splits.at(static_cast<std::size_t>(kind)); };
  of(Kind::ipv4).push_back(domain_ranges(policy, false));
  of(Kind::ipv6).push_back(domain_ranges(policy, true));
  of(Kind::interface).push_back(interface_ranges(policy));
  of(Kind::protocol).push_back(protocol_ranges());
  of(Kind::port).push_back(service_ranges(policy, &Service::tcp, service_sets_));
  of(Kind::port).push_back(service_ranges(policy, &Service::udp, service_sets_));
  for (const std::uint32_t decided : {nft::mark_allowed, nft::mark_inspected}) {
    const Value mark = value_of_number(nft::mark_of(ruleset.generation, decided));
    of(Kind::ct_mark).push_back({{mark, mark, 1}});
  }
  const std::array by_policy{of(Kind::ipv4).front(), of(Kind::ipv6).front(), of(Kind::port).front(),
                             of(Kind::port).back()};
  auto by_ruleset = splits_of(ruleset);
  std::array<Space, kinds> made;
  for (std::size_t kind = 0; kind < kinds; ++kind) {
    SpaceBuilder builder(width_of(static_cast<Kind>(kind)));
    for (auto& split : splits[kind]) builder.split(std::move(split));
    for (auto& split : by_ruleset[kind]) builder.split(std::move(split));
    made[kind] = std::move(builder).build();
  }
  made[static_cast<std::size_t>(Kind::protocol)].prefer(value_of_number(sctp));
  made[static_cast<std::size_t>(Kind::interface)].prefer(value_of(std::string("other0")));
  made[static_cast<std::size_t>(Kind::ct_mark)].prefer(Value{});
  for (const Family family : {Family::v4, Family::v6}) {
    const auto side = static_cast<std::size_t>(family);
    for (std::size_t field = 0; field < fields; ++field) {
      if (const auto kind = kind_of(static_cast<Field>(field), family))
        spaces_[field][side] = made[static_cast<std::size_t>(*kind)];
    }
    spaces_[index(Field::family)][side] = closed(family_values, 1);
    spaces_[index(Field::state)][side] = closed(state_values, 4);
  }
  label(policy, by_policy);
}

// ranges: domains of IPv4 and IPv6, services of TCP and UDP.
void World::label(const Policy& policy, const std::array<std::vector<Range>, 4>& ranges) {
  for (const Family family : {Family::v4, Family::v6}) {
    const auto side = static_cast<std::size_t>(family);
    const Space& addresses = space(Field::src, family);
    domains_[side].resize(classes(Field::src));
    for (Class cls = 0; cls < domains_[side].size(); ++cls) {
      const DomainId own = cls <= policy.domains().size() ? cls : domain_any;
      domains_[side][cls] =
          addresses.inhabited(cls) ? label_at(ranges[side], addresses.example(cls)) : own;
    }
  }
  const Space& ports = space(Field::original_port, Family::v4);
  tcp_services_.resize(ports.classes());
  udp_services_.resize(ports.classes());
  for (Class cls = 0; cls < ports.classes(); ++cls) {
    if (!ports.inhabited(cls)) continue;
    tcp_services_[cls] = label_at(ranges[2], ports.example(cls));
    udp_services_[cls] = label_at(ranges[3], ports.example(cls));
  }
}

void World::lay_out() {
  Level next = 0;
  const auto bits = [&](Field field) {
    return static_cast<std::size_t>(std::bit_width(std::max<Class>(classes(field), 2) - 1));
  };
  for (std::size_t field = 0; field < fields; ++field) {
    const auto each = static_cast<Field>(field);
    if (each == Field::original_src) {
      for (std::size_t bit = 0; bit < bits(each); ++bit) {
        levels_[index(Field::original_src)].push_back(next++);
        levels_[index(Field::original_dst)].push_back(next++);
      }
    } else if (each == Field::chance) {
      for (std::size_t bit = 0; bit < chances_max; ++bit) levels_[field].push_back(next++);
    } else if (each != Field::original_dst) {
      for (std::size_t bit = 0; bit < bits(each); ++bit) levels_[field].push_back(next++);
    }
  }
}

const Space& World::space(Field field, Family family) const {
  return spaces_.at(index(field))[static_cast<std::size_t>(family)];
}

Class World::classes(Field field) const {
  return std::max(space(field, Family::v4).classes(), space(field, Family::v6).classes());
}

Class World::interface_class(const std::string& name) const {
  return space(Field::in_interface, Family::v4).class_of(value_of(name));
}

// Bits beyond the last class lead to nothing.
Node World::select_bits(std::span<const Level> levels, std::span<const Node> nodes) const {
  if (nodes.empty()) return nothing;
  if (levels.empty()) return nodes.front();
  const std::size_t half = std::size_t{1} << (levels.size() - 1);
  const std::size_t low = std::min(half, nodes.size());
  return diagrams_.make(levels.front(), select_bits(levels.subspan(1), nodes.first(low)),
                        select_bits(levels.subspan(1), nodes.subspan(low)));
}

Node World::select(Field field, std::span<const Node> nodes) const {
  return select_bits(levels(field), nodes);
}

Node World::select(Field field, Node rest, std::vector<std::pair<Class, Node>> others) const {
  std::sort(others.begin(), others.end());
  const auto build = [&](const auto& self, std::span<const Level> at,
                         std::span<const std::pair<Class, Node>> part) -> Node {
    if (part.empty()) return rest;
    if (at.empty()) return part.front().second;
    const Class bit = Class{1} << (at.size() - 1);
    const auto middle = std::partition_point(
        part.begin(), part.end(), [&](const auto& each) { return (each.first & bit) == 0; });
    const auto count = static_cast<std::size_t>(middle - part.begin());
    return diagrams_.make(at.front(), self(self, at.subspan(1), part.first(count)),
                          self(self, at.subspan(1), part.subspan(count)));
  };
  return build(build, levels(field), others);
}

Node World::known(Field field, const Labels& labels) const {
  std::vector<Node> nodes;
  nodes.reserve(labels.size());
  for (const std::uint32_t label : labels) nodes.push_back(label == 0 ? nothing : always);
  return select(field, nodes);
}

Node World::family(Node v4, Node v6) const {
  return diagrams_.make(levels(Field::family).front(), v4, v6);
}

Node World::inhabited() const {
  std::array<Node, 2> of{always, always};
  for (const Family family : {Family::v4, Family::v6}) {
    Node& all = of[static_cast<std::size_t>(family)];
    for (std::size_t field = 0; field < fields; ++field) {
      const auto each = static_cast<Field>(field);
      if (each == Field::family || each == Field::chance) continue;
      std::vector<Node> exists;
      for (Class cls = 0; cls < space(each, family).classes(); ++cls)
        exists.push_back(space(each, family).inhabited(cls) ? always : nothing);
      all = diagrams_.both(select(each, exists), all);
    }
  }
  return family(of[0], of[1]);
}

Packet World::packet_at(std::span<const Bit> bits) const {
  std::map<Level, bool> set;
  for (const Bit& bit : bits) set[bit.level] = bit.set;
  const auto cls = [&](Field field) {
    Class value = 0;
    for (const Level level : levels(field)) {
      const auto found = set.find(level);
      value = value << 1U | (found != set.end() && found->second ? 1U : 0U);
    }
    return value;
  };
  const Family family = cls(Field::family) == 0 ? Family::v4 : Family::v6;
  const auto value = [&](Field field) {
    const Space& in = space(field, family);
    // A field that does not matter may stand at a class without values.
    const Class at = cls(field);
    if (in.inhabited(at)) return in.example(at);
    return in.atoms().front().first;
  };
  const auto address = [&](Field field) {
    const Value bytes = value(field);
    if (family == Family::v6) return IpAddr::v6(bytes);
    return IpAddr::v4(static_cast<std::uint32_t>(bytes[0]) << 24U |
                      static_cast<std::uint32_t>(bytes[1]) << 16U |
                      static_cast<std::uint32_t>(bytes[2]) << 8U | bytes[3]);
  };
  const auto name = [&](Field field) {
    const Value bytes = value(field);
    const char* text = reinterpret_cast<const char*>(bytes.data());
    return std::string(text, ::strnlen(text, 15));
  };
  Packet packet;
  packet.v6 = family == Family::v6;
  packet.src = address(Field::src);
  packet.dst = address(Field::dst);
  packet.in_interface = name(Field::in_interface);
  packet.out_interface = name(Field::out_interface);
  packet.protocol = value(Field::protocol)[0];
  packet.state = static_cast<State>(value(Field::state)[0]);
  std::memcpy(&packet.ct_mark, value(Field::ct_mark).data(), sizeof(packet.ct_mark));
  packet.original_src = address(Field::original_src);
  packet.original_dst = address(Field::original_dst);
  packet.original_protocol = value(Field::original_protocol)[0];
  const Value port = value(Field::original_port);
  packet.original_port = static_cast<std::uint16_t>(port[0] << 8U | port[1]);
  const auto chances = levels(Field::chance);
  packet.within_limits = std::any_of(chances.begin(), chances.end(), [&](Level level) {
    const auto found = set.find(level);
    return found != set.end() && found->second;
  });
  return packet;
}

std::array<Class, fields> World::classes_of(const Packet& packet) const {
  const Family family = packet.v6 ? Family::v6 : Family::v4;
  std::array<Class, fields> out{};
  const auto put = [&](Field field, const Value& value) {
    out[index(field)] = space(field, family).class_of(value);
  };
  out[index(Field::family)] = packet.v6 ? 1 : 0;
  put(Field::src, value_of(packet.src, family));
  put(Field::dst, value_of(packet.dst, family));
  put(Field::original_src, value_of(packet.original_src, family));
  put(Field::original_dst, value_of(packet.original_dst, family));
  put(Field::in_interface, value_of(packet.in_interface));
  put(Field::out_interface, value_of(packet.out_interface));
  put(Field::protocol, value_of_number(packet.protocol));
  put(Field::original_protocol, value_of_number(packet.original_protocol));
  put(Field::state, value_of_number(static_cast<std::uint8_t>(packet.state)));
  put(Field::ct_mark, value_of_number(packet.ct_mark));
  put(Field::original_port, value_of_port(packet.original_port));
  return out;
}

std::uint32_t World::outcome_at(Node node, const Packet& packet) const {
  const auto classes = classes_of(packet);
  const auto chances = levels(Field::chance);
  return diagrams_.at(node, [&](Level level) {
    if (level >= chances.front()) return packet.within_limits;
    for (std::size_t field = 0; field < fields; ++field) {
      const auto& own = levels_[field];
      const auto found = std::lower_bound(own.begin(), own.end(), level);
      if (found == own.end() || *found != level) continue;
      const auto after = static_cast<std::size_t>(own.end() - found) - 1;
      return (classes[field] >> after & 1U) != 0;
    }
    return false;
  });
}

}  // namespace menshen::policy::prove
