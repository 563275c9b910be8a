#include "apps/control/server.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "apps/common/daemon.hpp"
#include "base/service.hpp"
#include "base/users.hpp"

namespace menshen::apps {
namespace {

constexpr gid_t no_group = static_cast<gid_t>(-1);
constexpr std::chrono::milliseconds no_wait{0};
constexpr std::chrono::seconds idle_check{5};
constexpr std::size_t peer_groups_max = 1024;

Result<gid_t> allowed_group(const std::string& name) {
  if (name.empty()) return no_group;
  const auto group = find_group(name);
  if (group) return group->gid;
  if (group.error().code != ErrorCode::not_found) return tl::unexpected(group.error());
  log(LogLevel::warning, {"用户组 " + name + " 不存在，仅 root 可用其权限",
                          "there is no group " + name + "; what it may do is left to root"});
  return no_group;
}

Result<Caller> caller_of(const Channel& channel) {
  Caller caller;
  caller.peer = MENSHEN_TRY(channel.peer());
  caller.groups.resize(peer_groups_max);
  auto bytes = static_cast<socklen_t>(caller.groups.size() * sizeof(gid_t));
  // More groups than that (ERANGE): the primary group alone counts, which can only deny.
  const bool known =
      ::getsockopt(channel.fd(), SOL_SOCKET, SO_PEERGROUPS, caller.groups.data(), &bytes) == 0;
  caller.groups.resize(known ? bytes / sizeof(gid_t) : 0);
  caller.groups.push_back(caller.peer.gid);
  caller.name = user_name(caller.peer.uid).value_or(fmt::format("uid {}", caller.peer.uid));
  return caller;
}

}  // namespace

Result<Listener> bind_socket(const ControlOptions& options) {
  // Without a group only root and the daemon's own user can open the socket at all.
  const bool shared = MENSHEN_TRY(allowed_group(options.status_group)) != no_group;
  return Listener::bind(options.socket, shared ? 0660 : 0600,
                        shared ? options.status_group : std::string{});
}

Result<std::unique_ptr<ControlServer>> ControlServer::bind(const ControlOptions& options,
                                                           EventLoop& loop) {
  const gid_t status_gid = MENSHEN_TRY(allowed_group(options.status_group));
  const gid_t admin_gid = MENSHEN_TRY(allowed_group(options.admin_group));
  Listener listener = MENSHEN_TRY(bind_socket(options));
  std::unique_ptr<ControlServer> server(new ControlServer(std::move(listener), options, loop));
  server->status_gid_ = status_gid;
  server->admin_gid_ = admin_gid;
  if (const auto console = find_user(options.console_user)) server->console_uid_ = console->uid;
  return server;
}

ControlServer::ControlServer(Listener listener, ControlOptions options, EventLoop& loop)
    : listener_(std::move(listener)),
      options_(std::move(options)),
      loop_(loop),
      status_gid_(no_group),
      admin_gid_(no_group) {
  loop_.watch(listener_.fd(), POLLIN, [this](short) { on_connect(); });
  loop_.every(idle_check, [this] { close_idle(); });
}

ControlServer::~ControlServer() {
  for (const auto& [fd, connection] : connections_) loop_.unwatch(fd);
  loop_.unwatch(listener_.fd());
}

void ControlServer::add(std::string op, Access access, Handler handler) {
  operations_[std::move(op)] = Operation{access, std::move(handler)};
}

void ControlServer::on_connect() {
  auto accepted = listener_.accept();
  if (!accepted || !*accepted) return;
  Channel channel = std::move(**accepted);
  if (connections_.size() >= options_.connections_max) {
    log(LogLevel::warning, {"控制连接数已达上限，拒绝新连接",
                            "the limit of control connections is reached; a new one was closed"});
    return;
  }
  auto caller = caller_of(channel);
  if (!caller) return;
  const int fd = channel.fd();
  auto connection =
      std::make_unique<Connection>(Connection{std::move(channel),
                                              std::move(*caller),
                                              PartAssembler(options_.request_bytes_max),
                                              {},
                                              system_clock().monotonic()});
  connections_[fd] = std::move(connection);
  loop_.watch(fd, POLLIN, [this, fd](short revents) { on_event(fd, revents); });
}

void ControlServer::on_event(int fd, short revents) {
  const auto found = connections_.find(fd);
  if (found == connections_.end()) return;
  Connection& connection = *found->second;
  bool alive = true;
  if ((revents & (POLLIN | POLLHUP | POLLERR)) != 0) alive = receive(connection);
  if (alive) alive = send_waiting(connection);
  if (!alive) return close(fd);
  // A peer with an answer waiting is not read from: its requests queue up at its own side.
  const bool waiting = !connection.outgoing.empty();
  loop_.watch(fd, waiting ? POLLOUT : POLLIN, [this, fd](short events) { on_event(fd, events); });
}

bool ControlServer::receive(Connection& connection) {
  auto part = connection.channel.receive(no_wait);
  if (!part) return part.error().code == ErrorCode::unavailable;
  if (!*part) return false;
  auto message = connection.assembler.add(**part);
  if (!message) {
    log(LogLevel::warning,
        {fmt::format("关闭用户 {} 的控制连接：{}", connection.caller.name, message.error().text.zh),
         fmt::format("control connection of {} closed: {}", connection.caller.name,
                     message.error().text.en)});
    return false;
  }
  if (!*message) return true;
  connection.last = system_clock().monotonic();
  auto parts = split_parts(encode_reply(answer(**message, connection.caller)));
  if (!parts) parts = split_parts(encode_reply(tl::make_unexpected(parts.error())));
  if (!parts) return false;
  for (std::string& each : *parts) connection.outgoing.push_back(std::move(each));
  return true;
}

bool ControlServer::send_waiting(Connection& connection) {
  while (!connection.outgoing.empty()) {
    const auto sent = connection.channel.send(as_bytes(connection.outgoing.front()), no_wait);
    if (!sent) return sent.error().code == ErrorCode::unavailable;  // full: POLLOUT tells when
    connection.outgoing.pop_front();
    connection.last = system_clock().monotonic();
  }
  return true;
}

void ControlServer::close(int fd) {
  loop_.unwatch(fd);
  connections_.erase(fd);
}

void ControlServer::close_idle() {
  const MonotonicTime oldest =
      system_clock().monotonic() - options_.idle.count() * MonotonicTime{1'000'000};
  std::vector<int> idle;
  for (const auto& [fd, connection] : connections_) {
    if (connection->last < oldest) idle.push_back(fd);
  }
  for (const int fd : idle) close(fd);
}

bool ControlServer::allowed(Access access, const Caller& caller) const {
  if (caller.peer.uid == 0) return true;
  const auto member = [&caller](gid_t gid) {
    return gid != no_group &&
           std::find(caller.groups.begin(), caller.groups.end(), gid) != caller.groups.end();
  };
  if (member(admin_gid_)) return true;
  return access == Access::status && (member(status_gid_) || caller.peer.uid == ::geteuid());
}

Result<Json> ControlServer::answer(std::string_view message, const Caller& caller) const {
  const Request request = MENSHEN_TRY(decode_request(message));
  const auto found = operations_.find(request.op);
  if (found == operations_.end()) {
    return fail(ErrorCode::not_found,
                {"该组件没有此操作：" + request.op, "this daemon has no operation " + request.op});
  }
  if (!allowed(found->second.access, caller)) {
    return fail(ErrorCode::denied,
                {fmt::format("用户 {} 无权执行操作 {}", caller.name, request.op),
                 fmt::format("the user {} may not ask for {}", caller.name, request.op)});
  }
  Caller asking = caller;
  if (!request.person.empty()) {
    // Anybody else would speak in another's name.
    if (caller.peer.uid != 0 && caller.peer.uid != console_uid_) {
      return fail(ErrorCode::denied,
                  {fmt::format("用户 {} 不得代他人请求", caller.name),
                   fmt::format("the user {} may not ask for another", caller.name)});
    }
    asking.name = request.person + " (console)";
  }
  try {
    return found->second.handler(request.args, asking);
  } catch (const Json::exception&) {
    // A handler reads its arguments with the JSON library's typed accessors.
    return fail(ErrorCode::invalid, {"操作参数类型错误：" + request.op,
                                     "an argument of " + request.op + " has the wrong type"});
  }
}

}  // namespace menshen::apps
