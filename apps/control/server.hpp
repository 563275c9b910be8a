// A daemon's control socket. Who asks is what the kernel says of the peer (SO_PEERCRED,
// SO_PEERGROUPS).
//
// Lives on the daemon's event loop and thread; a slow or hostile peer holds up nobody: nothing
// blocks, each connection has a limit of memory and of idle time, and there are at most
// connections_max of them.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/event_loop.hpp"
#include "apps/control/message.hpp"
#include "apps/control/parts.hpp"
#include "base/channel.hpp"

namespace menshen::apps {

enum class Access : unsigned char {
  status,  // root, the status group, the administrators' group, the daemon's own user
  admin,   // root and the administrators' group
};

struct ControlOptions {
  std::filesystem::path socket;
  std::string status_group;  // by name; empty: root and the daemon's own user alone
  std::string admin_group;
  std::string console_user;          // by name: may ask on behalf of a person; beside root
  std::size_t connections_max = 64;  // more: the new one is closed
  std::size_t request_bytes_max = 16U << 20U;                 // more: closed
  std::chrono::milliseconds idle = std::chrono::seconds(30);  // without a whole request: closed
};

struct Caller {
  PeerCredentials peer;
  std::vector<gid_t> groups;  // primary and supplementary
  std::string name;           // of the user; "uid 1000" where it has none; "alice (console)"
};

// The socket with the modes that the options ask for.
[[nodiscard]] Result<Listener> bind_socket(const ControlOptions& options);

class ControlServer {
 public:
  using Handler = std::function<Result<Json>(const Json& args, const Caller& caller)>;

  // Group names are looked up now, so that the sandbox need not see /etc/group later. A group that
  // does not exist is warned of, and nobody belongs to it.
  [[nodiscard]] static Result<std::unique_ptr<ControlServer>> bind(const ControlOptions& options,
                                                                   EventLoop& loop);
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;
  ~ControlServer();

  // Before the loop runs. A handler gets only requests that its access allows.
  void add(std::string op, Access access, Handler handler);

 private:
  struct Connection {
    Channel channel;
    Caller caller;
    PartAssembler assembler;
    std::deque<std::string> outgoing;
    MonotonicTime last = 0;
  };
  struct Operation {
    Access access = Access::status;
    Handler handler;
  };

  ControlServer(Listener listener, ControlOptions options, EventLoop& loop);
  void on_connect();
  void on_event(int fd, short revents);
  [[nodiscard]] bool receive(Connection& connection);
  [[nodiscard]] bool send_waiting(Connection& connection);
  void close(int fd);
  void close_idle();
  [[nodiscard]] Result<Json> answer(std::string_view message, const Caller& caller) const;
  [[nodiscard]] bool allowed(Access access, const Caller& caller) const;

  Listener listener_;
  ControlOptions options_;
  EventLoop& loop_;
  gid_t status_gid_;
  gid_t admin_gid_;
  std::optional<uid_t> console_uid_;
  std::map<std::string, Operation, std::less<>> operations_;
  std::map<int, std::unique_ptr<Connection>> connections_;
};

}  // namespace menshen::apps
