#include "sensor/engine/stats.hpp"

#include <nlohmann/json.hpp>

#include "sensor/packet/drop_reason.hpp"

namespace menshen::sensor {

std::string stats_eve(const Stats& stats) {
  using Json = nlohmann::ordered_json;
  const Counters& c = stats.counters;
  const DecodeCounters& d = stats.decode;
  const StreamCounters& s = stats.stream;
  Json out;
  out["uptime"] = stats.uptime_seconds;
  out["decoder"] = {{"pkts", d.packets}, {"bytes", d.bytes},
                    {"vlan", d.vlan},    {"ipv4", d.ipv4},
                    {"ipv6", d.ipv6},    {"tcp", d.tcp},
                    {"udp", d.udp},      {"invalid", d.truncated + d.malformed}};
  out["flow"] = {{"total", c.flows}, {"active", c.flows_active}};
  out["tcp"] = {{"overlap_diff_data", s.overlaps},
                {"reassembly_gap", s.gaps},
                {"reassembly_memuse", s.memory},
                {"invalid_checksum", d.checksum}};
  out["detect"] = {
      {"engines",
       Json::array(
           {{{"id", 0}, {"rules_loaded", c.rules_loaded}, {"rules_failed", c.rules_rejected}}})},
      {"alert", c.alerts},
      {"alerts_suppressed", c.alerts_suppressed}};
  if (stats.inline_mode) {
    const std::uint64_t blocked = c.dropped + c.rejected;
    out["ips"] = {{"accepted", c.packets - blocked},
                  {"blocked", blocked},
                  {"rejected", c.rejected},
                  {"replaced", c.rewritten}};
  }
  Json& own = out["menshen"];
  for (const CounterInfo& info : counter_table()) {
    own[std::string(info.name.substr(info.name.find('.') + 1))] = c.*info.member;
  }
  for (std::size_t i = 1; i < c.drops.size(); ++i) {
    if (c.drops[i] == 0) continue;
    own["drops"][std::string(drop_reason_info(static_cast<DropReason>(i)).name)] = c.drops[i];
  }
  return out.dump();
}

}  // namespace menshen::sensor
