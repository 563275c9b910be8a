// The ruleset in a real kernel, between network namespaces of our own. Hidden: run by
// kernel_test.sh, which says so when it cannot (not root).
#include "policy/nft/kernel.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <optional>
#include <utility>

#include "base/file.hpp"
#include "policy/nft/lower.hpp"
#include "policy/nft/nflog.hpp"
#include "policy/nft/reason.hpp"
#include "policy/policy.hpp"
#include "policy/prove/prove.hpp"
#include "policy/prove/trace.hpp"

namespace menshen::policy::nft {
namespace {

constexpr int patience_ms =
    10'000;  // a bound for a broken build, never a wait that passes by itself

Policy policy_of(const std::string& flows) {
  const std::string text = R"(
domains:
  finance: {networks: [10.10.0.0/16, "fd00:10::/48"], interfaces: [fin0]}
  tax: {networks: [10.20.0.0/16, "fd00:20::/48"], interfaces: [tax0]}
  portal: {networks: [10.30.0.0/24, "fd00:30::/64"], interfaces: [por0]}
services:
  web: {tcp: [80, "8000-8100"]}
  db: {tcp: [5432]}
  dns: {udp: [53], tcp: [53]}
  ping: {icmp: true}
flows:
)" + flows;
  auto loaded = load("test.yaml", text, {std::chrono::year(2026) / 11 / 23, Expired::error});
  INFO(loaded.diagnostics.render(Lang::en));
  REQUIRE(loaded.policy);
  return *std::move(loaded.policy);
}

const std::string usual_flows = R"(
  - {from: finance, to: portal, service: [db, dns, ping]}
  - {from: finance, to: portal, service: web, inspect: block}
  - {from: tax, to: portal, service: db, action: deny}
  - {from: tax, to: portal, service: any}
)";

std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::array<char, 4096> buffer{};
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe))
    out.append(buffer.data(), got);
  const int status = ::pclose(pipe);
  INFO(command << "\n" << out);
  REQUIRE(status == 0);
  return out;
}

struct Host {
  std::string name;  // also of its link on the appliance: name + "0"
  std::string v4;
  std::string v6;
  UniqueFd ns;
};

