// sensor_replay: `menshen sensor replay` without the rest of the product, for who works on the
// sensor alone. Not installed.
//
//   sensor_replay --pcap FILE [--rules FILE]... [--events FILE] [--var NAME=VALUE]...
//                 [--classification FILE] [--no-checksum] [--ips] [--midstream]
//                 [--host-os-policy PREFIX=POLICY]... [--exception-policy TRIGGER=POLICY]...
//                 [--alerts-per-packet N] [--threshold-file FILE]
//                 [--alerts-only] [--cache DIR]
#include <fmt/format.h>
#include <getopt.h>

#include <cstdlib>

#include "sensor/engine/replay.hpp"

namespace menshen::sensor {
namespace {

constexpr option known[] = {
    {"pcap", required_argument, nullptr, 'p'},
    {"rules", required_argument, nullptr, 'r'},
    {"events", required_argument, nullptr, 'e'},
    {"var", required_argument, nullptr, 'v'},
    {"classification", required_argument, nullptr, 'c'},
    {"no-checksum", no_argument, nullptr, 'n'},
    {"ips", no_argument, nullptr, 'i'},
    {"midstream", no_argument, nullptr, 'm'},
    {"host-os-policy", required_argument, nullptr, 'h'},
    {"exception-policy", required_argument, nullptr, 'x'},
    {"threshold-file", required_argument, nullptr, 't'},
    {"alerts-per-packet", required_argument, nullptr, 'a'},
    {"cache", required_argument, nullptr, 'k'},
    {"alerts-only", no_argument, nullptr, 'l'},
    {},
};

struct Lists {
  std::vector<std::string> hosts;
  std::vector<std::string> exceptions;
};

bool read_option(int letter, ReplayOptions& options, Lists& lists) {
  const std::string value = optarg != nullptr ? optarg : "";
  switch (letter) {
    case 'p':
      options.pcap = value;
      return true;
    case 'r':
      options.rules.emplace_back(value);
      return true;
    case 'e':
      options.events = value;
      return true;
    case 'v': {
      const std::size_t equals = value.find('=');
      if (equals == std::string::npos) return false;
      options.rule_options.variables[value.substr(0, equals)] = value.substr(equals + 1);
      return true;
    }
    case 'c':
      options.rule_options.classification = value;
      return true;
    case 'n':
      options.engine.verify_checksums = false;
      return true;
    case 'i':
      options.engine.inline_mode = true;
      return true;
    case 'm':
      options.engine.midstream = true;
      return true;
    case 'h':
      lists.hosts.push_back(value);
      return true;
    case 'x':
      lists.exceptions.push_back(value);
      return true;
    case 't':
      options.rule_options.thresholds = value;
      return true;
    case 'a':
      options.engine.alerts_per_packet_max = std::strtoul(value.c_str(), nullptr, 10);
      return options.engine.alerts_per_packet_max != 0;
    case 'k':
      options.rule_options.pattern_cache = value;
      return true;
    case 'l':
      options.engine.log_anomalies = false;
      options.engine.log_flows = options.engine.log_transactions = options.engine.log_files = false;
      return true;
    default:
      return false;
  }
}

void report(const ReplaySummary& summary) {
  for (const Diagnostics& file : summary.rules->diagnostics()) {
    fmt::print(stderr, "{}", file.render(Lang::en));
  }
  if (summary.damage) fmt::print(stderr, "{}\n", summary.damage->text.en);
  const auto seconds = [](std::chrono::nanoseconds time) {
    return std::chrono::duration<double>(time).count();
  };
  fmt::print(stderr,
             "rules {} / {}, packets {}, alerts {}, events {}, CPU seconds {:.3f} + {:.3f}\n",
             summary.rules->summary().loaded, summary.rules->summary().rejected,
             summary.counters.packets, summary.counters.alerts, summary.events_written,
             seconds(summary.load_cpu), seconds(summary.replay_cpu));
}

int run(int argc, char** argv) {
  ReplayOptions options;
  Lists lists;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
  for (int letter = 0; (letter = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
    if (!read_option(letter, options, lists)) return 2;
  }
  auto hosts = HostPolicies::parse(lists.hosts);
  auto exceptions = ExceptionPolicies::parse(lists.exceptions);
  if (!hosts || !exceptions) {
    fmt::print(stderr, "{}\n", (hosts ? exceptions.error() : hosts.error()).text.en);
    return 2;
  }
  options.engine.hosts = std::move(*hosts);
  options.engine.exceptions = *exceptions;
  if (options.pcap.empty() || optind != argc) {
    fmt::print(stderr, "sensor_replay --pcap FILE [--rules FILE]... [--events FILE] ...\n");
    return 2;
  }
  const auto summary = replay(options);
  if (!summary) {
    fmt::print(stderr, "{}\n", summary.error().text.en);
    return 2;
  }
  report(*summary);
  return 0;
}

}  // namespace
}  // namespace menshen::sensor

int main(int argc, char** argv) { return menshen::sensor::run(argc, argv); }
