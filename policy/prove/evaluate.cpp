#include "policy/prove/evaluate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "base/overloaded.hpp"

namespace menshen::policy::prove {
namespace {

using nft::Chain;
using nft::DataType;
using nft::Set;
using nft::Slot;
using nft::Verdict;

constexpr std::size_t slots = 32;  // 16, and room for a value that begins in the last
constexpr std::size_t jumps_max = 16;
constexpr std::size_t depth_max = 1000;  // rules nested by goto; the kernel refuses loops

// A number for each class, numbered itself: equal functions have equal ids. Label = value + 1;
// 0: the lookup that made it found nothing.
using FunctionId = std::uint32_t;

struct Symbol {
  enum class Kind : std::uint8_t { unknown, constant, raw, function, diagram };
  Kind kind = Kind::unknown;
  std::uint8_t part = 0;  // raw: which 32-bit word of the value
  Field field{};          // raw, function
  Family family{};        // raw: addresses
  // constant: value; function: id; diagram: node (terminals value + 1); raw: 0 whole, else 1 + the
  // number of first bits that were kept
  std::uint32_t number = 0;
  auto operator<=>(const Symbol&) const = default;
};

// What lasts from rule to rule.
struct Path {
  Symbol mark;
  Symbol ct_mark;  // unknown: as it was
  auto operator<=>(const Path&) const = default;
};

using Return = std::pair<std::size_t, std::size_t>;  // chain, rule

class Evaluator {
 public:
  Evaluator(const nft::Ruleset& ruleset, const World& world, Outcomes& outcomes)
      : ruleset_(ruleset), world_(world), d_(world.diagrams()), outcomes_(outcomes) {}
  Evaluation run();

 private:
  struct Execution {
    std::array<Symbol, slots> registers{};
    Path path;
    bool marked = false;  // path.mark was written in this rule
    Node matches = always;
    std::string counted;
    std::vector<Return> stack;
    // Where the rule ends with verdicts: terminal v + 1 is verdicts[v].
    std::optional<Node> judged;
    std::vector<Verdict> verdicts;
    std::optional<Outcome> outcome;
    bool lost = false;  // met something that is not modelled
  };

  Node chain(std::size_t index, std::size_t rule, Path path, const std::vector<Return>& stack);
  Node rule(std::size_t index, std::size_t number, const Path& path,
            const std::vector<Return>& stack);
  Node conclude(std::size_t index, std::size_t number, Execution& e);
  Node go(const Verdict& verdict, std::size_t index, std::size_t number, const Execution& e);
  Node final(Fate fate, const Execution& e);
  Node lost() { return terminal(outcomes_.number({Fate::unmodelled, 0, false, 0, {}})); }

  void step(const nft::Expression& expression, Execution& e);
  void load(const nft::LoadAddress& l, Execution& e);
  void load(const nft::LoadMeta& l, Execution& e);
  void load(const nft::LoadCt& l, Execution& e);
  void keep_prefix(const nft::KeepPrefix& k, Execution& e);
  void compare(const nft::Compare& c, Execution& e);
  void look_up(const nft::Lookup& l, Execution& e);
  void look_up_one(const Set& set, const nft::Lookup& l, const Symbol& key, Execution& e);
  void look_up_many(const Set& set, const nft::Lookup& l, std::span<const Symbol> keys,
                    Execution& e);
  void found(const nft::Lookup& l, const Set& set, Node labels, const Symbol& value, Execution& e);
  void unmodelled(Execution& e, Text what);
  void put_raw(Slot to, Field field, Family family, std::size_t words, Execution& e);
  std::optional<Symbol> key_at(const Execution& e, std::size_t slot, nft::FieldType type) const;

