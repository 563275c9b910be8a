#include "audit/collect/collector.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <list>
#include <mutex>

#include "audit/collect/frames.hpp"
#include "audit/collect/number.hpp"

namespace menshen::audit {
namespace {

using namespace std::chrono_literals;

constexpr WallTime second_ns = 1'000'000'000;
constexpr WallTime minute_ns = 60 * second_ns;
constexpr std::size_t datagrams_per_turn = 256;
constexpr std::size_t accepts_per_turn = 128;
constexpr std::size_t reads_per_turn = 8;
constexpr std::size_t read_bytes = 16U << 10U;
constexpr auto handshake_time = 10s;
constexpr double rate_weight = 0.2;                    // of the newest minute
constexpr std::uint64_t sequence_max = 2'147'483'647;  // RFC 5424 section 7.3.1

struct Connection {
  Stream stream;
  Sender sender;
  std::string domain;
  std::string_view via;
  FrameReader frames;
  Io waits_for = Io::want_read;
  bool ready = false;  // the handshake is done
  bool gone = false;
  MonotonicTime heard = 0;
};

}  // namespace

class Collector::Impl {
 public:
  Impl(CollectorOptions options, std::vector<UniqueFd> sockets, std::optional<TlsContext> context)
      : options_(std::move(options)),
        clock_(options_.clock != nullptr ? *options_.clock : system_clock()),
        sockets_(std::move(sockets)),
        context_(std::move(context)),
        started_(clock_.wall()) {}

  Result<void> load() {
    if (options_.state_file.empty()) return {};
    return table_.load(options_.state_file);
  }
  void turn(const Sink& sink, int stop_fd, std::chrono::milliseconds wait);
  void tend(const Sink& sink);
  Result<void> save() {
    if (options_.state_file.empty()) return {};
    const std::lock_guard lock(mutex_);
    return table_.save(options_.state_file);
  }
  CollectorStatus status() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }
  std::vector<std::string> sources() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> all;
    for (const auto& [key, state] : table_.all()) all.push_back(to_json(key, state));
    return all;
  }
  std::vector<std::uint16_t> ports() const {
    std::vector<std::uint16_t> all;
    for (const UniqueFd& fd : sockets_) all.push_back(bound_port(fd.get()));
    return all;
  }

 private:
  void take_datagrams(int fd, const Sink& sink);
  void accept_from(std::size_t index);
  void serve(Connection& connection, const Sink& sink);
  bool shake_hands(Connection& connection);
  void take(std::string_view message, bool cut, const Sender& sender, const std::string& domain,
            std::string_view via, const Sink& sink);
  // The domain of who sends; nothing: refused.
  std::optional<std::string> domain_of(const Sender& sender) const;
  void refuse(const std::string& why);
  void tell_silences(const Sink& sink, WallTime now);
  void tell_losses(const Sink& sink);
  Record about(const SourceKey& key, const SourceState& state) const;

  CollectorOptions options_;
  const Clock& clock_;
  std::vector<UniqueFd> sockets_;
  std::optional<TlsContext> context_;
  WallTime started_;  // who spoke last before it may have spoken while nobody listened
  std::list<Connection> connections_;
  mutable std::mutex mutex_;
  SourceTable table_;       // under mutex_
  CollectorStatus status_;  // under mutex_
  WallTime minute_ = 0;
  MonotonicTime saved_ = 0;
};

std::optional<std::string> Collector::Impl::domain_of(const Sender& sender) const {
  if (const SenderRule* rule = rule_of(options_.rules, sender)) return rule->domain;
  if (options_.accept_unknown) return std::string();
  return std::nullopt;
}

void Collector::Impl::refuse(const std::string& why) {
  const std::lock_guard lock(mutex_);
  ++status_.refused;
  status_.last_error = why;
}

