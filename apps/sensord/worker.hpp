// The packet thread: takes batches from the port, runs them through the engine, gives verdicts.
//
// New rules and a new policy are handed over by another thread and taken up between two batches, so
// no packet is ever judged half by one and half by the other, and none waits for a compilation.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "apps/sensord/labels.hpp"
#include "base/file.hpp"
#include "sensor/capture/packet_port.hpp"
#include "sensor/engine/engine.hpp"

namespace menshen::apps {

struct WorkerCounters {
  sensor::Counters engine;
  sensor::PortCounters port;
};

class Worker {
 public:
  // `labeler` belongs to the worker's thread from now on; `sink` is called on it. Both outlive the
  // worker.
  [[nodiscard]] static Result<std::unique_ptr<Worker>> start(
      std::unique_ptr<sensor::PacketPort> port, const sensor::EngineOptions& options,
      std::shared_ptr<const sensor::RuleSet> rules, PolicyLabeler& labeler,
      sensor::EventSink& sink);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void set_rules(std::shared_ptr<const sensor::RuleSet> rules);
  void set_policy(std::shared_ptr<const policy::Policy> policy);
  // As of the last batch, or of the last receive_wait without one.
  [[nodiscard]] WorkerCounters counters() const;

  // Readable once the port has failed and the thread has ended; failure() then says why.
  [[nodiscard]] int failed_fd() const noexcept { return failed_.get(); }
  [[nodiscard]] std::optional<Error> failure() const;

  // Ends after the batch in hand: verdicts given, open streams inspected, their events handed to
  // the sink.
  void stop();

 private:
  Worker(std::unique_ptr<sensor::PacketPort> port, const sensor::EngineOptions& options,
         std::shared_ptr<const sensor::RuleSet> rules, PolicyLabeler& labeler,
         sensor::EventSink& sink, UniqueFd failed);
  void run();
  [[nodiscard]] Result<void> loop();
  void take_up_changes();
  void publish(bool last);

  std::unique_ptr<sensor::PacketPort> port_;
  PolicyLabeler& labeler_;
  sensor::Engine engine_;
  UniqueFd failed_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> changes_{false};
  mutable std::mutex mutex_;
  std::shared_ptr<const sensor::RuleSet> new_rules_;
  std::optional<std::shared_ptr<const policy::Policy>> new_policy_;
  WorkerCounters published_;
  MonotonicTime port_published_ = 0;  // the worker's
  std::optional<Error> failure_;
  std::thread thread_;
};

}  // namespace menshen::apps
