#include "audit/forward/forwarder.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "audit/export/export.hpp"
#include "audit/forward/notes_target.hpp"
#include "audit/forward/syslog_target.hpp"
#include "audit/store/store.hpp"
#include "audit/testing/samples.hpp"
#include "audit/verify/witness.hpp"
#include "tests/testkit/temp_dir.hpp"

using namespace menshen;
using namespace menshen::audit;
using namespace std::chrono_literals;

namespace {

constexpr auto patience = 60s;

StoreOptions small_segments(const std::filesystem::path& directory) {
  StoreOptions options;
  options.directory = directory;
  options.segment_records_max = 256;
  options.index = false;
  return options;
}

void append(Store& store, std::uint64_t first, std::uint64_t count) {
  std::vector<Record> records;
  for (std::uint64_t i = 0; i < count; ++i) records.push_back(sample_alert(first + i));
  REQUIRE(store.append(std::span<const Record>(records)));
}

// A store with so many records behind its own, under a checkpoint.
Store filled(const testkit::TempDir& dir, std::uint64_t count) {
  auto store = Store::open(small_segments(dir / "store"));
  REQUIRE(store);
  append(*store, 1, count);
  REQUIRE(store->checkpoint());
  return std::move(*store);
}

// What a receiver got, by number; every call may be told to fail.
struct Received {
  std::mutex mutex;
  std::map<std::uint64_t, int> records;
  std::uint64_t highest = 0;
  std::uint64_t notes = 0;
  bool in_order = true;
  int calls = 0;
  int fail_every = 0;  // 0: never
  std::mt19937 dice{7};

  Result<void> call() {
    if (fail_every == 2 && ++calls % 2 != 0) return {};
    // By chance beyond that: a fixed step could meet the same call for ever.
    if (fail_every != 2 && (fail_every == 0 || dice() % static_cast<unsigned>(fail_every) != 0)) {
      return {};
    }
    return fail(ErrorCode::unavailable, {"测试", "test"});
  }
};

class MemoryTarget : public Target {
 public:
  explicit MemoryTarget(Received& received) : received_(received) {}
  const std::string& name() const override { return name_; }
  Result<void> send(std::span<const FeedRecord> records) override {
    const std::lock_guard lock(received_.mutex);
    MENSHEN_CHECK(received_.call());
    for (const FeedRecord& record : records) {
      if (last_ != 0 && record.number != last_ + 1) received_.in_order = false;
      last_ = record.number;
      waiting_.push_back(record.number);
    }
    return {};
  }
  Result<void> send(const SignedNote& note) override {
    const std::lock_guard lock(received_.mutex);
    MENSHEN_CHECK(received_.call());
    received_.notes = note.checkpoint.number;
    return {};
  }
  // Only what is confirmed counts as received: the worst of receivers.
  Result<void> confirm() override {
    const std::lock_guard lock(received_.mutex);
    MENSHEN_CHECK(received_.call());
    for (const std::uint64_t n : waiting_) ++received_.records[n];
    waiting_.clear();
    return {};
  }
  void reset() override {
    last_ = 0;
    waiting_.clear();
  }

 private:
  Received& received_;
  std::string name_ = "tcp://memory:1";
  std::uint64_t last_ = 0;
  std::vector<std::uint64_t> waiting_;
};

ForwarderOptions quick(const testkit::TempDir& dir) {
  ForwarderOptions options;
  options.store = dir / "store";
  options.cursor_file = dir / "cursor";
  options.batch_records_max = 100;
  options.confirm_interval = 1ms;
  options.poll_interval = 1ms;
  options.retry_min = 1ms;
  options.retry_max = 2ms;
  return options;
}

}  // namespace