void Collector::Impl::take(std::string_view message, bool cut, const Sender& sender,
                           const std::string& domain, std::string_view via, const Sink& sink) {
  if (message.empty()) return;
  const WallTime now = clock_.wall();
  const SyslogMessage parsed = parse_syslog(message, now);
  const auto counted =
      parse_decimal<std::uint64_t>(structured_value(parsed.structured, "meta", "sequenceId"));
  const std::uint64_t sequence = counted && *counted <= sequence_max ? *counted : 0;
  Record host;  // makes the name fit as a record's field does: the sender chose its bytes
  host.object = parsed.host.substr(0, source_host_bytes_max);
  fit(host);
  const SourceKey key{sender.certificate.empty() ? sender.address.to_string() : sender.certificate,
                      host.object};
  bool silent_before = false;
  {
    const std::lock_guard lock(mutex_);
    ++status_.received;
    status_.cut += cut ? 1 : 0;
    SourceState& state = table_.heard(key, domain, now, sequence);
    status_.sources = table_.all().size();
    if (++state.this_second > options_.records_per_second_max) {
      ++status_.dropped;
      ++state.dropped;
      ++state.dropped_untold;
      return;
    }
    silent_before = std::exchange(state.silent, false);
  }
  if (silent_before) {
    Record back;
    back.kind = Kind::system;
    back.outcome = Outcome::success;
    back.subject = key.sender;
    back.action = "source.back";
    back.object = key.host;
    back.domain_src = domain;
    back.message = "日志来源恢复 / a log source is heard again";
    static_cast<void>(sink(std::move(back)));
  }
  if (sink(external_record(message, parsed, sender, domain, via, now))) return;
  const std::lock_guard lock(mutex_);
  ++status_.lost;
}

void Collector::Impl::take_datagrams(int fd, const Sink& sink) {
  std::string buffer(options_.message_bytes_max, '\0');
  for (std::size_t i = 0; i < datagrams_per_turn; ++i) {
    sockaddr_storage from{};
    socklen_t size = sizeof(from);
    // MSG_TRUNC: the datagram's own length, also where it did not fit.
    const ssize_t n = ::recvfrom(fd, buffer.data(), buffer.size(), MSG_TRUNC | MSG_DONTWAIT,
                                 reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 0) return;
    const Sender sender{peer_of(from).address, {}};
    const auto domain = domain_of(sender);
    if (!domain) {
      refuse("unknown sender " + sender.address.to_string());
      continue;
    }
    const auto length = static_cast<std::size_t>(n);
    take(std::string_view(buffer).substr(0, length), length > buffer.size(), sender, *domain, "udp",
         sink);
  }
}

