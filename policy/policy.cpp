#include "policy/policy.hpp"

#include <utility>

#include "policy/text/parser.hpp"

namespace menshen::policy {

Loaded load(std::string name, std::string source, const ResolveOptions& options) {
  Loaded loaded{std::nullopt, Diagnostics(std::move(name), source)};
  const text::File file = text::parse(source, loaded.diagnostics);
  loaded.policy = resolve(file, options, loaded.diagnostics);
  return loaded;
}

}  // namespace menshen::policy
