#include "apps/sensord/event_file.hpp"

#include <fcntl.h>

#include <utility>

#include "base/service.hpp"

namespace menshen::apps {
namespace {

UniqueFd open_append(const std::filesystem::path& path) {
  return UniqueFd(
      ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
}

}  // namespace

Result<std::unique_ptr<EventFile>> EventFile::open(const std::filesystem::path& path,
                                                   std::size_t lines_max) {
  UniqueFd fd = open_append(path);
  if (!fd) {
    return fail_errno(
        {"无法打开事件文件 " + path.string(), "cannot open the event file " + path.string()});
  }
  return std::unique_ptr<EventFile>(new EventFile(path, std::move(fd), lines_max));
}

EventFile::EventFile(std::filesystem::path path, UniqueFd fd, std::size_t lines_max)
    : path_(std::move(path)),
      fd_(std::move(fd)),
      lines_max_(lines_max),
      thread_([this] { run(); }) {}

EventFile::~EventFile() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void EventFile::push(std::vector<std::string>&& lines) {
  {
    const std::lock_guard lock(mutex_);
    const std::size_t room = lines_max_ - std::min(lines_max_, waiting_.size());
    const std::size_t taken = std::min(room, lines.size());
    for (std::size_t i = 0; i < taken; ++i) waiting_.push_back(std::move(lines[i]));
    dropped_ += lines.size() - taken;
  }
  changed_.notify_one();
}

void EventFile::reopen() {
  {
    const std::lock_guard lock(mutex_);
    reopen_ = true;
  }
  changed_.notify_one();
}

EventFileStats EventFile::stats() const {
  const std::lock_guard lock(mutex_);
  return {written_, dropped_, waiting_.size()};
}

void EventFile::write(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text.append(line).push_back('\n');
  const auto done = write_all(fd_.get(), as_bytes(text));
  if (done) {
    written_ += lines.size();
  } else {
    dropped_ += lines.size();
    if (!failing_) log(LogLevel::error, done.error().text);
  }
  if (done && failing_)
    log(LogLevel::notice, {"事件文件恢复写入", "the event file can be written again"});
  failing_ = !done;
}

void EventFile::open_again() {
  UniqueFd fresh = open_append(path_);
  if (fresh) {
    fd_ = std::move(fresh);
  } else {
    log(LogLevel::error,
        {"无法重新打开事件文件，继续写入原文件 " + path_.string(),
         "cannot open the event file again, the old one goes on: " + path_.string()});
  }
}

void EventFile::run() {
  std::vector<std::string> lines;
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stop_ || reopen_ || !waiting_.empty(); });
    lines.clear();
    lines.swap(waiting_);
    const bool reopen = std::exchange(reopen_, false);
    const bool stop = stop_;
    lock.unlock();
    if (!lines.empty()) write(lines);
    if (reopen) open_again();
    if (stop) return;
  }
}

}  // namespace menshen::apps
