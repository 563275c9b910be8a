// The audit store beside a bare SQLite table, one measure a call; prints one line of JSON.
//
//   bench_audit ingest DIR RECORDS BATCH   four producers over the socket, SM3, acknowledged after
//                                          commit; and the same rows as bare inserts of that batch
//   bench_audit growth DIR RECORDS BATCH   one writer: the rate of the first and the last tenth
//   bench_audit verify DIR                 verify, and bare SM3 of the same bytes, on every core
//   bench_audit query DIR                  an officer's questions, cold and warm
//
// `growth` leaves its store in DIR/store for `verify` and `query`.
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "audit/client/client.hpp"
#include "audit/server/protocol.hpp"
#include "audit/server/server.hpp"
#include "audit/store/indexer.hpp"
#include "audit/store/query.hpp"
#include "audit/store/segment.hpp"
#include "audit/store/store.hpp"
#include "audit/verify/verify.hpp"
#include "base/handle.hpp"

namespace {

namespace audit = menshen::audit;
namespace fs = std::filesystem;
using audit::Record;
using DatabaseHandle = menshen::Handle<sqlite3, &sqlite3_close>;
using StatementHandle = menshen::Handle<sqlite3_stmt, &sqlite3_finalize>;
using SteadyClock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;
using namespace std::chrono_literals;

constexpr std::size_t producers = 4;
constexpr menshen::WallTime first_time = 1'764'000'000'000'000'000;

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "bench_audit: %s\n", why.c_str());
  std::exit(1);  // NOLINT(concurrency-mt-unsafe): nothing is registered to run at exit
}
template <class T>
T must(menshen::Result<T> result) {
  if (!result) die(result.error().text.en);
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}
double seconds_since(SteadyClock::time_point begin) {
  return std::chrono::duration<double>(SteadyClock::now() - begin).count();
}

