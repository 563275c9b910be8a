// The rules that the settings name: found, compiled, and compiled anew while packets go on.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/file.hpp"
#include "base/result.hpp"
#include "base/settings.hpp"
#include "sensor/detect/ruleset.hpp"

namespace menshen::apps {

struct LoadedRules {
  std::shared_ptr<const sensor::RuleSet> rules;
  std::vector<std::filesystem::path> files;
  std::filesystem::file_time_type newest{};  // of the files
  WallTime loaded_at = 0;
};

// Folders stand for their *.rules files, by name. ErrorCode::not_found for a path that is not
// there.
[[nodiscard]] Result<std::vector<std::filesystem::path>> find_rule_files(
    const std::vector<std::string>& paths);

// "HOME_NET=[10.0.0.0/8]" and so on; ErrorCode::invalid names the entry that has another form.
[[nodiscard]] Result<sensor::RuleSetOptions> rule_options(
    const std::vector<std::string>& variables);

[[nodiscard]] Result<LoadedRules> load_rules(const Settings& settings);

// Compiles in a thread of its own; fd() becomes readable when take() has something. One at a time:
// a start() while one is under way is remembered and done after it.
class RuleReloader {
 public:
  [[nodiscard]] static Result<std::unique_ptr<RuleReloader>> make();
  ~RuleReloader();  // waits for the compilation under way
  RuleReloader(const RuleReloader&) = delete;
  RuleReloader& operator=(const RuleReloader&) = delete;

  void start(const Settings& settings);
  [[nodiscard]] bool running() const noexcept { return thread_.joinable(); }
  [[nodiscard]] int fd() const noexcept { return done_.get(); }
  // After fd() was readable. Starts the next one where it was asked for.
  [[nodiscard]] Result<LoadedRules> take();

 private:
  explicit RuleReloader(UniqueFd done) : done_(std::move(done)) {}
  UniqueFd done_;
  std::thread thread_;
  std::optional<Settings> next_;
  std::optional<Result<LoadedRules>> result_;  // the thread's, until it is joined
};

}  // namespace menshen::apps
