#include "audit/client/client.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "audit/client/spool.hpp"
#include "audit/server/protocol.hpp"
#include "base/channel.hpp"

namespace menshen::audit {
namespace {

using SteadyClock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t window_messages = 4;  // sent and not yet answered
constexpr std::size_t spool_batch_records = 2'000;
constexpr std::size_t refused_remembered = 1'024;
constexpr auto spool_retry = 200ms;  // while the spool is full or its disk refuses

// A record on its way: encoded, with its number.
struct Item {
  std::uint64_t sequence = 0;
  std::string bytes;
};

struct Flight {
  std::uint64_t id = 0;
  std::vector<Item> items;  // of the queue; empty for records of the spool
  std::uint64_t spooled = 0;
  SteadyClock::time_point sent;
};

struct Loss {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t count = 0;
};

std::size_t weight(const Record& r) {
  return sizeof(Record) + r.subject.size() + r.action.size() + r.object.size() +
         r.domain_src.size() + r.domain_dst.size() + r.policy_line.size() + r.message.size() +
         r.detail.size();
}

// Grows with every run, also where the clock went back.
Result<std::uint64_t> next_epoch(const std::filesystem::path& directory, const Clock& clock) {
  auto epoch = static_cast<std::uint64_t>(std::max<WallTime>(clock.wall() / 1000, 1));
  if (directory.empty()) return epoch;
  const auto path = directory / "epoch";
  if (const auto text = read_file(path, 64)) {
    std::uint64_t last = 0;
    std::from_chars(text->data(), text->data() + text->size(), last);
    epoch = std::max(epoch, last + 1);
  }
  MENSHEN_CHECK(write_file_atomic(path, fmt::format("{}\n", epoch), 0600));
  return epoch;
}

}  // namespace

class Client::Impl {
 public:
  Impl(ClientOptions options, std::optional<Spool> spool, std::uint64_t epoch, BootId boot,
       UniqueFd wake)
      : options_(std::move(options)),
        clock_(options_.clock != nullptr ? *options_.clock : system_clock()),
        epoch_(epoch),
        boot_(boot),
        wake_(std::move(wake)),
        spool_(std::move(spool)) {
    idle_ = !spool_ || spool_->empty();
    thread_ = std::thread([this] { run(); });
  }
  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake();
    thread_.join();
  }

  // The record's sequence; 0: lost.
  std::uint64_t submit(Record record);
  Result<void> wait_durable(std::uint64_t sequence, std::chrono::milliseconds timeout,
                            bool also_delivered);
  [[nodiscard]] bool was_refused(std::uint64_t sequence);
  [[nodiscard]] std::uint64_t last_sequence();
  [[nodiscard]] ClientStats stats();

 private:
  // The thread's own.
  void run();
  [[nodiscard]] std::chrono::milliseconds wait_time();
  void wait();
  void stage();
  void stage_losses();
  void spool_staged();
  void connect();
  void send();
  [[nodiscard]] bool send_from_queue();
  [[nodiscard]] bool send_from_spool();
  [[nodiscard]] bool send_message(Flight flight, std::string message);
  void receive();
  void take_answer(const AnswerMessage& answer);
  void disconnect(const Text& why);
  void make_durable(std::uint64_t sequence);
  void publish();
  [[nodiscard]] bool queued();
  void wake();
  [[nodiscard]] bool spooling() const { return spool_ && (!channel_ || !spool_->empty()); }

  const ClientOptions options_;
  const Clock& clock_;
  const std::uint64_t epoch_;
  const BootId boot_;
  UniqueFd wake_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Under mutex_:
  std::deque<Record> queue_;
  std::size_t queue_bytes_ = 0;
  std::uint64_t sequence_ = 0;  // the last one given
  std::uint64_t durable_ = 0;   // all up to it are durable, lost or refused
  std::optional<Loss> loss_;
  std::deque<std::uint64_t> refused_;
  ClientStats stats_;
  bool idle_ = true;  // nothing queued, in flight, staged or spooled
  bool stop_ = false;
  bool asleep_ = false;

  // The thread's:
  std::optional<Spool> spool_;
  std::optional<Channel> channel_;
  std::deque<Item> staged_;  // out of the queue, neither sent nor spooled
  std::deque<Flight> flights_;
  std::uint64_t next_id_ = 1;
  SteadyClock::time_point next_connect_{};
  SteadyClock::time_point next_spool_{};
  std::uint64_t damaged_told_ = 0;
  std::thread thread_;
};

