// EtherNet/IP's commands and CIP's services by name, for the parser and for rules.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace menshen::sensor {

struct EnipName {
  std::uint32_t number;
  std::string_view name;
};
[[nodiscard]] std::span<const EnipName> enip_commands() noexcept;
[[nodiscard]] std::span<const EnipName> enip_statuses() noexcept;
[[nodiscard]] std::span<const EnipName> cip_services() noexcept;

}  // namespace menshen::sensor
