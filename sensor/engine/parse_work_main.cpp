// sensor_parse_work: what hostile application data costs, parser by parser.
//
//   sensor_parse_work linear CORPUS [TEXT]
//       under callgrind (tests/linear/parsers.py): one dump of its counters for each case and size,
//       named "CASE SIZE"
//   sensor_parse_work memory CORPUS N [TEXT]
//       the heap after N and after 2 N messages of each case (those with TEXT in their name); fails
//       where it still grows
//
// CORPUS: tests/corpus. The cases: hostile_traffic.hpp.
#include <fmt/format.h>
#include <malloc.h>

#include "sensor/engine/eve.hpp"
#include "sensor/proto/hostile_traffic.hpp"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name) static_cast<void>(name)
#endif

namespace menshen::sensor {
namespace {

using testing::Exchange;
using testing::Feeder;
using testing::Growing;

constexpr std::size_t whole = 64U << 10U;  // bytes of a segment
constexpr std::size_t small = 5;
constexpr std::size_t steps = 4;
// What a heap may grow between N and 2 N messages: pools and tables that are full by then.
constexpr std::size_t growth_max = 512U << 10U;

void measure(const std::string& name, std::size_t first,
             const std::function<void(std::size_t)>& run) {
  for (std::size_t step = 0; step <= steps; ++step) {
    const std::size_t n = step == 0 ? 0 : first << (step - 1);
    const std::string label = fmt::format("{} {}", name, n);
    CALLGRIND_ZERO_STATS;
    run(n);
    CALLGRIND_DUMP_STATS_AT(label.c_str());
  }
}

void say(const Growing& growing, std::size_t n, std::size_t piece) {
  Feeder feeder(false);
  const Direction direction = growing.server ? Direction::to_client : Direction::to_server;
  feeder.say(reverse(direction), growing.first, whole);
  feeder.say(direction, growing.text(n), piece);
}

// Alerts with a payload that grows, as lines of the event log.
void log_alerts(std::size_t n) {
  Event event;
  event.kind = EventKind::alert;
  RuleInfo rule;
  rule.msg = std::string(n, '"');
  event.rule = &rule;
  event.payload = std::string(8 * n, '\x01');
  static_cast<void>(to_eve_json(event));
}

int linear(const std::filesystem::path& corpus, std::string_view wanted) {
  for (const Exchange& exchange : testing::corpus_exchanges(corpus)) {
    if (exchange.name.find(wanted) == std::string::npos) continue;
    for (const std::size_t piece : {whole, std::size_t{1}}) {
      const auto name = fmt::format("{}{}", exchange.name, piece == 1 ? ", bytes" : "");
      measure(name, 2, [&](std::size_t n) {
        Feeder feeder(exchange.datagrams, exchange.port);
        for (std::size_t i = 0; i < n; ++i) feeder.say(exchange, piece);
      });
    }
  }
  for (const Growing& growing : testing::growing_messages()) {
    if (growing.name.find(wanted) == std::string::npos) continue;
    for (const std::size_t piece : {whole, small}) {
      const auto name = fmt::format("{}{}", growing.name, piece == small ? ", pieces" : "");
      measure(name, growing.begin, [&](std::size_t n) { say(growing, n, piece); });
    }
  }
  if (std::string_view("event log").find(wanted) != std::string::npos) {
    measure("event log", 500, log_alerts);
  }
  return 0;
}

std::size_t heap() { return ::mallinfo2().uordblks + ::mallinfo2().hblkhd; }

// Many messages in each call, so that what is measured is the parser.
int memory(const std::filesystem::path& corpus, std::size_t n, std::string_view wanted) {
  int bad = 0;
  const auto judge = [&](std::string_view name, const auto& half) {
    half();
    const std::size_t once = heap();
    half();
    const std::size_t twice = heap();
    const bool grows = twice > once + growth_max;
    bad += grows ? 1 : 0;
    fmt::print("{:40} {:10} {:10}{}\n", name, once, twice, grows ? "  GROWS" : "");
  };
  for (const Exchange& exchange : testing::corpus_exchanges(corpus)) {
    if (exchange.name.find(wanted) == std::string::npos) continue;
    Feeder feeder(exchange.datagrams, exchange.port);
    judge(exchange.name, [&] {
      for (std::size_t i = 0; i < n; ++i) feeder.say(exchange, whole);
    });
  }
  for (const Growing& growing : testing::growing_messages()) {
    if (growing.name.find(wanted) == std::string::npos) continue;
    Feeder feeder(false);
    const Direction direction = growing.server ? Direction::to_client : Direction::to_server;
    const std::size_t batch = std::min<std::size_t>(n, 1000);
    const std::string text = growing.text(batch);
    feeder.say(reverse(direction), growing.first, whole);
    judge(growing.name, [&] {
      for (std::size_t i = 0; i < n; i += batch) feeder.say(direction, text, whole);
    });
  }
  return bad == 0 ? 0 : 1;
}

int run(int argc, char** argv) {
  const std::string_view command = argc >= 3 ? argv[1] : "";
  if (command == "linear") return linear(argv[2], argc > 3 ? argv[3] : "");
  if (command == "memory" && argc >= 4) {
    return memory(argv[2], std::stoul(argv[3]), argc > 4 ? argv[4] : "");
  }
  fmt::print(stderr, "sensor_parse_work linear CORPUS [TEXT] | memory CORPUS N [TEXT]\n");
  return 2;
}

}  // namespace
}  // namespace menshen::sensor

int main(int argc, char** argv) { return menshen::sensor::run(argc, argv); }
