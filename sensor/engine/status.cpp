#include "sensor/engine/status.hpp"

namespace menshen::sensor {

std::span<const CounterInfo> counter_table() {
  static const CounterInfo table[] = {
      {"sensor.packets", &Counters::packets, {"处理的数据包数", "packets processed"}},
      {"sensor.bytes", &Counters::bytes, {"处理的字节数（整帧）", "bytes processed, whole frames"}},
      {"sensor.dropped", &Counters::dropped, {"丢弃的数据包数", "packets dropped"}},
      {"sensor.rejected",
       &Counters::rejected,
       {"拒绝（丢弃并复位）的数据包数", "packets rejected: dropped and reset"}},
      {"sensor.rewritten",
       &Counters::rewritten,
       {"改写后放行的数据包数", "packets that passed with rewritten bytes"}},
      {"sensor.alerts", &Counters::alerts, {"告警数", "alerts"}},
      {"sensor.alerts_suppressed",
       &Counters::alerts_suppressed,
       {"因阈值未上报的告警数", "alerts not reported because of a threshold"}},
      {"sensor.flows", &Counters::flows, {"累计会话数", "flows seen"}},
      {"sensor.flows_active", &Counters::flows_active, {"当前会话数", "flows now"}},
      {"sensor.transactions", &Counters::transactions, {"协议事务数", "protocol transactions"}},
      {"sensor.rules_loaded", &Counters::rules_loaded, {"已加载规则数", "rules loaded"}},
      {"sensor.rules_rejected", &Counters::rules_rejected, {"未加载规则数", "rules rejected"}},
      {"sensor.stream_bytes",
       &Counters::stream_bytes,
       {"流重组占用内存（字节）", "memory held by stream reassembly, bytes"}},
      {"sensor.candidates",
       &Counters::candidates,
       {"预筛后逐条核对的规则次数", "rules evaluated after preselection"}},
      {"sensor.candidate_limit",
       &Counters::candidate_limit,
       {"候选规则达到上限的次数", "times the candidate limit was met"}},
      {"sensor.inspection_limit",
       &Counters::inspection_limit,
       {"因步数上限中止的规则核对次数", "rule evaluations cut off by the step limit"}},
      {"sensor.pcre_limit",
       &Counters::pcre_limit,
       {"因匹配上限中止的正则次数", "regular expressions cut off by their match limit"}},
      {"sensor.threshold_evictions",
       &Counters::threshold_evictions,
       {"阈值表满而淘汰的条目数", "entries displaced from the full rate and host tables"}},
      {"sensor.dataset_refused",
       &Counters::dataset_refused,
       {"数据集已满而未加入的值数", "values that found no room in a rule's set"}},
      {"sensor.events", &Counters::events, {"输出的事件数", "events written"}},
  };
  return table;
}

void add(ExceptionCounts& sum, const ExceptionCounts& more) noexcept {
  for (std::size_t i = 0; i < sum.size(); ++i) {
    for (std::size_t j = 0; j < sum[i].size(); ++j) sum[i][j] += more[i][j];
  }
}

Counters& Counters::operator+=(const Counters& other) {
  for (const CounterInfo& info : counter_table()) this->*info.member += other.*info.member;
  for (std::size_t i = 0; i < drops.size(); ++i) drops[i] += other.drops[i];
  add(exceptions, other.exceptions);
  return *this;
}

}  // namespace menshen::sensor
