#include "audit/store/indexer.hpp"

#include <algorithm>
#include <chrono>

namespace menshen::audit {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t blocks_a_commit = 64;
constexpr auto retry_interval = 5s;

}  // namespace

Indexer::Indexer(StorePaths paths, mode_t file_mode)
    : paths_(std::move(paths)), file_mode_(file_mode), wanted_(1), thread_([this] { run(); }) {}

Indexer::~Indexer() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Indexer::wake() {
  {
    const std::lock_guard lock(mutex_);
    ++wanted_;
  }
  changed_.notify_all();
}

void Indexer::forget(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  forgotten_.insert(number);
}

bool Indexer::catch_up() {
  std::unique_lock lock(mutex_);
  const std::uint64_t mine = ++wanted_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return stop_ || rounds_ >= mine; });
  return !failed_;
}

bool Indexer::stopping() {
  const std::lock_guard lock(mutex_);
  return stop_;
}

void Indexer::run() {
  while (true) {
    std::uint64_t answering = 0;
    {
      std::unique_lock lock(mutex_);
      const auto wake = [this] { return stop_ || wanted_ > rounds_; };
      if (failed_) {
        changed_.wait_for(lock, retry_interval, [this] { return stop_; });
      } else {
        changed_.wait(lock, wake);
      }
      if (stop_) return;
      answering = wanted_;
    }
    const bool good = round().has_value();
    if (!good) live_.reset();
    {
      const std::lock_guard lock(mutex_);
      rounds_ = answering;
      failed_ = !good;
    }
    changed_.notify_all();
  }
}

Result<void> Indexer::round() {
  const auto numbers = paths_.segments();
  for (const std::uint64_t number : numbers) {
    if (stopping()) return {};
    {
      const std::lock_guard lock(mutex_);
      if (forgotten_.contains(number)) continue;
    }
    if (!done_.contains(number)) MENSHEN_CHECK(bring_up(number, number == numbers.back()));
  }
  return {};
}

Result<void> Indexer::bring_up(std::uint64_t number, bool newest) {
  if (!live_ || live_number_ != number) {
    live_.reset();
    Segment segment = MENSHEN_TRY(Segment::open(paths_.segment(number), Database::Mode::follow));
    const std::uint64_t first = segment.head().first;
    Index index =
        MENSHEN_TRY(Index::open(paths_.index(number), Database::Mode::write, first, file_mode_));
    live_ = Work{std::move(segment), std::move(index)};
    live_number_ = number;
  }
  Index& index = live_->index;
  if (MENSHEN_TRY(index.whole())) {
    done_.insert(number);
    return {};
  }
  std::uint64_t at = MENSHEN_TRY(index.end());
  const std::uint64_t end = MENSHEN_TRY(live_->segment.blocks_end());
  while (at < end) {
    MENSHEN_CHECK(index.begin());
    for (std::uint64_t i = 0; i < blocks_a_commit && at < end; ++i, at += block_records) {
      if (stopping()) break;
      const Block block = MENSHEN_TRY(live_->segment.block(at + 1));
      MENSHEN_CHECK(index.add(at + 1, block));
    }
    MENSHEN_CHECK(index.commit());
    if (stopping()) return {};
  }
  if (newest) return {};
  MENSHEN_CHECK(index.finish());
  done_.insert(number);
  live_.reset();
  return {};
}

}  // namespace menshen::audit