  FunctionId function(Labels labels);
  Node node_of(const Symbol& function_symbol);
  // Labels of a set with one key part: element value + 1, or 1 where it has no data.
  std::uint32_t find(const Set& set, const nft::ElementKey& key) const;
  const Set* set_named(const std::string& name) const;
  bool reads_mark(std::size_t chain_index);
  std::optional<std::size_t> chain_named(const std::string& name) const;
  void note_pair_set(const Set& set, std::span<const Symbol> keys);
  struct KeyPart {
    std::size_t bytes = 0;
    std::map<Value, std::vector<Class>> classes;
  };
  std::optional<KeyPart> key_part(const Symbol& key, std::size_t bytes) const;
  Node points(const Set& set, std::span<const Symbol> keys, std::span<const KeyPart> parts);

  const nft::Ruleset& ruleset_;
  const World& world_;
  Diagrams& d_;
  Outcomes& outcomes_;
  Evaluation out_;
  std::map<Labels, FunctionId> function_ids_;
  std::vector<const Labels*> functions_;
  std::map<std::tuple<std::size_t, std::size_t, Path, std::vector<Return>>, Node> chains_;
  std::map<std::pair<std::string, std::vector<Symbol>>, Node> lookups_;
  std::map<std::pair<Field, FunctionId>, Node> nodes_;
  std::map<std::size_t, bool> reads_mark_;
  std::map<std::pair<std::size_t, std::size_t>, std::size_t> chances_;
  std::set<std::string> not_pair_sets_;
  std::set<std::string> said_;
  std::string place_;
  std::size_t depth_ = 0;
};

FunctionId Evaluator::function(Labels labels) {
  const auto [known, fresh] =
      function_ids_.try_emplace(std::move(labels), static_cast<FunctionId>(functions_.size()));
  if (fresh) functions_.push_back(&known->first);
  return known->second;
}

Node Evaluator::node_of(const Symbol& symbol) {
  const auto [known, fresh] = nodes_.try_emplace({symbol.field, symbol.number}, nothing);
  if (fresh) {
    std::vector<Node> leaves;
    for (const std::uint32_t label : *functions_[symbol.number]) leaves.push_back(terminal(label));
    known->second = world_.select(symbol.field, leaves);
  }
  return known->second;
}

const Set* Evaluator::set_named(const std::string& name) const {
  const auto found = std::find_if(ruleset_.sets.begin(), ruleset_.sets.end(),
                                  [&](const Set& set) { return set.name == name; });
  return found == ruleset_.sets.end() ? nullptr : &*found;
}

std::optional<std::size_t> Evaluator::chain_named(const std::string& name) const {
  for (std::size_t i = 0; i < ruleset_.chains.size(); ++i)
    if (ruleset_.chains[i].name == name) return i;
  return std::nullopt;
}

void Evaluator::unmodelled(Execution& e, Text what) {
  e.lost = true;
  if (!said_.insert(place_ + what.en).second) return;
  out_.unmodelled.push_back(
      {fmt::format("{}：{}", place_, what.zh), fmt::format("{}: {}", place_, what.en)});
}

// --- expressions -------------------------------------------------------------------------------

void Evaluator::put_raw(Slot to, Field field, Family family, std::size_t words, Execution& e) {
  for (std::size_t part = 0; part < words && to + part < slots; ++part) {
    e.registers[to + part] = {Symbol::Kind::raw, static_cast<std::uint8_t>(part), field, family, 0};
  }
}

void Evaluator::load(const nft::LoadAddress& l, Execution& e) {
  // Of a packet of the other family these bytes are something else.
  const Node other = l.v6 ? world_.family(always, nothing) : world_.family(nothing, always);
  if (d_.both(e.matches, other) != nothing)
    return unmodelled(e, {"未先判断地址族即读取地址", "reads an address of either family"});
  put_raw(l.to, l.source ? Field::src : Field::dst, l.v6 ? Family::v6 : Family::v4, l.v6 ? 4 : 1,
          e);
}

void Evaluator::load(const nft::LoadMeta& l, Execution& e) {
  switch (l.key) {
    case nft::LoadMeta::Key::nfproto:
      return put_raw(l.to, Field::family, Family::v4, 1, e);
    case nft::LoadMeta::Key::l4proto:
      return put_raw(l.to, Field::protocol, Family::v4, 1, e);
    case nft::LoadMeta::Key::iifname:
      return put_raw(l.to, Field::in_interface, Family::v4, 4, e);
    case nft::LoadMeta::Key::oifname:
      return put_raw(l.to, Field::out_interface, Family::v4, 4, e);
    case nft::LoadMeta::Key::mark:
      e.registers.at(l.to) = e.path.mark;
  }
}

void Evaluator::load(const nft::LoadCt& l, Execution& e) {
  using Key = nft::LoadCt::Key;
  if (l.key == Key::state) return put_raw(l.to, Field::state, Family::v4, 1, e);
  // Without a connection there is nothing to read.
  std::vector<Node> tracked(world_.classes(Field::state), always);
  const Space& states = world_.space(Field::state, Family::v4);
  for (Class cls = 0; cls < tracked.size(); ++cls) {
    const auto state = static_cast<State>(states.example(cls)[0]);
    if (state == State::invalid || state == State::untracked) tracked[cls] = nothing;
  }
  e.matches = d_.both(e.matches, world_.select(Field::state, tracked));
  const bool v6 = l.key == Key::original_src6 || l.key == Key::original_dst6;
  switch (l.key) {
    case Key::mark:
      if (e.path.ct_mark.kind != Symbol::Kind::unknown)
        return unmodelled(e,
                          {"改写连接标记后又读取", "reads the connection mark after setting it"});
      return put_raw(l.to, Field::ct_mark, Family::v4, 1, e);
    case Key::original_protocol:
      return put_raw(l.to, Field::original_protocol, Family::v4, 1, e);
    case Key::original_dport:
      return put_raw(l.to, Field::original_port, Family::v4, 1, e);
    case Key::original_src4:
    case Key::original_src6:
    case Key::original_dst4:
    case Key::original_dst6:
    case Key::state:
      break;
  }
  e.matches =
      d_.both(e.matches, v6 ? world_.family(nothing, always) : world_.family(always, nothing));
  const bool source = l.key == Key::original_src4 || l.key == Key::original_src6;
  put_raw(l.to, source ? Field::original_src : Field::original_dst, v6 ? Family::v6 : Family::v4,
          v6 ? 4 : 1, e);
}

void Evaluator::keep_prefix(const nft::KeepPrefix& k, Execution& e) {
  const auto key = key_at(e, k.slot, k.bytes == 4 ? nft::FieldType::ipv4 : nft::FieldType::ipv6);
  const bool whole = key && key->kind == Symbol::Kind::raw && key->number == 0 &&
                     (key->field == Field::src || key->field == Field::dst) &&
                     (key->family == Family::v6) == (k.bytes == 16);
  if (!whole) return unmodelled(e, {"无法跟踪的掩码", "a mask that the proof does not follow"});
  for (std::size_t part = 0; part < k.bytes / 4U; ++part)
    e.registers.at(k.slot + part).number = k.bits + 1U;
}

void Evaluator::compare(const nft::Compare& c, Execution& e) {
  const Symbol& symbol = e.registers.at(c.slot);
  if (symbol.kind == Symbol::Kind::constant) {
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &symbol.number, bytes.size());
    if (c.bytes.size() != bytes.size())
      return unmodelled(e, {"部分比较", "compares a part of a value"});
    if (std::equal(c.bytes.begin(), c.bytes.end(), bytes.begin()) != c.equal) e.matches = nothing;
    return;
  }
  const bool addresses = symbol.field == Field::src || symbol.field == Field::dst ||
                         symbol.field == Field::original_src || symbol.field == Field::original_dst;
  const std::size_t width = symbol.field == Field::family || symbol.field == Field::protocol ||
                                    symbol.field == Field::original_protocol
                                ? 1
                            : symbol.field == Field::original_port ? 2
                            : symbol.field == Field::in_interface ||
                                    symbol.field == Field::out_interface ||
                                    (addresses && symbol.family == Family::v6)
                                ? 16
                                : 4;
  if (symbol.kind != Symbol::Kind::raw || symbol.part != 0 || symbol.number != 0 ||
      c.bytes.size() != width)
    return unmodelled(e, {"无法跟踪的比较", "a comparison that the proof does not follow"});
  const Value wanted = value_of_bytes(c.bytes.data(), c.bytes.size());
  const Space& space = world_.space(symbol.field, symbol.family);
  std::vector<Node> equal(world_.classes(symbol.field), nothing);
  for (Class cls = 0; cls < space.classes(); ++cls) {
    if (space.inhabited(cls) && (space.example(cls) == wanted) == c.equal) equal[cls] = always;
  }
  e.matches = d_.both(e.matches, world_.select(symbol.field, equal));
}

std::uint32_t Evaluator::find(const Set& set, const nft::ElementKey& key) const {
  const auto after = std::upper_bound(
      set.elements.begin(), set.elements.end(), key,
      [](const nft::ElementKey& k, const nft::Element& element) { return k < element.first; });
  if (after == set.elements.begin() || std::prev(after)->last < key) return 0;
  return set.data == DataType::none ? 1 : std::prev(after)->value + 1;
}

std::optional<Symbol> Evaluator::key_at(const Execution& e, std::size_t slot,
                                        nft::FieldType type) const {
  const std::size_t words = nft::padded_bytes(type) / 4;
  if (slot + words > slots) return std::nullopt;
  const Symbol& first = e.registers[slot];
  if (first.kind == Symbol::Kind::unknown || first.part != 0) return std::nullopt;
  if (words > 1 && first.kind != Symbol::Kind::raw) return std::nullopt;
  for (std::size_t part = 1; part < words; ++part) {
    Symbol expected = first;
    expected.part = static_cast<std::uint8_t>(part);
    if (e.registers[slot + part] != expected) return std::nullopt;
  }
  return first;
}

void Evaluator::look_up(const nft::Lookup& l, Execution& e) {
  const Set* set = set_named(l.set);
  if (set == nullptr || set->catch_all || set->other_flags != 0 ||
      (set->interval && set->key.size() > 1))
    return unmodelled(e, {fmt::format("集合 {} 的类型无法建模", l.set),
                          fmt::format("set {} is of a kind that is not modelled", l.set)});
  std::vector<Symbol> keys;
  std::size_t slot = l.from;
  for (const nft::FieldType type : set->key) {
    const auto key = key_at(e, slot, type);
    if (!key)
      return unmodelled(e, {fmt::format("无法跟踪查询集合 {} 的键", l.set),
                            fmt::format("the key looked up in set {} is not followed", l.set)});
    keys.push_back(*key);
    slot += nft::padded_bytes(type) / 4;
  }
  if (keys.size() == 1) {
    look_up_one(*set, l, keys.front(), e);
  } else {
    look_up_many(*set, l, keys, e);
  }
}

void Evaluator::look_up_one(const Set& set, const nft::Lookup& l, const Symbol& key, Execution& e) {
  const auto by_number = [&](std::uint32_t number) {
    nft::ElementKey bytes;
    std::memcpy(bytes.bytes.data(), &number, sizeof(number));
    return find(set, bytes);
  };
  Symbol value;
  switch (key.kind) {
    case Symbol::Kind::constant: {
      const std::uint32_t label = by_number(key.number);
      if (label != 0) value = {Symbol::Kind::constant, 0, {}, {}, label - 1};
      return found(l, set, terminal(label), value, e);
    }
    case Symbol::Kind::raw: {
      if (key.number != 0 && set.interval)
        return unmodelled(
            e, {"在区间集合中查询掩码后的地址", "looks a masked address up in a set of intervals"});
      const Space& space = world_.space(key.field, key.family);
      Labels labels(world_.classes(key.field), 0);
      for (Class cls = 0; cls < labels.size(); ++cls) {
        nft::ElementKey bytes;
        if (space.inhabited(cls)) {
          const Value& example = space.example(cls);
          const Value kept = key.number == 0 ? example : prefix_first(example, key.number - 1);
          std::copy_n(kept.begin(), 16, bytes.bytes.begin());
          labels[cls] = find(set, bytes);
        } else if (key.field == Field::src || key.field == Field::dst ||
                   key.field == Field::original_src || key.field == Field::original_dst) {
          // No such packet: any answer will do, and this one keeps the families alike.
          labels[cls] = world_.domains(key.family)[cls] == domain_any
                            ? 0
                            : world_.domains(key.family)[cls] + 1;
        }
      }
      value = {Symbol::Kind::function, 0, key.field, {}, function(std::move(labels))};
      return found(l, set, node_of(value), value, e);
    }
    case Symbol::Kind::function: {
      Labels labels = *functions_[key.number];
      for (std::uint32_t& label : labels) label = label == 0 ? 0 : by_number(label - 1);
      value = {Symbol::Kind::function, 0, key.field, {}, function(std::move(labels))};
      return found(l, set, node_of(value), value, e);
    }
    case Symbol::Kind::diagram: {
      const Node labels = d_.map(
          key.number, [&](std::uint32_t label) { return label == 0 ? 0 : by_number(label - 1); });
      value = {Symbol::Kind::diagram, 0, {}, {}, labels};
      return found(l, set, labels, value, e);
    }
    case Symbol::Kind::unknown:
      break;
  }
  unmodelled(e, {"读取了未知的值", "reads a value that is not known"});
}

void Evaluator::note_pair_set(const Set& set, std::span<const Symbol> keys) {
  const auto of = [](const Symbol& key, Field field) {
    return key.kind == Symbol::Kind::constant ||
           (key.kind == Symbol::Kind::function && key.field == field);
  };
  if (of(keys[0], Field::original_src) && of(keys[1], Field::original_dst)) {
    out_.pair_sets.insert(set.name);
  } else {
    not_pair_sets_.insert(set.name);
  }
}

// Which classes a part of a key stands for, by the bytes that an element has there.
std::optional<Evaluator::KeyPart> Evaluator::key_part(const Symbol& key, std::size_t bytes) const {
  KeyPart part;
  part.bytes = bytes;
  const auto add = [&](const void* data, std::size_t size, Class cls) {
    Value at{};
    std::memcpy(at.data(), data, std::min(size, bytes));
    part.classes[at].push_back(cls);
  };
  switch (key.kind) {
    case Symbol::Kind::constant:
      add(&key.number, sizeof(key.number), 0);
      return part;
    case Symbol::Kind::function: {
      const Labels& labels = *functions_[key.number];
      for (Class cls = 0; cls < labels.size(); ++cls) {
        const std::uint32_t value = labels[cls] - 1;
        if (labels[cls] != 0) add(&value, sizeof(value), cls);
      }
      return part;
    }
    case Symbol::Kind::raw: {
      if (key.number != 0) return std::nullopt;
      const Space& space = world_.space(key.field, key.family);
      for (Class cls = 0; cls < space.classes(); ++cls)
        if (space.inhabited(cls)) add(space.example(cls).data(), bytes, cls);
      return part;
    }
    case Symbol::Kind::diagram:
    case Symbol::Kind::unknown:
      break;
  }
  return std::nullopt;
}

// The set's elements as points over the classes of the key's fields.
Node Evaluator::points(const Set& set, std::span<const Symbol> keys,
                       std::span<const KeyPart> parts) {
  std::vector<std::pair<Level, std::pair<std::size_t, std::size_t>>>
      order;  // part, bit from the end
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].kind == Symbol::Kind::constant) continue;
    const auto levels = world_.levels(keys[i].field);
    for (std::size_t bit = 0; bit < levels.size(); ++bit)
      order.push_back({levels[bit], {i, levels.size() - 1 - bit}});
  }
  std::sort(order.begin(), order.end());
  std::vector<Level> levels;
  levels.reserve(order.size());
  for (const auto& [level, bit] : order) levels.push_back(level);

  std::vector<Point> out;
  std::vector<Class> at(parts.size());
  const auto expand = [&](const auto& self, const nft::Element& element, std::size_t i,
                          std::size_t offset) -> void {
    if (i < parts.size()) {
      const auto classes = parts[i].classes.find(
          value_of_bytes(element.first.bytes.data() + offset, parts[i].bytes));
      if (classes == parts[i].classes.end()) return;
      for (const Class cls : classes->second) {
        at[i] = cls;
        self(self, element, i + 1, offset + parts[i].bytes);
      }
      return;
    }
    Point point;
    for (std::size_t b = 0; b < order.size(); ++b) {
      const auto& [part, bit] = order[b].second;
      if ((at[part] >> bit & 1U) == 0) continue;
      (b < 64 ? point.high : point.low) |= std::uint64_t{1} << (63U - b % 64U);
    }
    point.value = set.data == DataType::none ? 1 : element.value + 1;
    out.push_back(point);
  };
  for (const nft::Element& element : set.elements) expand(expand, element, 0, 0);
  return diagram_of(d_, levels, std::move(out));
}

