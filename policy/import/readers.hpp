// One reader for each kind of source. Each adds domains, lines and losses to the writer.
#pragma once

#include <span>

#include "policy/import/import.hpp"
#include "policy/import/writer.hpp"

namespace menshen::policy::imports {

[[nodiscard]] Result<void> read_kubernetes(std::span<const Source> sources, Writer& writer);
[[nodiscard]] Result<void> read_openstack(std::span<const Source> sources, Writer& writer);
[[nodiscard]] Result<void> read_iptables(std::span<const Source> sources,
                                         const ImportOptions& options, Writer& writer);
[[nodiscard]] Result<void> read_nft(std::span<const Source> sources, const ImportOptions& options,
                                    Writer& writer);

}  // namespace menshen::policy::imports
