// Rules of other systems -> a policy file, and a list of what it cannot say.
//
//   const auto made = import_rules(Format::kubernetes, sources, {});
//   if (made) write(made->yaml), show(made->losses);
//
// The addresses that the rules name are cut into domains (nested networks become disjoint ones), so
// that every pair of domains is treated by the source's rules as by the lines made of them; what is
// not so is a Loss. Lines of iptables and nft keep their order and comments. Kubernetes objects and
// Neutron's groups allow by labels and memberships, so their lines are made pair by pair. Traffic
// inside a domain is not the policy's business: where a source decides about it, its endpoints
// become domains of their own.
//
// Sources are hostile input: reading is linear in the text, what is made of it is bounded by the
// limits below. Labels are matched pod by pod and selector by selector: a Kubernetes source costs
// pods times selectors. Thread-safe, keeps nothing. Errors: ErrorCode::invalid with file and place,
// ErrorCode::limit.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ip.hpp"
#include "base/lang.hpp"
#include "base/result.hpp"

namespace menshen::policy::imports {

enum class Format : std::uint8_t {
  iptables,    // iptables-save, ip6tables-save: the FORWARD chain of the filter table
  nft,         // nft -j list ruleset: the base chain on the forward hook
  kubernetes,  // NetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy, Namespace, Pod
  openstack,   // Neutron API replies: networks, ports, security groups
};

struct Source {
  std::string name;  // what the user called the file
  std::string text;
};

struct ImportOptions {
  // What lies behind an interface, where rules name interfaces: ("eth0", 10.1.0.0/16).
  std::vector<std::pair<std::string, Prefix>> interfaces;
};

// What not carrying something over does to the policy.
enum class Effect : std::uint8_t {
  none,         // nothing passes or stops by it: logging, counters, other hooks
  more_closed,  // something that passed does not pass now
  more_open,    // something that did not pass may pass now
};

struct Loss {
  Effect effect = Effect::none;
  std::string place;  // "rules.v4:12", "NetworkPolicy shop/web"
  Text text;
};

struct Imported {
  std::string yaml;  // loads as a policy
  std::vector<Loss> losses;
  std::size_t domains = 0;
  std::size_t lines = 0;
};

inline constexpr std::size_t source_bytes_max = 64U << 20U;
inline constexpr std::size_t endpoints_max = 50'000;    // pods, ports
inline constexpr std::size_t domains_made_max = 4'096;  // pairs of them are looked at
inline constexpr std::size_t networks_made_max = 500'000;
inline constexpr std::size_t rules_made_max = 100'000;  // after jumps are followed
inline constexpr std::size_t losses_max = 10'000;       // further ones are counted in a last one

[[nodiscard]] Result<Imported> import_rules(Format format, std::span<const Source> sources,
                                            const ImportOptions& options);

[[nodiscard]] std::optional<Format> parse_format(std::string_view name);  // as the enumerator
[[nodiscard]] std::string_view name_of(Effect effect);                    // as the enumerator

}  // namespace menshen::policy::imports
