// Delivers records to auditd: never blocks the caller, never delivers twice, loses nothing it has
// vouched for.
//
// submit() puts a record into a bounded queue; a thread of the client's own sends batches and waits
// for answers. While auditd does not answer, records go to a bounded spool on disk (fsynced), and
// are delivered from there, in order, when it is back, also by the next run of the program. Each
// record is named by (source, epoch, sequence), so a second delivery is recognised. Where queue and
// spool are full, records are counted, and a record of kind `loss` with the first and last sequence
// and the number says so as soon as there is room.
//
// A record is durable once auditd has committed it or the spool is fsynced: within milliseconds.
// Until then kill -9 loses it; what must not be lost goes through submit_durable(). Thread-safe.
// submit: one short lock and a move.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "audit/disk/disk.hpp"
#include "audit/record/record.hpp"
#include "base/clock.hpp"

namespace menshen::audit {

struct ClientOptions {
  std::filesystem::path socket = "/run/menshen/auditd.sock";
  // The program's own, made where absent (0700), one client each. Empty: no spool, for short-lived
  // commands: what auditd has not taken at the end is lost then, and submit_durable() says so.
  std::filesystem::path spool_directory;
  std::string source;  // "sensord"; auditd must allow it to this user
  std::size_t queue_records_max = 65'536;
  std::size_t queue_bytes_max = 64U << 20U;
  std::uint64_t spool_bytes_max = 256ULL << 20U;
  // Of one message. What is under way unanswered is how long each waits for its answer: four
  // messages of so many keep auditd busy, more would only queue.
  std::size_t batch_records_max = 250;
  std::chrono::milliseconds answer_timeout{1'000};  // then auditd counts as absent
  std::chrono::milliseconds reconnect_interval{500};
  const Clock* clock = nullptr;  // null: the system's
  DiskCalls disk;                // tests inject faults here
};

struct ClientStats {
  std::uint64_t submitted = 0;    // taken into the queue
  std::uint64_t delivered = 0;    // committed by auditd (stored or found there already)
  std::uint64_t spooled = 0;      // written to the spool
  std::uint64_t lost = 0;         // queue full, or the record could not be encoded
  std::uint64_t refused = 0;      // by auditd, for good (conflict, source not allowed)
  std::uint64_t queued = 0;       // now, in memory and not yet durable
  std::uint64_t spool_bytes = 0;  // now
  bool connected = false;
  std::string last_error;  // English; empty: none
};

class Client {
 public:
  // Reads what an earlier run left in the spool; auditd need not be there.
  // ErrorCode::exists: another client uses the spool.
  [[nodiscard]] static Result<std::unique_ptr<Client>> start(ClientOptions options);
  ~Client();  // what is queued goes to auditd or the spool, waiting at most one answer_timeout
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Fills in source, epoch, sequence and boot, and time and monotonic where 0; cuts fields to their
  // limits (fit). False: the queue is full, the record is lost and counted.
  bool submit(Record record);
  // Returns when the record is durable. ErrorCode::limit: queue full, not taken;
  // ErrorCode::unavailable: not yet durable after `timeout` (it may become so later).
  // ErrorCode::denied: auditd refused it (a record that waits in the spool is only counted then).
  [[nodiscard]] Result<void> submit_durable(
      Record record, std::chrono::milliseconds timeout = std::chrono::seconds(5));
  // Waits until everything submitted before is durable.
  [[nodiscard]] Result<void> flush(std::chrono::milliseconds timeout);
  // Waits until everything submitted before, and the spool, is delivered to auditd.
  [[nodiscard]] Result<void> drain(std::chrono::milliseconds timeout);
  [[nodiscard]] ClientStats stats() const;

 private:
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace menshen::audit
