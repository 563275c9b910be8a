// The loop of auditd: takes records from many clients, commits them in groups, answers after the
// commit.
//
// What a peer says about itself is not believed: uid and pid come from the kernel and are stamped
// into each record, and a source may only be used by the users the options give it to. Hostile
// peers cost bounded memory and at most their own connection; refusals are recorded, at most one
// record a second, with their number. Protocol: protocol.hpp. Not thread-safe: everything happens
// inside run().
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "audit/store/store.hpp"
#include "base/channel.hpp"
#include "base/result.hpp"

namespace menshen::audit {

struct ServerOptions {
  // Who may tell as which source; a source not listed is refused. `own_source` is nobody's.
  std::map<std::string, std::set<uid_t>> sources;
  // Who may ask for checkpoints and attestations. Whoever may connect may ask for the status.
  std::set<uid_t> operators = {0};
  // Beyond it a newcomer takes the place of the longest silent connection of whoever has the most.
  std::size_t connections_max = 256;
  std::size_t batch_records_max = 4'000;
  std::size_t batch_bytes_max = 16U << 20U;
  std::chrono::milliseconds batch_delay{10};  // a record waits at most this long for company
  // So many are company enough: they are committed with what the turn that brought them has read,
  // without waiting for batch_delay; the next ones wait in the sockets meanwhile.
  std::size_t batch_records_enough = 500;
  // With less room on the disk than the reserve, flow summaries are refused first, counted and told
  // by a record; every other kind goes on to be stored as long as there is any room. 0: never.
  std::uint64_t disk_reserve_bytes = 0;
};

class Server {
 public:
  [[nodiscard]] static Result<Server> make(ServerOptions options, Store store, Listener listener);
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  ~Server();

  // Serves until `stop_fd` becomes readable; then takes what clients have sent already, commits,
  // answers and closes the store with its stop record and last checkpoint. An error: the store
  // could not be closed cleanly.
  [[nodiscard]] Result<void> run(int stop_fd);

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace menshen::audit