// A key of several parts: each part a function of a field of its own, or a constant.
void Evaluator::look_up_many(const Set& set, const nft::Lookup& l, std::span<const Symbol> keys,
                             Execution& e) {
  note_pair_set(set, keys);
  const std::pair key{set.name, std::vector<Symbol>(keys.begin(), keys.end())};
  auto known = lookups_.find(key);
  if (known == lookups_.end()) {
    std::vector<KeyPart> parts;
    std::set<Field> used;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      auto part = key_part(keys[i], nft::padded_bytes(set.key[i]));
      const bool again =
          keys[i].kind != Symbol::Kind::constant && !used.insert(keys[i].field).second;
      if (!part || again)
        return unmodelled(e, {fmt::format("无法跟踪查询集合 {} 的键", l.set),
                              fmt::format("the key looked up in set {} is not followed", l.set)});
      parts.push_back(*std::move(part));
    }
    known = lookups_.emplace(key, points(set, keys, parts)).first;
  }
  found(l, set, known->second, {Symbol::Kind::diagram, 0, {}, {}, known->second}, e);
}

// labels: 0 where nothing is found, else the element's value + 1 (1 without data).
void Evaluator::found(const nft::Lookup& l, const Set& set, Node labels, const Symbol& value,
                      Execution& e) {
  if (l.inverted) {
    e.matches = d_.choose(labels, nothing, e.matches);
    return;
  }
  if (l.data == DataType::verdict) {
    if (set.data != DataType::verdict)
      return unmodelled(e, {"集合不含判决", "a set without verdicts gives one"});
    e.judged = d_.choose(e.matches, labels, nothing);
    e.verdicts = set.verdicts;
    return;
  }
  e.matches = d_.choose(labels, e.matches, nothing);
  if (l.data == DataType::id) e.registers.at(l.to) = value;
}