// Three hosts around an appliance. Every socket stays in the namespace where it was made.
class Lab {
 public:
  Lab() : home_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    REQUIRE(home_);
    appliance_ = add_namespace("gate");
    in(appliance_, [&] {
      set("/proc/sys/net/ipv4/ip_forward", "1");
      set("/proc/sys/net/ipv6/conf/all/forwarding", "1");
    });
    add_host("fin", "10.10.0", "fd00:10::");
    add_host("tax", "10.20.0", "fd00:20::");
    add_host("por", "10.30.0", "fd00:30::");
  }
  ~Lab() {
    static_cast<void>(::setns(home_.get(), CLONE_NEWNET));
    for (const std::string& name : names_)
      if (std::system(("ip netns del " + name).c_str()) != 0) std::perror("ip netns del");
  }
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  void in(const UniqueFd& ns, const std::function<void()>& work) {
    struct Return {
      int home;
      ~Return() { static_cast<void>(::setns(home, CLONE_NEWNET)); }
    };
    const Return back{home_.get()};
    REQUIRE(::setns(ns.get(), CLONE_NEWNET) == 0);
    work();
  }
  void in_gate(const std::function<void()>& work) { in(appliance_, work); }
  std::string gate_output(const std::string& command) {
    std::string out;
    in_gate([&] { out = output_of(command); });
    return out;
  }
  Host& host(const std::string& name) {
    for (Host& each : hosts_)
      if (each.name == name) return each;
    FAIL("no host " << name);
    std::abort();
  }
  std::unique_ptr<NftKernel> kernel() {
    std::unique_ptr<NftKernel> out;
    in_gate([&] {
      auto opened = NftKernel::open();
      INFO((opened ? "" : opened.error().text.en));
      REQUIRE(opened);
      out = *std::move(opened);
    });
    return out;
  }

 private:
  static void set(const char* path, const char* value) { std::ofstream(path) << value; }
  UniqueFd add_namespace(const std::string& name) {
    const std::string full = fmt::format("menshen-pt-{}-{}", ::getpid(), name);
    output_of("ip netns add " + full);
    names_.push_back(full);
    UniqueFd fd(::open(("/run/netns/" + full).c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(fd);
    return fd;
  }
  void add_host(const std::string& name, const std::string& net4, const std::string& net6) {
    Host host{name, net4 + ".2", net6 + "2", add_namespace(name)};
    const std::string gate = names_.front();
    const std::string& own = names_.back();
    output_of(
        fmt::format("ip -n {} link add {}0 type veth peer name eth0 netns {}", gate, name, own));
    output_of(fmt::format("ip -n {} addr add {}.1/24 dev {}0", gate, net4, name));
    output_of(fmt::format("ip -n {} addr add {}1/64 dev {}0 nodad", gate, net6, name));
    output_of(fmt::format("ip -n {} link set {}0 up", gate, name));
    output_of(fmt::format("ip -n {} addr add {}/24 dev eth0", own, host.v4));
    output_of(fmt::format("ip -n {} addr add {}/64 dev eth0 nodad", own, host.v6));
    output_of(fmt::format("ip -n {} link set eth0 up", own));
    output_of(fmt::format("ip -n {} link set lo up", own));
    output_of(fmt::format("ip -n {} route add default via {}.1", own, net4));
    output_of(fmt::format("ip -n {} -6 route add default via {}1", own, net6));
    hosts_.push_back(std::move(host));
  }

  UniqueFd home_;
  UniqueFd appliance_;
  std::vector<std::string> names_;
  std::vector<Host> hosts_;
};

struct Address {
  sockaddr_storage storage{};
  socklen_t bytes = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Address address(const std::string& ip, std::uint16_t port) {
  Address out;
  if (ip.find(':') == std::string::npos) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    REQUIRE(::inet_pton(AF_INET, ip.c_str(), &v4->sin_addr) == 1);
    out.bytes = sizeof(*v4);
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    REQUIRE(::inet_pton(AF_INET6, ip.c_str(), &v6->sin6_addr) == 1);
    out.bytes = sizeof(*v6);
  }
  return out;
}

UniqueFd bound(Lab& lab, const std::string& host, int type, const std::string& ip,
               std::uint16_t port) {
  UniqueFd fd;
  lab.in(lab.host(host).ns, [&] {
    const Address local = address(ip, port);
    fd = UniqueFd(::socket(local.get()->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    REQUIRE(fd);
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    REQUIRE(::bind(fd.get(), local.get(), local.bytes) == 0);
    if (type == SOCK_STREAM) REQUIRE(::listen(fd.get(), 8) == 0);
  });
  return fd;
}

bool ready(int fd, short events, int timeout_ms) {
  pollfd wait{fd, events, 0};
  return ::poll(&wait, 1, timeout_ms) == 1;
}

// A TCP connection being opened.
UniqueFd connecting(Lab& lab, const std::string& host, const std::string& ip, std::uint16_t port) {
  const Host& from = lab.host(host);
  UniqueFd fd = bound(lab, host, SOCK_DGRAM, from.v4, 0);  // replaced below; keeps the type simple
  lab.in(from.ns, [&] {
    const Address to = address(ip, port);
    fd = UniqueFd(::socket(to.get()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int result = ::connect(fd.get(), to.get(), to.bytes);
    REQUIRE((result == 0 || errno == EINPROGRESS));
  });
  return fd;
}

bool connected(const UniqueFd& fd, int timeout_ms) {
  if (!ready(fd.get(), POLLOUT, timeout_ms)) return false;
  int error = 0;
  socklen_t bytes = sizeof(error);
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &bytes);
  return error == 0;
}

UniqueFd accepted(const UniqueFd& listener) {
  REQUIRE(ready(listener.get(), POLLIN, patience_ms));
  UniqueFd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  REQUIRE(fd);
  return fd;
}

void say(const UniqueFd& fd, const std::string& text) {
  REQUIRE(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(text.size()));
}

// What comes within timeout_ms; empty: nothing.
std::string hear(const UniqueFd& fd, int timeout_ms) {
  if (!ready(fd.get(), POLLIN, timeout_ms)) return {};
  std::array<char, 4096> buffer{};
  const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
  return got < 0 ? std::string() : std::string(buffer.data(), static_cast<std::size_t>(got));
}

void send_to(const UniqueFd& fd, const std::string& ip, std::uint16_t port) {
  const Address to = address(ip, port);
  REQUIRE(::sendto(fd.get(), "x", 1, 0, to.get(), to.bytes) == 1);
}

std::uint64_t packets(NftKernel& kernel, Reason reason) {
  const auto counters = kernel.counters("menshen");
  REQUIRE(counters);
  return (*counters)[static_cast<std::size_t>(reason)].packets;
}

// Returns once the counter is above `before`: the packet has been judged.
void await(NftKernel& kernel, Reason reason, std::uint64_t before) {
  for (int i = 0; i < patience_ms; ++i) {
    if (packets(kernel, reason) > before) return;
    ::poll(nullptr, 0, 1);
  }
  FAIL("the counter never moved: " << static_cast<int>(reason));
}

std::uint32_t commit(NftKernel& kernel, const Policy& policy, LowerOptions options = {}) {
  const auto live = kernel.read_back("menshen");
  REQUIRE(live);
  options.generation = next_generation(*live);
  const auto done = kernel.commit(lower(policy, options));
  INFO((done ? "" : done.error().text.en));
  REQUIRE(done);
  return options.generation;
}

// Lets n calls pass, then fails each.
class FailingPort final : public NetlinkPort {
 public:
  FailingPort(std::unique_ptr<NetlinkPort> real, std::size_t calls)
      : real_(std::move(real)), calls_(calls) {}
  Result<void> send(std::span<const std::byte> message) override {
    if (fails()) return fail(ErrorCode::io, {"故障", "fault"});
    return real_->send(message);
  }
  Result<std::size_t> receive(std::span<std::byte> buffer, int timeout_ms) override {
    if (fails()) return fail(ErrorCode::io, {"故障", "fault"});
    return real_->receive(buffer, timeout_ms);
  }

 private:
  bool fails() { return calls_ == 0 || --calls_ == 0; }
  std::unique_ptr<NetlinkPort> real_;
  std::size_t calls_;
};

}  // namespace

TEST_CASE("what is committed is what is read back", "[.netns]") {
  Lab lab;
  auto kernel = lab.kernel();
  const auto none = kernel->read_back("menshen");
  REQUIRE(none);
  CHECK_FALSE(none->present);
  CHECK(kernel->counters("menshen").error().code == ErrorCode::not_found);

  const Ruleset want = lower(policy_of(usual_flows), {.generation = 7});
  REQUIRE(kernel->commit(want));
  const auto live = kernel->read_back("menshen");
  REQUIRE(live);
  CHECK(live->present);
  CHECK(live->ruleset.generation == 7);
  CHECK(to_text(live->ruleset) == to_text(want));
  for (const Drift& drift : compare(want, *live))
    FAIL_CHECK(drift.text.en << ": " << drift.want << " | " << drift.live);
  // nft's own listing must cope with our sets.
  const std::string listed = lab.gate_output("nft list table inet menshen");
  INFO(listed);
  CHECK(listed.find("chain forward") != std::string::npos);
  const std::string json = lab.gate_output("nft -j list table inet menshen");
  CHECK(json.find("\"forward\"") != std::string::npos);

  REQUIRE(kernel->remove("menshen"));
  REQUIRE(kernel->remove("menshen"));
  CHECK_FALSE(kernel->read_back("menshen")->present);
}

TEST_CASE("neighbouring networks and the ends of the address space", "[.netns]") {
  Lab lab;
  auto kernel = lab.kernel();
  const std::string text = R"(
domains:
  low: {networks: [0.0.0.0/8, "::/8"], interfaces: [fin0]}
  next: {networks: [1.0.0.0/8, 10.1.0.0/16], interfaces: [tax0]}
  high: {networks: [255.0.0.0/8, "ff00::/8"], interfaces: [por0]}
  inner: {networks: [10.0.0.0/8], interfaces: [in0]}
  rest: {networks: [0.0.0.0/0, "::/0"]}
services: {all: {tcp: ["1-65535"]}, one: {tcp: [1], udp: [65535]}}
flows:
  - {from: low, to: next, service: one}
  - {from: low, to: [next, high], service: all}
  - {from: rest, to: any, service: any, action: deny, log: false}
  - {from: any, to: high, service: one, inspect: alert, log: true}
)";
  auto loaded = load("edges.yaml", text, {std::chrono::year(2026) / 11 / 23, Expired::error});
  INFO(loaded.diagnostics.render(Lang::en));
  REQUIRE(loaded.policy);
  const Ruleset want = lower(*loaded.policy, {.generation = generation_max});
  REQUIRE(kernel->commit(want));
  const auto live = kernel->read_back("menshen");
  REQUIRE(live);
  CHECK(to_text(live->ruleset) == to_text(want));
  CHECK(compare(want, *live).empty());
  CHECK(next_generation(*live) <= generation_max);
}

TEST_CASE("a change by somebody else is found, and put right by a commit", "[.netns]") {
  Lab lab;
  auto kernel = lab.kernel();
  const Ruleset want = lower(policy_of(usual_flows), {.generation = 7});
  REQUIRE(kernel->commit(want));
  const std::vector<std::pair<std::string, DriftKind>> changes{
      {"add rule inet menshen allowed accept", DriftKind::rule_added},
      {"insert rule inet menshen forward accept", DriftKind::rule_added},
      {"flush chain inet menshen track", DriftKind::rule_missing},
      {"add chain inet menshen hole '{ type filter hook forward priority -5; }'",
       DriftKind::chain_added},
      {"add chain inet menshen forward '{ policy accept; }'", DriftKind::chain_changed},
      {"delete element inet menshen attached '{ 1 . \"fin0\" }'", DriftKind::element_missing},
      {"add element inet menshen attached '{ 2 . \"fin0\" }'", DriftKind::element_added},
      {"add element inet menshen net4 '{ 192.0.2.0/24 : 1 }'", DriftKind::element_added},
      {"add set inet menshen extra '{ type mark; }'", DriftKind::set_added},
      {"add table inet menshen '{ flags dormant; }'", DriftKind::table_dormant},
      {"delete table inet menshen", DriftKind::table_missing},
  };
  for (const auto& [command, kind] : changes) {
    INFO(command);
    // A full set takes no more: somebody who adds an element makes room first.
    if (command.find("add element inet menshen attached") == 0)
      lab.gate_output("nft \"delete element inet menshen attached { 3 . \\\"por0\\\" }\"");
    lab.gate_output("nft " + command);
    const auto live = kernel->read_back("menshen");
    REQUIRE(live);
    const auto drifts = compare(want, *live);
    CHECK(std::any_of(drifts.begin(), drifts.end(),
                      [&, k = kind](const Drift& d) { return d.kind == k; }));
    REQUIRE(kernel->commit(want));
    CHECK(compare(want, *kernel->read_back("menshen")).empty());
  }
}

TEST_CASE("other tables are not touched", "[.netns]") {
  Lab lab;
  auto kernel = lab.kernel();
  lab.gate_output(
      "nft 'add table inet other; add chain inet other c { type filter hook forward "
      "priority 5; }; add rule inet other c counter; add table ip menshen'");
  const std::string before =
      lab.gate_output("nft list table inet other; nft list table ip menshen");
  REQUIRE(kernel->commit(lower(policy_of(usual_flows), {.generation = 7})));
  REQUIRE(kernel->commit(lower(policy_of(usual_flows), {.generation = 8})));
  REQUIRE(kernel->remove("menshen"));
  const std::string after = lab.gate_output("nft list table inet other; nft list table ip menshen");
  CHECK(after == before);
}

TEST_CASE("only what the policy allows passes, in IPv4 and IPv6", "[.netns]") {
  Lab lab;
  auto kernel = lab.kernel();
  commit(*kernel, policy_of(usual_flows));
  const auto own = [&](const Host& h, bool v6) { return v6 ? h.v6 : h.v4; };
  for (const bool v6 : {false, true}) {
    INFO((v6 ? "IPv6" : "IPv4"));
    const std::string portal = own(lab.host("por"), v6);
    const std::string tax = own(lab.host("tax"), v6);
    const UniqueFd db = bound(lab, "por", SOCK_STREAM, portal, 5432);
    const UniqueFd other = bound(lab, "por", SOCK_DGRAM, portal, 9999);
    const UniqueFd dns = bound(lab, "por", SOCK_DGRAM, portal, 53);
    const UniqueFd tax_dns = bound(lab, "tax", SOCK_DGRAM, tax, 53);

    const UniqueFd client = connecting(lab, "fin", portal, 5432);
    REQUIRE(connected(client, patience_ms));
    const UniqueFd server = accepted(db);
    say(client, "select 1");
    CHECK(hear(server, patience_ms) == "select 1");
    say(server, "1");
    CHECK(hear(client, patience_ms) == "1");

    const UniqueFd udp = bound(lab, "fin", SOCK_DGRAM, own(lab.host("fin"), v6), 0);
    send_to(udp, portal, 53);
    CHECK(hear(dns, patience_ms) == "x");

    const auto denied = packets(*kernel, Reason::denied_default);
    send_to(udp, portal, 9999);  // not a service of finance
    await(*kernel, Reason::denied_default, denied);
    CHECK(hear(other, 0).empty());
    send_to(udp, tax, 53);  // no line at all
    await(*kernel, Reason::denied_default, denied + 1);
    CHECK(hear(tax_dns, 0).empty());

    // A deny line before a wide allow.
    const auto denied_line = packets(*kernel, Reason::denied_line);
    const UniqueFd refused = connecting(lab, "tax", portal, 5432);
    await(*kernel, Reason::denied_line, denied_line);
    CHECK_FALSE(connected(refused, 0));
    const UniqueFd tax_udp = bound(lab, "tax", SOCK_DGRAM, tax, 0);
    send_to(tax_udp, portal, 9999);
    CHECK(hear(other, patience_ms) == "x");

    const auto unknown = packets(*kernel, Reason::unknown_destination);
    send_to(udp, v6 ? "fd00:10::1:1" : "10.30.0.2", 53);
    lab.in_gate([&] {
      output_of(fmt::format("ip route replace {} dev por0", v6 ? "fd00:99::/64" : "10.99.0.0/24"));
    });
    send_to(udp, v6 ? "fd00:99::1" : "10.99.0.1", 53);
    await(*kernel, Reason::unknown_destination, unknown);
  }
  lab.in(lab.host("fin").ns, [&] {
    output_of("ping -c1 -W5 10.30.0.2");
    output_of("ping -6 -c1 -W5 fd00:30::2");
  });
}

TEST_CASE("a spoofed source is dropped and told of, whatever the policy allows", "[.netns]") {
  Lab lab;
  auto kernel = lab.kernel();
  commit(*kernel, policy_of(usual_flows));
  std::optional<NflogReader> reader;
  lab.in_gate([&] {
    auto opened = NflogReader::open(100);
    REQUIRE(opened);
    reader.emplace(*std::move(opened));
    CHECK(NflogReader::open(100).error().code == ErrorCode::exists);
  });
  lab.in(lab.host("tax").ns, [&] {
    output_of("ip addr add 10.10.0.9/32 dev lo; ip addr add fd00:10::9/128 dev lo nodad");
  });
  const UniqueFd dns = bound(lab, "por", SOCK_DGRAM, "10.30.0.2", 53);
  for (const auto& [source, target] :
       {std::pair("10.10.0.9", "10.30.0.2"), std::pair("fd00:10::9", "fd00:30::2")}) {
    const auto before = packets(*kernel, Reason::spoofed);
    const UniqueFd liar = bound(lab, "tax", SOCK_DGRAM, source, 4444);
    send_to(liar, target, 53);
    await(*kernel, Reason::spoofed, before);
    REQUIRE(ready(reader->fd(), POLLIN, patience_ms));
    std::vector<DroppedPacket> dropped;
    lab.in_gate([&] { dropped = *reader->read(); });  // interface names are the gate's
    REQUIRE(dropped.size() == 1);
    CHECK(dropped[0].reason == Reason::spoofed);
    CHECK(dropped[0].tuple_known);
    CHECK(dropped[0].tuple.src.to_string() == source);
    CHECK(dropped[0].tuple.dst.to_string() == target);
    CHECK(dropped[0].tuple.sport == 4444);
    CHECK(dropped[0].tuple.dport == 53);
    CHECK(dropped[0].tuple.proto == IpProto::udp);
    CHECK(dropped[0].in_interface == "tax0");
    CHECK(dropped[0].out_interface == "por0");
    CHECK(dropped[0].excerpt.size() == dropped[0].length);
  }
  CHECK(hear(dns, 0).empty());
  CHECK(reader->lost() == 0);
}

TEST_CASE("a flood is counted whole and logged within the rate", "[.netns]") {
  Lab lab;
  auto kernel = lab.kernel();
  commit(*kernel, policy_of(usual_flows), {.log_per_second = 1, .log_burst = 5});
  const UniqueFd udp = bound(lab, "fin", SOCK_DGRAM, "10.10.0.2", 0);
  for (int i = 0; i < 300; ++i) send_to(udp, "10.20.0.2", 53);
  await(*kernel, Reason::denied_default, 299);
  CHECK(packets(*kernel, Reason::denied_default) == 300);
  CHECK(packets(*kernel, Reason::logged) >= 5);
  CHECK(packets(*kernel, Reason::logged) < 100);
}

TEST_CASE("a new policy ends the flows that it denies and leaves the others", "[.netns]") {
  Lab lab;
  auto kernel = lab.kernel();
  commit(*kernel, policy_of(usual_flows));
  const UniqueFd listener = bound(lab, "por", SOCK_STREAM, "10.30.0.2", 5432);
  const UniqueFd client = connecting(lab, "fin", "10.30.0.2", 5432);
  REQUIRE(connected(client, patience_ms));
  const UniqueFd server = accepted(listener);

  commit(*kernel, policy_of(usual_flows));
  say(client, "still there");
  CHECK(hear(server, patience_ms) == "still there");

  commit(*kernel, policy_of("  - {from: finance, to: portal, service: dns}\n"));
  auto before = packets(*kernel, Reason::denied_default);
  say(client, "cut");
  await(*kernel, Reason::denied_default, before);
  CHECK(hear(server, 0).empty());
  before = packets(*kernel, Reason::denied_default);
  say(server, "cut, too");  // replies are judged by who opened the connection
  await(*kernel, Reason::denied_default, before);
  CHECK(hear(client, 0).empty());

  commit(*kernel, policy_of(usual_flows));
  CHECK(hear(server, patience_ms) == "cut");  // TCP tries again
}

TEST_CASE("replies need no line of their own, and open nothing", "[.netns]") {
  Lab lab;
  auto kernel = lab.kernel();
  commit(*kernel, policy_of(usual_flows));
  // From the portal to finance, from the server's port: no connection, no line.
  const UniqueFd udp = bound(lab, "por", SOCK_DGRAM, "10.30.0.2", 53);
  const UniqueFd victim = bound(lab, "fin", SOCK_DGRAM, "10.10.0.2", 4000);
  const auto before = packets(*kernel, Reason::denied_default);
  send_to(udp, "10.10.0.2", 4000);
  await(*kernel, Reason::denied_default, before);
  CHECK(hear(victim, 0).empty());
  // ... but once finance has asked, the answer passes.
  send_to(victim, "10.30.0.2", 53);
  CHECK(hear(udp, patience_ms) == "x");
  send_to(udp, "10.10.0.2", 4000);
  CHECK(hear(victim, patience_ms) == "x");
}

TEST_CASE("the empty policy drops everything", "[.netns]") {
  Lab lab;
  auto kernel = lab.kernel();
  const Ruleset want = lower(Policy(), {.generation = 7});
  REQUIRE(kernel->commit(want));
  const auto live = kernel->read_back("menshen");
  REQUIRE(live);
  CHECK(compare(want, *live).empty());
  const UniqueFd udp = bound(lab, "fin", SOCK_DGRAM, "10.10.0.2", 0);
  send_to(udp, "10.30.0.2", 53);
  await(*kernel, Reason::unknown_source, 0);
}

TEST_CASE("an ICMP error about an allowed flow passes", "[.netns]") {
  Lab lab;
  auto kernel = lab.kernel();
  commit(*kernel, policy_of("  - {from: finance, to: portal, service: dns}\n"));
  for (const auto& [own, target] :
       {std::pair("10.10.0.2", "10.30.0.2"), std::pair("fd00:10::2", "fd00:30::2")}) {
    const UniqueFd udp = bound(lab, "fin", SOCK_DGRAM, own, 0);
    const Address to = address(target, 53);
    REQUIRE(::connect(udp.get(), to.get(), to.bytes) == 0);
    say(udp, "x");  // nobody listens there
    REQUIRE(ready(udp.get(), POLLIN, patience_ms));
    std::array<char, 8> buffer{};
    CHECK(::recv(udp.get(), buffer.data(), buffer.size(), 0) == -1);
    CHECK(errno == ECONNREFUSED);
  }
}

// One packet of each class that the hosts can send, through the kernel: what the proof's own model
// says of it must be what the counters say.
TEST_CASE("witness packets meet in the kernel what the proof says of them", "[.netns]") {
  Lab lab;
  auto kernel = lab.kernel();
  const Policy policy = policy_of(usual_flows);
  LowerOptions options{.log_per_second = 1, .log_burst = 1};
  options.generation = commit(*kernel, policy, options);
  const auto live = kernel->read_back("menshen");
  REQUIRE(live);
  REQUIRE(prove::prove_live(policy, *live, options).conclusion == prove::Conclusion::proved);
  std::size_t witnesses = 0;
  for (const std::string from : {"fin", "tax", "por"}) {
    for (const std::string to : {"fin", "tax", "por"}) {
      if (from == to) continue;
      for (const bool v6 : {false, true}) {
        const Host& source = lab.host(from);
        const std::string own = v6 ? source.v6 : source.v4;
        const std::string target = v6 ? lab.host(to).v6 : lab.host(to).v4;
        const UniqueFd udp = bound(lab, from, SOCK_DGRAM, own, 0);
        for (const std::uint16_t port :
             std::initializer_list<std::uint16_t>{1, 53, 80, 5432, 8000, 8100, 65535}) {
          const auto packet = prove::Packet::opening(*IpAddr::parse(own), *IpAddr::parse(target),
                                                     17, port, from + "0", to + "0");
          const auto expected = prove::trace(live->ruleset, packet).outcome;
          const auto reason = parse_reason(expected.reason);
          REQUIRE(reason);
          INFO(prove::words(packet).en << ": " << prove::words(expected).en);
          const auto before = kernel->counters("menshen");
          send_to(udp, target, port);
          await(*kernel, *reason, (*before)[static_cast<std::size_t>(*reason)].packets);
          // Its only count, but for an answer that nobody listens there.
          const auto after = kernel->counters("menshen");
          for (std::size_t other = 0; other < reasons; ++other) {
            const auto each = static_cast<Reason>(other);
            if (each == *reason || each == Reason::logged || each == Reason::allowed) continue;
            CHECK((*after)[other].packets == (*before)[other].packets);
          }
          ++witnesses;
        }
      }
    }
  }
  CHECK(witnesses == 84);
}

TEST_CASE("with no sensor listening, inspected flows stop or pass as chosen", "[.netns]") {
  Lab lab;
  auto kernel = lab.kernel();
  const UniqueFd listener = bound(lab, "por", SOCK_STREAM, "10.30.0.2", 8080);
  const Policy policy = policy_of(usual_flows);
  commit(*kernel, policy, {.queue_bypass = false});
  const auto before = packets(*kernel, Reason::inspected);
  const UniqueFd closed = connecting(lab, "fin", "10.30.0.2", 8080);
  await(*kernel, Reason::inspected, before);
  CHECK_FALSE(connected(closed, 0));

  commit(*kernel, policy, {.queue_bypass = true});
  const UniqueFd open = connecting(lab, "fin", "10.30.0.2", 8080);
  CHECK(connected(open, patience_ms));
}

TEST_CASE("counters go on over a commit", "[.netns]") {
  Lab lab;
  auto kernel = lab.kernel();
  commit(*kernel, policy_of(usual_flows));
  const UniqueFd udp = bound(lab, "fin", SOCK_DGRAM, "10.10.0.2", 0);
  send_to(udp, "10.20.0.2", 53);
  await(*kernel, Reason::denied_default, 0);
  commit(*kernel, policy_of(usual_flows));
  CHECK(packets(*kernel, Reason::denied_default) == 1);
}

TEST_CASE("whichever netlink call fails, the kernel holds the old or the new ruleset", "[.netns]") {
  Lab lab;
  auto kernel = lab.kernel();
  const Ruleset old_one = lower(policy_of(usual_flows), {.generation = 7});
  const Ruleset new_one =
      lower(policy_of("  - {from: finance, to: portal, service: dns}\n"), {.generation = 8});
  int old_held = 0;
  int new_held = 0;
  for (std::size_t calls = 1;; ++calls) {
    REQUIRE(calls < 100);
    REQUIRE(kernel->commit(old_one));
    Result<void> result;
    bool opened = false;
    lab.in_gate([&] {
      auto faulty = NftKernel::open(std::make_unique<FailingPort>(*open_netlink(), calls));
      if (!faulty) return;
      opened = true;
      result = (*faulty)->commit(new_one);
    });
    const auto live = kernel->read_back("menshen");
    REQUIRE(live);
    const bool is_old = compare(old_one, *live).empty();
    const bool is_new = compare(new_one, *live).empty();
    INFO("call " << calls);
    CHECK(is_old != is_new);
    if (!opened || (!result && result.error().code != ErrorCode::unavailable)) CHECK(is_old);
    if (opened && result) CHECK(is_new);
    (is_old ? old_held : new_held)++;
    if (opened && result) break;
  }
  CHECK(old_held > 0);
  CHECK(new_held > 1);  // once with the answer lost, once untouched
}

TEST_CASE("a ruleset that the kernel refuses changes nothing and says which step", "[.netns]") {
  Lab lab;
  auto kernel = lab.kernel();
  const Ruleset good = lower(policy_of(usual_flows), {.generation = 7});
  REQUIRE(kernel->commit(good));
  Ruleset bad = good;
  bad.chains.front().rules.push_back({{Lookup{"no_such_set", 0, DataType::none, 0, false}}});
  const auto result = kernel->commit(bad);
  REQUIRE_FALSE(result);
  INFO(result.error().text.en);
  CHECK(result.error().text.en.find("of chain " + bad.chains.front().name) != std::string::npos);
  CHECK(result.error().text.en.find("ENOENT") != std::string::npos);
  CHECK(compare(good, *kernel->read_back("menshen")).empty());
}

}  // namespace menshen::policy::nft
