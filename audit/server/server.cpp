#include "audit/server/server.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <list>
#include <optional>
#include <vector>

#include "audit/server/control.hpp"
#include "audit/server/protocol.hpp"

namespace menshen::audit {
namespace {

using SteadyClock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto idle_wait = 500ms;  // between looks at whether a checkpoint is due
constexpr auto tend_interval = 1s;
constexpr auto refusal_interval = 1s;         // between records about refusals
constexpr std::size_t messages_per_turn = 8;  // of one client, before the next has its turn
constexpr auto drain_limit = 5s;              // for what clients have already sent at a stop

struct Client {
  Channel channel;
  PeerCredentials peer;
  SteadyClock::time_point heard;  // when it connected or last sent a message
  bool gone = false;
};

// A message whose records wait in the batch.
struct Pending {
  Client* client = nullptr;
  std::uint64_t id = 0;
  std::vector<Status> statuses;
  std::vector<std::size_t> stored_as;  // index in the batch of each record that is not refused
};

}  // namespace

class Server::Impl {
 public:
  Impl(ServerOptions options, Store store, Listener listener)
      : options_(std::move(options)), store_(std::move(store)), listener_(std::move(listener)) {}

  Result<void> run(int stop_fd);

 private:
  [[nodiscard]] std::chrono::milliseconds wait_time() const;
  [[nodiscard]] bool batch_full() const;
  // Waits for a message, a connection or the stop; reads what there is. False: stop.
  bool turn(int stop_fd, std::chrono::milliseconds wait);
  void accept_all();
  void make_room();
  void read_from(Client& client);
  void take(Client& client, std::string message);
  void take_records(Client& client, std::string message);
  [[nodiscard]] std::optional<Text> refusal(const Client& client,
                                            const Result<RecordView>& record) const;
  void commit();
  void answer(const Pending& pending, const std::vector<Appended>& appended);
  void send(Client& client, const std::string& message);
  void refused(const Client& client, const Text& why);
  void record_refusals();
  void watch_disk();
  void record_shed();
  void housekeeping();
  void forget_gone();
  void drain();

