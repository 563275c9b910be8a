// DNP3's functions and internal indications by name (IEEE 1815), for the parser and for rules.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace menshen::sensor {

struct Dnp3Name {
  std::uint32_t number;
  std::string_view name;
};
[[nodiscard]] std::span<const Dnp3Name> dnp3_functions() noexcept;
// By their bit: the first octet of indications in the upper half.
[[nodiscard]] std::span<const Dnp3Name> dnp3_indications() noexcept;

}  // namespace menshen::sensor