std::uint64_t Client::Impl::submit(Record record) {
  if (record.time == 0) record.time = clock_.wall();
  if (record.monotonic == 0) record.monotonic = clock_.monotonic();
  record.boot = boot_;
  record.source = options_.source;
  record.epoch = epoch_;
  record.stamp.reset();
  const std::size_t bytes = weight(record);
  bool wake_it = false;
  std::uint64_t given = 0;
  {
    const std::lock_guard lock(mutex_);
    given = ++sequence_;
    if (queue_.size() >= options_.queue_records_max ||
        queue_bytes_ + bytes > options_.queue_bytes_max) {
      if (!loss_) loss_ = Loss{given, given, 0};
      loss_->last = given;
      ++loss_->count;
      ++stats_.lost;
      return 0;
    }
    record.sequence = given;
    queue_bytes_ += bytes;
    queue_.push_back(std::move(record));
    ++stats_.submitted;
    idle_ = false;
    wake_it = std::exchange(asleep_, false);
  }
  if (wake_it) wake();
  return given;
}

void Client::Impl::wake() {
  const std::uint64_t one = 1;
  static_cast<void>(::write(wake_.get(), &one, sizeof(one)) > 0);
}

Result<void> Client::Impl::wait_durable(std::uint64_t sequence, std::chrono::milliseconds timeout,
                                        bool also_delivered) {
  std::unique_lock lock(mutex_);
  const bool ok = changed_.wait_for(
      lock, timeout, [&] { return durable_ >= sequence && (!also_delivered || idle_); });
  if (ok) return {};
  return fail(ErrorCode::unavailable, {"审计记录尚未落盘：" + stats_.last_error,
                                       "audit records are not durable yet: " + stats_.last_error});
}

bool Client::Impl::was_refused(std::uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  return std::ranges::find(refused_, sequence) != refused_.end();
}

std::uint64_t Client::Impl::last_sequence() {
  const std::lock_guard lock(mutex_);
  return sequence_;
}

ClientStats Client::Impl::stats() {
  const std::lock_guard lock(mutex_);
  ClientStats stats = stats_;
  stats.queued += queue_.size();
  return stats;
}

void Client::Impl::run() {
  std::optional<SteadyClock::time_point> deadline;
  while (true) {
    wait();
    receive();
    connect();  // before the spool: what auditd can take at once needs no detour
    stage();
    spool_staged();
    send();
    publish();
    const std::unique_lock lock(mutex_);
    if (!stop_) continue;
    if (!deadline) deadline = SteadyClock::now() + options_.answer_timeout;
    const bool durable =
        queue_.empty() && staged_.empty() && !loss_ &&
        std::ranges::all_of(flights_, [](const Flight& f) { return f.items.empty(); });
    if (durable || SteadyClock::now() >= *deadline) break;
  }
  // What auditd has not answered in time is kept for the next run.
  disconnect({"程序停止", "stopping"});
  do {
    stage();
    next_spool_ = {};
    spool_staged();
  } while (spool_ && staged_.empty() && queued());
  publish();
}

std::chrono::milliseconds Client::Impl::wait_time() {
  const std::lock_guard lock(mutex_);
  const bool work = !queue_.empty() || loss_.has_value();
  const bool can_send = channel_ && flights_.size() < window_messages;
  const bool can_spool = spooling() && SteadyClock::now() >= next_spool_;
  if ((work || !staged_.empty()) && (can_send || can_spool)) return 0ms;
  asleep_ = true;
  if (stop_) return 10ms;
  if (!flights_.empty() || !staged_.empty()) return 50ms;
  return std::clamp<std::chrono::milliseconds>(options_.reconnect_interval, 1ms, 500ms);
}

void Client::Impl::wait() {
  pollfd fds[2] = {{wake_.get(), POLLIN, 0}, {channel_ ? channel_->fd() : -1, POLLIN, 0}};
  if (::poll(fds, 2, static_cast<int>(wait_time().count())) > 0 && fds[0].revents != 0) {
    std::uint64_t count = 0;
    static_cast<void>(::read(wake_.get(), &count, sizeof(count)) > 0);
  }
}

// Losses become a record as soon as the queue has room for it.
void Client::Impl::stage_losses() {
  const std::lock_guard lock(mutex_);
  const std::uint64_t damaged = spool_ ? spool_->bytes_damaged() - damaged_told_ : 0;
  if ((!loss_ && damaged == 0) || queue_.size() >= options_.queue_records_max) return;
  Record record;
  record.time = clock_.wall();
  record.monotonic = clock_.monotonic();
  record.boot = boot_;
  record.source = options_.source;
  record.epoch = epoch_;
  record.sequence = ++sequence_;
  record.kind = Kind::loss;
  record.severity = Severity::high;
  record.outcome = Outcome::failure;
  record.subject = options_.source;
  record.action = "record.loss";
  record.message = "审计队列已满，记录丢失 / audit queue full, records lost";
  record.detail = fmt::format(R"({{"from":{},"to":{},"n":{},"spool_bytes_damaged":{}}})",
                              loss_ ? loss_->first : 0, loss_ ? loss_->last : 0,
                              loss_ ? loss_->count : 0, damaged);
  damaged_told_ += damaged;
  loss_.reset();
  queue_bytes_ += weight(record);
  queue_.push_back(std::move(record));
}

