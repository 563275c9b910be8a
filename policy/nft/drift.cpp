#include "policy/nft/drift.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <utility>

#include "policy/nft/lower.hpp"

namespace menshen::policy::nft {
namespace {

struct KindInfo {
  std::string_view name;
  std::string_view zh;
  std::string_view en;
};

constexpr std::array<KindInfo, 15> kinds{{
    {"table_missing", "表缺失", "the table is missing"},
    {"table_dormant", "表被停用", "the table is switched off"},
    {"chain_missing", "链缺失", "the chain is missing"},
    {"chain_added", "多出链", "a chain was added"},
    {"chain_changed", "链的挂接点或默认策略被改", "the chain's hook or policy was changed"},
    {"rule_missing", "规则缺失", "a rule is missing"},
    {"rule_added", "多出规则", "a rule was added"},
    {"rule_changed", "规则被改", "a rule was changed"},
    {"set_missing", "集合缺失", "the set is missing"},
    {"set_added", "多出集合", "a set was added"},
    {"set_changed", "集合类型被改", "the set's type was changed"},
    {"element_missing", "集合元素缺失", "an element is missing"},
    {"element_added", "集合多出元素", "an element was added"},
    {"element_changed", "集合元素被改", "an element was changed"},
    {"counter_missing", "计数器缺失", "the counter is missing"},
}};

class Comparison {
 public:
  std::vector<Drift> out;

  void add(DriftKind kind, std::string place, std::string want, std::string live) {
    if (out.size() > drifts_max) return;
    const KindInfo& info = kinds.at(static_cast<std::size_t>(kind));
    Text text{fmt::format("{}：{}", place, info.zh), fmt::format("{}: {}", place, info.en)};
    if (out.size() == drifts_max) {
      // One more than is shown.
      text = {fmt::format("另有更多差异，仅列出前 {} 项", drifts_max),
              fmt::format("and more; only the first {} differences are listed", drifts_max)};
      want.clear();
      live.clear();
    }
    out.push_back({kind, std::move(place), std::move(want), std::move(live), std::move(text)});
  }

  // Walks two vectors sorted by name. `both` for names on both sides.
  template <class T, class Missing, class Added, class Both>
  void by_name(const std::vector<T>& want, const std::vector<T>& live, Missing missing, Added added,
               Both both) {
    auto w = want.begin();
    auto l = live.begin();
    while (w != want.end() || l != live.end()) {
      if (l == live.end() || (w != want.end() && w->name < l->name)) {
        missing(*w++);
      } else if (w == want.end() || l->name < w->name) {
        added(*l++);
      } else {
        both(*w++, *l++);
      }
    }
  }

  void chain(const Chain& want, const Chain& live);
  void set(const Set& want, const Set& live);
};

// Rules that differ lie between an equal beginning and an equal end.
void Comparison::chain(const Chain& want, const Chain& live) {
  const std::string place = "chain " + want.name;
  if (want.hook != live.hook) add(DriftKind::chain_changed, place, {}, {});
  std::size_t head = 0;
  const std::size_t shorter = std::min(want.rules.size(), live.rules.size());
  while (head < shorter && want.rules[head] == live.rules[head]) ++head;
  std::size_t tail = 0;
  while (tail < shorter - head &&
         want.rules[want.rules.size() - 1 - tail] == live.rules[live.rules.size() - 1 - tail])
    ++tail;
  const std::size_t want_end = want.rules.size() - tail;
  const std::size_t live_end = live.rules.size() - tail;
  for (std::size_t i = head; i < std::max(want_end, live_end); ++i) {
    const std::string at = fmt::format("{} rule {}", place, i + 1);
    if (i >= live_end) {
      add(DriftKind::rule_missing, at, to_text(want.rules[i]), {});
    } else if (i >= want_end) {
      add(DriftKind::rule_added, at, {}, to_text(live.rules[i]));
    } else {
      add(DriftKind::rule_changed, at, to_text(want.rules[i]), to_text(live.rules[i]));
    }
  }
}

void Comparison::set(const Set& want, const Set& live) {
  const std::string place = "set " + want.name;
  if (want.key != live.key || want.data != live.data || want.interval != live.interval ||
      want.other_flags != live.other_flags || want.catch_all != live.catch_all)
    add(DriftKind::set_changed, place, {}, live.catch_all ? "*" : "");
  auto w = want.elements.begin();
  auto l = live.elements.begin();
  const auto key = [](const Element& e) { return std::pair(e.first, e.last); };
  while (w != want.elements.end() || l != live.elements.end()) {
    if (l == live.elements.end() || (w != want.elements.end() && key(*w) < key(*l))) {
      add(DriftKind::element_missing, place, to_text(want, *w++), {});
    } else if (w == want.elements.end() || key(*l) < key(*w)) {
      add(DriftKind::element_added, place, {}, to_text(live, *l++));
    } else {
      // Verdicts are numbered within each set: compare what the numbers stand for.
      const bool same = want.data == DataType::verdict && live.data == DataType::verdict
                            ? want.verdicts.at(w->value) == live.verdicts.at(l->value)
                            : want.data == live.data && w->value == l->value;
      if (!same) add(DriftKind::element_changed, place, to_text(want, *w), to_text(live, *l));
      ++w;
      ++l;
    }
    if (out.size() > drifts_max) return;
  }
}

}  // namespace

std::vector<Drift> compare(const Ruleset& want, const LiveRuleset& live) {
  Comparison c;
  if (!live.present) {
    c.add(DriftKind::table_missing, "table inet " + want.table, {}, {});
    return std::move(c.out);
  }
  if (live.dormant) c.add(DriftKind::table_dormant, "table inet " + want.table, {}, {});
  c.by_name(
      want.counters, live.ruleset.counters,
      [&](const Counter& x) { c.add(DriftKind::counter_missing, "counter " + x.name, {}, {}); },
      [](const Counter&) {}, [](const Counter&, const Counter&) {});
  c.by_name(
      want.sets, live.ruleset.sets,
      [&](const Set& x) { c.add(DriftKind::set_missing, "set " + x.name, {}, {}); },
      [&](const Set& x) { c.add(DriftKind::set_added, "set " + x.name, {}, {}); },
      [&](const Set& w, const Set& l) { c.set(w, l); });
  c.by_name(
      want.chains, live.ruleset.chains,
      [&](const Chain& x) { c.add(DriftKind::chain_missing, "chain " + x.name, {}, {}); },
      [&](const Chain& x) { c.add(DriftKind::chain_added, "chain " + x.name, {}, {}); },
      [&](const Chain& w, const Chain& l) { c.chain(w, l); });
  return std::move(c.out);
}

std::string_view name_of(DriftKind kind) { return kinds.at(static_cast<std::size_t>(kind)).name; }

std::uint32_t next_generation(const LiveRuleset& live) {
  std::uint32_t generation = live.present ? live.ruleset.generation + 1 : 0;
  if (generation <= 1 || generation > generation_max) {
    // Nothing to count on from: marks of an unknown ruleset may be about, so draw one.
    if (::getrandom(&generation, sizeof(generation), 0) != sizeof(generation)) generation = 1;
    generation = generation % generation_max + 1;
  }
  return generation;
}

}  // namespace menshen::policy::nft
