// An nftables table as a value: comparable, printable, independent of any kernel.
//
// Registers are 32-bit slots 0..15 (NFT_REG32_00 + slot); values wider than a slot take the
// following ones. Element keys are kept as the kernel wants them: every field in its own byte
// order, padded to 4 bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace menshen::policy::nft {

// Why the kernel let a packet pass or not. One value = one named counter = one NFLOG prefix = one
// line of help (reason.cpp). The names are part of the audit format: never rename.
enum class Reason : std::uint8_t {
  allowed,              // passed without inspection
  inspected,            // handed to the sensor
  denied_line,          // a deny line
  denied_default,       // no line allows it
  spoofed,              // source address of a domain, by an interface that is not the domain's
  misrouted,            // destination's domain is not behind the outgoing interface
  unknown_source,       // source address in no domain
  unknown_destination,  // destination address in no domain
  invalid,              // no valid connection: stray reply, bad TCP state, untracked
  logged,               // log messages sent; drops beyond the rate limit are counted, not logged
  count,
};
inline constexpr std::size_t reasons = static_cast<std::size_t>(Reason::count);

enum class FieldType : std::uint8_t {
  id,  // domain, class or generation: 32 bits, host order (nft's "mark")
  ipv4,
  ipv6,       // network order
  port,       // 16 bits, network order
  protocol,   // 8 bits
  interface,  // 16 bytes, zero padded
  ct_state,   // 32 bits, host order
  other,      // of a live set that we never make
};

// Bytes of a field within a key.
[[nodiscard]] constexpr std::size_t padded_bytes(FieldType type) {
  return type == FieldType::ipv6 || type == FieldType::interface ? 16 : 4;
}

enum class DataType : std::uint8_t { none, id, verdict };

struct Verdict {
  enum class Kind : std::uint8_t { accept, drop, jump_to, go_to, return_, other };
  Kind kind = Kind::drop;
  std::string chain;
  auto operator<=>(const Verdict&) const = default;
};

struct ElementKey {
  static constexpr std::size_t bytes_max = 20;
  std::array<std::uint8_t, bytes_max> bytes{};
  auto operator<=>(const ElementKey&) const = default;
};

struct Element {
  ElementKey first;
  ElementKey last;          // interval sets: inclusive; else equal to first
  std::uint32_t value = 0;  // id: the value; verdict: index into Set::verdicts
  auto operator<=>(const Element&) const = default;
};

struct Set {
  std::string name;
  std::vector<FieldType> key;
  DataType data = DataType::none;
  bool interval = false;
  bool catch_all = false;         // live only: an element that stands for every key
  std::uint32_t other_flags = 0;  // live only: kernel flags that we never set
  std::vector<Verdict> verdicts;
  std::vector<Element> elements;  // sorted by key
  // The most elements that the kernel lets in; 0: no bound. Room beyond the elements lets a change
  // add some without making the set anew.
  std::uint32_t capacity = 0;
};

using Slot = std::uint8_t;

struct LoadAddress {
  bool v6 = false;
  bool source = true;
  Slot to = 0;  // of this packet
  bool operator==(const LoadAddress&) const = default;
};
struct LoadMeta {
  enum class Key : std::uint8_t { nfproto, l4proto, iifname, oifname, mark };
  Key key{};
  Slot to = 0;
  bool operator==(const LoadMeta&) const = default;
};
// original_*: of the connection, in the direction of the packet that opened it.
struct LoadCt {
  enum class Key : std::uint8_t {
    state,
    mark,
    original_src4,
    original_dst4,
    original_src6,
    original_dst6,
    original_protocol,
    original_dport
  };
  Key key{};
  Slot to = 0;
  bool operator==(const LoadCt&) const = default;
};
// The packet's own mark: the ruleset's scratch cell. nft (1.0.6) aborts when it lists a rule that
// uses a looked-up value as a key, unless the value came through something it knows.
struct SetMark {
  Slot from = 0;
  bool operator==(const SetMark&) const = default;
};
struct SetCtMark {
  Slot from = 0;
  bool operator==(const SetCtMark&) const = default;
};
struct SetValue {
  std::uint32_t value = 0;
  Slot to = 0;
  bool operator==(const SetValue&) const = default;
};
// Keeps the first `bits` bits of a value of `bytes` bytes in network order, and clears the others.
struct KeepPrefix {
  Slot slot = 0;
  std::uint8_t bytes = 4;
  std::uint8_t bits = 32;
  bool operator==(const KeepPrefix&) const = default;
};
struct Compare {
  bool equal = true;
  Slot slot = 0;
  std::vector<std::uint8_t> bytes;
  bool operator==(const Compare&) const = default;
};
// Goes on only where found (or not found: inverted). With data: it is written to `to`; a verdict
// takes effect.
struct Lookup {
  std::string set;
  Slot from = 0;
  DataType data = DataType::none;
  Slot to = 0;
  bool inverted = false;
  bool operator==(const Lookup&) const = default;
};
struct Count {
  std::string counter;
  bool operator==(const Count&) const = default;
};
// Goes on only while under the rate.
struct Limit {
  std::uint64_t per_second = 0;
  std::uint32_t burst = 0;
  bool operator==(const Limit&) const = default;
};
struct Log {
  std::uint16_t group = 0;
  std::uint32_t snap_bytes = 0;
  std::string prefix;
  bool operator==(const Log&) const = default;
};
// Native `queue` or the xt target, whichever the kernel has. bypass: passes where nobody listens.
struct Queue {
  std::uint16_t number = 0;
  bool bypass = false;
  bool operator==(const Queue&) const = default;
};
// Something in a live table that we never write.
struct Foreign {
  std::string name;
  bool operator==(const Foreign&) const = default;
};

using Expression =
    std::variant<LoadAddress, LoadMeta, LoadCt, SetMark, SetCtMark, SetValue, KeepPrefix, Compare,
                 Lookup, Count, Limit, Log, Queue, Verdict, Foreign>;

struct Rule {
  std::vector<Expression> expressions;
  bool operator==(const Rule&) const = default;
};

// forward: type filter, hook forward, priority 0, policy drop. other: any other hook (live only).
enum class Hook : std::uint8_t { none, forward, other };

struct Chain {
  std::string name;
  Hook hook = Hook::none;
  std::vector<Rule> rules;
  bool operator==(const Chain&) const = default;
};

// The mark of a connection that a ruleset decided: its generation, and in the low byte what was
// decided.
inline constexpr std::uint32_t mark_allowed = 1;
inline constexpr std::uint32_t mark_inspected = 2;
[[nodiscard]] constexpr std::uint32_t mark_of(std::uint32_t generation, std::uint32_t decided) {
  return generation << 8U | decided;
}

struct CounterValue {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  bool operator==(const CounterValue&) const = default;
};

struct Counter {
  std::string name;
  CounterValue value;  // at commit: what it starts from
};

struct Ruleset {
  std::string table = "menshen";  // family inet
  std::uint32_t generation = 0;   // 24 bits; marks the connections that this ruleset decided
  std::vector<Counter> counters;  // sorted by name, as all below
  std::vector<Set> sets;
  std::vector<Chain> chains;
};

// Text of the table, for people and for comparing in tests; the same ruleset gives the same text.
// More than elements_shown_max elements of one set are counted, not listed.
inline constexpr std::size_t elements_shown_max = 200;
[[nodiscard]] std::string to_text(const Ruleset& ruleset,
                                  std::size_t elements_shown = elements_shown_max);
[[nodiscard]] std::string to_text(const Rule& rule);
[[nodiscard]] std::string to_text(const Set& set, const Element& element);

}  // namespace menshen::policy::nft
