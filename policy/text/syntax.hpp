// The policy file as written: every value with its place, names not yet looked up.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/diagnostic.hpp"
#include "base/ip.hpp"

namespace menshen::policy {

enum class Action : std::uint8_t { allow, deny };

// What becomes of an allowed flow on its way: nothing more; the sensor reports attacks; the sensor
// also drops them.
enum class Inspect : std::uint8_t { none, alert, block };

namespace text {

struct Name {
  std::string text;
  SourceRange range;
};

struct Network {
  Prefix prefix;
  SourceRange range;
};

struct Domain {
  Name name;
  std::string title;
  std::string owner;
  std::uint8_t level = 0;  // MLPS protection level 2, 3 or 4; 0: not stated
  std::vector<Network> networks;
  std::vector<Name> interfaces;
  bool readable = true;  // false: some part was wrong and is left out, already reported
};

// A name for several domains.
struct Group {
  Name name;
  std::vector<Name> domains;
};

struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;  // inclusive
  SourceRange range;
};

struct Service {
  Name name;
  std::vector<PortRange> tcp;
  std::vector<PortRange> udp;
  bool icmp = false;
  bool readable = true;
};

// Either `any` or the listed names.
struct NameList {
  bool any = false;
  std::vector<Name> names;
  SourceRange range;
};

struct Flow {
  SourceRange range;  // the line: where its map begins
  NameList from;
  NameList to;
  NameList service;
  Action action = Action::allow;
  Inspect inspect = Inspect::none;
  std::optional<bool> log;  // not stated: an allowed flow is not logged, a denied one is
  std::string reason;
  std::string ticket;
  std::string author;
  std::optional<std::chrono::year_month_day> expires;  // the last day on which the line holds
  SourceRange expires_range;
  bool readable = true;
};

struct File {
  std::vector<Domain> domains;
  std::vector<Group> groups;
  std::vector<Service> services;
  std::vector<Flow> flows;
};

}  // namespace text
}  // namespace menshen::policy