void Client::Impl::stage() {
  std::vector<Record> taken;
  {
    const std::lock_guard lock(mutex_);
    const std::size_t room = spool_batch_records - std::min(spool_batch_records, staged_.size());
    while (!queue_.empty() && taken.size() < room) {
      queue_bytes_ -= weight(queue_.front());
      taken.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
  }
  for (Record& record : taken) {
    fit(record);
    auto bytes = encode(record);
    if (bytes) {
      staged_.push_back({record.sequence, *std::move(bytes)});
      continue;
    }
    const std::lock_guard lock(mutex_);
    if (!loss_) loss_ = Loss{record.sequence, record.sequence, 0};
    loss_->last = record.sequence;
    ++loss_->count;
    ++stats_.lost;
    stats_.last_error = bytes.error().text.en;
  }
  stage_losses();
}

void Client::Impl::spool_staged() {
  if (!spooling() || staged_.empty() || SteadyClock::now() < next_spool_) return;
  std::vector<std::string> records;
  records.reserve(staged_.size());
  for (const Item& item : staged_) records.push_back(item.bytes);
  if (const auto appended = spool_->append(records); !appended) {
    next_spool_ = SteadyClock::now() + spool_retry;
    const std::lock_guard lock(mutex_);
    stats_.last_error = appended.error().text.en;
    return;
  }
  const std::uint64_t last = staged_.back().sequence;
  {
    const std::lock_guard lock(mutex_);
    stats_.spooled += staged_.size();
  }
  staged_.clear();
  make_durable(last);
}

void Client::Impl::make_durable(std::uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  durable_ = std::max(durable_, sequence);
}

void Client::Impl::connect() {
  if (channel_ || SteadyClock::now() < next_connect_) return;
  next_connect_ = SteadyClock::now() + options_.reconnect_interval;
  auto channel = Channel::connect(options_.socket);
  if (channel) {
    channel_ = *std::move(channel);
    return;
  }
  const std::lock_guard lock(mutex_);
  stats_.last_error = channel.error().text.en;
}

void Client::Impl::send() {
  // While the spool has records everything goes through it, so that the order stays.
  while (channel_ && flights_.size() < window_messages) {
    const bool sent = spool_ && !spool_->empty() ? send_from_spool() : send_from_queue();
    if (!sent) return;
  }
}

bool Client::Impl::send_from_queue() {
  if (staged_.empty()) stage();
  if (staged_.empty()) return false;
  RecordsBuilder builder(next_id_);
  Flight flight;
  while (!staged_.empty() && builder.count() < options_.batch_records_max &&
         builder.add(as_bytes(staged_.front().bytes))) {
    flight.items.push_back(std::move(staged_.front()));
    staged_.pop_front();
  }
  return send_message(std::move(flight), std::move(builder).take());
}

bool Client::Impl::send_from_spool() {
  RecordsBuilder builder(next_id_);
  Flight flight;
  std::size_t bytes = 0;
  // Room for one more of any length: what was read must be sent.
  while (builder.count() < options_.batch_records_max &&
         bytes + record_bytes_max + 64 < menshen::message_bytes_max) {
    const auto record = spool_->next();
    if (!record) break;
    bytes += record->size() + 4;
    if (!builder.add(as_bytes(*record))) break;
    ++flight.spooled;
  }
  if (flight.spooled == 0) return false;
  return send_message(std::move(flight), std::move(builder).take());
}

bool Client::Impl::send_message(Flight flight, std::string message) {
  flight.id = next_id_++;
  flight.sent = SteadyClock::now();
  flights_.push_back(std::move(flight));
  const auto sent = channel_->send(as_bytes(message), options_.answer_timeout);
  if (!sent) disconnect(sent.error().text);
  return sent.has_value();
}

void Client::Impl::receive() {
  while (channel_) {
    const auto message = channel_->receive(0ms);
    if (!message && message.error().code == ErrorCode::unavailable) break;
    if (!message || !*message) {
      disconnect({"审计服务断开", "auditd closed the connection"});
      return;
    }
    const auto answer = parse_answer(as_bytes(**message));
    if (!answer) {
      disconnect(answer.error().text);
    } else if (const auto* failure = std::get_if<FailureMessage>(&*answer)) {
      disconnect({failure->text, failure->text});
    } else {
      take_answer(std::get<AnswerMessage>(*answer));
    }
  }
  if (channel_ && !flights_.empty() &&
      SteadyClock::now() - flights_.front().sent > options_.answer_timeout) {
    disconnect({"审计服务无应答", "auditd does not answer"});
  }
}

void Client::Impl::take_answer(const AnswerMessage& answer) {
  const std::size_t expected =
      flights_.empty() ? 0 : flights_.front().items.size() + flights_.front().spooled;
  if (flights_.empty() || flights_.front().id != answer.id || answer.statuses.size() != expected) {
    disconnect({"审计服务的回答与请求不符", "auditd answered what was not asked"});
    return;
  }
  const Flight flight = std::move(flights_.front());
  flights_.pop_front();
  if (flight.spooled != 0) spool_->acknowledge(flight.spooled);
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < answer.statuses.size(); ++i) {
    if (answer.statuses[i] == Status::stored || answer.statuses[i] == Status::duplicate) {
      ++stats_.delivered;
      continue;
    }
    ++stats_.refused;
    if (flight.items.empty()) continue;
    refused_.push_back(flight.items[i].sequence);
    if (refused_.size() > refused_remembered) refused_.pop_front();
  }
  if (!flight.items.empty()) durable_ = std::max(durable_, flight.items.back().sequence);
}