void Collector::Impl::accept_from(std::size_t index) {
  for (std::size_t i = 0; i < accepts_per_turn; ++i) {
    sockaddr_storage from{};
    socklen_t size = sizeof(from);
    UniqueFd fd(::accept4(sockets_[index].get(), reinterpret_cast<sockaddr*>(&from), &size,
                          SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    const Sender sender{peer_of(from).address, {}};
    const bool tls = options_.listen[index].protocol == Protocol::tls;
    // With TLS the certificate may still tell who it is.
    const auto domain = tls ? std::optional(std::string()) : domain_of(sender);
    if (!domain || connections_.size() >= options_.connections_max) {
      refuse((domain ? "too many connections: " : "unknown sender ") + sender.address.to_string());
      continue;
    }
    // NOLINTNEXTLINE(clang-analyzer-cplusplus.Move): one of the two
    auto stream = tls ? Stream::server(std::move(fd), *context_) : Stream(std::move(fd));
    if (!stream) {
      refuse(stream.error().text.en);
      continue;
    }
    connections_.push_back({*std::move(stream), sender, *domain, tls ? "tls" : "tcp",
                            FrameReader(options_.message_bytes_max), Io::want_read, !tls, false,
                            clock_.monotonic()});
  }
}

bool Collector::Impl::shake_hands(Connection& connection) {
  const Io io = connection.stream.handshake();
  if (io == Io::failed || io == Io::ended) {
    refuse(fmt::format("{}: {}", connection.sender.address.to_string(), connection.stream.error()));
    connection.gone = true;
    return false;
  }
  connection.waits_for = io;
  if (io != Io::done) return false;
  connection.ready = true;
  connection.waits_for = Io::want_read;
  connection.sender.certificate = connection.stream.peer_name();
  const auto domain = domain_of(connection.sender);
  if (!domain) {
    refuse("unknown sender " + connection.sender.certificate);
    connection.gone = true;
    return false;
  }
  connection.domain = *domain;
  return true;
}

void Collector::Impl::serve(Connection& connection, const Sink& sink) {
  if (!connection.ready && !shake_hands(connection)) return;
  std::array<char, read_bytes> buffer{};
  const auto give = [&](const std::optional<Frame>& frame) {
    if (!frame) return false;
    take(frame->message, frame->cut, connection.sender, connection.domain, connection.via, sink);
    return true;
  };
  for (std::size_t i = 0; i < reads_per_turn; ++i) {
    std::size_t got = 0;
    const Io io = connection.stream.read(buffer, got);
    if (io == Io::ended || io == Io::failed) {
      give(connection.frames.last());
      connection.gone = true;
      return;
    }
    connection.waits_for = io == Io::want_write ? Io::want_write : Io::want_read;
    if (io != Io::done) return;
    connection.heard = clock_.monotonic();
    connection.frames.feed(std::string_view(buffer.data(), got));
    while (give(connection.frames.next())) {
    }
  }
  // TLS may hold more that poll(2) does not show: the next turn does not wait.
  connection.waits_for = Io::done;
}

void Collector::Impl::turn(const Sink& sink, int stop_fd, std::chrono::milliseconds wait) {
  std::vector<pollfd> fds{{stop_fd, POLLIN, 0}};
  for (const UniqueFd& socket : sockets_) fds.push_back({socket.get(), POLLIN, 0});
  for (const Connection& connection : connections_) {
    const bool writes = connection.waits_for == Io::want_write;
    if (connection.waits_for == Io::done) wait = 0ms;
    fds.push_back({connection.stream.fd(), static_cast<short>(writes ? POLLOUT : POLLIN), 0});
  }
  if (::poll(fds.data(), fds.size(), static_cast<int>(wait.count())) < 0) return;
  std::size_t at = 1 + sockets_.size();
  const MonotonicTime now = clock_.monotonic();
  for (Connection& connection : connections_) {
    const bool more = connection.waits_for == Io::done;
    if (fds[at++].revents != 0 || more) serve(connection, sink);
    const auto most = connection.ready ? options_.idle : std::chrono::seconds(handshake_time);
    if (now - connection.heard > std::chrono::nanoseconds(most).count()) connection.gone = true;
  }
  connections_.remove_if([](const Connection& connection) { return connection.gone; });
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    if (fds[1 + i].revents == 0) continue;
    if (options_.listen[i].protocol == Protocol::udp) {
      take_datagrams(sockets_[i].get(), sink);
    } else {
      accept_from(i);
    }
  }
  const std::lock_guard lock(mutex_);
  status_.connections = connections_.size();
}

Record Collector::Impl::about(const SourceKey& key, const SourceState& state) const {
  Record record;
  record.subject = key.sender;
  record.object = key.host;
  record.domain_src = state.domain;
  record.outcome = Outcome::failure;
  return record;
}

void Collector::Impl::tell_silences(const Sink& sink, WallTime now) {
  const WallTime most = std::chrono::nanoseconds(options_.silence).count();
  if (most == 0) return;
  std::vector<Record> records;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [key, state] : table_.all()) {
      if (state.silent || now - std::max(state.last_seen, started_) < most) continue;
      state.silent = true;
      ++state.silences;
      Record record = about(key, state);
      record.kind = Kind::system;
      record.severity = Severity::high;
      record.action = "source.silent";
      record.message = "日志来源长时间无记录 / a log source has fallen silent";
      record.detail = fmt::format(R"({{"last_seen":"{}","messages":{}}})",
                                  format_utc(state.last_seen), state.messages);
      records.push_back(std::move(record));
    }
  }
  for (Record& record : records) static_cast<void>(sink(std::move(record)));
}

