#include "policy/prove/diagram.hpp"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "base/assert.hpp"

namespace menshen::policy::prove {
namespace {

constexpr std::size_t slots_min = 1U << 12U;
constexpr std::size_t cache_max = 1U << 23U;

std::uint64_t mix(std::uint64_t a, std::uint64_t b, std::uint64_t c) noexcept {
  std::uint64_t x = a * 0x9e3779b97f4a7c15U ^ b * 0xbf58476d1ce4e5b9U ^ c * 0x94d049bb133111ebU;
  x = (x ^ x >> 32U) * 0xd6e8feb86659fd93U;
  return x ^ x >> 32U;
}

struct TripleHash {
  std::size_t operator()(const std::array<Node, 3>& key) const noexcept {
    return mix(key[0], key[1], key[2]);
  }
};

}  // namespace

Diagrams::Diagrams(std::size_t nodes_max)
    : slots_(slots_min),
      cache_(slots_min),
      nodes_max_(std::min<std::size_t>(nodes_max, 1U << 30U)) {}

void Diagrams::grow() {
  slots_.assign(slots_.size() * 2, 0);
  for (Node i = 0; i < nodes_.size(); ++i) {
    const Inner& inner = nodes_[i];
    std::size_t slot = mix(inner.level, inner.low, inner.high) & (slots_.size() - 1);
    while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = i + 1;
  }
  // Old results are still right; they are only found again where their place did not move.
  if (cache_.size() < cache_max) cache_.resize(std::min(slots_.size(), cache_max));
}

Node Diagrams::make(Level level, Node low, Node high) {
  if (low == high) return low;
  MENSHEN_ASSERT(level < this->level(low) && level < this->level(high));
  std::size_t slot = mix(level, low, high) & (slots_.size() - 1);
  for (; slots_[slot] != 0; slot = (slot + 1) & (slots_.size() - 1)) {
    const Inner& inner = nodes_[slots_[slot] - 1];
    if (inner.level == level && inner.low == low && inner.high == high) return slots_[slot] - 1;
  }
  if (nodes_.size() >= nodes_max_) {
    full_ = true;
    return nothing;
  }
  nodes_.push_back({level, low, high});
  slots_[slot] = static_cast<Node>(nodes_.size());
  if (nodes_.size() * 2 > slots_.size()) grow();
  return static_cast<Node>(nodes_.size() - 1);
}

Diagrams::Result& Diagrams::cached(Operation operation, Node a, Node b, Node c) {
  const std::uint64_t operand = std::uint64_t{c} << 8U | static_cast<std::uint8_t>(operation);
  return cache_[mix(a, b, operand) & (cache_.size() - 1)];
}

Node Diagrams::branch(Node node, Level at, bool set) const {
  if (level(node) != at) return node;
  return set ? nodes_[node].high : nodes_[node].low;
}

Node Diagrams::choose(Node condition, Node then, Node otherwise) {
  if (condition == nothing) return otherwise;
  if (is_terminal(condition) || then == otherwise) return then;
  if (full_) return nothing;
  const Result& known = cached(Operation::choose, condition, then, otherwise);
  if (known.operation == Operation::choose && known.a == condition && known.b == then &&
      known.c == otherwise)
    return known.value;
  const Level at = std::min({level(condition), level(then), level(otherwise)});
  const auto side = [&](bool set) {
    return choose(branch(condition, at, set), branch(then, at, set), branch(otherwise, at, set));
  };
  const Node low = side(false);
  const Node high = side(true);
  const Node result = make(at, low, high);
  // Looked up again: the cache may have grown meanwhile.
  cached(Operation::choose, condition, then, otherwise) = {condition, then, otherwise, result,
                                                           Operation::choose};
  return result;
}

Node Diagrams::combine(Operation operation, Node a, Node b) {
  if (a == b || b == nothing) return a;
  if (a == nothing) return b;
  if (is_terminal(a)) {
    if (operation == Operation::over) return a;
    if (is_terminal(b)) return std::min(a, b);
  }
  if (full_) return nothing;
  if (operation == Operation::least && a > b) std::swap(a, b);
  const Result& known = cached(operation, a, b, 0);
  if (known.operation == operation && known.a == a && known.b == b) return known.value;
  const Level at = std::min(level(a), level(b));
  const Node low = combine(operation, branch(a, at, false), branch(b, at, false));
  const Node high = combine(operation, branch(a, at, true), branch(b, at, true));
  const Node result = make(at, low, high);
  cached(operation, a, b, 0) = {a, b, 0, result, operation};
  return result;
}

Node Diagrams::over(Node upper, Node lower) { return combine(Operation::over, upper, lower); }

Node Diagrams::least(Node a, Node b) { return combine(Operation::least, a, b); }

Node Diagrams::map(Node node, const std::function<std::uint32_t(std::uint32_t)>& image) {
  constexpr Node unknown = ~Node{0};
  std::vector<Node> done(nodes_.size(), unknown);
  const auto walk = [&](const auto& self, Node each) -> Node {
    if (is_terminal(each)) return terminal(image(value_of(each)));
    if (done[each] != unknown) return done[each];
    const Inner inner = nodes_[each];
    const Node low = self(self, inner.low);
    const Node high = self(self, inner.high);
    return done[each] = make(inner.level, low, high);
  };
  return walk(walk, node);
}

std::uint32_t Diagrams::at(Node node, const std::function<bool(Level)>& bit) const {
  while (!is_terminal(node)) node = bit(nodes_[node].level) ? nodes_[node].high : nodes_[node].low;
  return value_of(node);
}

std::optional<std::vector<Bit>> Diagrams::difference(Node a, Node b, Node where) const {
  std::unordered_set<std::array<Node, 3>, TripleHash> same;
  std::vector<Bit> path;
  const auto walk = [&](const auto& self, Node x, Node y, Node within) -> bool {
    if (x == y || within == nothing) return false;
    if (is_terminal(x) && is_terminal(y) && is_terminal(within)) return true;
    if (same.contains({x, y, within})) return false;
    const Level split = std::min({level(x), level(y), level(within)});
    for (const bool set : {false, true}) {
      path.push_back({split, set});
      if (self(self, branch(x, split, set), branch(y, split, set), branch(within, split, set)))
        return true;
      path.pop_back();
    }
    same.insert({x, y, within});
    return false;
  };
  if (!walk(walk, a, b, where)) return std::nullopt;
  return path;
}

namespace {

// The part of sorted points that agree in the bits before `depth`.
Node build(Diagrams& diagrams, std::span<const Level> levels, std::span<const Point> points,
           std::size_t depth) {
  if (points.empty()) return nothing;
  if (depth == levels.size()) return terminal(points.front().value);
  const auto bit = [&](const Point& point) {
    const std::uint64_t word = depth < 64 ? point.high : point.low;
    return (word >> (63U - depth % 64U) & 1U) != 0;
  };
  const auto middle = std::partition_point(points.begin(), points.end(),
                                           [&](const Point& point) { return !bit(point); });
  const auto count = static_cast<std::size_t>(middle - points.begin());
  const Node low = build(diagrams, levels, points.first(count), depth + 1);
  const Node high = build(diagrams, levels, points.subspan(count), depth + 1);
  return diagrams.make(levels[depth], low, high);
}

}  // namespace

Node diagram_of(Diagrams& diagrams, std::span<const Level> levels, std::vector<Point> points) {
  std::sort(points.begin(), points.end());
  return build(diagrams, levels, points, 0);
}

}  // namespace menshen::policy::prove
