// What a person or another program is told of a rule: the part of it that events carry.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace menshen::sensor {

enum class RuleAction : std::uint8_t { pass, drop, reject, alert };  // in order of precedence
enum class RejectTarget : std::uint8_t { source, destination, both };

struct RuleInfo {
  RuleAction action = RuleAction::alert;
  RejectTarget reject_target = RejectTarget::source;
  std::uint32_t gid = 1;
  std::uint32_t sid = 0;
  std::uint32_t rev = 0;
  std::uint32_t priority = 3;  // 1 (highest) to 255: EVE's alert.severity
  std::string msg;
  std::string classtype;  // its short name
  std::string category;   // its description; empty where no classification names it
  std::vector<std::pair<std::string, std::string>> metadata;    // key, value; keys may repeat
  std::vector<std::pair<std::string, std::string>> references;  // system ("cve", "url"), identifier
  std::string target;  // "src_ip", "dest_ip" or empty: which end is the victim
  std::string file;    // where it was loaded from
  std::uint32_t line = 0;
};

}  // namespace menshen::sensor
