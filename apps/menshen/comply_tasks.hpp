// Tasks beside the runs, below compliance.output/tasks:
//   ITEM.json                  the task (menshen-task/1)
//   ITEM.json.evidence.json    the audit store's word for exactly these bytes
//   files/SHA256               attachments
//
// A change is first vouched for by the audit store, then stored: without the daemon nothing
// changes. A file that was changed by anybody else no longer has its evidence, and its answer does
// not count.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "apps/menshen/comply_run.hpp"

namespace menshen::apps {

class TaskStore {
 public:
  explicit TaskStore(const Settings& settings);

  // Every stored task of the catalogue, with why its answer does not count where that is so.
  // Without a running audit daemon no answer counts: its key is not known then.
  [[nodiscard]] compliance::TaskRecords load(const compliance::Catalogue& catalogue) const;
  // A task that was not stored yet is a new one. ErrorCode::corrupt where its evidence does not
  // hold: nothing is built on it.
  [[nodiscard]] Result<compliance::Task> open(const std::string& item) const;
  [[nodiscard]] Result<void> save(const compliance::Task& task) const;
  // Copies the file in.
  [[nodiscard]] Result<compliance::Attachment> take(const std::filesystem::path& file) const;
  [[nodiscard]] std::filesystem::path attachment(const std::string& sha256) const {
    return folder_ / "files" / sha256;
  }
  [[nodiscard]] std::filesystem::path file_of(const std::string& item) const {
    return folder_ / (item + ".json");
  }

 private:
  [[nodiscard]] Result<std::set<std::string>> known_keys() const;
  [[nodiscard]] Result<compliance::Task> read(const std::string& item,
                                              const std::set<std::string>& keys) const;
  [[nodiscard]] Result<void> check_attachments(const compliance::Task& task) const;

  const Settings& settings_;
  std::filesystem::path folder_;
};

}  // namespace menshen::apps
