// A file that a transaction carries, as it arrives.
#pragma once

#include <cstdint>
#include <string>

namespace menshen::sensor {

struct File {
  enum class State : std::uint8_t { open, closed, truncated };
  State state = State::open;
  std::string name;
  std::string data;        // its first bytes, kept for rules
  std::uint64_t size = 0;  // bytes seen
  bool has_gaps = false;
};

}  // namespace menshen::sensor
