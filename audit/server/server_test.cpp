#include "audit/server/server.hpp"

#include <signal.h>
#include <sqlite3.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <thread>

#include "audit/client/client.hpp"
#include "audit/server/protocol.hpp"
#include "audit/store/evidence.hpp"
#include "audit/store/query.hpp"
#include "audit/testing/fault_vfs.hpp"
#include "audit/testing/samples.hpp"
#include "audit/verify/verify.hpp"
#include "tests/testkit/temp_dir.hpp"

using namespace menshen;
using namespace menshen::audit;
using namespace std::chrono_literals;
using testkit::TempDir;

namespace {

constexpr auto patience = 60s;  // the machine may be busy; nothing waits for it when all is well

struct Place {
  TempDir folder;
  StoreOptions store;
  std::filesystem::path socket = folder / "auditd.sock";

  Place() {
    store.directory = folder / "store";
    store.profile = Profile::intl;
  }
  [[nodiscard]] ServerOptions server() const {
    ServerOptions options;
    options.sources["sensord"] = {::getuid()};
    options.sources["policyd"] = {::getuid() + 1};
    options.operators = {::getuid()};
    return options;
  }
  [[nodiscard]] ClientOptions client() const {
    ClientOptions options;
    options.socket = socket;
    options.spool_directory = folder / "spool";
    options.source = "sensord";
    options.reconnect_interval = 20ms;
    options.answer_timeout = 10s;  // a busy machine must not look like an absent auditd
    return options;
  }
  [[nodiscard]] std::vector<Record> found(Filter filter = {}) const {
    filter.limit = 0;
    std::vector<Record> records;
    const auto reader = Reader::open(store.directory);
    REQUIRE(reader);
    REQUIRE(reader->find(filter, [&](const Found& f) {
      records.push_back(f.record);
      return true;
    }));
    return records;
  }
  [[nodiscard]] std::vector<Record> of_sensord() const {
    Filter filter;
    filter.source = "sensord";
    return found(filter);
  }
  void require_intact() const {
    const auto report = verify(store.directory);
    REQUIRE(report);
    if (report->first_break) FAIL(report->first_break->text.en);
  }
};

// auditd in a thread of this process.
class Running {
 public:
  explicit Running(const Place& place) : Running(place, place.server()) {}
  Running(const Place& place, ServerOptions options) : stop_(::eventfd(0, EFD_CLOEXEC)) {
    auto store = Store::open(place.store);
    if (!store) FAIL(store.error().text.en);
    auto listener = Listener::bind(place.socket);
    if (!listener) FAIL(listener.error().text.en);
    auto server = Server::make(std::move(options), *std::move(store), *std::move(listener));
    REQUIRE(server);
    thread_ = std::thread([this, s = std::make_shared<Server>(*std::move(server))] {
      result_ = s->run(stop_.get());
    });
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() { static_cast<void>(stop().has_value()); }
  Result<void> stop() {
    if (thread_.joinable()) {
      const std::uint64_t one = 1;
      static_cast<void>(::write(stop_.get(), &one, sizeof(one)) > 0);
      thread_.join();
    }
    return result_;
  }

 private:
  UniqueFd stop_;
  Result<void> result_;
  std::thread thread_;
};

// auditd in a process of its own, to be killed.
class Child {
 public:
  explicit Child(const Place& place) {
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      auto store = Store::open(place.store);
      auto listener = Listener::bind(place.socket);
      if (!store || !listener) ::_exit(1);
      auto server = Server::make(place.server(), *std::move(store), *std::move(listener));
      static_cast<void>(::write(ready[1], "r", 1) > 0);
      const int never = ::eventfd(0, 0);
      static_cast<void>(server->run(never).has_value());
      ::_exit(0);
    }
    ::close(ready[1]);
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    ::close(ready[0]);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { kill(); }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
};

std::string records_message(std::uint64_t id, const std::vector<Record>& records) {
  RecordsBuilder builder(id);
  for (const Record& record : records) REQUIRE(builder.add(as_bytes(encode(record).value())));
  return std::move(builder).take();
}

AnswerMessage answer_to(Channel& channel, const std::string& message) {
  REQUIRE(channel.send(as_bytes(message)));
  const auto reply = channel.receive(patience);
  REQUIRE(reply);
  REQUIRE(*reply);
  return std::get<AnswerMessage>(parse_answer(as_bytes(**reply)).value());
}

nlohmann::json control(const Place& place, const std::string& request) {
  auto channel = Channel::connect(place.socket);
  REQUIRE(channel);
  REQUIRE(channel->send(as_bytes(request)));
  const auto reply = channel->receive(patience);
  REQUIRE(reply);
  return nlohmann::json::parse(**reply);
}

void require_each_once(const std::vector<Record>& records, std::uint64_t count) {
  std::set<std::pair<std::uint64_t, std::uint64_t>> names;
  for (const Record& record : records) names.emplace(record.epoch, record.sequence);
  CHECK(names.size() == records.size());
  CHECK(records.size() == count);
}

}  // namespace

TEST_CASE("what a client submits is stored once, with the kernel's word on who sent it") {
  const Place place;
  Running auditd(place);
  {
    const auto client = Client::start(place.client()).value();
    for (int i = 0; i < 5'000; ++i) REQUIRE(client->submit(sample_alert(1)));
    const auto drained = client->drain(patience);
    if (!drained) FAIL(drained.error().text.en);
    CHECK(client->stats().delivered == 5'000);
    CHECK(client->stats().lost == 0);
  }
  REQUIRE(auditd.stop());
  const auto records = place.of_sensord();
  require_each_once(records, 5'000);
  CHECK(records[0].stamp->uid == ::getuid());
  CHECK(records[0].stamp->pid == static_cast<std::uint32_t>(::getpid()));
  place.require_intact();
  CHECK(verify(place.store.directory)->sequence_gaps == 0);
}

TEST_CASE("a batch that is large enough does not wait for company") {
  const Place place;
  ServerOptions options = place.server();
  options.batch_records_enough = 100;
  options.batch_delay = 1h;
  Running auditd(place, options);
  auto channel = Channel::connect(place.socket).value();
  const auto alerts = [](std::uint64_t first, std::uint64_t count) {
    std::vector<Record> records;
    for (std::uint64_t i = 0; i < count; ++i) records.push_back(sample_alert(first + i));
    return records;
  };
  REQUIRE(channel.send(as_bytes(records_message(1, alerts(1, 60)))));
  CHECK(answer_to(channel, records_message(2, alerts(61, 40))).id == 1);
  const auto second = channel.receive(patience);
  REQUIRE(second);
  REQUIRE(*second);
  CHECK(std::get<AnswerMessage>(parse_answer(as_bytes(**second)).value()).id == 2);
}

TEST_CASE("a peer may use no source but its own, bring no stamp, and is told so record by record") {
  const Place place;
  Running auditd(place);
  auto channel = Channel::connect(place.socket).value();
  Record stamped = sample_alert(3);
  stamped.stamp = Stamp{1, 0, 1};
  const auto answer =
      answer_to(channel, records_message(7, {sample_alert(1), sample_alert(2, "policyd"), stamped,
                                             sample_alert(4, "auditd"), sample_alert(5, "other"),
                                             sample_alert(6), sample_alert(6)}));
  CHECK(answer.id == 7);
  CHECK(answer.statuses == std::vector{Status::stored, Status::refused, Status::refused,
                                       Status::refused, Status::refused, Status::stored,
                                       Status::duplicate});
  Record other = sample_alert(1);
  other.message = "other";
  CHECK(answer_to(channel, records_message(8, {other})).statuses == std::vector{Status::conflict});
  REQUIRE(auditd.stop());
  CHECK(place.of_sensord().size() == 2);
  Filter refusals;
  refusals.action = "record.refuse";
  const auto told = place.found(refusals);
  REQUIRE_FALSE(told.empty());
  CHECK(told.back().subject.starts_with("uid " + std::to_string(::getuid())));
  place.require_intact();
}

TEST_CASE("hostile messages cost their sender the connection and nobody else anything") {
  const Place place;
  ServerOptions options = place.server();
  options.connections_max = 20;
  Running auditd(place, options);
  const auto client = Client::start(place.client()).value();
  std::mt19937_64 random(1);
  const std::string good = records_message(1, {sample_alert(1'000'000)});
  for (int i = 0; i < 300; ++i) {
    auto channel = Channel::connect(place.socket);
    if (!channel) continue;
    std::string bytes = good;
    if (i % 3 == 0) bytes.resize(1 + random() % 2'000);
    for (int k = 0; k < 4; ++k) bytes[random() % bytes.size()] = static_cast<char>(random());
    if (i % 7 == 0) bytes.insert(0, "{\"op\":");
    if (i % 50 == 0) bytes.assign(menshen::message_bytes_max, '{');
    static_cast<void>(channel->send(as_bytes(bytes), 100ms).has_value());
    if (i % 10 == 0) REQUIRE(client->submit(sample_alert(1)));
  }
  REQUIRE(client->submit(sample_alert(1)));
  REQUIRE(client->drain(patience));
  REQUIRE(auditd.stop());
  place.require_intact();
  Filter filter;
  filter.source = "sensord";
  filter.until = sample_alert(2).time;
  CHECK(place.found(filter).size() >= 31);
}

TEST_CASE("a peer that collects connections keeps nobody out") {
  const Place place;
  ServerOptions options = place.server();
  options.connections_max = 4;
  Running auditd(place, options);
  std::vector<Channel> idle;
  for (int i = 0; i < 10; ++i) {
    idle.push_back(Channel::connect(place.socket).value());
    CHECK(answer_to(idle.back(), records_message(1, {sample_alert(1)})).id == 1);
  }
  // The limit holds: the oldest were closed, the four newest were not.
  for (int i = 0; i < 6; ++i) CHECK_FALSE(idle[i].receive(patience).value().has_value());
  for (int i = 6; i < 10; ++i) {
    CHECK(answer_to(idle[i], records_message(2, {sample_alert(1)})).id == 2);
  }
  const auto client = Client::start(place.client()).value();
  REQUIRE(client->submit(sample_alert(1)));
  CHECK(client->drain(patience));
}

TEST_CASE("a peer that never reads its answers does not stop the others") {
  const Place place;
  Running auditd(place);
  auto deaf = Channel::connect(place.socket).value();
  std::uint64_t sequence = 1;
  for (int i = 0; i < 20'000; ++i) {
    if (!deaf.send(as_bytes(records_message(1, {sample_alert(sequence++)})), 1s)) break;
  }
  const auto client = Client::start(place.client()).value();
  REQUIRE(client->submit(sample_alert(1)));
  CHECK(client->drain(patience));
}

TEST_CASE("while auditd is away records wait on disk, and arrive once, in order") {
  const Place place;
  {
    const auto client = Client::start(place.client()).value();
    for (int i = 0; i < 100; ++i) REQUIRE(client->submit(sample_alert(1)));
    REQUIRE(client->flush(patience));
    CHECK(client->stats().spooled == 100);
    CHECK(client->stats().delivered == 0);
    CHECK_FALSE(client->stats().connected);
    CHECK(client->submit_durable(sample_alert(1), patience));
    CHECK_FALSE(client->drain(1ms));
  }
  Running auditd(place);
  {
    // The next run of the program delivers what the last one left, then its own.
    const auto client = Client::start(place.client()).value();
    for (int i = 0; i < 50; ++i) REQUIRE(client->submit(sample_alert(1)));
    REQUIRE(client->drain(patience));
    CHECK(client->stats().spool_bytes == 0);
  }
  REQUIRE(auditd.stop());
  require_each_once(place.of_sensord(), 151);
  CHECK(verify(place.store.directory)->sequence_gaps == 0);
  place.require_intact();
}

TEST_CASE("a client rides through restarts of auditd") {
  const Place place;
  const auto client = Client::start(place.client()).value();
  std::uint64_t submitted = 0;
  for (int round = 0; round < 4; ++round) {
    Running auditd(place);
    for (int i = 0; i < 500; ++i, ++submitted) REQUIRE(client->submit(sample_alert(1)));
    if (round % 2 == 0) REQUIRE(client->drain(patience));
    REQUIRE(auditd.stop());
    for (int i = 0; i < 100; ++i, ++submitted) REQUIRE(client->submit(sample_alert(1)));
  }
  Running auditd(place);
  REQUIRE(client->drain(patience));
  REQUIRE(auditd.stop());
  require_each_once(place.of_sensord(), submitted);
  place.require_intact();
}

TEST_CASE("kill -9 of auditd under load loses nothing that was acknowledged") {
  const Place place;
  constexpr std::uint64_t per_message = 50;
  std::vector<std::uint64_t> acknowledged;  // the last sequence of each message
  std::uint64_t sequence = 0;
  // Without a client, so that an acknowledgement is auditd's own.
  const auto read_answer = [&](Channel& channel, std::chrono::milliseconds timeout) {
    const auto reply = channel.receive(timeout);
    if (!reply || !*reply) return false;
    acknowledged.push_back(std::get<AnswerMessage>(parse_answer(as_bytes(**reply)).value()).id);
    return true;
  };
  for (int round = 0; round < 5; ++round) {
    Child auditd(place);
    auto channel = Channel::connect(place.socket).value();
    for (int message = 0; message < 20 + 7 * round; ++message) {
      std::vector<Record> records;
      for (std::uint64_t i = 0; i < per_message; ++i) records.push_back(sample_alert(++sequence));
      REQUIRE(channel.send(as_bytes(records_message(sequence, records))));
      if (message % 4 == 0) REQUIRE(read_answer(channel, patience));
    }
    auditd.kill();
    // The answers left in the socket count as well: auditd gave them.
    while (read_answer(channel, 0ms)) {
    }
    auto store = Store::open(place.store);
    if (!store) FAIL(store.error().text.en);
    REQUIRE(store->close());
    place.require_intact();
    std::set<std::uint64_t> there;
    for (const Record& record : place.of_sensord()) there.insert(record.sequence);
    for (const std::uint64_t last : acknowledged) {
      for (std::uint64_t s = last - per_message + 1; s <= last; ++s) {
        if (!there.contains(s)) FAIL("record " << s << " was acknowledged and is not there");
      }
    }
  }
  CHECK(acknowledged.size() >= 25);
}

TEST_CASE("kill -9 of auditd, again and again: the client delivers everything once") {
  const Place place;
  std::uint64_t submitted = 0;
  std::vector<std::unique_ptr<Child>> killed;
  {
    // Children are forked while no client's thread runs.
    auto first = std::make_unique<Child>(place);
    const auto client = Client::start(place.client()).value();
    for (int i = 0; i < 3'000; ++i, ++submitted) REQUIRE(client->submit(sample_alert(1)));
    first->kill();
    for (int i = 0; i < 500; ++i, ++submitted) REQUIRE(client->submit(sample_alert(1)));
    REQUIRE(client->flush(patience));
  }
  {
    Child second(place);
    const auto client = Client::start(place.client()).value();
    for (int i = 0; i < 3'000; ++i, ++submitted) REQUIRE(client->submit(sample_alert(1)));
    REQUIRE(client->flush(patience));
    second.kill();
  }
  Running auditd(place);
  const auto client = Client::start(place.client()).value();
  REQUIRE(client->drain(patience));
  REQUIRE(auditd.stop());
  require_each_once(place.of_sensord(), submitted);
  place.require_intact();
}

TEST_CASE("kill -9 of the client loses nothing that was durable") {
  const Place place;
  int out[2];
  REQUIRE(::pipe(out) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto client = Client::start(place.client()).value();
    for (std::uint64_t i = 1;; ++i) {
      if (!client->submit_durable(sample_alert(1), patience)) ::_exit(1);
      if (::write(out[1], &i, sizeof(i)) != sizeof(i)) ::_exit(1);
    }
  }
  std::uint64_t durable = 0;
  while (durable < 200) REQUIRE(::read(out[0], &durable, sizeof(durable)) == sizeof(durable));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(out[1]);
  while (::read(out[0], &durable, sizeof(durable)) == sizeof(durable)) {
  }
  ::close(out[0]);
  Running auditd(place);
  const auto client = Client::start(place.client()).value();
  REQUIRE(client->drain(patience));
  REQUIRE(auditd.stop());
  const auto records = place.of_sensord();
  CHECK(records.size() >= durable);
  require_each_once(records, records.size());
}

TEST_CASE("when queue and spool are full, the loss is counted and told") {
  const Place place;
  ClientOptions options = place.client();
  options.queue_records_max = 50;
  options.spool_bytes_max = 20'000;
  std::uint64_t taken = 0;
  std::uint64_t lost = 0;
  const auto client = Client::start(options).value();
  for (int i = 0; i < 10'000; ++i) ++(client->submit(sample_alert(1)) ? taken : lost);
  CHECK(lost > 0);
  CHECK(client->stats().lost == lost);
  CHECK(client->stats().submitted == taken);
  Running auditd(place);
  REQUIRE(client->drain(patience));
  REQUIRE(auditd.stop());
  Filter filter;
  filter.kinds = {Kind::loss};
  std::uint64_t told = 0;
  for (const Record& record : place.found(filter)) {
    const auto detail = nlohmann::json::parse(record.detail);
    told += detail["n"].get<std::uint64_t>();
    CHECK(detail["from"].get<std::uint64_t>() <= detail["to"].get<std::uint64_t>());
    CHECK(record.severity == Severity::high);
  }
  CHECK(told == lost);
  filter.kinds = {Kind::alert};
  CHECK(place.found(filter).size() == taken);
  CHECK(verify(place.store.directory)->sequence_gaps == lost);
}

TEST_CASE("without a spool nothing is durable until auditd has it") {
  const Place place;
  ClientOptions options = place.client();
  options.spool_directory.clear();
  options.answer_timeout = 50ms;
  {
    const auto client = Client::start(options).value();
    CHECK(client->submit_durable(sample_alert(1), 20ms).error().code == ErrorCode::unavailable);
  }
  Running auditd(place);
  options.answer_timeout = 10s;
  const auto client = Client::start(options).value();
  CHECK(client->submit_durable(sample_alert(1), patience));
  CHECK(client->stats().delivered == 1);
}

TEST_CASE("a refused record is an error for whoever waits for it") {
  const Place place;
  Running auditd(place);
  ClientOptions options = place.client();
  options.source = "policyd";
  const auto client = Client::start(options).value();
  CHECK(client->submit_durable(sample_alert(1), patience).error().code == ErrorCode::denied);
  CHECK(client->stats().refused == 1);
  options.source = "Not A Source";
  options.spool_directory = place.folder / "other";
  CHECK(Client::start(options).error().code == ErrorCode::invalid);
}

TEST_CASE("auditd's full disk is waited out") {
  FaultVfs vfs("menshen-server-full");
  Place place;
  place.store.sqlite_vfs = vfs.name();
  Running auditd(place);
  vfs.fail_at(1, SQLITE_FULL, true);
  const auto client = Client::start(place.client()).value();
  for (int i = 0; i < 300; ++i) REQUIRE(client->submit(sample_alert(1)));
  REQUIRE(client->flush(patience));
  CHECK(client->stats().spooled > 0);
  vfs.fail_at(0, SQLITE_OK);
  REQUIRE(client->drain(patience));
  REQUIRE(auditd.stop());
  require_each_once(place.of_sensord(), 300);
  place.require_intact();
}

TEST_CASE("auditd tells its state, signs and attests on demand") {
  const Place place;
  auto file = place.folder.write("report.html", "<h1>ok</h1>");
  {
    Running auditd(place);
    auto status = control(place, R"({"op": "status"})");
    CHECK(status["ok"] == true);
    CHECK(status["records"] == 2);
    CHECK(status["healthy"] == true);
    CHECK(status["last_checkpoint"]["size"] == 2);
    CHECK(status["disk_free_bytes"].get<std::uint64_t>() > 0);

    auto channel = Channel::connect(place.socket).value();
    static_cast<void>(answer_to(channel, records_message(1, {sample_alert(1)})));
    const auto signed_now = control(place, R"({"op": "checkpoint"})");
    CHECK(parse_note(signed_now["checkpoint"].get<std::string>())->checkpoint.size == 3);

    const auto digest = to_hex(digest_file(Profile::intl, file).value());
    const auto attested = control(
        place,
        R"({"op": "attest", "name": "report.html", "bytes": 11, "subject": "zhang", "digest": ")" +
            digest + "\"}");
    REQUIRE(attested["ok"] == true);
    const auto report = verify_evidence(file, attested["evidence"].dump(),
                                        status["fingerprint"].get<std::string>());
    if (!report) FAIL(report.error().text.en);
    CHECK(report->record.subject == "uid " + std::to_string(::getuid()) + ": zhang");

    for (const std::string bad :
         {R"({"op": "attest"})", R"({"op": "delete"})", R"({})", "{", R"({"op": 5})"}) {
      CHECK(control(place, bad)["code"] == "invalid");
    }
    CHECK(control(place, "{" + std::string(control_bytes_max, ' '))["code"] == "limit");
  }
  ServerOptions nobody = place.server();
  nobody.operators.clear();
  Running auditd(place, nobody);
  CHECK(control(place, R"({"op": "checkpoint"})")["code"] == "denied");
  CHECK(control(place, R"({"op": "status"})")["ok"] == true);
}

TEST_CASE("what was sent before the stop is stored") {
  const Place place;
  Running auditd(place);
  auto channel = Channel::connect(place.socket).value();
  for (std::uint64_t i = 1; i <= 20; ++i) {
    REQUIRE(channel.send(as_bytes(records_message(i, {sample_alert(i)}))));
  }
  REQUIRE(auditd.stop());
  CHECK(place.of_sensord().size() == 20);
  const auto report = verify(place.store.directory).value();
  CHECK(report.records == report.records_signed);
}

TEST_CASE("with little room on the disk flow summaries are shed, alerts are not") {
  Place place;
  std::atomic<std::uint64_t> room = 1'000;
  place.store.disk_free = [&] { return room.load(); };
  ServerOptions serving = place.server();
  serving.disk_reserve_bytes = 2'000;
  {
    Running running(place, serving);
    const auto client = Client::start(place.client()).value();
    // The server looks at the disk about once a second: until it has, everything is taken.
    const auto shed = [&] { return client->stats().refused > 0; };
    const auto give_up = std::chrono::steady_clock::now() + patience;
    while (!shed() && std::chrono::steady_clock::now() < give_up) {
      Record flow = sample_alert(1);
      flow.kind = Kind::flow;
      static_cast<void>(client->submit_durable(flow, patience).has_value());
    }
    REQUIRE(shed());
    Record alert = sample_alert(1);
    alert.message = "still kept";
    CHECK(client->submit_durable(alert, patience));
  }
  Filter filter;
  filter.text = "still kept";
  CHECK(place.found(filter).size() == 1);
  filter = {};
  filter.action = "disk.low";
  CHECK(place.found(filter).size() == 1);
  filter.action = "record.shed";
  CHECK_FALSE(place.found(filter).empty());
}
