#include "sensor/packet/drop_reason.hpp"

namespace menshen::sensor {

namespace {

constexpr std::array<DropReasonInfo, static_cast<std::size_t>(DropReason::count)> table{{
    {"none", "未丢弃。", "Not dropped."},
    {"decode_truncated", "报文头超出帧尾，帧不完整。", "A header runs past the end of the frame."},
    {"decode_malformed", "报文头字段自相矛盾。", "Header fields contradict each other."},
    {"checksum", "校验和错误。", "A checksum is wrong."},
    {"flow_table_full", "流表已满（达到 flows_max），按例外策略丢弃新流。",
     "The flow table is full (flows_max); the exception policy drops new flows."},
    {"stream_memory", "TCP 重组内存达到上限，丢弃后由发送方重传。",
     "Reassembly memory is at its limit; the sender will repeat the segment."},
    {"stream_overlap", "TCP 报文段以不同内容重复已发送的字节（疑似逃逸）。",
     "A TCP segment repeats bytes with other content (an evasion technique)."},
    {"stream_invalid", "TCP 报文段超出窗口、位于已放弃的空洞或连接结束之后。",
     "A TCP segment outside the window, in a hole given up, or after the connection's end."},
    {"proto_limit", "应用层解析达到上限，按例外策略丢弃该流。",
     "An application parser's limit was reached; the exception policy drops the flow."},
    {"midstream", "未见到开头的 TCP 流，按例外策略丢弃。",
     "A TCP flow whose beginning was not seen; the exception policy drops it."},
    {"stream_depth", "流的一个方向达到重组深度，按例外策略丢弃。",
     "A direction of the flow has reached the reassembly depth; the exception policy drops it."},
    {"proto_error", "应用层协议错误，按例外策略丢弃该流。",
     "What came breaks its application protocol; the exception policy drops the flow."},
    {"fragment_memory", "IP 分片重组达到上限，按例外策略丢弃该分片。",
     "Putting IP fragments together reached a limit; the exception policy drops the fragment."},
    {"fragment_overlap", "IP 分片以不同内容重复已到达的字节（疑似逃逸）。",
     "An IP fragment repeats bytes with other content (an evasion technique)."},
    {"tunnel_depth", "隧道嵌套层数超过上限，按例外策略丢弃。",
     "Tunnels nest deeper than the limit; the exception policy drops the packet."},
    {"flow_dropped", "同一流的先前报文已被规则丢弃。",
     "An earlier packet of the same flow was dropped by a rule."},
    {"rule", "命中丢弃规则。", "A drop rule matched."},
    {"rule_reject", "命中拒绝规则。", "A reject rule matched."},
}};
static_assert(!table.back().name.empty());

}  // namespace

const DropReasonInfo& drop_reason_info(DropReason reason) noexcept {
  return table[static_cast<std::size_t>(reason)];
}

}  // namespace menshen::sensor
