#include "sensor/flow/flow_table.hpp"

#include <algorithm>
#include <bit>
#include <vector>

namespace menshen::sensor {

namespace {

constexpr std::uint32_t none = 0xffff'ffff;
constexpr std::uint32_t block_flows = 1024;
constexpr WallTime second = 1'000'000'000;

// Flows of one class have one timeout, so a list in the order of the last packet needs only its
// head looked at.
enum AgeClass : std::uint8_t {
  tcp_fresh,
  tcp_established,
  tcp_closed,
  udp_fresh,
  udp_established,
  icmp_fresh,
  icmp_established,
  other_fresh,
  other_established,
  age_classes
};

struct Entry {
  FiveTuple key;
  std::array<std::uint16_t, vlan_tags_max> vlan{};
  std::uint64_t tenant = 0;
  std::uint32_t chain = none;  // next of the same bucket, or of the free list
  std::uint32_t bucket = 0;
  std::uint32_t older = none;
  std::uint32_t newer = none;
  AgeClass age = tcp_fresh;
  bool touched = false;
  bool retired = false;
  Flow flow;
};

struct AgeList {
  std::uint32_t oldest = none;
  std::uint32_t newest = none;
};

// ICMP queries and their answers share one key, though their types differ (RFC 792, RFC 4443).
std::uint16_t icmp_pair(IpProto proto, std::uint16_t type) noexcept {
  if (proto == IpProto::icmp) {
    switch (type) {
      case 0:
        return 8;  // echo
      case 14:
        return 13;  // timestamp
      case 16:
        return 15;  // information
      case 18:
        return 17;  // address mask
      default:
        return type;
    }
  }
  switch (type) {
    case 129:
      return 128;  // echo
    case 134:
      return 133;  // router
    case 136:
      return 135;  // neighbour
    default:
      return type;
  }
}

bool is_icmp(IpProto proto) noexcept { return proto == IpProto::icmp || proto == IpProto::icmpv6; }

FiveTuple key_of(const FiveTuple& tuple) noexcept {
  FiveTuple key = tuple;
  if (is_icmp(tuple.proto)) key.sport = key.dport = icmp_pair(tuple.proto, tuple.sport);
  return FlowKey::of(key).tuple;
}

AgeClass age_class(const Flow& flow) noexcept {
  const bool established = flow.state != FlowState::fresh;
  switch (flow.tuple.proto) {
    case IpProto::tcp:
      return flow.state == FlowState::closed ? tcp_closed
             : established                   ? tcp_established
                                             : tcp_fresh;
    case IpProto::udp:
      return established ? udp_established : udp_fresh;
    case IpProto::icmp:
    case IpProto::icmpv6:
      return established ? icmp_established : icmp_fresh;
    default:
      return established ? other_established : other_fresh;
  }
}

// A SYN/ACK comes from the responder, whoever was seen first.
bool runs_from_responder(const PacketMeta& packet) noexcept {
  constexpr unsigned both = tcp_syn | tcp_ack;
  return packet.proto == IpProto::tcp && (packet.tcp_flags & both) == both;
}

}  // namespace

struct FlowTable::State {
  FlowTableOptions options;
  FlowEndObserver& observer;
  const FlowLabeler* labeler;
  FlowTableCounters counters;
  Exceptions exceptions;
  std::vector<std::unique_ptr<Entry[]>> blocks;
  std::vector<std::uint32_t> buckets;
  std::uint32_t mask = 0;
  std::uint32_t free_head = none;
  std::array<AgeList, age_classes> ages;
  std::array<WallTime, age_classes> timeouts{};
  std::vector<std::uint32_t> touched;
  std::vector<std::uint32_t> retired;
  WallTime now = 0;
  std::uint64_t next_id = 1;
  // Of the prepared batch.
  static constexpr std::size_t derived_place = batch_packets_max;  // of a packet out of another one
  std::array<FiveTuple, batch_packets_max + 1> tuples;
  std::array<FiveTuple, batch_packets_max + 1> keys;
  std::array<std::uint32_t, batch_packets_max + 1> bucket_of{};
  std::uint64_t tenant = 0;  // of the packet at hand
  const FlowLabel* inherited = nullptr;

  State(const FlowTableOptions& o, FlowEndObserver& e, const FlowLabeler* l)
      : options(o), observer(e), labeler(l), exceptions(o.exceptions) {
    options.flows_max = std::max<std::uint32_t>(options.flows_max, 1);
    buckets.assign(std::bit_ceil(options.flows_max), none);
    mask = static_cast<std::uint32_t>(buckets.size() - 1);
    touched.reserve(batch_packets_max);
    retired.reserve(batch_packets_max);
    const auto set = [&](AgeClass age, std::uint32_t seconds) { timeouts[age] = seconds * second; };
    set(tcp_fresh, o.timeouts.tcp.fresh);
    set(tcp_established, o.timeouts.tcp.established);
    set(tcp_closed, o.timeouts.tcp.closed);
    set(udp_fresh, o.timeouts.udp.fresh);
    set(udp_established, o.timeouts.udp.established);
    set(icmp_fresh, o.timeouts.icmp.fresh);
    set(icmp_established, o.timeouts.icmp.established);
    set(other_fresh, o.timeouts.other.fresh);
    set(other_established, o.timeouts.other.established);
  }

