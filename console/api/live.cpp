#include "console/api/live.hpp"

#include "audit/store/query.hpp"

namespace menshen::console {

Live::Live(std::filesystem::path audit_directory, std::chrono::milliseconds interval)
    : directory_(std::move(audit_directory)), interval_(interval), thread_([this] { watch(); }) {}

Live::~Live() {
  end();
  thread_.join();
}

void Live::end() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
}

bool Live::ending() const {
  const std::lock_guard lock(mutex_);
  return ending_;
}

std::uint64_t Live::newest() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

bool Live::enter() {
  const std::lock_guard lock(mutex_);
  if (streams_ >= live_streams_max) return false;
  ++streams_;
  return true;
}

void Live::leave() {
  const std::lock_guard lock(mutex_);
  --streams_;
}

std::vector<Live::Event> Live::after(std::uint64_t number, std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  const auto newer = [&] {
    return ending_ || (!events_.empty() && events_.back().number > number);
  };
  changed_.wait_for(lock, wait, newer);
  std::vector<Event> out;
  for (const Event& event : events_) {
    if (event.number > number) out.push_back(event);
  }
  return out;
}

void Live::watch() {
  for (;;) {
    look();
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, interval_, [this] { return ending_; })) return;
  }
}

void Live::look() {
  // Opened anew each time: a store that was not there, or a new segment, needs no special case.
  const auto reader = audit::Reader::open(directory_);
  if (!reader) return;
  const auto last = reader->records();
  if (!last) return;
  std::uint64_t from = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!started_) {
      started_ = true;
      seen_ = *last;
    }
    from = seen_;
  }
  if (*last <= from) return;
  std::deque<Event> found;
  audit::Filter all;
  all.limit = 0;
  const auto done = reader->find(all, [&](const audit::Found& each) {
    if (each.number <= from) return false;
    const auto& record = each.record;
    if (record.kind == audit::Kind::alert || record.kind == audit::Kind::drop ||
        record.kind == audit::Kind::isolation) {
      found.push_front(
          {each.number, record.domain_src, record.domain_dst, audit::to_json(record, each.number)});
    }
    return found.size() < live_events_kept_max;
  });
  if (!done) return;
  {
    const std::lock_guard lock(mutex_);
    seen_ = std::max(seen_, *last);
    for (Event& event : found) events_.push_back(std::move(event));
    while (events_.size() > live_events_kept_max) events_.pop_front();
  }
  changed_.notify_all();
}

}  // namespace menshen::console
