#include "compliance/collect/host.hpp"

#include <catch2/catch.hpp>

#include "compliance/catalogue/catalogue.hpp"
#include "compliance/collect/parse.hpp"
#include "compliance/testing/shipped.hpp"

namespace menshen::compliance {
namespace {

using nlohmann::json;
using testing::catalogue;
using testing::FakeHost;
using testing::FixedClock;
using testing::now;

Facts collect(const FakeHost& host) {
  return collect_host(host, catalogue().sources, FixedClock(now), "menshen-01");
}

json value(const Facts& facts, std::string_view path) {
  const Facts::Found found = facts.find(path);
  INFO(path);
  REQUIRE(found.value != nullptr);
  return *found.value;
}

TEST_CASE("a weak host is seen as it is") {
  const Facts facts = collect(testing::weak_host(now));
  CHECK(value(facts, "host.accounts.uid0") == json({"root", "toor"}));
  CHECK(value(facts, "host.accounts.empty_passwords") == json({"guest"}));
  CHECK(value(facts, "host.accounts.weak_hashes") == json({"toor"}));
  CHECK(value(facts, "host.accounts.expired_but_open") == json({"wang"}));
  CHECK(value(facts, "host.listening.exposed_tcp") == json({22, 23, 2375}));
  CHECK(value(facts, "host.listening.exposed_udp") == json({161}));
  CHECK(value(facts, "host.sudo.without_password").size() == 1);
  CHECK(value(facts, "host.updates.security") == 1);
  CHECK(value(facts, "host.updates.pending") == 2);
  CHECK(value(facts, "host.sshd.settings.permitrootlogin") == "yes");
  CHECK(value(facts, "host.modes./etc/shadow.mode") == "0644");
  CHECK(value(facts, "host.identity.os") == "Debian GNU/Linux 12 (bookworm)");
}

TEST_CASE("a hardened host is seen as it is") {
  const Facts facts = collect(testing::hardened_host(now));
  CHECK(value(facts, "host.listening.exposed_tcp") == json({22}));
  CHECK(value(facts, "host.listening.tcp") == json({22, 6379}));
  CHECK(value(facts, "host.file./etc/login.defs.settings.PASS_MAX_DAYS") == "90");
  CHECK(value(facts, "host.file./etc/security/faillock.conf.settings.even_deny_root") == true);
  CHECK(value(facts, "host.auditd.enabled") == 2);
  CHECK(value(facts, "host.auditd.rules") == 2);
  CHECK(value(facts, "host.time.synchronised") == true);
  CHECK(value(facts, "host.trusted.secure_boot") == true);
  CHECK(value(facts, "host.session.tmout") == 600);
  CHECK(value(facts, "host.logging.forward_targets") == json({"@@log.example.gov.cn:6514"}));
  CHECK(value(facts, "host.malware.signature_age_days") == 2);
}

TEST_CASE("every fact names its source, time and digests") {
  const Facts facts = collect(testing::hardened_host(now));
  for (const auto& [name, fact] : facts.all()) {
    INFO(name);
    CHECK(!fact.provenance.source.empty());
    CHECK(fact.provenance.object == "menshen-01");
    CHECK(fact.provenance.collected_at == now);
    CHECK(fact.provenance.sha256.size() == 64);
    CHECK(fact.provenance.sm3.size() == 64);
    CHECK(fact.provenance.excerpt.size() <= excerpt_bytes_max);
  }
}

TEST_CASE("no password hash leaves the collector") {
  const Facts facts = collect(testing::weak_host(now));
  for (const auto& [name, fact] : facts.all()) {
    INFO(name);
    for (const char* secret : {"secrethashroot", "oldhash", "$6$", "$1$"}) {
      CHECK(fact.value.dump().find(secret) == std::string::npos);
      CHECK(fact.provenance.excerpt.find(secret) == std::string::npos);
    }
  }
}

TEST_CASE("what cannot be read is a failed fact; the rest goes on") {
  const auto [broken, fact] = GENERATE(table<const char*, const char*>({
      {"/etc/shadow", "host.accounts"},
      {"/etc/login.defs", "host.file./etc/login.defs"},
      {"/etc/sudoers", "host.sudo"},
      {"/proc/net/tcp", "host.listening"},
      {"/proc", "host.processes"},
      {"/proc/sys/net/ipv4/conf/all/send_redirects", "host.sysctl"},
      {"/var/log", "host.modes"},
      {"/var/lib/clamav/daily.cld", "host.malware"},
      {"/etc/rsyslog.d/90-forward.conf", "host.logging"},
      {"/etc/pam.d/common-auth", "host.pam"},
      {"/etc/profile.d/tmout.sh", "host.session"},
      {"sshd", "host.sshd"},
      {"packages", "host.packages"},
      {"updates", "host.updates"},
      {"audit_status", "host.auditd"},
  }));
  FakeHost host = testing::hardened_host(now);
  host.broken.insert(broken);
  const Facts facts = collect(host);
  INFO(broken);
  REQUIRE(facts.find(fact).fact != nullptr);
  CHECK(facts.find(fact).fact->failure.has_value());
  CHECK_FALSE(facts.find("host.identity").fact->failure.has_value());
}

TEST_CASE("without package lists nothing is said about updates") {
  FakeHost host = testing::hardened_host(now);
  host.files.erase("/var/lib/apt/lists/debian_main_Packages");
  CHECK(collect(host).find("host.updates").fact->failure.has_value());
}

TEST_CASE("an empty host yields failures and absences, not values that look sound") {
  const Facts facts = collect(FakeHost());
  for (const char* name : {"host.accounts", "host.processes", "host.pam", "host.listening",
                           "host.packages", "host.updates"}) {
    INFO(name);
    CHECK(facts.find(name).fact->failure.has_value());
  }
  CHECK(facts.find("host.modes./etc/shadow.mode").value == nullptr);
  CHECK(facts.find("host.sysctl.net.ipv4.conf.all.send_redirects").value == nullptr);
}

TEST_CASE("sockets bound to loopback are not exposed") {
  const auto line = [](const std::string& address) {
    return "   0: " + address + ":1F90 0:0 0A 0:0\n";
  };
  CHECK(parse::listening(line("0100007F"), "0A").exposed.empty());
  CHECK(parse::listening(line("00000000000000000000000001000000"), "0A").exposed.empty());
  CHECK(parse::listening(line("0000000000000000FFFF00000100007F"), "0A").exposed.empty());
  CHECK(parse::listening(line("00000000"), "0A").exposed == std::vector<int>{8080});
  CHECK(parse::listening(line("00000000000000000000000000000000"), "0A").exposed.size() == 1);
  CHECK(parse::listening(line("00000000"), "07").all.empty());
}

TEST_CASE("PAM options and modules of several files come together") {
  json into = {{"modules", json::object()}, {"options", json::object()}};
  parse::pam("auth\t[success=1 default=ignore]\tpam_faillock.so deny=3 silent\n@include x\n", into);
  parse::pam("-auth optional pam_u2f.so cue\n# auth required pam_oath.so\n", into);
  CHECK(into["modules"]["auth"] == json({"pam_faillock", "pam_u2f"}));
  CHECK(into["options"]["pam_faillock.deny"] == "3");
  CHECK(into["options"]["pam_u2f.cue"] == true);
}

TEST_CASE("the real host answers, and a slow command ends at its time") {
  const LocalHost host;
  CHECK(host.read("/proc/self/comm"));
  CHECK(host.read("/no/such/file").error().code == ErrorCode::not_found);
  CHECK(host.read("/etc").error().code == ErrorCode::invalid);
  CHECK(host.status("/etc/passwd")->owner == "root");
  CHECK(host.list("/no/such/folder").error().code == ErrorCode::not_found);
  CHECK(host.run({"x", {"no-such-program"}, std::chrono::seconds(1)}).error().code ==
        ErrorCode::not_found);
  const auto echoed = host.run({"x", {"echo", "a", "b;c"}, std::chrono::seconds(30)});
  REQUIRE(echoed);
  CHECK(echoed->out == "a b;c\n");
  CHECK(host.run({"x", {"false"}, std::chrono::seconds(30)})->status == 1);
  CHECK(host.run({"x", {"sleep", "600"}, std::chrono::milliseconds(20)}).error().code ==
        ErrorCode::unavailable);
  CHECK(LocalHost("/tmp").run({"x", {"echo"}, std::chrono::seconds(1)}).error().code ==
        ErrorCode::unavailable);
}

}  // namespace
}  // namespace menshen::compliance