void Evaluator::step(const nft::Expression& expression, Execution& e) {
  std::visit(
      Overloaded{
          [&](const nft::LoadAddress& l) { load(l, e); },
          [&](const nft::LoadMeta& l) { load(l, e); },
          [&](const nft::LoadCt& l) { load(l, e); },
          [&](const nft::SetMark& s) {
            e.path.mark = e.registers.at(s.from);
            e.marked = true;
          },
          [&](const nft::SetCtMark& s) {
            const Symbol& value = e.registers.at(s.from);
            if (value.kind != Symbol::Kind::constant)
              return unmodelled(e, {"连接标记取自变量", "marks a connection with a variable"});
            e.path.ct_mark = value;
          },
          [&](const nft::SetValue& s) {
            e.registers.at(s.to) = {Symbol::Kind::constant, 0, {}, {}, s.value};
          },
          [&](const nft::KeepPrefix& k) { keep_prefix(k, e); },
          [&](const nft::Compare& c) { compare(c, e); },
          [&](const nft::Lookup& l) { look_up(l, e); },
          [&](const nft::Count& c) { e.counted = c.counter; },
          [&](const nft::Limit&) {},  // rule() knows which one it is
          [&](const nft::Log&) {},
          [&](const nft::Queue& q) {
            e.outcome = Outcome{Fate::inspect, q.number, q.bypass, 0, {}};
          },
          [&](const Verdict& v) {
            e.judged = d_.choose(e.matches, always, nothing);
            e.verdicts = {v};
          },
          [&](const nft::Foreign& f) {
            unmodelled(e, {fmt::format("未知表达式“{}”", f.name),
                           fmt::format("the unknown expression \"{}\"", f.name)});
          },
      },
      expression);
}

