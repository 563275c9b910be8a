#include "policy/prove/space.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

namespace menshen::policy::prove {

Space::Space(std::vector<Atom> atoms, std::size_t width) : atoms_(std::move(atoms)) {
  for (const Atom& atom : atoms_) {
    if (atom.cls >= examples_.size()) examples_.resize(atom.cls + 1);
    if (examples_[atom.cls]) continue;
    const Value second = value_after(atom.first, width);
    examples_[atom.cls] = atom.first < second && second <= atom.last ? second : atom.first;
  }
}

Class Space::class_of(const Value& value) const {
  const auto after =
      std::upper_bound(atoms_.begin(), atoms_.end(), value,
                       [](const Value& v, const Atom& atom) { return v < atom.first; });
  return after == atoms_.begin() ? 0 : std::prev(after)->cls;
}

void Space::prefer(const Value& value) {
  const Class cls = class_of(value);
  if (inhabited(cls)) examples_[cls] = value;
}

Value value_after(Value value, std::size_t width) {
  for (std::size_t i = width; i-- > 0;)
    if (++value[i] != 0) break;
  return value;
}

Value highest_value(std::size_t width) {
  Value value{};
  std::fill_n(value.begin(), width, std::uint8_t{0xff});
  return value;
}

Value value_of_bytes(const std::uint8_t* bytes, std::size_t width) {
  Value value{};
  std::memcpy(value.data(), bytes, std::min(width, value.size()));
  return value;
}

Space SpaceBuilder::build() && {
  // Where an atom begins.
  std::vector<Value> starts{Value{}};
  const Value highest = highest_value(width_);
  Class next = 1;
  for (const auto& ranges : splits_) {
    for (const Range& range : ranges) {
      starts.push_back(range.first);
      if (range.last < highest) starts.push_back(value_after(range.last, width_));
    }
  }
  if (!splits_.empty())
    for (const Range& range : splits_.front()) next = std::max(next, range.label + 1);
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());

  std::vector<Space::Atom> atoms;
  std::vector<std::size_t> at(splits_.size(), 0);
  std::map<std::vector<std::uint32_t>, Class> known{
      {std::vector<std::uint32_t>(splits_.size(), 0), 0}};
  std::vector<bool> taken(next, false);
  taken[0] = true;
  std::vector<std::uint32_t> signature(splits_.size());
  for (std::size_t i = 0; i < starts.size(); ++i) {
    for (std::size_t s = 0; s < splits_.size(); ++s) {
      const auto& ranges = splits_[s];
      while (at[s] < ranges.size() && ranges[at[s]].last < starts[i]) ++at[s];
      const bool inside = at[s] < ranges.size() && ranges[at[s]].first <= starts[i];
      signature[s] = inside ? ranges[at[s]].label : 0;
    }
    const auto [found, fresh] = known.try_emplace(signature, 0);
    if (fresh) {
      const std::uint32_t wanted = signature.empty() ? 0 : signature.front();
      found->second = taken[wanted] ? next++ : wanted;
      taken[wanted] = true;
    }
    Value last = highest;
    if (i + 1 < starts.size()) {
      last = starts[i + 1];
      for (std::size_t b = width_; b-- > 0;)
        if (last[b]-- != 0) break;
    }
    if (!atoms.empty() && atoms.back().cls == found->second) {
      atoms.back().last = last;
    } else {
      atoms.push_back({starts[i], last, found->second});
    }
  }
  return {std::move(atoms), width_};
}

Value prefix_first(Value value, std::size_t bits) {
  for (std::size_t bit = bits; bit < value.size() * 8; ++bit)
    value[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> bit % 8));
  return value;
}

Value prefix_last(Value value, std::size_t bits, std::size_t width) {
  for (std::size_t bit = bits; bit < width * 8; ++bit)
    value[bit / 8] |= static_cast<std::uint8_t>(0x80U >> bit % 8);
  return value;
}

}  // namespace menshen::policy::prove