void Collector::Impl::tell_losses(const Sink& sink) {
  std::vector<Record> records;
  {
    const std::lock_guard lock(mutex_);
    for (auto& entry : table_.all()) {
      const auto& key = entry.first;
      auto& state = entry.second;
      const auto tell = [&](const char* action, std::uint64_t n, const char* message) {
        Record record = about(key, state);
        record.kind = Kind::loss;
        record.severity = Severity::medium;
        record.action = action;
        record.message = message;
        record.detail = fmt::format(R"({{"n":{}}})", n);
        records.push_back(std::move(record));
      };
      if (const auto n = std::exchange(state.missing_untold, 0); n != 0) {
        tell("source.gap", n, "来源的消息序号有缺口 / numbers of this source are missing");
      }
      if (const auto n = std::exchange(state.dropped_untold, 0); n != 0) {
        tell("source.flood", n, "来源超过速率上限，消息被丢弃 / beyond the rate, not recorded");
      }
    }
  }
  for (Record& record : records) static_cast<void>(sink(std::move(record)));
}

// Once a second; what is due once a minute at the minute's turn.
void Collector::Impl::tend(const Sink& sink) {
  const WallTime now = clock_.wall();
  tell_silences(sink, now);
  {
    const std::lock_guard lock(mutex_);
    for (auto& [key, state] : table_.all()) state.this_second = 0;
  }
  if (now / minute_ns == minute_) return;
  const bool first = std::exchange(minute_, now / minute_ns) == 0;
  tell_losses(sink);
  {
    const std::lock_guard lock(mutex_);
    for (auto& [key, state] : table_.all()) {
      const auto count = static_cast<double>(std::exchange(state.this_minute, 0));
      if (!first) state.per_minute += rate_weight * (count - state.per_minute);
    }
  }
  if (auto saved = save(); !saved) refuse(saved.error().text.en);
}

Collector::Collector(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Collector::~Collector() = default;

Result<std::unique_ptr<Collector>> Collector::open(CollectorOptions options) {
  std::vector<UniqueFd> sockets;
  std::optional<TlsContext> context;
  for (const Endpoint& endpoint : options.listen) {
    if (endpoint.protocol == Protocol::tls && !context) {
      context = MENSHEN_TRY(TlsContext::server(options.files));
    }
    sockets.push_back(MENSHEN_TRY(listen_at(endpoint)));
  }
  auto impl = std::make_unique<Impl>(std::move(options), std::move(sockets), std::move(context));
  MENSHEN_CHECK(impl->load());
  return std::unique_ptr<Collector>(new Collector(std::move(impl)));
}

Result<void> Collector::run(const Sink& sink, int stop_fd) {
  block_sigpipe();
  auto tended = std::chrono::steady_clock::now();
  pollfd stop{stop_fd, POLLIN, 0};
  while (::poll(&stop, 1, 0) == 0) {
    impl_->turn(sink, stop_fd, 500ms);
    if (std::chrono::steady_clock::now() - tended < 1s) continue;
    tended = std::chrono::steady_clock::now();
    impl_->tend(sink);
  }
  return impl_->save();
}

void Collector::turn(const Sink& sink, int stop_fd, std::chrono::milliseconds wait) {
  impl_->turn(sink, stop_fd, wait);
}
void Collector::tend(const Sink& sink) { impl_->tend(sink); }
CollectorStatus Collector::status() const { return impl_->status(); }
std::vector<std::string> Collector::sources() const { return impl_->sources(); }
std::vector<std::uint16_t> Collector::ports() const { return impl_->ports(); }

}  // namespace menshen::audit
