// What the sensor tells the world: one record per alert, drop, flow, transaction.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/ip.hpp"
#include "sensor/detect/rule_info.hpp"
#include "sensor/flow/flow.hpp"
#include "sensor/packet/packet.hpp"

namespace menshen::sensor {

inline constexpr std::size_t payload_excerpt_max = 4096;  // bytes of payload in one event

// transaction: its record is named after `app` ("http", "dns", ...). packet: tagged by a rule.
enum class EventKind : std::uint8_t {
  alert,
  drop,
  flow,
  transaction,
  fileinfo,
  anomaly,
  stats,
  packet
};

struct FlowCounts {
  std::uint64_t packets_to_server = 0;
  std::uint64_t packets_to_client = 0;
  std::uint64_t bytes_to_server = 0;
  std::uint64_t bytes_to_client = 0;
  WallTime start = 0;
  WallTime end = 0;
  std::string_view state;                   // flow: "new", "established", "closed"
  std::string_view reason;                  // flow: why it ended
  std::array<std::uint8_t, 2> tcp_flags{};  // seen, by direction
};

// What was kept of a file, handed over with its fileinfo event (EngineOptions::hand_over).
struct FileContent {
  std::string bytes;
  bool whole = false;  // that is all of it
  bool store = false;  // a rule wants it stored
};

struct Event {
  EventKind kind = EventKind::alert;
  WallTime time = 0;               // of the packet
  std::uint64_t flow_id = 0;       // 0: no flow
  std::uint64_t packet_count = 0;  // number of the packet in the capture, from 1; 0: none
  FiveTuple tuple;                 // as the packet ran; a flow's: initiator to responder
  Direction direction = Direction::to_server;
  AppProto app = AppProto::unknown;
  FlowLabel label;
  const RuleInfo* rule = nullptr;  // alert, drop by a rule. Lives during on_events() only
  bool blocked = false;            // alert: the packet is really dropped
  DropReason reason = DropReason::none;
  std::optional<std::uint64_t> tx_id;
  FlowCounts flow;
  bool alerted = false;  // flow: a rule fired in it
  std::uint16_t icmp_type_code = 0;
  std::array<std::uint16_t, vlan_tags_max> vlan{};  // ids, outermost first
  std::uint8_t vlan_count = 0;
  // Where the packet came from: the wire, a tunnel's content, a datagram put together, or none: the
  // flow ended.
  enum class Source : std::uint8_t { wire, tunnel, defrag, flow_end } source = Source::wire;
  std::string metadata;  // JSON object: the flow's variables, those of the packet; "" none
  std::string protocol;  // JSON object of the transaction, "" none; its key follows `app`
  std::string carried;   // JSON object of what the transaction carries (DNS over HTTP), "" none
  std::string detail;    // anomaly, stats: JSON object
  std::shared_ptr<FileContent> file;  // fileinfo: where its content is wanted; else null
  std::string payload;                // excerpt, raw bytes; packet: the whole frame
};

// Where a worker puts its events. Called on the worker's thread at the end of each batch; the
// events and what they point to live during the call only.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void on_events(std::span<const Event> events) = 0;
};

}  // namespace menshen::sensor