// Records as a cloud's border has them: few domains, rules and agents, many addresses; identifiers
// and payloads that nothing compresses.
class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  Record next(std::uint64_t n) {
    Record r;
    r.time = first_time + static_cast<menshen::WallTime>(n) * 10'000'000;  // 100 a second
    r.monotonic = static_cast<menshen::MonotonicTime>(n) * 10'000'000;
    r.source = "sensord";
    r.epoch = 1;
    r.sequence = n;
    const std::uint64_t dice = pick(1000);
    r.kind = dice < 700   ? audit::Kind::flow
             : dice < 900 ? audit::Kind::alert
             : dice < 999 ? audit::Kind::isolation
                          : audit::Kind::admin;
    r.severity = audit::Severity{static_cast<std::uint8_t>(dice < 700   ? 0
                                                           : dice < 990 ? 1 + dice % 2
                                                                        : 3 + dice % 2)};
    r.outcome = dice % 3 == 0 ? audit::Outcome::blocked : audit::Outcome::allowed;
    r.action = r.kind == audit::Kind::flow ? "flow.end" : "rule.match";
    r.domain_src = "bureau-" + std::to_string(pick(60));
    r.domain_dst = "bureau-" + std::to_string(pick(60));
    r.src = menshen::IpAddr::v4(0x0a000000U + static_cast<std::uint32_t>(pick(1U << 16U)));
    r.dst = menshen::IpAddr::v4(0x0a100000U + static_cast<std::uint32_t>(pick(1U << 12U)));
    r.sport = static_cast<std::uint16_t>(1024 + pick(60'000));
    r.dport = static_cast<std::uint16_t>(pick(4) == 0 ? 80 : 443);
    r.proto = 6;
    if (r.kind == audit::Kind::alert) {
      r.rule = audit::RuleId{1, static_cast<std::uint32_t>(2'030'000 + pick(300)), 3};
    }
    if (r.kind == audit::Kind::admin) {
      r.subject = "officer-" + std::to_string(pick(20));
      r.action = "policy.apply";
      r.policy_line = "cloud.yaml:" + std::to_string(1 + pick(400));
    }
    r.message = r.rule ? "exploit attempt " + std::to_string(r.rule->sid) : "";
    r.detail = R"({"flow_id":)" + std::to_string(random_()) +
               R"(,"http":{"method":"GET","host":"app)" + std::to_string(pick(200)) +
               R"(.gov.example","url":"/portal/)" + std::to_string(pick(5'000)) + R"(?session=)" +
               hex() + R"(","user_agent":"Mozilla/5.0 (X11; Linux x86_64) agent/)" +
               std::to_string(pick(20)) + R"(","status":200,"length":)" +
               std::to_string(pick(100'000)) + R"(},"pkts_toserver":)" + std::to_string(pick(50)) +
               R"(,"pkts_toclient":)" + std::to_string(pick(50)) + R"(,"bytes_toserver":)" +
               std::to_string(pick(20'000)) + "}";
    return r;
  }

 private:
  std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  std::string hex() {
    char text[17];
    std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(random_()));
    return text;
  }
  std::mt19937_64 random_;
};

std::vector<Record> make_records(std::uint64_t first, std::uint64_t count) {
  Generator generator(first);
  std::vector<Record> records;
  records.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) records.push_back(generator.next(first + i));
  return records;
}

void execute(sqlite3* db, const char* sql) {
  if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK) die(sqlite3_errmsg(db));
}

// The floor: the same bytes as rows of one table, nothing else kept, the same durability.
double bare_inserts(const fs::path& file, std::span<const Record> records, std::size_t batch) {
  sqlite3* raw = nullptr;
  if (sqlite3_open(file.c_str(), &raw) != SQLITE_OK) die("cannot open " + file.string());
  const DatabaseHandle db(raw);
  execute(raw,
          "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
          "CREATE TABLE t(n INTEGER PRIMARY KEY, body BLOB)");
  sqlite3_stmt* prepared = nullptr;
  sqlite3_prepare_v2(raw, "INSERT INTO t(body) VALUES(?)", -1, &prepared, nullptr);
  const StatementHandle insert(prepared);
  const auto begin = SteadyClock::now();
  for (std::size_t at = 0; at < records.size(); at += batch) {
    execute(raw, "BEGIN");
    for (const Record& record : records.subspan(at, std::min(batch, records.size() - at))) {
      const std::string body = must(audit::encode(record));
      sqlite3_bind_blob(prepared, 1, body.data(), static_cast<int>(body.size()), SQLITE_STATIC);
      if (sqlite3_step(prepared) != SQLITE_DONE) die(sqlite3_errmsg(raw));
      sqlite3_reset(prepared);
    }
    execute(raw, "COMMIT");
  }
  return seconds_since(begin);
}

audit::StoreOptions store_options(const fs::path& directory) {
  audit::StoreOptions options;
  options.directory = directory;
  options.origin = "bench";
  return options;
}

// One producer, as audit::Client does it: messages of up to 250 records, four of them unanswered at
// a time. Fills in how long each waited for its answer, in milliseconds.
void produce(const fs::path& socket, std::vector<Record> records, std::vector<double>& waits) {
  menshen::Channel channel = must(menshen::Channel::connect(socket));
  std::deque<SteadyClock::time_point> flights;
  const auto receive = [&] {
    const auto answer = must(channel.receive(60s));
    if (!answer) die("the server closed the connection");
    const auto parsed = must(audit::parse_answer(menshen::as_bytes(*answer)));
    if (!std::holds_alternative<audit::AnswerMessage>(parsed)) die("the server failed");
    waits.push_back(seconds_since(flights.front()) * 1e3);
    flights.pop_front();
  };
  std::uint64_t id = 0;
  std::size_t at = 0;
  std::string bytes;
  while (at < records.size()) {
    audit::RecordsBuilder message(++id);
    while (at < records.size() && message.count() < audit::ClientOptions{}.batch_records_max) {
      bytes.clear();
      must(audit::encode(records[at], bytes));
      if (!message.add(menshen::as_bytes(bytes))) break;
      ++at;
    }
    const std::string text = std::move(message).take();
    while (flights.size() >= 4) receive();
    flights.push_back(SteadyClock::now());
    must(channel.send(menshen::as_bytes(text), 60s));
  }
  while (!flights.empty()) receive();
}

Json ingest(const fs::path& directory, std::uint64_t count, std::size_t batch) {
  std::vector<std::vector<Record>> shares;
  for (std::size_t i = 0; i < producers; ++i) {
    shares.push_back(make_records(1, count / producers));
    for (Record& record : shares.back()) record.source = "producer" + std::to_string(i);
  }
  std::vector<Record> all;
  for (const auto& share : shares) all.insert(all.end(), share.begin(), share.end());
  const double floor = bare_inserts(directory / "floor.db", all, batch);
  all.clear();

  audit::ServerOptions serving;
  serving.batch_records_max = batch;
  for (std::size_t i = 0; i < producers; ++i) {
    serving.sources["producer" + std::to_string(i)] = {::getuid()};
  }
  const fs::path socket = directory / "bench.sock";
  audit::Server server = must(
      audit::Server::make(serving, must(audit::Store::open(store_options(directory / "store"))),
                          must(menshen::Listener::bind(socket, 0600))));
  const menshen::UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  std::thread loop([&] { must(server.run(stop.get())); });
  std::vector<std::vector<double>> waits(producers);
  std::vector<std::thread> threads;
  const auto begin = SteadyClock::now();
  for (std::size_t i = 0; i < producers; ++i) {
    threads.emplace_back([&, i] { produce(socket, std::move(shares[i]), waits[i]); });
  }
  for (std::thread& thread : threads) thread.join();
  const double elapsed = seconds_since(begin);
  static_cast<void>(::eventfd_write(stop.get(), 1));
  loop.join();
  std::vector<double> waited;
  for (const auto& each : waits) waited.insert(waited.end(), each.begin(), each.end());
  std::ranges::sort(waited);
  const double stored = static_cast<double>(count - count % producers);
  return {{"rate", stored / elapsed},
          {"floor", stored / floor},
          {"ack_p50_ms", waited[waited.size() / 2]},
          {"ack_p99_ms", waited[waited.size() * 99 / 100]}};
}

std::uint64_t bytes_of(const fs::path& directory, std::string_view extension) {
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == extension) bytes += entry.file_size();
  }
  return bytes;
}

