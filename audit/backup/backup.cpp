#include "audit/backup/backup.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include "audit/store/segment.hpp"
#include "audit/store/store.hpp"
#include "audit/store/upkeep.hpp"
#include "base/file.hpp"

namespace menshen::audit {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t small_file_bytes_max = 64U << 20U;

tl::unexpected<Error> fail_copy(const fs::path& path, const std::error_code& error) {
  return fail_errno({"无法复制 " + path.string(), "cannot copy " + path.string()}, error.value());
}

Result<void> require_empty(const fs::path& directory) {
  std::error_code error;
  if (!fs::exists(directory, error) || fs::is_empty(directory, error)) return {};
  return fail(ErrorCode::exists, {"目录不为空：" + directory.string(),
                                  "the folder is not empty: " + directory.string()});
}

// Nothing where it is not there.
Result<void> copy_small(const fs::path& from, const fs::path& to, mode_t mode) {
  std::error_code error;
  if (!fs::exists(from, error)) return {};
  return write_file_atomic(to, MENSHEN_TRY(read_file(from, small_file_bytes_max)), mode);
}

Result<void> make_durable(const fs::path& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd && ::fsync(fd.get()) == 0) return {};
  return fail_errno({"无法落盘 " + path.string(), "cannot make durable " + path.string()});
}

// auditd writes the database before the notes, so the notes are copied before the database.
Result<void> copy_segment(const StorePaths& from, const StorePaths& to, std::uint64_t number) {
  MENSHEN_CHECK(copy_small(from.notes(number), to.notes(number), 0640));
  const bool sealed =
      file_bytes(from.seal(number)) != 0 && file_bytes(from.segment(number).string() + "-wal") == 0;
  if (sealed) {
    std::error_code error;
    fs::copy_file(from.segment(number), to.segment(number), error);
    if (error) return fail_copy(from.segment(number), error);
    fs::permissions(to.segment(number), fs::perms(0640), error);
    MENSHEN_CHECK(copy_small(from.seal(number), to.seal(number), 0440));
  } else {
    const Database database =
        MENSHEN_TRY(Database::open(from.segment(number), Database::Mode::read));
    MENSHEN_CHECK(database.copy_to(to.segment(number)));
  }
  return make_durable(to.segment(number));
}

Result<void> copy_store(const fs::path& source, const fs::path& target, WithKey with) {
  const StorePaths from = StorePaths::in(source);
  const StorePaths to = StorePaths::in(target);
  const auto numbers = from.segments();
  if (numbers.empty()) {
    return fail(ErrorCode::not_found,
                {"没有审计库：" + source.string(), "no audit store: " + source.string()});
  }
  MENSHEN_CHECK(copy_small(from.public_key, to.public_key, 0640));
  MENSHEN_CHECK(copy_small(from.fingerprint, to.fingerprint, 0640));
  if (with == WithKey::yes) {
    MENSHEN_CHECK(copy_small(from.signing_key, to.signing_key, 0600));
  }
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(source / "retired", error)) {
    MENSHEN_CHECK(make_directories(target / "retired", 0750));
    MENSHEN_CHECK(copy_small(entry.path(), target / "retired" / entry.path().filename(), 0640));
  }
  for (const std::uint64_t number : numbers) MENSHEN_CHECK(copy_segment(from, to, number));
  return sync_folder(target);
}

Result<VerifyReport> verified_copy(const fs::path& source, const fs::path& target, WithKey with,
                                   const VerifyOptions& options) {
  MENSHEN_CHECK(require_empty(target));
  MENSHEN_CHECK(make_directories(target, 0750));
  const auto attempt = [&]() -> Result<VerifyReport> {
    MENSHEN_CHECK(copy_store(source, target, with));
    VerifyReport report = MENSHEN_TRY(verify(target, options));
    if (!report.first_break) return report;
    return fail(ErrorCode::corrupt, {"副本校验未通过：" + report.first_break->text.zh,
                                     "the copy does not verify: " + report.first_break->text.en});
  };
  auto report = attempt();
  // What is half or wrong must not be taken for a copy.
  std::error_code ignored;
  if (!report) fs::remove_all(target, ignored);
  return report;
}

}  // namespace

Result<VerifyReport> backup_store(const fs::path& store, const fs::path& target, WithKey with,
                                  const VerifyOptions& options) {
  return verified_copy(store, target, with, options);
}

Result<VerifyReport> restore_store(const fs::path& backup, const fs::path& store,
                                   const std::string& subject, const VerifyOptions& options) {
  VerifyReport report = MENSHEN_TRY(verified_copy(backup, store, WithKey::yes, options));
  const StorePaths paths = StorePaths::in(store);
  std::error_code error;
  if (!fs::exists(paths.signing_key, error)) return report;
  StoreOptions opening;
  {
    const Segment newest = MENSHEN_TRY(Segment::open(paths.newest_segment(), Database::Mode::read));
    opening.origin = newest.head().origin;
    opening.profile = newest.head().profile;
  }
  opening.directory = store;
  opening.index = false;
  Store opened = MENSHEN_TRY(Store::open(std::move(opening)));
  Record record;
  record.kind = Kind::admin;
  record.severity = Severity::high;
  record.subject = subject;
  record.action = "store.restore";
  record.object = backup.string();
  record.message = "审计库由备份恢复 / the store was restored from a backup";
  record.detail = fmt::format(R"({{"records":{},"checkpoint":{}}})", report.records,
                              report.last_checkpoint ? report.last_checkpoint->number : 0);
  MENSHEN_CHECK(opened.append_own(std::move(record)));
  MENSHEN_CHECK(opened.close());
  return report;
}

}  // namespace menshen::audit