// --- rules and chains --------------------------------------------------------------------------

Node Evaluator::final(Fate fate, const Execution& e) {
  Outcome outcome = e.outcome.value_or(Outcome{fate, 0, false, 0, {}});
  outcome.reason = e.counted;
  if (e.path.ct_mark.kind == Symbol::Kind::constant)
    outcome.mark = told_mark(e.path.ct_mark.number, ruleset_.generation);
  return terminal(outcomes_.number(outcome));
}

Node Evaluator::go(const Verdict& verdict, std::size_t index, std::size_t number,
                   const Execution& e) {
  switch (verdict.kind) {
    case Verdict::Kind::accept:
      return final(Fate::pass, e);
    case Verdict::Kind::drop:
      return final(Fate::drop, e);
    case Verdict::Kind::return_:
      return chain(index, ruleset_.chains[index].rules.size(), e.path, e.stack);
    case Verdict::Kind::other:
      return lost();
    case Verdict::Kind::jump_to:
    case Verdict::Kind::go_to:
      break;
  }
  const auto target = chain_named(verdict.chain);
  if (!target) return lost();
  std::vector<Return> stack = e.stack;
  if (verdict.kind == Verdict::Kind::jump_to) {
    if (stack.size() == jumps_max) return lost();
    stack.emplace_back(index, number + 1);
  }
  return chain(*target, 0, e.path, stack);
}

