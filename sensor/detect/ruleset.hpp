// Detection rules, compiled: text in, an immutable set out that any number of workers share.
//
//   RuleSetBuilder builder(options);
//   MENSHEN_CHECK(builder.add_file("menshen.rules"));   // every rule: loaded, or rejected with its
//   place Result<RuleSet> rules = std::move(builder).build();
//
// A rule that cannot be honoured exactly is rejected with file, line, column, keyword and reason;
// the others load. A reload builds a new set beside the old one; Engine::swap_rules puts it in at a
// batch boundary. Cost of build(): about 30 us a rule (Hyperscan compilation dominates). Language:
// the Suricata rule language, https://docs.suricata.io/en/latest/rules/; docs/rule-language.md
// lists the keywords that are understood.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.hpp"
#include "base/result.hpp"
#include "sensor/detect/rule_info.hpp"

namespace menshen::sensor {

struct RuleSetOptions {
  // Address and port variables that replace or extend the defaults: {"HOME_NET", "[10.0.0.0/8]"}.
  std::map<std::string, std::string, std::less<>> variables;
  std::filesystem::path classification;  // classification.config; empty: the common classes
  std::filesystem::path thresholds;      // a threshold file (threshold_file.hpp); empty: none
  // IP reputation (reputation.hpp); empty: rules with iprep are rejected.
  std::filesystem::path reputation_categories;
  std::vector<std::filesystem::path> reputation;
  std::size_t rules_max = 200'000;  // more: ErrorCode::limit from build()
  // Compiled pattern databases are kept here and found again; empty: none kept. A folder that
  // others may write to is an error of build().
  std::filesystem::path pattern_cache;
  std::size_t threads = 0;  // for compiling; 0: one for each processor
};

struct RuleSetSummary {
  std::size_t loaded = 0;
  std::size_t rejected = 0;        // rules; entries of the threshold and reputation files
  std::size_t patterns = 0;        // in the multi-pattern matchers
  std::size_t always_checked = 0;  // rules without a pattern that could preselect them
};

struct CompiledRules;  // ruleset_internal.hpp

class RuleSet {
 public:
  explicit RuleSet(std::unique_ptr<const CompiledRules> compiled);
  RuleSet(RuleSet&&) noexcept;
  RuleSet& operator=(RuleSet&&) noexcept;
  ~RuleSet();

  [[nodiscard]] const RuleSetSummary& summary() const noexcept;
  // Every loaded rule, in order of action, priority, sid.
  [[nodiscard]] std::vector<const RuleInfo*> rules() const;
  // One per file, in the order they were added; a rejected rule is an error in it, also in
  // RuleSetBuilder's.
  [[nodiscard]] std::span<const Diagnostics> diagnostics() const noexcept;

  [[nodiscard]] const CompiledRules& compiled() const noexcept { return *compiled_; }

 private:
  std::unique_ptr<const CompiledRules> compiled_;
};

class RuleSetBuilder {
 public:
  explicit RuleSetBuilder(RuleSetOptions options = {});
  RuleSetBuilder(RuleSetBuilder&&) noexcept;
  ~RuleSetBuilder();

  // Fails only where the file cannot be read; what is wrong inside is in diagnostics().
  [[nodiscard]] Result<void> add_file(const std::filesystem::path& path);
  // The same for text that is in memory; `name` stands in its diagnostics.
  void add_text(const std::string& name, std::string_view text);
  [[nodiscard]] std::span<const Diagnostics> diagnostics() const noexcept;

  // Fails on a wrong variable, beyond rules_max, or where a pattern database cannot be made.
  [[nodiscard]] Result<RuleSet> build() &&;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace menshen::sensor