// What was sent and not answered goes back to where it came from, in its order.
void Client::Impl::disconnect(const Text& why) {
  channel_.reset();
  next_connect_ = SteadyClock::now() + options_.reconnect_interval;
  for (; !flights_.empty(); flights_.pop_back()) {
    auto& items = flights_.back().items;
    staged_.insert(staged_.begin(), std::make_move_iterator(items.begin()),
                   std::make_move_iterator(items.end()));
  }
  if (spool_) spool_->rewind();
  const std::lock_guard lock(mutex_);
  stats_.last_error = why.en;
}

bool Client::Impl::queued() {
  const std::lock_guard lock(mutex_);
  return !queue_.empty() || loss_;
}

void Client::Impl::publish() {
  std::uint64_t waiting = staged_.size();
  for (const Flight& flight : flights_) waiting += flight.items.size();
  {
    const std::lock_guard lock(mutex_);
    stats_.connected = channel_.has_value();
    stats_.spool_bytes = spool_ ? spool_->bytes() : 0;
    stats_.queued = waiting;
    idle_ = waiting == 0 && queue_.empty() && !loss_ && (!spool_ || spool_->empty());
  }
  changed_.notify_all();
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

Result<std::unique_ptr<Client>> Client::start(ClientOptions options) {
  // A trial, so that a wrong source is an error now and not a loss later.
  Record trial;
  trial.source = options.source;
  trial.sequence = 1;
  static_cast<void>(MENSHEN_TRY(encode(trial)));
  if (options.batch_records_max == 0 || options.batch_records_max > message_records_max) {
    return fail(ErrorCode::invalid,
                {fmt::format("批量须为 1 至 {} 条", message_records_max),
                 fmt::format("a batch must be 1 to {} records", message_records_max)});
  }
  std::optional<Spool> spool;
  if (!options.spool_directory.empty()) {
    spool =
        MENSHEN_TRY(Spool::open(options.spool_directory, options.spool_bytes_max, options.disk));
  }
  const Clock& clock = options.clock != nullptr ? *options.clock : system_clock();
  const std::uint64_t epoch = MENSHEN_TRY(next_epoch(options.spool_directory, clock));
  const BootId boot = MENSHEN_TRY(current_boot_id());
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail_errno({"无法创建 eventfd", "cannot make an eventfd"});
  return std::unique_ptr<Client>(new Client(
      std::make_unique<Impl>(std::move(options), std::move(spool), epoch, boot, std::move(wake))));
}

bool Client::submit(Record record) { return impl_->submit(std::move(record)) != 0; }

Result<void> Client::submit_durable(Record record, std::chrono::milliseconds timeout) {
  const std::uint64_t sequence = impl_->submit(std::move(record));
  if (sequence == 0) {
    return fail(ErrorCode::limit, {"审计队列已满", "the audit queue is full"});
  }
  MENSHEN_CHECK(impl_->wait_durable(sequence, timeout, false));
  if (impl_->was_refused(sequence)) {
    return fail(ErrorCode::denied, {"审计服务拒绝了该记录", "auditd refused the record"});
  }
  return {};
}

Result<void> Client::flush(std::chrono::milliseconds timeout) {
  return impl_->wait_durable(impl_->last_sequence(), timeout, false);
}
Result<void> Client::drain(std::chrono::milliseconds timeout) {
  return impl_->wait_durable(impl_->last_sequence(), timeout, true);
}
ClientStats Client::stats() const { return impl_->stats(); }

}  // namespace menshen::audit
