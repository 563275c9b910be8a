// The policy that was last applied, as policyd keeps it across restarts and the sensor reads it for
// its labels.
//
// One JSON file (active.json in policy.state_directory), replaced as a whole, so that a reader sees
// the old or the new policy and never a mixture.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "policy/policy.hpp"

namespace menshen::apps {

inline constexpr std::size_t policy_source_bytes_max = 15U
                                                       << 20U;  // fits one control request as JSON

struct ActivePolicy {
  std::string name;    // what the administrator called the file
  std::string source;  // its text
  std::string sha256;  // of the text, hex
  WallTime applied_at = 0;
  std::string applied_by;
  std::uint32_t generation = 0;  // of the ruleset it was first committed as
};

[[nodiscard]] std::filesystem::path active_policy_file(
    const std::filesystem::path& state_directory);
// Nothing where none was ever applied. ErrorCode::corrupt for a file that is not ours or not whole.
[[nodiscard]] Result<std::optional<ActivePolicy>> load_active_policy(
    const std::filesystem::path& file);
[[nodiscard]] Result<void> save_active_policy(const std::filesystem::path& file,
                                              const ActivePolicy& policy);

// Compiles it for a running appliance: lines whose last day is over no longer hold.
// ErrorCode::corrupt where the text does not compile any more.
[[nodiscard]] Result<policy::Policy> compile_active(const ActivePolicy& active, const Clock& clock);

// Lower-case hex SHA-256.
[[nodiscard]] Result<std::string> sha256_hex(std::string_view bytes);

}  // namespace menshen::apps