// From what the rule did, and what comes after it where it did not match.
Node Evaluator::conclude(std::size_t index, std::size_t number, Execution& e) {
  if (e.lost) return lost();
  Path broken = e.path;
  if (e.marked) broken.mark = {};  // it may have been written before the rule ended
  if (e.outcome) {
    return d_.choose(e.matches, final(Fate::inspect, e), chain(index, number + 1, broken, e.stack));
  }
  if (!e.judged) {
    const Node matched = chain(index, number + 1, e.path, e.stack);
    if (e.path == broken) return matched;
    return d_.choose(e.matches, matched, chain(index, number + 1, broken, e.stack));
  }
  std::vector<Node> targets;
  bool finals = true;
  for (const Verdict& verdict : e.verdicts) {
    targets.push_back(go(verdict, index, number, e));
    finals &= is_terminal(targets.back());
  }
  const bool certain = e.judged == always && targets.size() == 1;
  if (certain) return targets.front();
  Node out = chain(index, number + 1, broken, e.stack);
  if (finals) {
    const Node decided = d_.map(*e.judged, [&](std::uint32_t label) {
      return label == 0 ? 0 : value_of(targets[label - 1]);
    });
    return d_.over(decided, out);
  }
  for (std::size_t v = 0; v < targets.size(); ++v) {
    const Node here = d_.map(*e.judged, [&](std::uint32_t label) {
      return label == v + 1 ? std::uint32_t{1} : std::uint32_t{0};
    });
    out = d_.choose(here, targets[v], out);
  }
  return out;
}

