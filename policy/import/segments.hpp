// Endpoints that their own rules guard on both ends, as Kubernetes and Neutron do: a connection
// passes where the opener's egress and the target's ingress both allow it.
//
// Endpoints that no rule tells apart become one domain, unless their rules also decide about the
// traffic among them: then each is a domain of its own.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "policy/import/service_set.hpp"
#include "policy/import/writer.hpp"

namespace menshen::policy::imports {

enum class Ruling : std::uint8_t { allow, deny, pass };  // pass: on to the next stage

struct Grant {
  Ruling ruling = Ruling::allow;
  std::uint32_t peers = 0;  // an endpoint is a peer where its member[peers]
  ServiceSet services;
  std::vector<std::string> named;  // ports by the target's own names, "tcp/web"
};

// One direction of one endpoint's rules.
struct Side {
  std::vector<Grant> first;  // in order; the first that matches decides
  // Where isolated: what no grant of these allows is denied. Only allow.
  bool isolated = false;
  std::vector<Grant> grants;
  std::vector<Grant> last;  // in order, where not isolated; what none decides is allowed
};

struct Endpoint {
  std::string name;
  std::string shared_name;  // of a domain that it shares
  std::vector<Prefix> networks;
  std::uint32_t ingress = 0;  // into Segments::sides
  std::uint32_t egress = 0;
  bool outside = false;      // no endpoint of the source: nothing is said between two of these
  std::vector<bool> member;  // by selector
  std::map<std::string, ServiceSet> ports;  // by name, "tcp/web"
};

struct Segments {
  std::vector<Endpoint> endpoints;
  std::vector<Side> sides{Side{}};  // the first: no rules
};

// What `side` allows to or from a peer. `target`: the endpoint that the connection goes to.
[[nodiscard]] ServiceSet allowed_by(const Side& side, const Endpoint& peer, const Endpoint& target);

// Adds domains and lines. Quadratic in the domains. ErrorCode::limit beyond domains_made_max.
[[nodiscard]] Result<void> write_segments(const Segments& segments, Writer& writer);

// The endpoints outside: all other addresses, cut by `blocks`. member is left to the caller, as is
// the network of each to be compared with: Region::outer.
struct Outside {
  Endpoint endpoint;
  Prefix outer;
};
[[nodiscard]] Result<std::vector<Outside>> outside_of(const std::vector<Endpoint>& endpoints,
                                                      const std::vector<Prefix>& blocks);

}  // namespace menshen::policy::imports