Json growth(const fs::path& directory, std::uint64_t count, std::size_t batch) {
  const fs::path place = directory / "store";
  audit::Store store = must(audit::Store::open(store_options(place)));
  std::vector<double> tenths;
  std::uint64_t done = 0;
  for (int tenth = 0; tenth < 10; ++tenth) {
    double busy = 0;  // without making the records
    std::uint64_t stored = 0;
    while (stored < count / 10) {
      const auto records =
          make_records(done + 1, std::min<std::uint64_t>(batch, count / 10 - stored));
      const auto begin = SteadyClock::now();
      must(store.append(std::span<const Record>(records)));
      must(store.tend());
      busy += seconds_since(begin);
      stored += records.size();
      done += records.size();
    }
    tenths.push_back(static_cast<double>(stored) / busy);
  }
  must(store.close());
  audit::Indexer indexer(audit::StorePaths::in(place));
  const auto begin = SteadyClock::now();
  if (!indexer.catch_up()) die("the index could not be built");
  const double records = static_cast<double>(done);
  return {{"first", tenths.front()},
          {"last", tenths.back()},
          {"index_seconds_behind", seconds_since(begin)},
          {"bytes_archived", static_cast<double>(bytes_of(place, ".db")) / records},
          {"bytes_searchable",
           static_cast<double>(bytes_of(place, ".db") + bytes_of(place, ".index")) / records}};
}

