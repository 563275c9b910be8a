#include "apps/sensord/rules.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

namespace menshen::apps {
namespace fs = std::filesystem;
namespace {

Result<void> add_folder(const fs::path& folder, std::vector<fs::path>& files) {
  std::error_code error;
  std::vector<fs::path> found;
  for (auto entry = fs::directory_iterator(folder, error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (entry->path().extension() == ".rules") found.push_back(entry->path());
  }
  if (error) {
    return fail_errno(
        {"无法读取规则目录 " + folder.string(), "cannot read the rule folder " + folder.string()},
        error.value());
  }
  std::sort(found.begin(), found.end());
  files.insert(files.end(), found.begin(), found.end());
  return {};
}

}  // namespace

Result<std::vector<fs::path>> find_rule_files(const std::vector<std::string>& paths) {
  std::vector<fs::path> files;
  for (const std::string& path : paths) {
    std::error_code error;
    const auto status = fs::status(path, error);
    if (!fs::exists(status)) {
      return fail(ErrorCode::not_found,
                  {"规则文件不存在：" + path, "there is no rule file " + path});
    }
    if (fs::is_directory(status)) {
      MENSHEN_CHECK(add_folder(path, files));
    } else {
      files.emplace_back(path);
    }
  }
  return files;
}

Result<sensor::RuleSetOptions> rule_options(const std::vector<std::string>& variables) {
  sensor::RuleSetOptions options;
  for (const std::string& entry : variables) {
    const std::size_t equals = entry.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == entry.size()) {
      return fail(ErrorCode::invalid, {"规则变量应写作 NAME=VALUE：" + entry,
                                       "a variable of the rules is written NAME=VALUE: " + entry});
    }
    options.variables[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  return options;
}

Result<LoadedRules> load_rules(const Settings& settings) {
  LoadedRules loaded;
  loaded.files = MENSHEN_TRY(find_rule_files(settings.list("sensor.rules")));
  auto options = MENSHEN_TRY(rule_options(settings.list("sensor.variables")));
  options.classification = settings.text("sensor.classification");
  options.thresholds = settings.text("sensor.thresholds");
  options.reputation_categories = settings.text("sensor.reputation_categories");
  for (const std::string& file : settings.list("sensor.reputation_files")) {
    options.reputation.emplace_back(file);
  }
  // Not as root, before the sandbox: what the daemon's user wrote is not for root to trust.
  if (::geteuid() != 0) {
    options.pattern_cache = fs::path(settings.text("sensor.state_directory")) / "patterns";
  }
  sensor::RuleSetBuilder builder(std::move(options));
  for (const fs::path& file : loaded.files) {
    MENSHEN_CHECK(builder.add_file(file));
    std::error_code error;
    loaded.newest = std::max(loaded.newest, fs::last_write_time(file, error));
  }
  loaded.rules = std::make_shared<const sensor::RuleSet>(MENSHEN_TRY(std::move(builder).build()));
  loaded.loaded_at = system_clock().wall();
  return loaded;
}

Result<std::unique_ptr<RuleReloader>> RuleReloader::make() {
  UniqueFd done(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!done) return fail_errno({"无法创建 eventfd", "cannot make an eventfd"});
  return std::unique_ptr<RuleReloader>(new RuleReloader(std::move(done)));
}

RuleReloader::~RuleReloader() {
  if (thread_.joinable()) thread_.join();
}

void RuleReloader::start(const Settings& settings) {
  if (thread_.joinable()) {
    next_ = settings;
    return;
  }
  thread_ = std::thread([this, settings] {
    result_ = load_rules(settings);
    static_cast<void>(::eventfd_write(done_.get(), 1));
  });
}

Result<LoadedRules> RuleReloader::take() {
  eventfd_t value = 0;
  static_cast<void>(::eventfd_read(done_.get(), &value));
  thread_.join();
  Result<LoadedRules> result = std::move(*result_);
  result_.reset();
  if (next_) {
    const Settings settings = std::move(*next_);
    next_.reset();
    start(settings);
  }
  return result;
}

}  // namespace menshen::apps
