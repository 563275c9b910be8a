// Expression <-> libnftnl's expression. read_expression is the opposite of make_expression.
#pragma once

#include <cstdint>
#include <cstdio>  // libnftnl's header needs FILE

#include <libnftnl/expr.h>

#include "base/handle.hpp"
#include "policy/nft/ruleset.hpp"

namespace menshen::policy::nft {

// How this kernel hands packets to user space from an inet chain.
enum class QueueKind : std::uint8_t { native, xt_target };

using ExpressionHandle = Handle<nftnl_expr, &nftnl_expr_free>;

// Null only where libnftnl has no memory, or for a Foreign, which nobody makes.
[[nodiscard]] ExpressionHandle make_expression(const Expression& expression, QueueKind queue);

// Of an immediate or of a set's element.
[[nodiscard]] int kernel_verdict(const Verdict& verdict);
[[nodiscard]] Verdict read_verdict(int code, std::string chain);

// Anything that make_expression would not have written is a Foreign.
[[nodiscard]] Expression read_expression(const nftnl_expr* expression);

}  // namespace menshen::policy::nft
