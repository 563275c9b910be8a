// What may carry packets around the forward hook of this network namespace, as far as it can be
// asked: bridges, XDP and tc programs, tables of the old iptables.
#pragma once

#include <vector>

#include "base/lang.hpp"
#include "base/result.hpp"

namespace menshen::policy::nft {

// One line each; empty: none seen. By rtnetlink and /proc of the caller's namespace. Needs no
// capability. Other tables of nf_tables: Kernel::others.
[[nodiscard]] Result<std::vector<Text>> surroundings();

}  // namespace menshen::policy::nft