  Entry& at(std::uint32_t index) noexcept {
    return blocks[index / block_flows][index % block_flows];
  }

  void list_remove(std::uint32_t index) noexcept {
    Entry& entry = at(index);
    AgeList& list = ages[entry.age];
    (entry.older == none ? list.oldest : at(entry.older).newer) = entry.newer;
    (entry.newer == none ? list.newest : at(entry.newer).older) = entry.older;
    entry.older = entry.newer = none;
  }

  void list_append(std::uint32_t index, AgeClass age) noexcept {
    Entry& entry = at(index);
    AgeList& list = ages[age];
    entry.age = age;
    entry.older = list.newest;
    (list.newest == none ? list.oldest : at(list.newest).newer) = index;
    list.newest = index;
  }

  void unhash(std::uint32_t index) noexcept {
    std::uint32_t* link = &buckets[at(index).bucket];
    while (*link != index) link = &at(*link).chain;
    *link = at(index).chain;
  }

  std::uint32_t allocate() {
    if (free_head == none) {
      const auto first = static_cast<std::uint32_t>(blocks.size()) * block_flows;
      blocks.push_back(std::make_unique<Entry[]>(block_flows));
      for (std::uint32_t i = block_flows; i-- > 0;) {
        at(first + i).chain = free_head;
        free_head = first + i;
      }
    }
    const std::uint32_t index = free_head;
    free_head = at(index).chain;
    return index;
  }

  // The entry is in no list and no bucket.
  void end(std::uint32_t index, FlowEnd how) {
    Entry& entry = at(index);
    observer.on_flow_end(entry.flow, how);
    entry.flow = Flow{};
    entry.touched = entry.retired = false;
    entry.chain = free_head;
    free_head = index;
    ++counters.ended;
    --counters.live;
  }

  // After a batch: the flows it touched move to the end of the list their state asks for.
  void settle() {
    for (const std::uint32_t index : touched) {
      Entry& entry = at(index);
      entry.touched = false;
      if (entry.retired) continue;
      list_remove(index);
      list_append(index, age_class(entry.flow));
    }
    touched.clear();
    for (const std::uint32_t index : retired) end(index, FlowEnd::reused);
    retired.clear();
  }

  std::size_t expire() {
    std::size_t ended = 0;
    for (std::size_t age = 0; age < age_classes; ++age) {
      while (ages[age].oldest != none) {
        const std::uint32_t index = ages[age].oldest;
        if (at(index).flow.last + timeouts[age] > now) break;
        list_remove(index);
        unhash(index);
        end(index, FlowEnd::timeout);
        ++ended;
      }
    }
    return ended;
  }

  std::uint32_t find(const PacketMeta& packet, std::size_t place) noexcept {
    for (std::uint32_t i = buckets[bucket_of[place]]; i != none; i = at(i).chain) {
      const Entry& entry = at(i);
      if (entry.key == keys[place] && entry.vlan == packet.vlan && entry.tenant == tenant) return i;
    }
    return none;
  }

  std::uint32_t begin(const PacketMeta& packet, std::size_t place) {
    const std::uint32_t index = allocate();
    Entry& entry = at(index);
    entry.key = keys[place];
    entry.vlan = packet.vlan;
    entry.tenant = tenant;
    entry.bucket = bucket_of[place];
    entry.chain = buckets[entry.bucket];
    buckets[entry.bucket] = index;
    Flow& flow = entry.flow;
    flow.tuple = runs_from_responder(packet) ? tuples[place].reversed() : tuples[place];
    flow.id = next_id++;
    flow.first = flow.last = now;
    flow.vlan = packet.vlan;
    flow.vlan_count = packet.vlan_count;
    flow.tenant = tenant;
    flow.midstream = packet.proto == IpProto::tcp && packet.transport_offset != 0 &&
                     (packet.tcp_flags & (tcp_syn | tcp_ack)) != tcp_syn;
    if (flow.midstream) ++counters.midstream;
    if (inherited != nullptr) {
      flow.label = *inherited;
    } else if (labeler != nullptr) {
      flow.label = labeler->label(flow.tuple);
    }
    list_append(index, age_class(flow));
    ++counters.begun;
    ++counters.live;
    return index;
  }

