// Multi-terminal binary decision diagrams: functions from the bits of a packet to a number.
//
// Reduced and shared: two functions are equal exactly where their Node is equal, which is what
// makes a proof out of a comparison. (Bryant, "Graph-Based Algorithms for Boolean Function
// Manipulation", IEEE ToC 1986; Fujita, McGeer and Yang, "Multi-Terminal Binary Decision Diagrams",
// FMSD 1997.)
//
// Terminal 0 stands for "no" and for "nothing here". An operation costs at most the product of its
// operands' nodes; in this module they meet in few places, and it is near their sum. Memory: 16
// bytes a node and the cache of results. Never fails: past nodes_max every result is worthless and
// full() says so. Not thread-safe.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace menshen::policy::prove {

using Level = std::uint16_t;  // a bit of the packet; lower levels are asked first
using Node = std::uint32_t;   // terminals have the highest bit set

inline constexpr Node terminal_bit = 0x8000'0000;
inline constexpr Node nothing = terminal_bit;      // terminal 0
inline constexpr Node always = terminal_bit | 1U;  // terminal 1
inline constexpr Level level_none = 0xffff;        // of terminals

[[nodiscard]] constexpr Node terminal(std::uint32_t value) { return terminal_bit | value; }
[[nodiscard]] constexpr bool is_terminal(Node node) { return (node & terminal_bit) != 0; }
[[nodiscard]] constexpr std::uint32_t value_of(Node node) { return node & ~terminal_bit; }

// One bit of an assignment; a path from the root that leaves other bits open.
struct Bit {
  Level level = 0;
  bool set = false;
};

class Diagrams {
 public:
  static constexpr std::size_t nodes_max_default = 64U << 20U;  // 1 GiB

  explicit Diagrams(std::size_t nodes_max = nodes_max_default);

  // The function that is `high` where the bit is set and `low` where it is not. Both must speak of
  // later levels only.
  [[nodiscard]] Node make(Level level, Node low, Node high);
  // `then` where the condition is not 0, `otherwise` elsewhere.
  [[nodiscard]] Node choose(Node condition, Node then, Node otherwise);
  // `upper` where that is not 0, `lower` elsewhere.
  [[nodiscard]] Node over(Node upper, Node lower);
  // The smaller of both; 0 counts as nothing.
  [[nodiscard]] Node least(Node a, Node b);
  // Every terminal v becomes image(v). Linear in all nodes there are.
  [[nodiscard]] Node map(Node node, const std::function<std::uint32_t(std::uint32_t)>& image);
  [[nodiscard]] Node both(Node a, Node b) { return choose(a, b, nothing); }

  // The terminal that an assignment leads to.
  [[nodiscard]] std::uint32_t at(Node node, const std::function<bool(Level)>& bit) const;
  // Somewhere within `where` (not 0) that the two differ; nothing: they are the same there.
  [[nodiscard]] std::optional<std::vector<Bit>> difference(Node a, Node b, Node where) const;

  [[nodiscard]] Level level(Node node) const {
    return is_terminal(node) ? level_none : nodes_[node].level;
  }
  [[nodiscard]] Node low(Node node) const { return nodes_[node].low; }
  [[nodiscard]] Node high(Node node) const { return nodes_[node].high; }
  [[nodiscard]] std::size_t nodes() const { return nodes_.size(); }
  [[nodiscard]] bool full() const { return full_; }

 private:
  enum class Operation : std::uint8_t { none, choose, over, least };
  struct Inner {
    Level level = 0;
    Node low = 0;
    Node high = 0;
  };
  struct Result {
    Node a = 0;
    Node b = 0;
    Node c = 0;
    Node value = 0;
    Operation operation = Operation::none;
  };

  void grow();
  [[nodiscard]] Result& cached(Operation operation, Node a, Node b, Node c);
  [[nodiscard]] Node branch(Node node, Level level, bool set) const;
  [[nodiscard]] Node combine(Operation operation, Node a, Node b);

  std::vector<Inner> nodes_;
  std::vector<Node> slots_;  // open addressing: index + 1, 0: free
  std::vector<Result> cache_;
  std::size_t nodes_max_;
  bool full_ = false;
};

// Points of a function, to be made into a diagram at once: at each one, all listed bits are given.
struct Point {
  std::uint64_t high = 0;  // the bits in the order of the levels, the first one highest
  std::uint64_t low = 0;
  std::uint32_t value = 0;
  auto operator<=>(const Point&) const = default;
};

// Points in any order over the given levels (ascending, at most 128); where one occurs twice, the
// smaller value holds. Elsewhere 0. n log n.
[[nodiscard]] Node diagram_of(Diagrams& diagrams, std::span<const Level> levels,
                              std::vector<Point> points);

}  // namespace menshen::policy::prove
