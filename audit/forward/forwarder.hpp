// Carries the store's records and checkpoints on to one receiver: in order, each at least once.
//
// A thread of its own reads the store (feed.hpp), hands records to a target and, every so often,
// has the target confirm that all of them arrived; only then the position on disk moves. After a
// failure everything behind the confirmed position is sent again: each message names its record, so
// that the receiver can tell. The store itself is the queue, so nothing is dropped while a receiver
// is away, for as long as the store keeps it. Status: thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "audit/forward/cursor.hpp"
#include "audit/forward/feed.hpp"
#include "base/clock.hpp"

namespace menshen::audit {

// A receiver. Its calls may block, each for a bounded time, less once stop_fd() is readable. After
// any error reset() is called and what was not confirmed comes again.
class Target {
 public:
  virtual ~Target() = default;
  [[nodiscard]] virtual const std::string& name() const = 0;
  [[nodiscard]] virtual Result<void> send(std::span<const FeedRecord> records) = 0;
  [[nodiscard]] virtual Result<void> send(const SignedNote& note) = 0;
  // Returns once the receiver has all that was sent.
  [[nodiscard]] virtual Result<void> confirm() = 0;
  virtual void reset() = 0;
  // Asked at the start and after a failure: up to which of the confirmed records it still has all.
  [[nodiscard]] virtual Result<std::uint64_t> still_has(std::uint64_t confirmed) {
    return confirmed;
  }
  void stop_at(int fd) { stop_fd_ = fd; }

 protected:
  [[nodiscard]] int stop_fd() const { return stop_fd_; }

 private:
  int stop_fd_ = -1;
};

enum class ForwardEvent : std::uint8_t {
  down,     // the receiver cannot be reached, or refuses
  up,       // it takes records again
  gap,      // records were pruned before they could be forwarded
  shorter,  // the store holds less than was forwarded: it was cut back or replaced
};

struct ForwardStatus {
  std::string target;
  bool up = true;               // false: the last attempt failed
  std::string error;            // English; of the last failure
  std::uint64_t confirmed = 0;  // number of the last record that arrived
  std::uint64_t note = 0;       // number of the last checkpoint that did
  std::uint64_t stored = 0;     // number of the store's last record, when it was last looked at
  std::uint64_t sent = 0;       // records handed over since the start, repetitions too
  std::uint64_t skipped = 0;    // pruned before they could be sent, since the start
  std::optional<WallTime> confirmed_at;
};

struct ForwarderOptions {
  std::filesystem::path store;
  std::filesystem::path cursor_file;
  std::size_t batch_records_max = 1'000;
  std::chrono::milliseconds confirm_interval{5'000};  // while there is something to confirm
  std::uint64_t confirm_records = 20'000;             // or after so many
  std::chrono::milliseconds poll_interval{500};       // between looks for new records
  std::chrono::milliseconds retry_min{1'000};         // after a failure; doubled up to
  std::chrono::milliseconds retry_max{60'000};
  // Called on the forwarder's thread.
  std::function<void(ForwardEvent, const ForwardStatus&)> on_event;
};

class Forwarder {
 public:
  // ErrorCode::corrupt: the cursor file. A cursor of another target begins anew.
  [[nodiscard]] static Result<std::unique_ptr<Forwarder>> start(ForwarderOptions options,
                                                                std::unique_ptr<Target> target);
  // Confirms what was sent, if that does not take long, and stops.
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  [[nodiscard]] ForwardStatus status() const;
  // Waits until everything that is stored now, and a checkpoint, if any, has arrived.
  [[nodiscard]] bool wait_for(std::uint64_t record, std::chrono::milliseconds timeout) const;

 private:
  class Impl;
  explicit Forwarder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace menshen::audit
