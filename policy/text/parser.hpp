// YAML text -> syntax tree. Checks form only (types, known keys, spelling of names, addresses,
// ports, dates); whether the names exist and the lines make sense is the model's question
// (model/resolve.hpp).
//
// Never fails as a whole: what is wrong is reported, left out and marked unreadable, so that one
// run shows every mistake of the file. Thread-safe, no global state.
#pragma once

#include <string_view>

#include "base/diagnostic.hpp"
#include "policy/text/syntax.hpp"

namespace menshen::policy::text {

inline constexpr std::size_t domains_max = 65'535;
inline constexpr std::size_t groups_max = 65'535;
inline constexpr std::size_t services_max = 65'535;
inline constexpr std::size_t flows_max = 500'000;
inline constexpr std::size_t name_bytes_max = 63;
inline constexpr std::size_t text_bytes_max = 1024;     // title, owner, reason, ticket, author
inline constexpr std::size_t interface_bytes_max = 15;  // IFNAMSIZ - 1

[[nodiscard]] File parse(std::string_view source, Diagnostics& diagnostics);

}  // namespace menshen::policy::text