  ServerOptions options_;
  Store store_;
  Listener listener_;
  std::list<Client> clients_;
  std::vector<Incoming> batch_;  // into messages_
  std::list<std::string> messages_;
  std::size_t batch_bytes_ = 0;
  std::vector<Pending> pending_;
  SteadyClock::time_point first_pending_;
  ServerCounters counters_;
  std::optional<Record> refusal_;  // the first since the last record about them
  std::uint64_t refusals_ = 0;
  SteadyClock::time_point last_refusal_record_{};
  SteadyClock::time_point last_tended_{};
  bool shedding_ = false;
  std::uint64_t shed_ = 0;  // since the last record about it
};

std::chrono::milliseconds Server::Impl::wait_time() const {
  if (batch_.empty() && pending_.empty()) return idle_wait;
  if (batch_.size() >= options_.batch_records_enough) return 0ms;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(
      first_pending_ + options_.batch_delay - SteadyClock::now());
  return std::clamp<std::chrono::milliseconds>(left, 0ms, options_.batch_delay);
}

bool Server::Impl::batch_full() const {
  return batch_.size() >= options_.batch_records_max || batch_bytes_ >= options_.batch_bytes_max;
}

// At most connections_max in a turn: what a flood of connections adds before the gone ones are
// forgotten stays bounded.
void Server::Impl::accept_all() {
  for (std::size_t i = 0; i < options_.connections_max; ++i) {
    auto channel = listener_.accept();
    if (!channel || !*channel) return;
    const auto peer = (*channel)->peer();
    if (!peer) continue;
    if (std::ranges::count(clients_, false, &Client::gone) >=
        static_cast<std::ptrdiff_t>(options_.connections_max))
      make_room();
    clients_.push_back({std::move(**channel), *peer, SteadyClock::now(), false});
  }
}

// Whoever holds the most connections loses the one that has been silent longest: a peer that
// collects connections gets in its own way only, and who has something to tell always gets in.
void Server::Impl::make_room() {
  std::map<uid_t, std::size_t> held;
  for (const Client& client : clients_) {
    if (!client.gone) ++held[client.peer.uid];
  }
  const uid_t greediest =
      std::ranges::max_element(held, {}, &decltype(held)::value_type::second)->first;
  Client* silent = nullptr;
  for (Client& client : clients_) {
    if (client.gone || client.peer.uid != greediest) continue;
    if (silent == nullptr || client.heard < silent->heard) silent = &client;
  }
  silent->gone = true;
  refused(*silent, {"连接数已达上限", "too many connections"});
}

void Server::Impl::read_from(Client& client) {
  for (std::size_t i = 0; i < messages_per_turn && !client.gone && !batch_full(); ++i) {
    auto message = client.channel.receive(0ms);
    if (!message && message.error().code == ErrorCode::unavailable) return;
    if (!message || !*message) {
      client.gone = true;
      return;
    }
    client.heard = SteadyClock::now();
    take(client, std::move(**message));
  }
}

void Server::Impl::take(Client& client, std::string message) {
  if (!is_control(message)) {
    take_records(client, std::move(message));
    return;
  }
  commit();  // so that a status or an attestation comes after what was sent before it
  const bool may_operate = options_.operators.contains(client.peer.uid);
  counters_.connections = clients_.size();
  send(client, answer_control(store_, counters_, message, may_operate, client.peer));
}

std::optional<Text> Server::Impl::refusal(const Client& client,
                                          const Result<RecordView>& record) const {
  if (!record) return record.error().text;
  if (record->stamp) return Text{"记录自带接收印记", "the record brings its own stamp"};
  const auto allowed = options_.sources.find(std::string(record->source));
  if (record->source == own_source || allowed == options_.sources.end() ||
      !allowed->second.contains(client.peer.uid)) {
    return Text{fmt::format("用户 {} 不得使用来源 {}", client.peer.uid, record->source),
                fmt::format("user {} may not tell as {}", client.peer.uid, record->source)};
  }
  return std::nullopt;
}

void Server::Impl::take_records(Client& client, std::string received) {
  // Where it stays: what the batch holds points into it, and a short string would move.
  messages_.push_back(std::move(received));
  const std::string& message = messages_.back();
  const auto parsed = parse_records(as_bytes(message));
  if (!parsed) {
    refused(client, parsed.error().text);
    client.gone = true;
    return;
  }
  if (batch_.empty() && pending_.empty()) first_pending_ = SteadyClock::now();
  const Clock& clock = store_.options().clock != nullptr ? *store_.options().clock : system_clock();
  const Stamp stamp{clock.wall(), client.peer.uid, static_cast<std::uint32_t>(client.peer.pid)};
  Pending pending{&client, parsed->id, {}, {}};
  for (const Bytes bytes : parsed->records) {
    const auto record = view(bytes);
    if (const auto why = refusal(client, record)) {
      refused(client, *why);
      pending.statuses.push_back(Status::refused);
      continue;
    }
    if (shedding_ && record->kind == Kind::flow) {
      ++shed_;
      ++counters_.shed;
      pending.statuses.push_back(Status::refused);
      continue;
    }
    pending.statuses.push_back(Status::stored);
    pending.stored_as.push_back(batch_.size());
    batch_bytes_ += bytes.size();
    batch_.push_back({bytes, stamp});
  }
  pending_.push_back(std::move(pending));
}

void Server::Impl::commit() {
  if (pending_.empty()) return;
  auto appended = store_.append(batch_);
  for (const Pending& pending : pending_) {
    if (appended) {
      answer(pending, *appended);
    } else if (!pending.client->gone) {
      send(*pending.client, build_failure({pending.id, appended.error().text.en}));
    }
  }
  pending_.clear();
  batch_.clear();
  messages_.clear();
  batch_bytes_ = 0;
}

void Server::Impl::answer(const Pending& pending, const std::vector<Appended>& appended) {
  AnswerMessage message{pending.id, pending.statuses};
  auto next = pending.stored_as.begin();
  for (Status& status : message.statuses) {
    if (status == Status::refused) continue;
    switch (appended[*next++]) {
      case Appended::stored:
        ++counters_.accepted;
        break;
      case Appended::duplicate:
        ++counters_.duplicates;
        status = Status::duplicate;
        break;
      case Appended::conflict:
        ++counters_.conflicts;
        status = Status::conflict;
        break;
    }
  }
  if (!pending.client->gone) send(*pending.client, build_answer(message));
}

// Never waits: a peer that does not read its answers loses the connection, and will deliver again.
void Server::Impl::send(Client& client, const std::string& message) {
  if (!client.channel.send(as_bytes(message), 0ms)) client.gone = true;
}

void Server::Impl::refused(const Client& client, const Text& why) {
  ++counters_.refused;
  ++refusals_;
  if (refusal_) return;
  Record record;
  record.severity = Severity::high;
  record.outcome = Outcome::rejected;
  record.action = "record.refuse";
  record.subject = fmt::format("uid {} pid {}", client.peer.uid, client.peer.pid);
  record.message = why.zh + " / " + why.en;
  refusal_ = std::move(record);
}

void Server::Impl::record_refusals() {
  if (!refusal_ || SteadyClock::now() - last_refusal_record_ < refusal_interval) return;
  refusal_->detail = fmt::format(R"({{"refusals":{}}})", refusals_);
  if (!store_.append_own(*refusal_)) return;  // with the next turn
  refusal_.reset();
  refusals_ = 0;
  last_refusal_record_ = SteadyClock::now();
}

// Between the two marks nothing changes, so that it does not come and go with every batch.
void Server::Impl::watch_disk() {
  if (options_.disk_reserve_bytes == 0) return;
  const std::uint64_t room = store_.disk_free();
  const std::uint64_t enough = options_.disk_reserve_bytes + options_.disk_reserve_bytes / 4;
  if (shedding_ ? room < enough : room >= options_.disk_reserve_bytes) return;
  shedding_ = !shedding_;
  Record record;
  record.severity = shedding_ ? Severity::critical : Severity::medium;
  record.outcome = shedding_ ? Outcome::failure : Outcome::success;
  record.action = shedding_ ? "disk.low" : "disk.enough";
  record.object = store_.options().directory.string();
  record.message = shedding_
                       ? "磁盘余量不足，暂停存储会话摘要 / little room on the disk, flow summaries "
                         "are not stored"
                       : "磁盘余量恢复 / there is room on the disk again";
  record.detail =
      fmt::format(R"({{"free_bytes":{},"reserve_bytes":{}}})", room, options_.disk_reserve_bytes);
  static_cast<void>(store_.append_own(std::move(record)).has_value());
}

void Server::Impl::record_shed() {
  if (shed_ == 0) return;
  Record record;
  record.kind = Kind::loss;
  record.severity = Severity::high;
  record.outcome = Outcome::failure;
  record.action = "record.shed";
  record.message = "磁盘余量不足，会话摘要未存储 / flow summaries not stored for want of room";
  record.detail = fmt::format(R"({{"n":{}}})", shed_);
  if (store_.append_own(std::move(record))) shed_ = 0;
}

void Server::Impl::housekeeping() {
  record_refusals();
  // A failure shows in the status, and the next turn tries again.
  if (store_.checkpoint_due()) static_cast<void>(store_.checkpoint().has_value());
  if (SteadyClock::now() - last_tended_ < tend_interval) return;
  last_tended_ = SteadyClock::now();
  static_cast<void>(store_.tend().has_value());
  record_shed();
  watch_disk();
}

void Server::Impl::forget_gone() {
  // Their records are in the batch all the same: what was received is kept.
  if (std::ranges::none_of(clients_, &Client::gone)) return;
  commit();
  clients_.remove_if([](const Client& client) { return client.gone; });
}

bool Server::Impl::turn(int stop_fd, std::chrono::milliseconds wait) {
  std::vector<pollfd> fds{{stop_fd, POLLIN, 0}, {listener_.fd(), POLLIN, 0}};
  for (const Client& client : clients_) fds.push_back({client.channel.fd(), POLLIN, 0});
  const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(wait.count()));
  if (ready <= 0) return true;
  std::size_t i = 2;
  for (Client& client : clients_) {
    if (fds[i++].revents != 0) read_from(client);
  }
  if (fds[1].revents != 0) accept_all();
  return fds[0].revents == 0;
}