Node Evaluator::rule(std::size_t index, std::size_t number, const Path& path,
                     const std::vector<Return>& stack) {
  Execution e;
  e.path = path;
  e.stack = stack;
  const auto& expressions = ruleset_.chains[index].rules[number].expressions;
  const bool rated = std::any_of(expressions.begin(), expressions.end(), [](const auto& each) {
    return std::holds_alternative<nft::Limit>(each);
  });
  if (rated) {
    const auto chance = chances_.try_emplace({index, number}, chances_.size()).first->second;
    if (chance >= chances_max) {
      unmodelled(e, {"带速率限制的规则过多", "too many rules with a rate"});
    } else {
      e.matches = d_.make(world_.levels(Field::chance)[chance], nothing, always);
    }
  }
  for (const nft::Expression& expression : expressions) {
    place_ = fmt::format("chain {} rule {}", ruleset_.chains[index].name, number + 1);
    step(expression, e);
    if (e.lost || e.judged || e.outcome || e.matches == nothing) break;
  }
  return conclude(index, number, e);
}

// Whether what a chain does may depend on the mark that a packet has when it enters.
bool Evaluator::reads_mark(std::size_t index) {
  const auto [known, fresh] = reads_mark_.try_emplace(index, false);
  if (!fresh) return known->second;
  const auto follows = [&](const Verdict& verdict) {
    const auto next = chain_named(verdict.chain);
    return next && reads_mark(*next);
  };
  bool reads = false;
  for (const nft::Rule& each : ruleset_.chains[index].rules) {
    bool written = false;
    for (const nft::Expression& expression : each.expressions) {
      if (std::holds_alternative<nft::SetMark>(expression)) written = true;
      if (written) continue;
      const auto* meta = std::get_if<nft::LoadMeta>(&expression);
      if (meta != nullptr && meta->key == nft::LoadMeta::Key::mark) reads = true;
      if (const auto* verdict = std::get_if<Verdict>(&expression)) reads |= follows(*verdict);
      const auto* lookup = std::get_if<nft::Lookup>(&expression);
      const Set* set = lookup == nullptr ? nullptr : set_named(lookup->set);
      if (set == nullptr) continue;
      reads |= std::any_of(set->verdicts.begin(), set->verdicts.end(), follows);
    }
  }
  return reads_mark_[index] = reads;
}

