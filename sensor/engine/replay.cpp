#include "sensor/engine/replay.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <ctime>

#include "base/handle.hpp"
#include "sensor/capture/pcap_file.hpp"
#include "sensor/engine/eve.hpp"

namespace menshen::sensor {
namespace {

using File = Handle<std::FILE, &std::fclose>;
using SteadyClock = std::chrono::steady_clock;

// EVE lines into a file. The first failure is kept: the disk does not come back.
class FileSink final : public EventSink {
 public:
  static Result<FileSink> open(const std::filesystem::path& path) {
    FileSink sink;
    if (path.empty()) return sink;
    if (path == "-") {
      sink.out_ = stdout;
      return sink;
    }
    sink.file_.reset(std::fopen(path.c_str(), "we"));
    sink.out_ = sink.file_.get();
    if (sink.out_ == nullptr) {
      return fail_errno({fmt::format("无法写入 {}", path.string()),
                         fmt::format("cannot write {}", path.string())});
    }
    return sink;
  }

  void on_events(std::span<const Event> events) override {
    if (out_ == nullptr || error_ != 0) return;
    for (const Event& event : events) {
      std::string line = to_eve_json(event);
      line.push_back('\n');
      if (std::fwrite(line.data(), 1, line.size(), out_) != line.size()) {
        error_ = errno;
        return;
      }
      ++written_;
    }
  }

  [[nodiscard]] Result<std::uint64_t> close() {
    if (out_ != nullptr && std::fflush(out_) != 0 && error_ == 0) error_ = errno;
    if (error_ != 0) return fail_errno({"无法写入事件", "cannot write events"}, error_);
    return written_;
  }

 private:
  File file_;
  std::FILE* out_ = nullptr;
  int error_ = 0;
  std::uint64_t written_ = 0;
};

std::chrono::nanoseconds cpu_time() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace

Result<ReplaySummary> replay(const ReplayOptions& options) {
  ReplaySummary summary;
  const auto load_begin = SteadyClock::now();
  const auto load_cpu_begin = cpu_time();
  RuleSetBuilder builder(options.rule_options);
  for (const auto& path : options.rules) MENSHEN_CHECK(builder.add_file(path));
  summary.rules = std::make_shared<const RuleSet>(MENSHEN_TRY(std::move(builder).build()));
  summary.load_time = SteadyClock::now() - load_begin;
  summary.load_cpu = cpu_time() - load_cpu_begin;

  auto port = MENSHEN_TRY(open_pcap_file(options.pcap));
  auto sink = MENSHEN_TRY(FileSink::open(options.events));
  Engine engine(options.engine, summary.rules, nullptr, sink);
  const auto replay_begin = SteadyClock::now();
  const auto replay_cpu_begin = cpu_time();
  const auto batch = std::make_unique<PacketBatch>();
  while (true) {
    batch->clear();
    const auto received = port->receive(*batch, std::chrono::milliseconds(0));
    if (!received) {
      summary.damage = received.error();
      break;
    }
    if (*received == 0 && port->finished()) break;
    engine.process(*batch);
    MENSHEN_CHECK(port->give_verdicts(*batch));
  }
  engine.flush();
  summary.replay_time = SteadyClock::now() - replay_begin;
  summary.replay_cpu = cpu_time() - replay_cpu_begin;
  summary.counters = engine.counters();
  summary.events_written = MENSHEN_TRY(sink.close());
  return summary;
}

}  // namespace menshen::sensor
