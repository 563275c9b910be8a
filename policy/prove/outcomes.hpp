// Outcomes as terminals of a diagram.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "policy/prove/packet.hpp"

namespace menshen::policy::prove {

// Numbered from 1: terminal 0 says nothing.
class Outcomes {
 public:
  std::uint32_t number(const Outcome& outcome) {
    const auto [known, fresh] =
        numbers_.try_emplace(outcome, static_cast<std::uint32_t>(all_.size() + 1));
    if (fresh) all_.push_back(outcome);
    return known->second;
  }
  [[nodiscard]] const Outcome& operator[](std::uint32_t number) const {
    return all_.at(number - 1);
  }
  [[nodiscard]] std::size_t size() const { return all_.size(); }

 private:
  std::vector<Outcome> all_;
  std::map<Outcome, std::uint32_t> numbers_;
};

}  // namespace menshen::policy::prove
