#include "policy/model/table_builder.hpp"

#include <algorithm>
#include <array>

namespace menshen::policy {
namespace {

constexpr std::array wide_id{domain_any};
constexpr std::array wide_class{class_any};

template <std::size_t n>
std::span<const std::uint32_t> or_any(std::span<const std::uint32_t> listed,
                                      const std::array<std::uint32_t, n>& any) {
  return listed.empty() ? std::span<const std::uint32_t>(any) : listed;
}

}  // namespace

std::size_t TableBuilder::KeyHash::operator()(const TableKey& key) const noexcept {
  std::uint64_t x = (std::uint64_t{key.from} << 32 | key.to) ^ std::uint64_t{key.cls} << 17;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
  x = (x ^ x >> 27) * 0x94d049bb133111ebU;
  return static_cast<std::size_t>(x ^ x >> 31);
}

// The first line whose own entry covers the whole of `key`.
std::optional<std::uint32_t> TableBuilder::first_line(const TableKey& key) const {
  std::optional<std::uint32_t> first;
  const bool wide_lines =
      !from_any_.empty() || !any_to_.empty() || any_any_.any_class || !any_any_.classes.empty();
  for (unsigned shape = 0; shape < (wide_lines ? 8U : 2U); ++shape) {
    const TableKey wider{(shape & 4U) != 0 ? domain_any : key.from,
                         (shape & 2U) != 0 ? domain_any : key.to,
                         (shape & 1U) != 0 ? class_any : key.cls};
    const auto found = direct_.find(wider);
    if (found != direct_.end() && (!first || found->second < *first)) first = found->second;
  }
  return first;
}

void TableBuilder::widen(const TableKey& key) {
  if (key.from != domain_any && key.to != domain_any) return;
  Wide& wide = key.from != domain_any ? from_any_[key.from]
               : key.to != domain_any ? any_to_[key.to]
                                      : any_any_;
  if (key.cls == class_any) {
    wide.any_class = true;
  } else {
    wide.classes.insert(key.cls);
  }
}

bool TableBuilder::add(const TableLine& line, std::uint32_t index, Coverage& coverage) {
  std::unordered_set<std::uint32_t> by;
  for (const DomainId from : or_any(line.from, wide_id)) {
    for (const DomainId to : or_any(line.to, wide_id)) {
      if (from == to && from != domain_any) continue;  // inside a domain lines do not speak
      for (const ClassId cls : or_any(line.classes, wide_class)) {
        const TableKey key{from, to, cls};
        ++coverage.cells;
        const auto earlier = first_line(key);
        if (earlier && *earlier != index) {
          ++coverage.covered;
          by.insert(*earlier);
        }
        direct_.try_emplace(key, index);
        if (direct_.size() > DecisionTable::entries_max) return false;
        widen(key);
      }
    }
  }
  coverage.by.assign(by.begin(), by.end());
  std::sort(coverage.by.begin(), coverage.by.end());
  return true;
}

// Entries for the overlap of (from, to, any class) with every class that a line covering the pair
// names.
bool TableBuilder::add_overlaps(Entries& out, DomainId from, DomainId to, bool with_any) const {
  const auto add_key = [&](ClassId cls) {
    const TableKey key{from, to, cls};
    if (direct_.contains(key)) return;
    if (const auto line = first_line(key)) out.try_emplace(key, *line);
  };
  const auto add_all = [&](const Wide& wide) {
    for (const ClassId cls : wide.classes) {
      add_key(cls);
      if (out.size() + direct_.size() > DecisionTable::entries_max) return;
    }
  };
  if (from != domain_any) {
    if (const auto found = from_any_.find(from); found != from_any_.end()) add_all(found->second);
  }
  if (to != domain_any) {
    if (const auto found = any_to_.find(to); found != any_to_.end()) add_all(found->second);
  }
  add_all(any_any_);
  if (with_any) add_key(class_any);
  return out.size() + direct_.size() <= DecisionTable::entries_max;
}

std::optional<std::vector<TableEntry>> TableBuilder::build(std::size_t domains) const {
  Entries overlaps;
  for (const auto& [key, line] : direct_) {
    if (key.cls != class_any) continue;
    if (!add_overlaps(overlaps, key.from, key.to, false)) return std::nullopt;
  }
  for (const auto& [from, from_wide] : from_any_) {
    for (const auto& [to, to_wide] : any_to_) {
      if (from != to && !add_overlaps(overlaps, from, to, true)) return std::nullopt;
    }
  }
  std::vector<TableEntry> entries;
  entries.reserve(direct_.size() + overlaps.size() + domains);
  for (const Entries* part : {&direct_, static_cast<const Entries*>(&overlaps)}) {
    // A wide line's own entry may be decided by a still wider, earlier one.
    for (const auto& [key, line] : *part) entries.push_back({key, *first_line(key)});
  }
  for (std::size_t id = 1; id <= domains; ++id) {
    const auto domain = static_cast<DomainId>(id);
    entries.push_back({{domain, domain, class_any}, line_same_domain});
  }
  if (entries.size() > DecisionTable::entries_max) return std::nullopt;
  std::sort(entries.begin(), entries.end());
  return entries;
}

}  // namespace menshen::policy