  void locate(const PacketMeta& packet, std::size_t place, std::uint64_t of_tenant) noexcept {
    tuples[place] = tuple_of(packet);
    keys[place] = key_of(tuples[place]);
    const std::uint64_t vlan = packet.vlan[0] | std::uint64_t{packet.vlan[1]} << 16U |
                               std::uint64_t{packet.vlan[2]} << 32U;
    const std::uint64_t hash = hash_flow(keys[place], options.seed ^ vlan ^ of_tenant);
    bucket_of[place] = static_cast<std::uint32_t>(hash) & mask;
  }

  void refuse(PacketMeta& packet) {
    ++counters.refused;
    exceptions.meet(ExceptionTrigger::flow_limit, packet, nullptr);
  }

  // The packet's flow, begun if need be; none: the limit.
  std::uint32_t flow_for(const PacketMeta& packet, std::size_t place) {
    const std::uint32_t found = find(packet, place);
    const bool opens =
        packet.proto == IpProto::tcp && (packet.tcp_flags & (tcp_syn | tcp_ack)) == tcp_syn;
    if (found != none && !(opens && at(found).flow.state == FlowState::closed)) return found;
    if (found != none) retire(found);
    return counters.live >= options.flows_max ? none : begin(packet, place);
  }

  void assign(PacketMeta& packet, std::size_t place) {
    now = std::max(now, packet.time);
    const std::uint32_t found = flow_for(packet, place);
    if (found == none) return refuse(packet);
    Entry& entry = at(found);
    if (!entry.touched) {
      entry.touched = true;
      touched.push_back(found);
    }
    Flow& flow = entry.flow;
    const FiveTuple& tuple = tuples[place];
    const bool forward = is_icmp(packet.proto) ? tuple.src == flow.tuple.src : tuple == flow.tuple;
    packet.flow = &flow;
    packet.direction = forward ? Direction::to_server : Direction::to_client;
    flow.last = now;
    Flow::Side& side = flow.side(packet.direction);
    ++side.packets;
    side.bytes += packet.length;
    side.tcp_flags |= packet.tcp_flags;
    if (packet.proto != IpProto::tcp && !flow.established &&
        flow.side(reverse(packet.direction)).packets != 0) {
      flow.established = true;
      flow.state = FlowState::established;
    }
    if (flow.action == FlowAction::drop) packet.refuse(Verdict::drop, DropReason::flow_dropped);
  }

  void retire(std::uint32_t index) {
    list_remove(index);
    unhash(index);
    at(index).retired = true;
    retired.push_back(index);
  }
};

FlowTable::FlowTable(const FlowTableOptions& options, FlowEndObserver& observer,
                     const FlowLabeler* labeler)
    : state_(std::make_unique<State>(options, observer, labeler)) {}

FlowTable::~FlowTable() = default;

void FlowTable::prepare(const PacketBatch& batch) {
  State& s = *state_;
  s.settle();
  const auto packets = batch.packets();
  if (!packets.empty()) s.now = std::max(s.now, packets.front().time);
  s.expire();
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const PacketMeta& packet = packets[i];
    if (packet.ip_version == 0 || packet.dropped()) continue;
    s.locate(packet, i, 0);
    __builtin_prefetch(&s.buckets[s.bucket_of[i]]);
  }
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (packets[i].ip_version == 0 || packets[i].dropped()) continue;
    const std::uint32_t head = s.buckets[s.bucket_of[i]];
    if (head != none) __builtin_prefetch(&s.at(head));
  }
}

void FlowTable::assign(PacketMeta& packet, std::size_t index) {
  if (packet.ip_version == 0) return;
  state_->tenant = 0;
  state_->inherited = nullptr;
  state_->assign(packet, index);
}

void FlowTable::assign_derived(PacketMeta& packet, std::uint64_t tenant,
                               const FlowLabel* inherited) {
  if (packet.ip_version == 0) return;
  state_->tenant = tenant;
  state_->inherited = inherited;
  state_->locate(packet, State::derived_place, tenant);
  state_->assign(packet, State::derived_place);
}

std::size_t FlowTable::expire(WallTime now) {
  state_->settle();
  state_->now = std::max(state_->now, now);
  return state_->expire();
}

void FlowTable::finish() {
  State& s = *state_;
  s.settle();
  for (AgeList& list : s.ages) {
    while (list.oldest != none) {
      const std::uint32_t index = list.oldest;
      s.list_remove(index);
      s.unhash(index);
      s.end(index, FlowEnd::shutdown);
    }
  }
}

const FlowTableCounters& FlowTable::counters() const noexcept { return state_->counters; }

const ExceptionCounts& FlowTable::exceptions() const noexcept {
  return state_->exceptions.counts();
}

}  // namespace menshen::sensor
