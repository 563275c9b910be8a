// JSON or YAML that another system's tools wrote, as one kind of tree.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/yaml.hpp"
#include "policy/import/import.hpp"

namespace menshen::policy::imports {

// JSON (one document) or YAML (several, apart by "---"). Bounds are those of base/yaml.hpp. JSON
// has no places.
[[nodiscard]] Result<std::vector<yaml::Node>> documents_of(const Source& source);
// Of all files, one after the other.
[[nodiscard]] Result<std::vector<yaml::Node>> documents_of(std::span<const Source> sources);

// Members by name; what is not there is empty.
[[nodiscard]] const yaml::Node& member(const yaml::Node& node, std::string_view key);
[[nodiscard]] const yaml::Node& member(const yaml::Node& node, std::string_view key,
                                       std::string_view inner);
[[nodiscard]] const std::string& text_of(const yaml::Node& node, std::string_view key);
// A number written without quotes.
[[nodiscard]] std::optional<std::int64_t> number_of(const yaml::Node& node);
[[nodiscard]] bool is_true(const yaml::Node& node, bool otherwise);

}  // namespace menshen::policy::imports
