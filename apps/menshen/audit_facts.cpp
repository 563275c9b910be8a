#include "apps/menshen/audit_facts.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>

#include "apps/control/auditd.hpp"
#include "audit/store/query.hpp"
#include "audit/store/store.hpp"
#include "audit/verify/verify.hpp"
#include "base/file.hpp"
#include "base/users.hpp"

namespace menshen::apps {
namespace fs = std::filesystem;
namespace {

constexpr WallTime day_ns = 86'400LL * 1'000'000'000LL;

struct Scan {
  std::uint64_t incomplete = 0;
  std::uint64_t alerts_incomplete = 0;
  std::uint64_t admin_acts = 0;
  std::uint64_t policy_changes = 0;
  std::uint64_t policy_changes_without_actor = 0;
  std::set<std::string> kinds;
  WallTime first = 0;
  WallTime last = 0;

  void add(const audit::Record& record) {
    kinds.emplace(audit::name(record.kind));
    if (record.time == 0 || record.subject.empty() || record.action.empty() ||
        record.outcome == audit::Outcome::unknown) {
      // An act that is only announced has no result yet; its own record of the result follows.
      if (!record.action.ends_with(".begin")) ++incomplete;
    }
    if (record.kind == audit::Kind::alert &&
        (!record.src || !record.dst || !record.rule || record.time == 0)) {
      ++alerts_incomplete;
    }
    if (record.kind == audit::Kind::admin) ++admin_acts;
    if (record.action == "policy.apply") {
      ++policy_changes;
      if (record.subject.empty()) ++policy_changes_without_actor;
    }
    first = first == 0 ? record.time : std::min(first, record.time);
    last = std::max(last, record.time);
  }
};

void add_file(Json& facts, const std::string& prefix, const fs::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return;
  facts[prefix + "_mode"] = fmt::format("{:04o}", status.st_mode & 07777U);
  facts[prefix + "_owner"] = user_name(status.st_uid).value_or(fmt::format("{}", status.st_uid));
}

bool opened_for_writing(const fs::path& descriptor) {
  const fs::path info = descriptor.parent_path().parent_path() / "fdinfo" / descriptor.filename();
  const auto text = read_file(info, 4096);
  if (!text) return false;
  const std::size_t at = text->find("flags:");
  if (at == std::string::npos) return false;
  return (std::strtoul(text->c_str() + at + 6, nullptr, 8) & O_ACCMODE) != O_RDONLY;
}

// How many processes have the database open for writing; nothing where /proc may not be searched.
std::optional<std::size_t> writers_of(const fs::path& database) {
  std::error_code error;
  const fs::path wanted = fs::canonical(database, error);
  if (error) return std::nullopt;
  std::size_t writers = 0;
  for (const auto& process : fs::directory_iterator("/proc", error)) {
    const std::string name = process.path().filename().string();
    if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; }))
      continue;
    std::error_code hidden;
    bool writes = false;
    for (auto fd = fs::directory_iterator(process.path() / "fd", hidden);
         !hidden && fd != fs::directory_iterator(); fd.increment(hidden)) {
      std::error_code gone;
      if (fs::read_symlink(fd->path(), gone) == wanted) writes |= opened_for_writing(fd->path());
    }
    if (hidden == std::errc::permission_denied) return std::nullopt;
    if (writes) ++writers;
  }
  return writers;
}

void add_scan(Json& facts, const Scan& scan) {
  facts["records_incomplete"] = scan.incomplete;
  facts["kinds"] = scan.kinds;
  facts["admin_acts"] = scan.admin_acts;
  facts["policy_changes"] = scan.policy_changes;
  facts["policy_changes_without_actor"] = scan.policy_changes_without_actor;
  if (scan.last == 0) return;
  facts["first_record_at"] = format_utc(scan.first);
  facts["last_record_at"] = format_utc(scan.last);
  facts["span_days"] = (scan.last - scan.first) / day_ns;
}

}  // namespace

Result<AuditFacts> audit_facts(const Settings& settings, const Clock& clock) {
  const fs::path directory = settings.text("audit.directory");
  const audit::StorePaths paths = audit::StorePaths::in(directory);
  AuditFacts out;
  Json& facts = out.store;
  const auto status = ask_auditd(settings, {{"op", "status"}});
  facts["running"] = status.has_value();
  if (status) facts["profile"] = status->value("profile", "");

  const audit::VerifyReport report = MENSHEN_TRY(audit::verify(directory, {}));
  facts["verified"] = report.intact;
  facts["chain_ok"] = !report.first_break.has_value();
  facts["records"] = report.records;
  if (report.last_checkpoint) {
    facts["checkpoint_age_seconds"] =
        std::max<WallTime>(0, clock.wall() - report.last_checkpoint->time) / 1'000'000'000;
  }

  const audit::Reader reader = MENSHEN_TRY(audit::Reader::open(directory));
  Scan scan;
  audit::Filter all;
  all.limit = 0;
  MENSHEN_CHECK(reader.find(all, [&scan](const audit::Found& found) {
    scan.add(found.record);
    return true;
  }));
  add_scan(facts, scan);
  out.alerts_incomplete = scan.alerts_incomplete;

  facts["retention_days"] = settings.integer("audit.retention_days");
  add_file(facts, "store", paths.newest_segment());
  add_file(facts, "key", paths.signing_key);
  if (const auto writers = writers_of(paths.newest_segment()))
    facts["single_writer"] = *writers <= 1;
  struct statvfs disk {};
  if (::statvfs(directory.c_str(), &disk) == 0 && disk.f_blocks != 0) {
    facts["disk_free_percent"] = disk.f_bavail * 100 / disk.f_blocks;
  }
  return out;
}

}  // namespace menshen::apps
