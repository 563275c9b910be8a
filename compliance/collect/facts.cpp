#include "compliance/collect/facts.hpp"

#include <fmt/format.h>

#include <utility>

#include "compliance/catalogue/digest.hpp"
#include "compliance/collect/utf8.hpp"

namespace menshen::compliance {
namespace {

// Walks object keys; a key may hold dots, so the longest one that fits is tried first.
const nlohmann::json* walk(const nlohmann::json& value, std::string_view path) {
  if (path.empty()) return &value;
  if (!value.is_object()) return nullptr;
  for (std::size_t end = path.size(); end != std::string_view::npos && end > 0;
       end = end == 0 ? std::string_view::npos : path.rfind('.', end - 1)) {
    const auto found = value.find(std::string(path.substr(0, end)));
    if (found != value.end()) {
      const std::string_view rest = end == path.size() ? std::string_view() : path.substr(end + 1);
      if (const nlohmann::json* inner = walk(*found, rest)) return inner;
    }
  }
  return nullptr;
}

}  // namespace

Provenance make_provenance(std::string object, std::string source, WallTime collected_at,
                           std::string_view raw) {
  Provenance p;
  p.object = std::move(object);
  p.source = std::move(source);
  p.collected_at = collected_at;
  p.sha256 = sha256_hex(raw);
  p.sm3 = sm3_hex(raw);
  p.raw_bytes = raw.size();
  p.raw = std::make_shared<const std::string>(raw);
  p.excerpt = printable(raw, excerpt_bytes_max);
  return p;
}

void Facts::add(std::string name, nlohmann::json value, Provenance provenance) {
  facts_.insert_or_assign(std::move(name),
                          Fact{std::move(value), std::nullopt, std::move(provenance)});
}

void Facts::fail(std::string name, Text reason, Provenance provenance) {
  facts_.insert_or_assign(std::move(name), Fact{nullptr, std::move(reason), std::move(provenance)});
}

void Facts::merge(Facts other) {
  for (auto& [name, fact] : other.facts_) facts_.insert_or_assign(name, std::move(fact));
}

Facts::Found Facts::find(std::string_view path) const {
  for (std::size_t end = path.size(); end != std::string_view::npos && end > 0;
       end = path.rfind('.', end - 1)) {
    const auto found = facts_.find(path.substr(0, end));
    if (found == facts_.end()) continue;
    const std::string_view rest = end == path.size() ? std::string_view() : path.substr(end + 1);
    const Fact& fact = found->second;
    return {&fact, found->first, fact.failure ? nullptr : walk(fact.value, rest)};
  }
  return {};
}

void add_product_facts(Facts& facts, std::string_view space, const nlohmann::json& values,
                       std::string object, std::string source, WallTime collected_at) {
  if (!values.is_object()) return;
  const std::string raw = values.dump(1, ' ', false, nlohmann::json::error_handler_t::replace);
  const Provenance provenance =
      make_provenance(std::move(object), std::move(source), collected_at, raw);
  for (const auto& [key, value] : values.items())
    facts.add(fmt::format("{}.{}", space, key), value, provenance);
}

void fail_product_facts(Facts& facts, std::string_view space, Text reason, std::string object,
                        std::string source, WallTime collected_at) {
  facts.fail(std::string(space), std::move(reason),
             make_provenance(std::move(object), std::move(source), collected_at, ""));
}

}  // namespace menshen::compliance
