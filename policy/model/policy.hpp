// A policy whose every name is resolved: immutable, and able to decide any flow.
//
// A domain is known by its addresses (longest prefix) and held to its interfaces: a packet that
// carries a domain's address but comes in by another interface is spoofed. Between two domains only
// what a flow line allows passes; the first line that covers a flow decides. Inside one domain
// everything passes.
//
// decide() costs two binary searches over the networks and at most eight hash probes, whatever the
// number of domains and lines; it neither allocates nor locks. A Policy may be shared between
// threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.hpp"
#include "base/ip.hpp"
#include "policy/model/decision_table.hpp"
#include "policy/text/syntax.hpp"

namespace menshen::policy {

struct Domain {
  std::string name;
  std::string title;  // empty: none given
  std::string owner;
  std::uint8_t level = 0;        // MLPS protection level; 0: not stated
  std::vector<Prefix> networks;  // never empty: without networks in the file, 0.0.0.0/0 and ::/0
  std::vector<std::string> interfaces;  // empty: every interface that no other domain claims
  Position position;                    // in the file
};

struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;  // inclusive
  auto operator<=>(const PortRange&) const = default;
};

struct Service {
  std::string name;
  std::vector<PortRange> tcp;  // sorted, disjoint
  std::vector<PortRange> udp;
  bool icmp = false;  // ICMP and ICMPv6, every type
};

// One flow line. Empty list of domains or services: any.
struct Line {
  std::vector<DomainId> from;
  std::vector<DomainId> to;
  std::vector<std::uint32_t> services;  // indices into Policy::services()
  Action action = Action::allow;
  Inspect inspect = Inspect::none;
  bool log = false;
  std::string reason;
  std::string ticket;
  std::string author;
  std::optional<std::chrono::year_month_day> expires;
  Position position;
};

// Why a decision is what it is. One value = one text of explain().
enum class DecidedBy : std::uint8_t {
  line,                 // a flow line
  same_domain,          // source and destination are in one domain
  no_line,              // no line covers the flow: default deny
  unknown_source,       // the source address is in no domain
  unknown_destination,  // the destination address is in no domain
  spoofed,              // the source's domain is not attached to the interface it came in by
  misrouted,  // the destination's domain is not attached to the interface it would leave by
};

// A flow in its original direction: from the side that opened it.
struct FlowQuery {
  IpAddr src;
  IpAddr dst;
  IpProto proto{};
  std::uint16_t dport = 0;         // TCP, UDP; ignored otherwise
  std::string_view in_interface;   // empty: not checked
  std::string_view out_interface;  // empty: not checked
};

inline constexpr std::uint32_t line_none = 0xffff'ffff;

struct Decision {
  Action action = Action::deny;
  Inspect inspect = Inspect::none;
  DecidedBy by = DecidedBy::no_line;
  bool log = false;
  DomainId from = domain_any;  // 0: the address is in no domain
  DomainId to = domain_any;
  std::uint32_t line = line_none;  // index into Policy::lines(), where by == line
  bool operator==(const Decision&) const = default;
};

class Policy {
 public:
  Policy() = default;  // no domain: nothing passes

  [[nodiscard]] Decision decide(const FlowQuery& query) const noexcept;
  // The domain of an address by its longest prefix; 0: none.
  [[nodiscard]] DomainId domain_of(const IpAddr& address) const noexcept {
    return table_.domain_of(address);
  }
  // May packets of this domain come in or leave by that interface?
  [[nodiscard]] bool attached(DomainId domain, std::string_view interface) const noexcept;

  [[nodiscard]] std::span<const Domain> domains() const noexcept { return domains_; }
  [[nodiscard]] std::span<const Service> services() const noexcept { return services_; }
  [[nodiscard]] std::span<const Line> lines() const noexcept { return lines_; }
  // id: 1 .. domains().size().
  [[nodiscard]] const Domain& domain(DomainId id) const { return domains_.at(id - 1); }
  [[nodiscard]] std::optional<DomainId> find_domain(std::string_view name) const noexcept;
  // Of the named services; "any" where the line names none.
  [[nodiscard]] std::string service_names(const Line& line) const;
  [[nodiscard]] const DecisionTable& table() const noexcept { return table_; }
  // What the user called the file.
  [[nodiscard]] const std::string& source_name() const noexcept { return source_name_; }
  // The earliest last day of a line: load the file again after it. Nothing: no line expires.
  [[nodiscard]] std::optional<std::chrono::year_month_day> next_expiry() const noexcept;

 private:
  friend class Resolver;

  std::string source_name_;
  std::vector<Domain> domains_;
  std::vector<Service> services_;
  std::vector<Line> lines_;
  std::vector<std::pair<std::string, std::vector<DomainId>>> interfaces_;  // sorted by name
  std::vector<std::pair<std::string, DomainId>> names_;                    // sorted by name
  DecisionTable table_;
};

// The slow, obvious twin of decide(): walks the networks and the lines. For tests and for
// `explain`'s own cross-check.
[[nodiscard]] Decision decide_by_walk(const Policy& policy, const FlowQuery& query);

}  // namespace menshen::policy