Json run_verify(const fs::path& directory) {
  const fs::path place = directory / "store";
  const auto report = must(audit::verify(place));
  if (report.first_break) die(report.first_break->text.en);
  // The floor: the records' bytes from memory through OpenSSL's SM3, one call a record.
  const auto paths = audit::StorePaths::in(place);
  auto segment = must(audit::Segment::open(paths.segment(1), menshen::audit::Database::Mode::read));
  std::vector<audit::Block> blocks;
  const std::uint64_t first = segment.head().first;
  const std::uint64_t end = must(segment.blocks_end());
  for (std::uint64_t at = first; at < end && blocks.size() < 400; at += audit::block_records) {
    blocks.push_back(must(segment.block(at)));
  }
  const unsigned cores = std::max(std::thread::hardware_concurrency(), 1U);
  std::vector<std::thread> threads;
  constexpr int rounds = 10;
  const auto begin = SteadyClock::now();
  for (unsigned i = 0; i < cores; ++i) {
    threads.emplace_back([&] {
      auto hasher = must(audit::Hasher::make(audit::Profile::sm));
      for (int round = 0; round < rounds; ++round) {
        for (const audit::Block& block : blocks) {
          for (const menshen::Bytes record : block.records) hasher.update(record);
          static_cast<void>(hasher.finish());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double hashed = static_cast<double>(blocks.size() * audit::block_records) * rounds * cores;
  return {{"rate", static_cast<double>(report.records) / report.seconds},
          {"floor", hashed / seconds_since(begin)}};
}

void drop_from_cache(const fs::path& directory) {
  ::sync();
  for (const auto& entry : fs::directory_iterator(directory)) {
    const menshen::UniqueFd fd(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
    if (fd) static_cast<void>(::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED));
  }
}

Json query(const fs::path& directory) {
  const fs::path place = directory / "store";
  std::mt19937_64 random(7);
  const auto last = must(must(audit::Reader::open(place)).records());
  const menshen::WallTime until = first_time + static_cast<menshen::WallTime>(last) * 10'000'000;
  const auto pick = [&](std::uint64_t below) { return random() % below; };
  constexpr menshen::WallTime day = 24 * audit::hour_ns;
  const std::vector<std::function<void(const audit::Reader&)>> questions{
      [&](const audit::Reader& reader) {
        audit::Filter f;
        f.since = until - day;
        f.severity_min = audit::Severity::critical;
        f.limit = 200;
        static_cast<void>(must(reader.find(f)));
      },
      [&](const audit::Reader& reader) {
        audit::Filter f;
        f.domain = "bureau-" + std::to_string(pick(60));
        static_cast<void>(must(reader.find(f)));
      },
      [&](const audit::Reader& reader) {
        audit::Filter f;
        f.address = must(menshen::Prefix::make(
            menshen::IpAddr::v4(0x0a000000U + static_cast<std::uint32_t>(pick(1U << 16U))), 32));
        static_cast<void>(must(reader.find(f)));
      },
      [&](const audit::Reader& reader) {
        audit::Filter f;
        f.sid = static_cast<std::uint32_t>(2'030'000 + pick(300));
        static_cast<void>(must(reader.find(f)));
      },
      [&](const audit::Reader& reader) {
        audit::Filter f;
        f.subject = "officer-" + std::to_string(pick(20));
        f.policy_line = "cloud.yaml:" + std::to_string(1 + pick(400));
        static_cast<void>(must(reader.find(f)));
      },
      [&](const audit::Reader& reader) {
        audit::Filter f;
        f.text = "portal/" + std::to_string(pick(5'000)) + "?session";
        f.limit = 20;
        static_cast<void>(must(reader.find(f)));
      },
      [&](const audit::Reader& reader) {
        static_cast<void>(must(reader.hours(until - 180 * day, until)));
      },
  };
  constexpr std::array names{"severity", "domain", "address", "rule", "actor", "text", "hours"};
  double cold = 0;
  Json each;
  std::vector<double> warm;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    drop_from_cache(place);
    auto begin = SteadyClock::now();
    questions[i](must(audit::Reader::open(place)));
    const double first = seconds_since(begin);
    cold = std::max(cold, first);
    const audit::Reader reader = must(audit::Reader::open(place));
    std::vector<double> times;
    for (int k = 0; k < 40; ++k) {
      begin = SteadyClock::now();
      questions[i](reader);
      times.push_back(seconds_since(begin) * 1e3);
    }
    std::ranges::sort(times);
    warm.insert(warm.end(), times.begin(), times.end());
    each[names[i]] = {{"cold_s", first}, {"p50_ms", times[20]}, {"p95_ms", times[38]}};
  }
  std::ranges::sort(warm);
  return {{"records", last},
          {"cold_s", cold},
          {"p95_ms", warm[warm.size() * 95 / 100]},
          {"each", each}};
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): what a measurement throws ends it with its words
int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() < 2)
    die("usage: bench_audit ingest|growth|verify|query DIR [RECORDS BATCH]");
  const fs::path directory = arguments[1];
  const std::uint64_t count = argc > 4 ? std::stoull(arguments[2]) : 0;
  const std::size_t batch = argc > 4 ? std::stoull(arguments[3]) : 0;
  Json line;
  if (arguments[0] == "verify") line = run_verify(directory);
  if (arguments[0] == "query") line = query(directory);
  if (arguments[0] == "ingest" && count >= producers && batch > 0) {
    line = ingest(directory, count, batch);
  }
  if (arguments[0] == "growth" && count >= 10 && batch > 0) {
    line = growth(directory, count, batch);
  }
  if (line.is_null()) die("unknown measure, or RECORDS and BATCH are missing");
  std::puts(line.dump().c_str());
}
