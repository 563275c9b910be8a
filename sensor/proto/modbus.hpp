// What a Modbus function is and does, as bits: for the parser and for rules.
#pragma once

#include <cstdint>

namespace menshen::sensor::modbus {

enum Category : std::uint8_t { public_assigned = 1, public_unassigned = 2, user = 4, reserved = 8 };

enum Access : std::uint8_t {
  read = 1,
  write = 2,
  discretes = 4,
  coils = 8,
  input = 16,
  holding = 32,
  single = 64,
  multiple = 128,
};

}  // namespace menshen::sensor::modbus
