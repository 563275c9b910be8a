#include "apps/sensord/worker.hpp"

#include <sys/eventfd.h>

#include "base/clock.hpp"

namespace menshen::apps {
namespace {

// How long a change, or the stop, may wait for an idle port.
constexpr std::chrono::milliseconds receive_wait{20};
constexpr WallTime expire_period = 1'000'000'000;
// The port's losses come from a file of the kernel's: not once a batch.
constexpr MonotonicTime port_counters_period = 200'000'000;

}  // namespace

Result<std::unique_ptr<Worker>> Worker::start(std::unique_ptr<sensor::PacketPort> port,
                                              const sensor::EngineOptions& options,
                                              std::shared_ptr<const sensor::RuleSet> rules,
                                              PolicyLabeler& labeler, sensor::EventSink& sink) {
  UniqueFd failed(::eventfd(0, EFD_CLOEXEC));
  if (!failed) return fail_errno({"无法创建 eventfd", "cannot make an eventfd"});
  return std::unique_ptr<Worker>(
      new Worker(std::move(port), options, std::move(rules), labeler, sink, std::move(failed)));
}

Worker::Worker(std::unique_ptr<sensor::PacketPort> port, const sensor::EngineOptions& options,
               std::shared_ptr<const sensor::RuleSet> rules, PolicyLabeler& labeler,
               sensor::EventSink& sink, UniqueFd failed)
    : port_(std::move(port)),
      labeler_(labeler),
      engine_(options, std::move(rules), &labeler, sink),
      failed_(std::move(failed)),
      thread_([this] { run(); }) {}

Worker::~Worker() { stop(); }

void Worker::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void Worker::set_rules(std::shared_ptr<const sensor::RuleSet> rules) {
  const std::lock_guard lock(mutex_);
  new_rules_ = std::move(rules);
  changes_ = true;
}

void Worker::set_policy(std::shared_ptr<const policy::Policy> policy) {
  const std::lock_guard lock(mutex_);
  new_policy_ = std::move(policy);
  changes_ = true;
}

WorkerCounters Worker::counters() const {
  const std::lock_guard lock(mutex_);
  return published_;
}

std::optional<Error> Worker::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void Worker::take_up_changes() {
  if (!changes_.exchange(false)) return;
  std::shared_ptr<const sensor::RuleSet> rules;
  std::optional<std::shared_ptr<const policy::Policy>> policy;
  {
    const std::lock_guard lock(mutex_);
    rules = std::move(new_rules_);
    policy.swap(new_policy_);
  }
  if (rules) engine_.swap_rules(std::move(rules));
  if (policy) labeler_.set_policy(std::move(*policy));
}

void Worker::publish(bool last) {
  const MonotonicTime now = system_clock().monotonic();
  const bool port_too = last || now - port_published_ >= port_counters_period;
  if (port_too) port_published_ = now;
  const sensor::PortCounters port = port_too ? port_->counters() : sensor::PortCounters{};
  const std::lock_guard lock(mutex_);
  published_.engine = engine_.counters();
  if (port_too) published_.port = port;
}

Result<void> Worker::loop() {
  const auto batch = std::make_unique<sensor::PacketBatch>();
  WallTime expired = 0;
  while (!stop_) {
    take_up_changes();
    batch->clear();
    const std::size_t received = MENSHEN_TRY(port_->receive(*batch, receive_wait));
    if (received != 0) {
      engine_.process(*batch);
      MENSHEN_CHECK(port_->give_verdicts(*batch));
    }
    const WallTime now = system_clock().wall();
    if (received == 0 && now - expired >= expire_period) {
      engine_.expire(now);
      expired = now;
    }
    publish(false);
  }
  return {};
}

void Worker::run() {
  Result<void> done = loop();
  engine_.flush();
  publish(true);
  if (done) return;
  {
    const std::lock_guard lock(mutex_);
    failure_ = std::move(done.error());
  }
  static_cast<void>(::eventfd_write(failed_.get(), 1));
}

}  // namespace menshen::apps
