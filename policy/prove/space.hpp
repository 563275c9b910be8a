// The values of one packet field, cut into classes that nothing in a ruleset or a policy tells
// apart.
//
// An *atom* is a range of values without a boundary inside (Delta-net, NSDI 2017); a *class* is all
// atoms that every split treats alike (Yang and Lam, "Real-time Verification of Network Properties
// using Atomic Predicates", ICNP 2013). What holds for one value of a class holds for all.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace menshen::policy::prove {

// A field's bytes as the packet has them, left-aligned, the rest zero. Compared as a big number.
using Value = std::array<std::uint8_t, 16>;

struct Range {
  Value first{};
  Value last{};
  std::uint32_t label = 0;  // 0: as if it were not listed
};

using Class = std::uint32_t;

class Space {
 public:
  struct Atom {
    Value first{};
    Value last{};
    Class cls = 0;
  };

  Space() = default;
  // Sorted, without gaps, unless the field can have only few values. Width in bytes.
  Space(std::vector<Atom> atoms, std::size_t width);

  // Classes are numbered below this; some numbers may stand for nothing.
  [[nodiscard]] Class classes() const { return static_cast<Class>(examples_.size()); }
  [[nodiscard]] bool inhabited(Class cls) const {
    return cls < examples_.size() && examples_[cls].has_value();
  }
  // Of an inhabited class: the second lowest value where there is one (no network's own address).
  [[nodiscard]] const Value& example(Class cls) const { return *examples_.at(cls); }
  // The class of a value; log n.
  [[nodiscard]] Class class_of(const Value& value) const;
  [[nodiscard]] const std::vector<Atom>& atoms() const { return atoms_; }
  // Prefer this value as the class's example, where it is of that class.
  void prefer(const Value& value);

 private:
  std::vector<Atom> atoms_;
  std::vector<std::optional<Value>> examples_;
};

class SpaceBuilder {
 public:
  explicit SpaceBuilder(std::size_t width) : width_(width) {}  // of the field, in bytes

  // Values with different labels are told apart. Ranges sorted and disjoint. The first split gives
  // the classes their numbers: its label, where that is free.
  void split(std::vector<Range> ranges) { splits_.push_back(std::move(ranges)); }
  // n log n in the ranges.
  [[nodiscard]] Space build() &&;

 private:
  std::size_t width_;
  std::vector<std::vector<Range>> splits_;
};

[[nodiscard]] Value value_after(Value value, std::size_t width);  // wraps
[[nodiscard]] Value highest_value(std::size_t width);
// With all but the first `bits` bits cleared, or set (within the width).
[[nodiscard]] Value prefix_first(Value value, std::size_t bits);
[[nodiscard]] Value prefix_last(Value value, std::size_t bits, std::size_t width);
[[nodiscard]] Value value_of_bytes(const std::uint8_t* bytes, std::size_t width);

}  // namespace menshen::policy::prove
