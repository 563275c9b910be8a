#include "apps/sensord/file_keeper.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "base/byte_reader.hpp"
#include "base/clock.hpp"
#include "base/service.hpp"
#include "sensor/proto/file.hpp"

namespace menshen::apps {
namespace {

// Order of fields as the sensor wrote it.
using OrderedJson = nlohmann::ordered_json;

constexpr WallTime expire_period = 3'600'000'000'000;  // an hour

std::string to_text(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

// Changes the fileinfo object of an event's line.
template <class Change>
void change_fileinfo(std::string& line, const Change& change) {
  OrderedJson json = OrderedJson::parse(line, nullptr, false);
  if (json.is_discarded() || !json.contains("fileinfo")) return;
  change(json["fileinfo"]);
  line = to_text(json);
}

void note_scan(FileJob& job, std::string_view verdict, const std::string& virus) {
  change_fileinfo(job.line, [&](OrderedJson& file) {
    file["scan"] = {{"engine", "clamav"}, {"verdict", verdict}, {"whole", job.content->whole}};
    if (!virus.empty()) file["virus"] = virus;
  });
}

void describe(FileJob& job, const std::string& virus) {
  audit::Record& record = job.record;
  record.object = virus;
  record.message = fmt::format(
      "文件中检出恶意代码 {}（传输之后检出，未阻断） / malware in a file: {} (found after the "
      "transfer, not blocked)",
      virus, virus);
  OrderedJson detail = OrderedJson::parse(record.detail, nullptr, false);
  if (detail.is_discarded()) detail = OrderedJson::object();
  detail["virus"] = virus;
  detail["engine"] = "clamav";
  detail["whole"] = job.content->whole;
  detail["sha256"] = job.sha256;
  record.detail = to_text(detail);
}

}  // namespace

// ---- FileQueue ----------------------------------------------------------------------------------

bool FileQueue::push(FileJob& job) {
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t bytes = job.content->bytes.size();
    if (closed_ || jobs_.size() >= files_max_ || bytes > bytes_max_ - bytes_) return false;
    bytes_ += bytes;
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
  return true;
}

std::optional<FileJob> FileQueue::pop() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return closed_ || !jobs_.empty(); });
  if (jobs_.empty()) return std::nullopt;
  FileJob job = std::move(jobs_.front());
  jobs_.pop_front();
  bytes_ -= job.content->bytes.size();
  return job;
}

void FileQueue::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
}

std::size_t FileQueue::size() const {
  const std::lock_guard lock(mutex_);
  return jobs_.size();
}

// ---- FileKeeper ---------------------------------------------------------------------------------

Result<std::unique_ptr<FileKeeper>> FileKeeper::start(FileKeeperOptions options, Outputs outputs) {
  std::optional<FileStore> store;
  if (options.store) store = MENSHEN_TRY(FileStore::open(*options.store));
  return std::unique_ptr<FileKeeper>(new FileKeeper(options, std::move(store), std::move(outputs)));
}

FileKeeper::FileKeeper(const FileKeeperOptions& options, std::optional<FileStore> store,
                       Outputs outputs)
    : outputs_(std::move(outputs)),
      store_(std::move(store)),
      to_store_(options.waiting_bytes_max, options.waiting_files_max),
      to_scan_(options.waiting_bytes_max, options.waiting_files_max) {
  if (!options.clamd_socket.empty()) clamd_.emplace(options.clamd_socket, options.clamd_timeout);
  if (store_) bytes_ = store_->bytes();
  store_thread_ = std::thread([this] { run_store(); });
  scan_thread_ = std::thread([this] { run_scan(); });
}

FileKeeper::~FileKeeper() { stop(); }

void FileKeeper::stop() {
  stopping_ = true;
  to_store_.close();
  if (store_thread_.joinable()) store_thread_.join();
  to_scan_.close();
  if (scan_thread_.joinable()) scan_thread_.join();
}

