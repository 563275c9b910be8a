#include "console/api/sessions.hpp"

#include <algorithm>

#include "console/http/secret.hpp"

namespace menshen::console {
namespace {

MonotonicTime ns(std::chrono::seconds time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
}

}  // namespace

void Sessions::drop_expired() {
  const MonotonicTime now = clock_.monotonic();
  std::erase_if(held_, [&](const auto& each) {
    return now - each.second.seen >= ns(limits_.idle) ||
           now - each.second.started >= ns(limits_.absolute);
  });
}

std::pair<std::string, Session> Sessions::start(const Account& account, const std::string& peer) {
  const std::lock_guard lock(mutex_);
  drop_expired();
  for (;;) {
    auto oldest = held_.end();
    std::size_t own = 0;
    for (auto at = held_.begin(); at != held_.end(); ++at) {
      if (at->second.session.name != account.name) continue;
      ++own;
      if (oldest == held_.end() || at->second.started < oldest->second.started) oldest = at;
    }
    if (own < sessions_of_account_max) break;
    held_.erase(oldest);
  }
  const std::string secret = random_token();
  const WallTime now = clock_.wall();
  Session session{random_token(9), account.name, account.role, account.domains,
                  random_token(),  peer,         now,          now};
  held_[sha256_hex(secret)] = {session, clock_.monotonic(), clock_.monotonic()};
  return {secret, session};
}

std::optional<Session> Sessions::find(const std::string& secret, bool by_person) {
  const std::lock_guard lock(mutex_);
  drop_expired();
  const auto at = held_.find(sha256_hex(secret));
  if (at == held_.end()) return std::nullopt;
  if (by_person) {
    at->second.seen = clock_.monotonic();
    at->second.session.seen = clock_.wall();
  }
  return at->second.session;
}

std::vector<Session> Sessions::list() {
  const std::lock_guard lock(mutex_);
  drop_expired();
  std::vector<Session> out;
  for (const auto& [secret, held] : held_) out.push_back(held.session);
  std::ranges::sort(out, {}, &Session::started);
  return out;
}

bool Sessions::end(const std::string& id) {
  const std::lock_guard lock(mutex_);
  return std::erase_if(held_, [&](const auto& each) { return each.second.session.id == id; }) != 0;
}

void Sessions::end_of_account(const std::string& name) {
  const std::lock_guard lock(mutex_);
  std::erase_if(held_, [&](const auto& each) { return each.second.session.name == name; });
}

}  // namespace menshen::console
