// Who is signed in. Kept in memory: a restart signs everybody out. Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "console/api/accounts.hpp"

namespace menshen::console {

inline constexpr std::size_t sessions_of_account_max = 5;  // more: the oldest ends

struct SessionLimits {
  std::chrono::seconds idle = std::chrono::minutes(15);
  std::chrono::seconds absolute = std::chrono::hours(8);
};

struct Session {
  std::string id;  // names it in lists; opens nothing
  std::string name;
  Role role = Role::inspector;
  std::vector<std::string> domains;
  std::string csrf;
  std::string peer;
  WallTime started = 0;
  WallTime seen = 0;
};

class Sessions {
 public:
  Sessions(SessionLimits limits, const Clock& clock) : limits_(limits), clock_(clock) {}

  // The secret for the cookie, always a new one. Only its digest is kept.
  [[nodiscard]] std::pair<std::string, Session> start(const Account& account,
                                                      const std::string& peer);
  // `by_person`: counts as activity; what pages ask on their own does not.
  [[nodiscard]] std::optional<Session> find(const std::string& secret, bool by_person);
  [[nodiscard]] std::vector<Session> list();
  bool end(const std::string& id);
  void end_of_account(const std::string& name);
  [[nodiscard]] const SessionLimits& limits() const { return limits_; }

 private:
  struct Held {
    Session session;
    MonotonicTime started = 0;
    MonotonicTime seen = 0;
  };
  void drop_expired();

  SessionLimits limits_;
  const Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, Held> held_;  // by the digest of the secret
};

}  // namespace menshen::console