bool FileKeeper::take(FileJob& job) {
  if (to_store_.push(job)) return true;
  ++refused_;
  if (!full_told_.exchange(true)) {
    log(LogLevel::warning, {"等待留存与扫描的文件过多，部分文件未处理（计数见状态）",
                            "too many files wait to be stored and scanned: some are left out "
                            "(counted in the status)"});
  }
  return false;
}

void FileKeeper::run_store() {
  WallTime expired = 0;
  while (auto job = to_store_.pop()) {
    if (store_) {
      const WallTime now = system_clock().wall();
      if (now - expired >= expire_period) {
        store_->expire(now);
        expired = now;
      }
    }
    name(*job);
    if (store_ && job->content->store) {
      store(*job);
      bytes_ = store_->bytes();
    }
    if (!clamd_) {
      tell(std::move(*job));
    } else if (!to_scan_.push(*job)) {
      ++unscanned_;
      note_scan(*job, "skipped", {});
      tell(std::move(*job));
    }
  }
}

// Its digest is taken here, not by the packet thread.
void FileKeeper::name(FileJob& job) {
  job.sha256 = sensor::hash_hex(sensor::FileHash::sha256, as_bytes(job.content->bytes));
  if (!job.content->whole) return;
  change_fileinfo(job.line, [&](OrderedJson& file) { file["sha256"] = job.sha256; });
}

void FileKeeper::store(FileJob& job) {
  std::string before = job.line;
  change_fileinfo(job.line, [&](OrderedJson& file) {
    file["stored"] = true;
    if (job.content->whole) return;
    file["stored_size"] = job.content->bytes.size();
    file["stored_sha256"] = job.sha256;
  });
  const FileKept kept = store_->keep(job.sha256, job.content->bytes, job.line);
  ++kept_[static_cast<std::size_t>(kept)];
  if (kept != FileKept::stored && kept != FileKept::known) job.line = std::move(before);
}

void FileKeeper::run_scan() {
  while (auto job = to_scan_.pop()) {
    scan(*job);
    tell(std::move(*job));
  }
}

void FileKeeper::scan(FileJob& job) {
  using Verdict = ScanAnswer::Verdict;
  if (stopping_) {
    ++unscanned_;
    return note_scan(job, "skipped", {});
  }
  const ScanAnswer answer = clamd_->scan(job.content->bytes);
  note_clamd(answer.verdict != Verdict::failed, answer.text);
  if (answer.verdict == Verdict::failed) {
    ++unscanned_;
    return note_scan(job, "failed", {});
  }
  ++scanned_;
  if (answer.verdict == Verdict::clean) return note_scan(job, "clean", {});
  ++infected_;
  note_scan(job, "infected", answer.text);
  describe(job, answer.text);
  outputs_.record(std::move(job.record));
}

void FileKeeper::note_clamd(bool answers, const std::string& why) {
  if (answers && clamd_failing_) {
    log(LogLevel::notice,
        {"clamd 恢复应答，文件继续扫描", "clamd answers again: files are scanned"});
  }
  if (!answers && !clamd_failing_) {
    log(LogLevel::error, {"无法扫描文件（流量不受影响）：" + why,
                          "files cannot be scanned (traffic goes on): " + why});
  }
  clamd_failing_ = !answers;
}

void FileKeeper::tell(FileJob&& job) { outputs_.event(std::move(job.line)); }

FileKeeperStats FileKeeper::stats() const {
  const auto kept = [this](FileKept outcome) {
    return kept_[static_cast<std::size_t>(outcome)].load();
  };
  return {.bytes = bytes_,
          .stored = kept(FileKept::stored),
          .known = kept(FileKept::known),
          .full = kept(FileKept::full),
          .disk_low = kept(FileKept::disk_low),
          .failed = kept(FileKept::failed),
          .scanned = scanned_,
          .infected = infected_,
          .unscanned = unscanned_,
          .refused = refused_,
          .waiting = to_store_.size() + to_scan_.size()};
}

}  // namespace menshen::apps