TEST_CASE("a feed gives every record once, in order, over segments, from any place") {
  testkit::TempDir dir;
  Store store = filled(dir, 700);
  Feed feed(dir / "store");
  const auto end = feed.end();
  REQUIRE(end);
  CHECK(*end == store.status().records);
  REQUIRE(StorePaths::in(dir / "store").segments().size() > 2);
  for (const std::size_t most : {1000, 255, 100}) {
    std::uint64_t at = 0;
    while (true) {
      const auto records = feed.records(at, most);
      REQUIRE(records);
      if (records->empty()) break;
      for (const FeedRecord& record : *records) REQUIRE(record.number == ++at);
    }
    CHECK(at == *end);
  }
  const auto middle = feed.records(300, 1);
  REQUIRE(middle);
  REQUIRE(middle->size() == 1);
  const auto record = decode(as_bytes(middle->front().bytes));
  REQUIRE(record);
  CHECK(middle->front().number == 301);
  const auto note = feed.note_within(*end);
  REQUIRE(note);
  REQUIRE(*note);
  CHECK((*note)->checkpoint.size == *end);
  const auto earlier = feed.note_within(*end - 1);
  REQUIRE(earlier);
  REQUIRE(*earlier);
  CHECK((*earlier)->checkpoint.size < *end);
}