Node Evaluator::chain(std::size_t index, std::size_t number, Path path,
                      const std::vector<Return>& stack) {
  const Chain& here = ruleset_.chains[index];
  if (number >= here.rules.size()) {
    if (!stack.empty()) {
      const Return back = stack.back();
      return chain(back.first, back.second, path, {stack.begin(), stack.end() - 1});
    }
    Execution end;
    end.path = path;
    return final(Fate::drop, end);  // every base chain of ours has this policy
  }
  if (stack.empty() && !reads_mark(index)) path.mark = {};
  const auto key = std::tuple(index, number, path, stack);
  if (const auto known = chains_.find(key); known != chains_.end()) return known->second;
  if (depth_ > depth_max || d_.full()) return lost();
  ++depth_;
  const Node node = rule(index, number, path, stack);
  --depth_;
  chains_.emplace(key, node);
  return node;
}

Evaluation Evaluator::run() {
  std::optional<std::size_t> base;
  for (std::size_t i = 0; i < ruleset_.chains.size(); ++i) {
    const Chain& each = ruleset_.chains[i];
    if (each.hook == nft::Hook::none) continue;
    if (each.hook == nft::Hook::forward && !base) {
      base = i;
      continue;
    }
    out_.unmodelled.push_back({fmt::format("链 {}：表中另有挂接点", each.name),
                               fmt::format("chain {}: another hook of the table", each.name)});
  }
  if (base) {
    out_.outcome = chain(*base, 0, {}, {});
  } else {
    out_.outcome = terminal(outcomes_.number({Fate::pass, 0, false, 0, {}}));
  }
  for (const std::string& name : not_pair_sets_) out_.pair_sets.erase(name);
  return std::move(out_);
}

}  // namespace

Evaluation evaluate(const nft::Ruleset& ruleset, const World& world, Outcomes& outcomes) {
  return Evaluator(ruleset, world, outcomes).run();
}

}  // namespace menshen::policy::prove
