// A host in memory: files, modes, folders and command outputs, each of which can be made to fail.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "compliance/collect/host.hpp"

namespace menshen::compliance::testing {

class FixedClock final : public Clock {
 public:
  explicit FixedClock(WallTime now) : now_(now) {}
  [[nodiscard]] WallTime wall() const noexcept override { return now_; }
  [[nodiscard]] MonotonicTime monotonic() const noexcept override { return 0; }

 private:
  WallTime now_;
};

struct FakeFile {
  std::string content;
  mode_t mode = 0644;
  std::string owner = "root";
  std::string group = "root";
  WallTime modified = 0;
};

class FakeHost final : public HostAccess {
 public:
  std::map<std::string, FakeFile> files;
  std::map<std::string, std::string> commands;  // by name: stdout, status 0
  std::set<std::string> broken;                 // paths and command names that fail

  [[nodiscard]] Result<std::string> read(const std::string& path) const override {
    const auto file = MENSHEN_TRY(find(path));
    return file.content;
  }
  [[nodiscard]] Result<FileStatus> status(const std::string& path) const override {
    const auto file = MENSHEN_TRY(find(path));
    return FileStatus{file.mode, false, file.owner, file.group, file.modified};
  }
  [[nodiscard]] Result<std::vector<std::string>> list(const std::string& path) const override {
    if (broken.count(path) != 0) return denied(path);
    std::set<std::string> names;
    for (const auto& [name, file] : files) {
      if (name.size() <= path.size() + 1 || name.compare(0, path.size() + 1, path + "/") != 0)
        continue;
      const std::string rest = name.substr(path.size() + 1);
      names.insert(rest.substr(0, rest.find('/')));
    }
    if (names.empty()) return fail(ErrorCode::not_found, {path, path});
    return std::vector<std::string>(names.begin(), names.end());
  }
  [[nodiscard]] Result<CommandOutput> run(const HostCommand& command) const override {
    const std::string name(command.name);
    if (broken.count(name) != 0) return denied(name);
    const auto found = commands.find(name);
    if (found == commands.end()) return fail(ErrorCode::not_found, {name, name});
    return CommandOutput{0, found->second};
  }

 private:
  static tl::unexpected<Error> denied(const std::string& what) {
    return fail(ErrorCode::denied, {"拒绝访问 " + what, "denied: " + what});
  }
  [[nodiscard]] Result<FakeFile> find(const std::string& path) const {
    if (broken.count(path) != 0) return denied(path);
    const auto found = files.find(path);
    if (found == files.end()) return fail(ErrorCode::not_found, {path, path});
    return found->second;
  }
};

// A host as one finds it: passwords for everyone, telnet open, nothing updated, nothing audited.
[[nodiscard]] FakeHost weak_host(WallTime now);
// The same host after every remediation that the checks name.
[[nodiscard]] FakeHost hardened_host(WallTime now);
// What the daemons of a sound appliance say, and what those of a neglected one say.
void add_sound_product_facts(Facts& facts, WallTime now);
void add_neglected_product_facts(Facts& facts, WallTime now);

}  // namespace menshen::compliance::testing