TEST_CASE("whatever fails, every record arrives, and in order") {
  testkit::TempDir dir;
  Store store = filled(dir, 600);
  const std::uint64_t end = store.status().records;
  const int fail_every = GENERATE(0, 2, 3, 7);
  Received received;
  received.fail_every = fail_every;
  auto options = quick(dir);
  options.confirm_records = 150;
  std::atomic<int> downs{0};
  options.on_event = [&](ForwardEvent event, const ForwardStatus&) {
    downs += event == ForwardEvent::down ? 1 : 0;
  };
  // Every second call failing lets one batch be sent and never confirmed.
  if (fail_every == 2) options.confirm_interval = 0ms;
  {
    auto forwarder = Forwarder::start(options, std::make_unique<MemoryTarget>(received));
    REQUIRE(forwarder);
    if (fail_every == 2) {
      // Send succeeds, confirm fails, for ever: nothing may count as arrived.
      for (int i = 0; i < 50 && downs == 0; ++i) CHECK_FALSE((*forwarder)->wait_for(1, 20ms));
      CHECK((*forwarder)->status().confirmed == 0);
      CHECK((*forwarder)->status().error == "test");
      const std::lock_guard lock(received.mutex);
      CHECK(received.records.empty());
      received.fail_every = 0;
    }
    REQUIRE((*forwarder)->wait_for(end, patience));
    append(store, 1'001, 50);
    REQUIRE((*forwarder)->wait_for(end + 50, patience));
    if (fail_every == 0) CHECK(downs == 0);
  }
  const std::lock_guard lock(received.mutex);
  CHECK(received.in_order);
  CHECK(received.records.size() == end + 50);
  CHECK(received.notes >= 1);
}

TEST_CASE("the position survives a restart, and another target begins anew") {
  testkit::TempDir dir;
  Store store = filled(dir, 300);
  const std::uint64_t end = store.status().records;
  Received first;
  {
    auto forwarder = Forwarder::start(quick(dir), std::make_unique<MemoryTarget>(first));
    REQUIRE(forwarder);
    REQUIRE((*forwarder)->wait_for(end, patience));
  }
  append(store, 301, 10);
  Received second;
  {
    auto forwarder = Forwarder::start(quick(dir), std::make_unique<MemoryTarget>(second));
    REQUIRE(forwarder);
    CHECK((*forwarder)->status().confirmed == end);
    REQUIRE((*forwarder)->wait_for(end + 10, patience));
  }
  CHECK(second.records.size() == 10);
  CHECK(second.records.begin()->first == end + 1);
}

TEST_CASE("a stop after a failure confirms nothing") {
  testkit::TempDir dir;
  Store store = filled(dir, 10);
  Received received;
  received.fail_every = 2;  // the records go out, their confirmation fails
  auto options = quick(dir);
  options.confirm_records = 1;
  options.retry_min = options.retry_max = 1h;
  std::promise<void> failed;
  options.on_event = [&](ForwardEvent event, const ForwardStatus&) {
    if (event == ForwardEvent::down) failed.set_value();
  };
  {
    auto forwarder = Forwarder::start(options, std::make_unique<MemoryTarget>(received));
    REQUIRE(forwarder);
    REQUIRE(failed.get_future().wait_for(patience) == std::future_status::ready);
    CHECK((*forwarder)->status().stored == store.status().records);
    const std::lock_guard lock(received.mutex);
    received.fail_every = 0;
  }
  CHECK(received.records.empty());
  CHECK(load_cursor(dir / "cursor")->record == 0);
}

TEST_CASE("what was pruned before it could be sent is told once, however often sending fails") {
  testkit::TempDir dir;
  Store store = filled(dir, 700);
  const auto paths = StorePaths::in(dir / "store");
  std::filesystem::remove(paths.segment(paths.segments().front()));
  Feed feed(dir / "store");
  const auto rest = feed.records(0, 1);
  REQUIRE(rest);
  const std::uint64_t pruned = rest->front().number - 1;
  REQUIRE(pruned >= 256);
  Received received;
  received.fail_every = 3;
  auto options = quick(dir);
  options.confirm_records = 150;
  std::atomic<int> gaps{0};
  std::atomic<int> downs{0};
  options.on_event = [&](ForwardEvent event, const ForwardStatus&) {
    gaps += event == ForwardEvent::gap ? 1 : 0;
    downs += event == ForwardEvent::down ? 1 : 0;
  };
  auto forwarder = Forwarder::start(options, std::make_unique<MemoryTarget>(received));
  REQUIRE(forwarder);
  REQUIRE((*forwarder)->wait_for(store.status().records, patience));
  CHECK(downs > 0);
  CHECK(gaps == 1);
  CHECK((*forwarder)->status().skipped == pruned);
}

TEST_CASE("a store that holds less than was forwarded stops the forwarder and is told") {
  testkit::TempDir dir;
  REQUIRE(save_cursor(dir / "cursor", {"tcp://memory:1", "menshen", 1'000, 1}));
  Store store = filled(dir, 10);
  Received received;
  std::mutex mutex;
  std::condition_variable changed;
  bool shorter = false;
  auto options = quick(dir);
  options.on_event = [&](ForwardEvent event, const ForwardStatus&) {
    const std::lock_guard lock(mutex);
    shorter = shorter || event == ForwardEvent::shorter;
    changed.notify_all();
  };
  auto forwarder = Forwarder::start(options, std::make_unique<MemoryTarget>(received));
  REQUIRE(forwarder);
  std::unique_lock lock(mutex);
  CHECK(changed.wait_for(lock, patience, [&] { return shorter; }));
  lock.unlock();
  forwarder->reset();
  CHECK(received.records.empty());
}

TEST_CASE("a cursor has one form") {
  const Cursor cursor{"tls://a:1", "b", 3, 4};
  REQUIRE(parse_cursor(to_text(cursor)));
  CHECK(*parse_cursor(to_text(cursor)) == cursor);
  CHECK_FALSE(parse_cursor(""));
  CHECK_FALSE(parse_cursor(to_text(cursor) + "\n"));
  testkit::TempDir dir;
  CHECK(load_cursor(dir / "none")->record == 0);
  REQUIRE(write_file_atomic(dir / "bad", "rubbish"));
  CHECK(load_cursor(dir / "bad").error().code == ErrorCode::corrupt);
}

namespace {

// A syslog receiver: takes connections one after another; the first `cut` of them are reset after
// their first bytes, and one that `ends_first` says that it has nothing to say before it reads.
class Receiver {
 public:
  explicit Receiver(int cut, bool ends_first = false)
      : cut_(cut), ends_first_(ends_first), stop_(::eventfd(0, EFD_CLOEXEC)) {
    auto listening = listen_at({Protocol::tcp, "127.0.0.1", 0});
    REQUIRE(listening);
    fd_ = std::move(*listening);
    thread_ = std::thread([this] { run(); });
  }
  ~Receiver() { stop(); }
  void stop() {
    if (!thread_.joinable()) return;
    static_cast<void>(::eventfd_write(stop_.get(), 1));
    thread_.join();
  }
  // Until a connection has ended; then as stop().
  void wait_for_end() {
    REQUIRE(ended_.get_future().wait_for(patience) == std::future_status::ready);
    stop();
  }
  [[nodiscard]] Endpoint endpoint() const {
    return {Protocol::tcp, "127.0.0.1", bound_port(fd_.get())};
  }
  std::vector<std::string> whole;  // of each connection that ended in order; read after stop()

 private:
  bool ready(int fd) {
    std::array<pollfd, 2> fds{{{fd, POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    static_cast<void>(::poll(fds.data(), fds.size(), -1));
    return fds[1].revents == 0;
  }
  void run() {
    while (ready(fd_.get())) {
      UniqueFd connection(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (connection) serve(connection.get());
    }
  }
  void serve(int fd) {
    if (ends_first_) static_cast<void>(::shutdown(fd, SHUT_WR));
    std::string got;
    std::array<char, 4096> piece{};
    while (ready(fd)) {
      const ssize_t n = ::recv(fd, piece.data(), piece.size(), 0);
      if (n <= 0) break;
      got.append(piece.data(), static_cast<std::size_t>(n));
      if (cut_ <= 0) continue;
      --cut_;
      const linger now{1, 0};
      static_cast<void>(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
      return;
    }
    whole.push_back(std::move(got));
    if (whole.size() == 1) ended_.set_value();
  }

  int cut_;
  bool ends_first_;
  std::promise<void> ended_;
  UniqueFd stop_;
  UniqueFd fd_;
  std::thread thread_;
};

std::vector<std::string> frames_of(std::string_view text) {
  std::vector<std::string> frames;
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    REQUIRE(space != std::string_view::npos);
    const std::size_t length = std::stoul(std::string(text.substr(0, space)));
    REQUIRE(text.size() >= space + 1 + length);
    frames.emplace_back(text.substr(space + 1, length));
    text.remove_prefix(space + 1 + length);
  }
  return frames;
}

}  // namespace

TEST_CASE("syslog over TCP: what a reset connection may have lost is sent again") {
  const int cut = GENERATE(0, 2);
  testkit::TempDir dir;
  Store store = filled(dir, 400);
  const std::uint64_t end = store.status().records;
  Receiver receiver(cut);
  SyslogTargetOptions target;
  target.endpoint = receiver.endpoint();
  target.origin = "gov-cloud-a";
  {
    auto forwarder = Forwarder::start(quick(dir), *make_syslog_target(target));
    REQUIRE(forwarder);
    REQUIRE((*forwarder)->wait_for(end, patience));
  }
  receiver.stop();
  std::map<std::string, int> ids;
  int notes = 0;
  for (const std::string& connection : receiver.whole) {
    for (const std::string& frame : frames_of(connection)) {
      const std::size_t at = frame.find("id=\"gov-cloud-a/");
      if (frame.find(" checkpoint [") != std::string::npos) {
        ++notes;
        continue;
      }
      REQUIRE(at != std::string::npos);
      ++ids[frame.substr(at, frame.find('"', at + 4) - at)];
    }
  }
  CHECK(ids.size() == end);
  CHECK(notes >= 1);
}

TEST_CASE("a receiver that ended before this side did has confirmed nothing") {
  testkit::TempDir dir;
  Store store = filled(dir, 10);
  Receiver receiver(0, true);
  SyslogTargetOptions target;
  target.endpoint = receiver.endpoint();
  target.origin = "gov-cloud-a";
  auto options = quick(dir);
  options.retry_min = options.retry_max = 1h;
  std::promise<std::string> failed;
  options.on_event = [&](ForwardEvent event, const ForwardStatus& status) {
    if (event == ForwardEvent::down) failed.set_value(status.error);
  };
  auto forwarder = Forwarder::start(options, *make_syslog_target(target));
  REQUIRE(forwarder);
  auto error = failed.get_future();
  REQUIRE(error.wait_for(patience) == std::future_status::ready);
  CHECK(error.get().find("closed") != std::string::npos);
  CHECK((*forwarder)->status().confirmed == 0);
}

TEST_CASE("a receiver that never closes is believed when it has everything, if so configured") {
  testkit::TempDir dir;
  Store store = filled(dir, 400);
  Receiver receiver(0);
  SyslogTargetOptions target;
  target.endpoint = receiver.endpoint();
  target.origin = "gov-cloud-a";
  target.confirm = SyslogTargetOptions::Confirm::sent;
  {
    auto forwarder = Forwarder::start(quick(dir), *make_syslog_target(target));
    REQUIRE(forwarder);
    REQUIRE((*forwarder)->wait_for(store.status().records, patience));
  }
  receiver.wait_for_end();
  REQUIRE(receiver.whole.size() == 1);
  CHECK(frames_of(receiver.whole.front()).size() >= store.status().records);
}

TEST_CASE("a message fits the receiver's limit and stays whole") {
  Found found{7, sample_alert(7)};
  found.record.detail = "{\"a\":\"" + std::string(40'000, '"') + "\"}";
  found.record.object = std::string(1'000, ']');
  found.record.message = std::string(4'000, 'x');
  for (const std::size_t most : {syslog_bytes_min, std::size_t{8192}}) {
    const std::string message = syslog_message(found, "here", most);
    CHECK(message.size() <= most);
    CHECK(message.find("detail_bytes=\"") != std::string::npos);
    CHECK(message.find("id=\"here/7\"") != std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.find("] \xef\xbb\xbfxxx") != std::string::npos);
  }
  CHECK(syslog_message(found, "here", 1 << 20).find("detail_bytes") == std::string::npos);
}

TEST_CASE("a file of notes gets each checkpoint, for a witness") {
  testkit::TempDir dir;
  Store store = filled(dir, 10);
  {
    auto forwarder = Forwarder::start(quick(dir), make_notes_target(dir / "witness"));
    REQUIRE(forwarder);
    REQUIRE((*forwarder)->wait_for(store.status().records, patience));
  }
  const auto notes = parse_witness(dir.read("witness"));
  REQUIRE(notes);
  CHECK(notes->back().text == store.checkpoint()->text);
}

TEST_CASE("UDP cannot be forwarded to, and no unreadable certificate is passed over") {
  SyslogTargetOptions target;
  target.endpoint = *Endpoint::parse("udp://127.0.0.1:514");
  CHECK(make_syslog_target(target).error().code == ErrorCode::invalid);
  target.endpoint = *Endpoint::parse("tls://127.0.0.1:6514");
  target.files.authorities = "/nonexistent.pem";
  CHECK(make_syslog_target(target).error().code == ErrorCode::invalid);
}

TEST_CASE("endpoints") {
  CHECK(Endpoint::parse("tls://[2001:db8::1]:6514")->to_string() == "tls://[2001:db8::1]:6514");
  CHECK(Endpoint::parse("tcp://log.example:601")->host == "log.example");
  for (const char* wrong : {"", "log:514", "http://a:1", "tcp://a", "tcp://:1", "tcp://a:70000",
                            "tcp://2001:db8::1:5", "tcp://a:1x", "tcp://a/b:1"}) {
    CAPTURE(wrong);
    CHECK_FALSE(Endpoint::parse(wrong));
  }
}
