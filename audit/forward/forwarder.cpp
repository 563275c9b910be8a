#include "audit/forward/forwarder.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "audit/transport/stream.hpp"

namespace menshen::audit {

using SteadyClock = std::chrono::steady_clock;

class Forwarder::Impl {
 public:
  Impl(ForwarderOptions options, std::unique_ptr<Target> target, Cursor cursor, UniqueFd stop)
      : options_(std::move(options)),
        target_(std::move(target)),
        feed_(options_.store),
        cursor_(std::move(cursor)),
        sent_(cursor_),
        stop_(std::move(stop)) {
    target_->stop_at(stop_.get());
    status_.target = target_->name();
    status_.confirmed = cursor_.record;
    status_.note = cursor_.note;
    thread_ = std::thread([this] { run(); });
  }
  ~Impl() {
    static_cast<void>(::eventfd_write(stop_.get(), 1));
    thread_.join();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  ForwardStatus status() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }
  bool wait_for(std::uint64_t record, std::chrono::milliseconds timeout) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [&] { return status_.confirmed >= record; });
  }

 private:
  void run();
  Result<bool> turn();  // false: there was nothing to do
  Result<void> begin();
  Result<void> send(const std::vector<FeedRecord>& records);
  Result<void> confirm();
  void failed(const Error& error);
  void tell(ForwardEvent event);
  [[nodiscard]] bool stopped(std::chrono::milliseconds wait) const;

  ForwarderOptions options_;
  std::unique_ptr<Target> target_;
  Feed feed_;
  Cursor cursor_;  // confirmed
  Cursor sent_;
  bool begun_ = false;
  bool shorter_told_ = false;
  std::uint64_t gap_end_ = 0;  // of the pruned records that were told of, the last
  SteadyClock::time_point unconfirmed_since_;
  std::chrono::milliseconds retry_{0};
  UniqueFd stop_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  ForwardStatus status_;
  std::thread thread_;
};

bool Forwarder::Impl::stopped(std::chrono::milliseconds wait) const {
  pollfd fd{stop_.get(), POLLIN, 0};
  return ::poll(&fd, 1, static_cast<int>(wait.count())) > 0;
}

void Forwarder::Impl::tell(ForwardEvent event) {
  if (options_.on_event) options_.on_event(event, status());
}

void Forwarder::Impl::run() {
  block_sigpipe();
  std::chrono::milliseconds wait{0};
  while (!stopped(wait)) {
    const auto worked = turn();
    if (!worked) {
      failed(worked.error());
      wait = retry_;
      continue;
    }
    retry_ = std::chrono::milliseconds{0};
    wait = *worked ? std::chrono::milliseconds{0} : options_.poll_interval;
  }
  // What cannot be confirmed now is sent again by the next run.
  if (sent_ != cursor_) static_cast<void>(confirm().has_value());
}

void Forwarder::Impl::failed(const Error& error) {
  target_->reset();
  sent_ = cursor_;  // what was under way is lost, whatever a stop may confirm from here on
  begun_ = false;
  retry_ = std::clamp(retry_ * 2, options_.retry_min, options_.retry_max);
  bool was_up = false;
  {
    const std::lock_guard lock(mutex_);
    was_up = std::exchange(status_.up, false);
    status_.error = error.text.en;
  }
  if (was_up) tell(ForwardEvent::down);
}

// Where to go on: behind what the receiver has by its own word and ours.
Result<void> Forwarder::Impl::begin() {
  const std::string origin = MENSHEN_TRY(feed_.origin());
  const std::uint64_t end = MENSHEN_TRY(feed_.end());
  {
    const std::lock_guard lock(mutex_);
    status_.stored = end;
  }
  if (cursor_.origin.empty()) cursor_.origin = origin;
  if (cursor_.origin != origin || end < cursor_.record) {
    if (!std::exchange(shorter_told_, true)) tell(ForwardEvent::shorter);
    return fail(ErrorCode::corrupt,
                {"审计库少于已转发的内容：被截断或更换；确认后删除转发位置文件再启动",
                 "the store holds less than was forwarded: it was cut back or replaced; once that "
                 "is clear, remove the file of the position and start again"});
  }
  cursor_.record = MENSHEN_TRY(target_->still_has(cursor_.record));
  sent_ = cursor_;
  begun_ = true;
  return {};
}

Result<void> Forwarder::Impl::send(const std::vector<FeedRecord>& records) {
  // After a failure the same gap is met again.
  const std::uint64_t known = std::max(sent_.record, gap_end_);
  if (const std::uint64_t next = records.front().number; next > known + 1) {
    gap_end_ = next - 1;
    {
      const std::lock_guard lock(mutex_);
      status_.skipped += gap_end_ - known;
    }
    tell(ForwardEvent::gap);
  }
  MENSHEN_CHECK(target_->send(records));
  sent_.record = records.back().number;
  const std::lock_guard lock(mutex_);
  status_.sent += records.size();
  status_.stored = std::max(status_.stored, sent_.record);
  return {};
}

Result<void> Forwarder::Impl::confirm() {
  MENSHEN_CHECK(target_->confirm());
  MENSHEN_CHECK(save_cursor(options_.cursor_file, sent_));
  cursor_ = sent_;
  bool was_down = false;
  {
    const std::lock_guard lock(mutex_);
    was_down = !std::exchange(status_.up, true);
    status_.confirmed = cursor_.record;
    status_.note = cursor_.note;
    status_.confirmed_at = system_clock().wall();
    status_.error.clear();
  }
  changed_.notify_all();
  if (was_down) tell(ForwardEvent::up);
  return {};
}

Result<bool> Forwarder::Impl::turn() {
  if (!begun_) MENSHEN_CHECK(begin());
  const bool clean = sent_ == cursor_;
  const auto records = MENSHEN_TRY(feed_.records(sent_.record, options_.batch_records_max));
  if (!records.empty()) MENSHEN_CHECK(send(records));
  bool worked = !records.empty();
  if (records.size() < options_.batch_records_max) {
    const auto note = MENSHEN_TRY(feed_.note_within(sent_.record));
    if (note && note->checkpoint.number > sent_.note) {
      MENSHEN_CHECK(target_->send(*note));
      sent_.note = note->checkpoint.number;
      worked = true;
    }
  }
  const auto now = SteadyClock::now();
  if (clean && worked) unconfirmed_since_ = now;
  if (sent_ == cursor_) return worked;
  if (now - unconfirmed_since_ >= options_.confirm_interval ||
      sent_.record - cursor_.record >= options_.confirm_records) {
    MENSHEN_CHECK(confirm());
  }
  return worked;
}

Forwarder::Forwarder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Forwarder::~Forwarder() = default;

Result<std::unique_ptr<Forwarder>> Forwarder::start(ForwarderOptions options,
                                                    std::unique_ptr<Target> target) {
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return fail_errno({"无法创建 eventfd", "cannot make an eventfd"});
  Cursor cursor = MENSHEN_TRY(load_cursor(options.cursor_file));
  if (cursor.target != target->name()) cursor = {};
  cursor.target = target->name();
  return std::unique_ptr<Forwarder>(new Forwarder(std::make_unique<Impl>(
      std::move(options), std::move(target), std::move(cursor), std::move(stop))));
}

ForwardStatus Forwarder::status() const { return impl_->status(); }
bool Forwarder::wait_for(std::uint64_t record, std::chrono::milliseconds timeout) const {
  return impl_->wait_for(record, timeout);
}

}  // namespace menshen::audit
