#include "apps/menshen/recorded_flows.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>

#include "audit/store/query.hpp"
#include "base/handle.hpp"

namespace menshen::apps {
namespace {

using GzHandle = Handle<gzFile_s, &gzclose>;

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<std::uint8_t> protocol_of(std::string_view name) {
  if (name == "TCP") return 6;
  if (name == "UDP") return 17;
  if (name == "ICMP") return 1;
  if (name == "IPv6-ICMP" || name == "ICMPv6") return 58;
  if (name == "SCTP") return 132;
  if (name == "GRE") return 47;
  std::uint8_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc{} || end != name.data() + name.size()) return std::nullopt;
  return number;
}

void note_time(RecordedCoverage& coverage, WallTime time) {
  if (coverage.first == 0 || time < coverage.first) coverage.first = time;
}

class EventReader {
 public:
  EventReader(const RecordedSources& sources, const RecordedSink& sink, RecordedCoverage& coverage)
      : sources_(sources), sink_(sink), coverage_(coverage) {}

  // False: it cannot be read. Compressed or not.
  bool file(const std::filesystem::path& path) {
    const GzHandle in(gzopen(path.c_str(), "rb"));
    if (!in) return false;
    std::string line;
    std::vector<char> buffer(1U << 18U);
    for (int got = 0;
         (got = gzread(in.get(), buffer.data(), static_cast<unsigned>(buffer.size()))) != 0;) {
      if (got < 0) return false;
      std::string_view rest(buffer.data(), static_cast<std::size_t>(got));
      while (!rest.empty()) {
        const std::size_t end = rest.find('\n');
        if (line.size() <= event_line_bytes_max) line.append(rest.substr(0, end));
        if (end == std::string_view::npos) break;
        rest.remove_prefix(end + 1);
        take(line);
        line.clear();
      }
    }
    return true;
  }

 private:
  void take(std::string_view line) {
    // Most events are not flows: look before parsing.
    if (line.empty() || line.find("\"flow\"") == std::string_view::npos) return;
    bool understood = line.size() <= event_line_bytes_max;
    const auto flow = understood ? flow_of_event(line, understood) : std::nullopt;
    if (!understood) ++coverage_.not_understood;
    if (!flow || flow->time < sources_.since) return;
    ++coverage_.flows;
    note_time(coverage_, flow->time);
    sink_(*flow);
  }

  const RecordedSources& sources_;
  const RecordedSink& sink_;
  RecordedCoverage& coverage_;
};

// The file and those that log rotation made of it: NAME.1, NAME.2.gz, ...
std::vector<std::filesystem::path> rotated(const std::filesystem::path& newest,
                                           RecordedCoverage& coverage) {
  std::vector<std::filesystem::path> out;
  const std::string name = newest.filename().string();
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(newest.parent_path(), error)) {
    const std::string each = entry.path().filename().string();
    if (each != name && !each.starts_with(name + ".") && !each.starts_with(name + "-")) continue;
    if (out.size() == event_files_max) {
      coverage.missing.push_back(
          {fmt::format("事件文件超过 {} 个，其余未读", event_files_max),
           fmt::format("there are more than {} event files; the others are not read",
                       event_files_max)});
      break;
    }
    out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::optional<policy::RecordedFlow> flow_of(const audit::Record& record, std::uint64_t& uncounted) {
  const Json detail = Json::parse(record.detail, nullptr, false);
  const auto number = [&](const char* key, std::uint64_t otherwise) {
    const auto found = detail.is_object() ? detail.find(key) : detail.end();
    return detail.is_object() && found != detail.end() && found->is_number_unsigned()
               ? found->get<std::uint64_t>()
               : otherwise;
  };
  if (record.action == "isolation.flood") {
    uncounted += number("packets", 0) + number("messages_lost", 0);
    return std::nullopt;
  }
  if (!record.src || !record.dst || record.proto == 0) return std::nullopt;
  policy::RecordedFlow out;
  out.src = *record.src;
  out.dst = *record.dst;
  out.proto = static_cast<IpProto>(record.proto);
  out.dport = record.dport;
  out.time = record.time;
  out.count = number("packets", 1);
  if (!detail.is_object()) return out;
  out.in_interface = text_of(detail, "in_interface");
  out.out_interface = text_of(detail, "out_interface");
  return out;
}

Result<void> read_store(const RecordedSources& sources, const RecordedSink& sink,
                        RecordedCoverage& coverage) {
  const audit::Reader reader = MENSHEN_TRY(audit::Reader::open(sources.store));
  audit::Filter filter;
  filter.since = sources.since;
  // Alerts and drops of the sensor belong to flows that the event files have.
  filter.kinds = {audit::Kind::isolation, audit::Kind::flow};
  filter.limit = 0;
  static_cast<void>(MENSHEN_TRY(reader.find(filter, [&](const audit::Found& found) {
    if (const auto flow = flow_of(found.record, coverage.uncounted)) {
      ++coverage.records;
      note_time(coverage, flow->time);
      sink(*flow);
    }
    return true;
  })));
  return {};
}

}  // namespace

std::optional<policy::RecordedFlow> flow_of_event(std::string_view line, bool& understood) {
  const Json event = Json::parse(line, nullptr, false);
  understood = event.is_object();
  if (!understood || text_of(event, "event_type") != "flow") return std::nullopt;
  const auto src = IpAddr::parse(text_of(event, "src_ip"));
  const auto dst = IpAddr::parse(text_of(event, "dest_ip"));
  const auto proto = protocol_of(text_of(event, "proto"));
  const auto flow = event.find("flow");
  auto time = parse_time(flow != event.end() && flow->is_object() ? text_of(*flow, "start") : "");
  if (!time) time = parse_time(text_of(event, "timestamp"));
  understood = src && dst && proto && time;
  if (!understood) return std::nullopt;
  policy::RecordedFlow out;
  out.src = *src;
  out.dst = *dst;
  out.proto = static_cast<IpProto>(*proto);
  const auto port = event.find("dest_port");
  if (port != event.end() && port->is_number_unsigned())
    out.dport =
        static_cast<std::uint16_t>(std::min<std::uint64_t>(port->get<std::uint64_t>(), 65535));
  out.time = *time;
  return out;
}

RecordedCoverage read_recorded_flows(const RecordedSources& sources, const RecordedSink& sink) {
  RecordedCoverage coverage;
  if (!sources.events.empty()) {
    EventReader reader(sources, sink, coverage);
    const auto files = rotated(sources.events, coverage);
    for (const auto& path : files) {
      if (reader.file(path)) continue;
      coverage.missing.push_back({"无法读取 " + path.string(), "cannot read " + path.string()});
    }
    if (files.empty()) {
      coverage.missing.push_back({"没有事件文件 " + sources.events.string(),
                                  "there is no event file " + sources.events.string()});
    }
  }
  if (!sources.store.empty()) {
    const auto read = read_store(sources, sink, coverage);
    if (!read) {
      coverage.missing.push_back(
          {"审计库：" + read.error().text.zh, "the audit store: " + read.error().text.en});
    }
  }
  return coverage;
}

}  // namespace menshen::apps