void Server::Impl::drain() {
  const auto deadline = SteadyClock::now() + drain_limit;
  const auto waits = [&] {
    std::vector<pollfd> fds;
    for (const Client& client : clients_) fds.push_back({client.channel.fd(), POLLIN, 0});
    return ::poll(fds.data(), fds.size(), 0) > 0;
  };
  while (waits() && SteadyClock::now() < deadline) {
    for (Client& client : clients_) read_from(client);
    commit();
    forget_gone();
  }
  commit();
}

Result<void> Server::Impl::run(int stop_fd) {
  bool going = true;
  while (going) {
    going = turn(stop_fd, wait_time());
    if (batch_full() || wait_time() == 0ms) commit();
    forget_gone();
    housekeeping();
  }
  drain();
  last_refusal_record_ = {};
  record_refusals();
  record_shed();
  return store_.close();
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::Server(Server&&) noexcept = default;
Server& Server::operator=(Server&&) noexcept = default;
Server::~Server() = default;

Result<Server> Server::make(ServerOptions options, Store store, Listener listener) {
  if (options.connections_max == 0 || options.batch_records_max == 0 ||
      options.batch_records_max + message_records_max > append_records_max) {
    return fail(ErrorCode::invalid,
                {"审计服务的上限设置无效", "the server's limits are not valid"});
  }
  return Server(std::make_unique<Impl>(std::move(options), std::move(store), std::move(listener)));
}
Result<void> Server::run(int stop_fd) { return impl_->run(stop_fd); }

}  // namespace menshen::audit
