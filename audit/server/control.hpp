// auditd's answers to control requests (protocol.hpp). Internal to the server.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "audit/store/store.hpp"
#include "base/channel.hpp"

namespace menshen::audit {

struct ServerCounters {
  std::uint64_t connections = 0;  // now
  std::uint64_t accepted = 0;     // records stored
  std::uint64_t duplicates = 0;
  std::uint64_t conflicts = 0;
  std::uint64_t refused = 0;
  std::uint64_t shed = 0;  // flow summaries, for want of room on the disk
};

// `may_operate`: the peer may ask for more than the status.
[[nodiscard]] std::string answer_control(Store& store, const ServerCounters& counters,
                                         std::string_view request, bool may_operate,
                                         const PeerCredentials& peer);

}  // namespace menshen::audit
