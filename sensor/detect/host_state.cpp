#include "sensor/detect/host_state.hpp"

#include <algorithm>
#include <cstring>

namespace menshen::sensor {
namespace {

constexpr WallTime second_ns = 1'000'000'000;

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash ^= value;
  hash *= 0x9e3779b97f4a7c15U;
  return hash ^ hash >> 29U;
}

std::uint64_t mix(std::uint64_t hash, const IpAddr& address) {
  std::uint64_t halves[2];
  std::memcpy(halves, address.bytes().data(), sizeof halves);
  return mix(mix(hash, halves[0]), halves[1]);
}

bool within(const Threshold& threshold, const RateState& state, WallTime now) {
  return now - state.since < static_cast<WallTime>(threshold.seconds) * second_ns;
}

RateAnswer count_backoff(const Threshold& threshold, RateState& state) {
  if (state.next == 0) state.next = threshold.count;
  ++state.count;
  if (state.count != state.next) return RateAnswer::silent;
  state.next *= std::max(threshold.multiplier, 2U);
  return RateAnswer::report;
}

}  // namespace

std::size_t HostKeyHash::operator()(const HostKey& key) const noexcept {
  std::uint64_t hash = mix(mix(mix(seed, key.name), key.first), key.second);
  return mix(hash, key.attachment);
}

RateAnswer count_match(const Threshold& threshold, RateState& state, WallTime now) noexcept {
  using Kind = Threshold::Kind;
  if (threshold.kind == Kind::backoff) return count_backoff(threshold, state);
  if (state.count == 0 || !within(threshold, state, now)) {
    state.since = now;
    state.count = 0;
  }
  ++state.count;
  switch (threshold.kind) {
    case Kind::limit:
      return state.count <= threshold.count ? RateAnswer::report : RateAnswer::silent;
    case Kind::threshold:
      if (state.count < threshold.count) return RateAnswer::ignore;
      state.count = 0;
      return RateAnswer::report;
    case Kind::both:
      if (state.count < threshold.count) return RateAnswer::ignore;
      return state.count == threshold.count ? RateAnswer::report : RateAnswer::silent;
    case Kind::detection_filter:
      return state.count > threshold.count ? RateAnswer::report : RateAnswer::ignore;
    default:
      return RateAnswer::report;
  }
}

HostKey threshold_key(const Rule& rule, const Threshold& threshold,
                      const FiveTuple& tuple) noexcept {
  HostKey key;
  key.name = static_cast<std::uint64_t>(rule.info.gid) << 32U | rule.info.sid;
  key.attachment = tuple.attachment;
  switch (threshold.track) {
    case Threshold::Track::source:
      key.first = tuple.src;
      break;
    case Threshold::Track::destination:
      key.first = tuple.dst;
      break;
    case Threshold::Track::both:
      key.first = std::min(tuple.src, tuple.dst);
      key.second = std::max(tuple.src, tuple.dst);
      break;
    case Threshold::Track::rule:
    case Threshold::Track::flow:
      break;
  }
  return key;
}

HostKey bit_key(std::uint64_t name, BitScope scope, const FiveTuple& tuple) noexcept {
  HostKey key;
  key.name = name;
  key.attachment = tuple.attachment;
  if (scope == BitScope::source) key.first = tuple.src;
  if (scope == BitScope::destination) key.first = tuple.dst;
  if (scope == BitScope::ip_pair) {
    key.first = std::min(tuple.src, tuple.dst);
    key.second = std::max(tuple.src, tuple.dst);
  }
  return key;
}

}  // namespace menshen::sensor
