#include "sensor/detect/ruleset.hpp"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <thread>

#include "base/file.hpp"
#include "sensor/detect/compiled_rules.hpp"
#include "sensor/detect/pattern_cache.hpp"
#include "sensor/detect/reputation.hpp"
#include "sensor/detect/rule_parser.hpp"
#include "sensor/detect/threshold_file.hpp"

namespace menshen::sensor {

RuleSet::RuleSet(std::unique_ptr<const CompiledRules> compiled) : compiled_(std::move(compiled)) {}
RuleSet::RuleSet(RuleSet&&) noexcept = default;
RuleSet& RuleSet::operator=(RuleSet&&) noexcept = default;
RuleSet::~RuleSet() = default;

const RuleSetSummary& RuleSet::summary() const noexcept { return compiled_->summary; }
std::span<const Diagnostics> RuleSet::diagnostics() const noexcept {
  return compiled_->diagnostics;
}

std::vector<const RuleInfo*> RuleSet::rules() const {
  std::vector<const RuleInfo*> infos;
  infos.reserve(compiled_->rules.size());
  for (const Rule& rule : compiled_->rules) infos.push_back(&rule.info);
  return infos;
}

struct RuleSetBuilder::State {
  RuleSetOptions options;
  ParseContext context;
  std::unique_ptr<CompiledRules> compiled = std::make_unique<CompiledRules>();
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::size_t> signatures;  // gid, sid: place
  Result<void> setup;

  Result<void> read_classifications() {
    if (options.classification.empty()) return {};
    const std::string text = MENSHEN_TRY(read_file(options.classification));
    Diagnostics diagnostics(options.classification.string(), text);
    for (auto& [name, entry] : parse_classifications(text, diagnostics)) {
      context.classifications.insert_or_assign(name, entry);
    }
    compiled->diagnostics.push_back(std::move(diagnostics));
    return {};
  }

  Result<void> read_reputation() {
    if (options.reputation_categories.empty()) return {};
    const auto reputation = std::make_shared<Reputation>();
    const auto read = [this](const std::filesystem::path& file, auto add) -> Result<void> {
      const std::string text = MENSHEN_TRY(read_file(file));
      Diagnostics diagnostics(file.string(), text);
      add(text, diagnostics);
      compiled->summary.rejected += diagnostics.errors();
      compiled->diagnostics.push_back(std::move(diagnostics));
      return {};
    };
    MENSHEN_CHECK(read(options.reputation_categories, [&](std::string_view text, auto& found) {
      reputation->add_categories(text, found);
    }));
    for (const auto& file : options.reputation) {
      MENSHEN_CHECK(read(
          file, [&](std::string_view text, auto& found) { reputation->add_entries(text, found); }));
    }
    reputation->finish();
    context.reputation = reputation;
    return {};
  }

  // A rule that is there already gives way to a later revision of itself only.
  bool take(Rule rule, const RuleText& text, Diagnostics& diagnostics) {
    auto& rules = compiled->rules;
    for (auto& [hash, name] : rule.names) compiled->names.try_emplace(hash, std::move(name));
    rule.names = {};
    const auto [known, fresh] =
        signatures.try_emplace({rule.info.gid, rule.info.sid}, rules.size());
    if (fresh) {
      rule.order = static_cast<std::uint32_t>(rules.size());
      rules.push_back(std::move(rule));
      return true;
    }
    Rule& older = rules[known->second];
    const auto id = fmt::format("{}:{}", rule.info.gid, rule.info.sid);
    if (rule.info.rev <= older.info.rev) {
      diagnostics.error(
          "duplicate-rule", text.range(0, 1),
          {fmt::format("规则 {} 重复", id), fmt::format("rule {} was loaded before", id)});
      return false;
    }
    diagnostics.warning("replaced-rule", text.range(0, 1),
                        {fmt::format("规则 {} 取代其旧版本", id),
                         fmt::format("rule {} replaces its older revision", id)});
    rule.order = older.order;
    older = std::move(rule);
    return true;
  }
};

RuleSetBuilder::RuleSetBuilder(RuleSetOptions options) : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
  state_->context.variables = default_variables();
  for (const auto& [name, value] : state_->options.variables) {
    state_->context.variables.insert_or_assign(name, value);
  }
  state_->context.classifications = default_classifications();
  state_->context.datasets = state_->compiled->datasets.get();
  state_->setup = state_->read_classifications();
  if (state_->setup) state_->setup = state_->read_reputation();
}
RuleSetBuilder::RuleSetBuilder(RuleSetBuilder&&) noexcept = default;
RuleSetBuilder::~RuleSetBuilder() = default;

Result<void> RuleSetBuilder::add_file(const std::filesystem::path& path) {
  auto text = read_file(path);
  if (!text) {
    return fail_while({fmt::format("无法读取规则文件 {}", path.string()),
                       fmt::format("cannot read rules file {}", path.string())},
                      text.error());
  }
  state_->context.folder = path.parent_path();
  add_text(path.string(), *text);
  state_->context.folder.clear();
  return {};
}

void RuleSetBuilder::add_text(const std::string& name, std::string_view text) {
  CompiledRules& compiled = *state_->compiled;
  Diagnostics diagnostics(name, std::string(text));
  for (const RuleText& rule_text : split_rules(text)) {
    auto rule = parse_rule(rule_text, state_->context, diagnostics);
    if (rule) rule->info.file = name;
    if (!rule || !state_->take(std::move(*rule), rule_text, diagnostics))
      ++compiled.summary.rejected;
  }
  compiled.summary.loaded = compiled.rules.size();
  compiled.diagnostics.push_back(std::move(diagnostics));
}

std::span<const Diagnostics> RuleSetBuilder::diagnostics() const noexcept {
  return state_->compiled->diagnostics;
}

Result<RuleSet> RuleSetBuilder::build() && {
  MENSHEN_CHECK(std::move(state_->setup));
  for (const auto& [name, value] : state_->options.variables) {
    const bool ports = name.find("PORT") != std::string::npos;
    const auto checked =
        ports ? PortSet::parse(value, state_->context.variables).map([](auto&&) {})
              : AddressSet::parse(value, state_->context.variables).map([](auto&&) {});
    if (!checked) {
      return fail_while(
          {fmt::format("变量 {} 无效", name), fmt::format("variable {} is wrong", name)},
          checked.error());
    }
  }
  if (state_->compiled->rules.size() > state_->options.rules_max) {
    return fail(ErrorCode::limit, {fmt::format("规则数量超过上限 {}", state_->options.rules_max),
                                   fmt::format("more than {} rules", state_->options.rules_max)});
  }
  if (const auto& file = state_->options.thresholds; !file.empty()) {
    const std::string text = MENSHEN_TRY(read_file(file));
    Diagnostics diagnostics(file.string(), text);
    const auto entries = parse_thresholds(text, state_->context.variables, diagnostics);
    apply_thresholds(entries, state_->compiled->rules);
    state_->compiled->summary.rejected += split_rules(text).size() - entries.size();
    state_->compiled->diagnostics.push_back(std::move(diagnostics));
  }
  std::optional<PatternCache> cache;
  if (!state_->options.pattern_cache.empty()) {
    cache = MENSHEN_TRY(PatternCache::open(state_->options.pattern_cache));
  }
  const std::size_t threads = state_->options.threads != 0
                                  ? state_->options.threads
                                  : std::max(std::thread::hardware_concurrency(), 1U);
  MENSHEN_CHECK(compile_rules(*state_->compiled, cache ? &*cache : nullptr, threads));
  return RuleSet(std::move(state_->compiled));
}

}  // namespace menshen::sensor
