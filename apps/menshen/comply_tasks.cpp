#include "apps/menshen/comply_tasks.hpp"

#include "apps/control/auditd.hpp"
#include "apps/menshen/attest.hpp"
#include "apps/menshen/person.hpp"
#include "audit/store/evidence.hpp"
#include "base/file.hpp"
#include "compliance/catalogue/digest.hpp"

namespace menshen::apps {
namespace fs = std::filesystem;
namespace {

using compliance::Attachment;
using compliance::Task;
using compliance::TaskRecord;

std::string record_name(const std::string& item) { return "task " + item; }

tl::unexpected<Error> not_vouched(const Error& reason) {
  return fail_while({"任务文件与审计证据不符，其结论不计",
                     "the task's file is not what the audit store vouched for: it does not count"},
                    reason);
}

}  // namespace

TaskStore::TaskStore(const Settings& settings)
    : settings_(settings), folder_(ComplyPaths::of(settings).root / "tasks") {}

// The daemon's own key and those that it retired.
Result<std::set<std::string>> TaskStore::known_keys() const {
  const Json status = MENSHEN_TRY(ask_auditd(settings_, {{"op", "status"}}));
  std::set<std::string> keys{status.value("fingerprint", "")};
  std::error_code error;
  const fs::path retired = fs::path(settings_.text("audit.directory")) / "retired";
  for (const auto& entry : fs::directory_iterator(retired, error)) {
    const auto pem = read_file(entry.path(), 64U << 10U);
    const auto key = pem ? audit::PublicKey::parse(*pem)
                         : Result<audit::PublicKey>(fail(ErrorCode::io, {"x", "x"}));
    if (key) keys.insert(audit::format_fingerprint(key->profile(), key->fingerprint()));
  }
  return keys;
}

Result<Task> TaskStore::read(const std::string& item, const std::set<std::string>& keys) const {
  const fs::path file = file_of(item);
  const std::string text = MENSHEN_TRY(read_file(file, compliance::task_bytes_max));
  const Task task = MENSHEN_TRY(compliance::parse_task(text));
  if (task.item != item) {
    return fail(ErrorCode::corrupt, {"任务文件属于另一测评项", "the file is another item's task"});
  }
  const auto evidence = read_file(file.string() + ".evidence.json", audit::evidence_bytes_max);
  if (!evidence) return not_vouched(evidence.error());
  const auto report = audit::verify_evidence(file, *evidence);
  if (!report) return not_vouched(report.error());
  if (keys.count(report->fingerprint) == 0 || report->record.object != record_name(item)) {
    return not_vouched({ErrorCode::corrupt,
                        {"证据不是本设备审计库为该任务出具的",
                         "the evidence is not this store's word for this task"}});
  }
  return task;
}

Result<void> TaskStore::check_attachments(const Task& task) const {
  if (task.answers.empty()) return {};
  for (const Attachment& each : task.answers.back().attachments) {
    const auto content = read_file(attachment(each.sha256), compliance::attachment_bytes_max);
    if (!content || compliance::sha256_hex(*content) != each.sha256) {
      return fail(ErrorCode::corrupt,
                  {fmt::format("附件 {} 缺失或已被改动，其结论不计", each.name),
                   fmt::format("the attachment {} is missing or changed: the answer does not count",
                               each.name)});
    }
  }
  return {};
}

compliance::TaskRecords TaskStore::load(const compliance::Catalogue& catalogue) const {
  compliance::TaskRecords records;
  std::error_code error;
  if (!fs::is_directory(folder_, error)) return records;
  const auto keys = known_keys();
  for (const compliance::Layer& layer : catalogue.layers) {
    for (const compliance::Item& item : layer.items) {
      if (!fs::exists(file_of(item.id), error)) continue;
      TaskRecord record;
      auto task = read(item.id, keys ? *keys : std::set<std::string>());
      if (task) {
        record.task = std::move(*task);
        const Result<void> whole = check_attachments(record.task);
        if (!whole) record.failure = whole.error().text;
      } else {
        record.task.item = item.id;
        record.failure = keys ? task.error().text : keys.error().text;
      }
      records.emplace(item.id, std::move(record));
    }
  }
  return records;
}

Result<Task> TaskStore::open(const std::string& item) const {
  std::error_code error;
  if (!fs::exists(file_of(item), error)) {
    Task task;
    task.item = item;
    return task;
  }
  return read(item, MENSHEN_TRY(known_keys()));
}

// Evidence first, beside the new file; then both take their places. A stop in between leaves a task
// whose evidence does not hold, which is seen, never one that counts without being vouched for.
Result<void> TaskStore::save(const Task& task) const {
  MENSHEN_CHECK(make_directories(folder_));
  const fs::path file = file_of(task.item);
  const fs::path fresh = file.string() + ".new";
  MENSHEN_CHECK(write_file_atomic(fresh, compliance::to_json(task)));
  const auto evidence = attest(settings_, fresh, record_name(task.item));
  std::error_code error;
  if (!evidence) {
    fs::remove(fresh, error);
    return fail_while(
        {"审计库未能签名，任务未改动", "the audit store did not sign: nothing changed"},
        evidence.error());
  }
  MENSHEN_CHECK(write_file_atomic(file.string() + ".evidence.json", *evidence + "\n"));
  fs::rename(fresh, file, error);
  if (!error) return {};
  return fail(ErrorCode::io,
              {"保存任务：" + error.message(), "storing the task: " + error.message()});
}

Result<Attachment> TaskStore::take(const fs::path& file) const {
  const std::string content = MENSHEN_TRY(read_file(file, compliance::attachment_bytes_max));
  Attachment result;
  result.name = file.filename().string();
  result.sha256 = compliance::sha256_hex(content);
  result.bytes = content.size();
  result.by = acting_person();
  result.at = system_clock().wall();
  MENSHEN_CHECK(make_directories(folder_ / "files"));
  MENSHEN_CHECK(write_file_atomic(attachment(result.sha256), content, 0640));
  return result;
}

}  // namespace menshen::apps
