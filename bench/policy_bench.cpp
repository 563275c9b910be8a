// What policies cost at size, step by step; for bench/policy.py. Prints JSON.
//
//   measure DOMAINS FOLDER   load, lower, prove, commit, read back, change one line; `nft -f` too
//   hold DOMAINS             a ruleset for packets; 0: none
//   send DOMAINS PACKETS     packets of its flows, with their CPU time
//   answer DOMAINS PACKETS   the other direction
//   passed                   how many packets the ruleset let pass
//
// Each domain of `measure` has 4 networks and 20 flows. All but send and answer work on the kernel
// of the network namespace this program runs in.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"
#include "policy/nft/kernel.hpp"
#include "policy/nft/lower.hpp"
#include "policy/policy.hpp"
#include "policy/prove/pair.hpp"
#include "policy/prove/prove.hpp"

namespace {

using namespace menshen;
using namespace menshen::policy;

constexpr std::size_t flows_per_domain = 20;
constexpr std::size_t services = 40;

// Domain i has a network of its own in 10/8 (a /24 up to 65,536 domains) for tests with packets,
// two more in 100.64/10 and 172.16/12, and one IPv6 network; its flows go to domains that follow
// it.
std::string policy_text(std::size_t domains, bool other_last_line) {
  std::string text = "domains:\n";
  for (std::size_t i = 0; i < domains; ++i) {
    const auto high = i >> 8U;
    const auto low = i & 255U;
    text += fmt::format(
        "  d{}: {{networks: [10.{}.{}.0/24, 100.{}.{}.0/24, 172.{}.{}.0/24, \"fd00:{:x}::/48\"], "
        "interfaces: [{}]}}\n",
        i, high, low, 64 + (high & 63U), low, 16 + (high >> 2U & 15U) + (high & 3U) * 64U, low, i,
        i == 0 ? "in0" : fmt::format("if{}", i));
  }
  text += "services:\n";
  for (std::size_t s = 0; s < services; ++s)
    text += fmt::format("  s{}: {{{}: [{}]}}\n", s, s % 4 == 3 ? "udp" : "tcp", 1000 + s * 10);
  text += "flows:\n";
  for (std::size_t i = 0; i < domains; ++i) {
    for (std::size_t f = 0; f < flows_per_domain && domains > 1; ++f) {
      const std::size_t to = (i + 1 + f * 37 % (domains - 1)) % domains;
      if (to == i) continue;
      const std::size_t service = (i * 7 + f) % services;
      const bool other = other_last_line && i + 1 == domains && f + 1 == flows_per_domain;
      text += fmt::format("  - {{from: d{}, to: d{}, service: s{}}}\n", i, to,
                          other ? (service + 1) % services : service);
    }
  }
  return text;
}

double seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

[[noreturn]] void die(const std::string& text) {
  std::fprintf(stderr, "bench_policy: %s\n", text.c_str());
  std::exit(1);
}

Policy load_policy(const std::string& text) {
  auto loaded = load("bench.yaml", text, {std::chrono::year(2026) / 11 / 23, Expired::error});
  if (!loaded.policy) die(loaded.diagnostics.render(Lang::en).substr(0, 2000));
  return *std::move(loaded.policy);
}

// --- the kernel of this namespace --------------------------------------------------------------

template <class T>
T or_die(Result<T> result) {
  if (!result) die(result.error().text.en);
  return *std::move(result);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Tells the time between handing a transaction to the kernel and its answer.
class TimedPort final : public nft::NetlinkPort {
 public:
  TimedPort(std::unique_ptr<nft::NetlinkPort> real, double& spent)
      : real_(std::move(real)), spent_(spent) {}
  Result<void> send(std::span<const std::byte> message) override {
    Result<void> result;
    spent_ += seconds([&] { result = real_->send(message); });
    return result;
  }
  Result<std::size_t> receive(std::span<std::byte> buffer, int timeout_ms) override {
    Result<std::size_t> result = std::size_t{0};
    spent_ += seconds([&] { result = real_->receive(buffer, timeout_ms); });
    return result;
  }

 private:
  std::unique_ptr<nft::NetlinkPort> real_;
  double& spent_;
};

void check(const Result<void>& result) {
  if (!result) die(result.error().text.en);
}

// The same ruleset by `nft -f`, in a namespace of its own: every set with every element. nft cannot
// load the few rules of its own listing that queue or look up a connection's port; they are left
// out.
double nft_seconds(const std::string& folder) {
  const std::string file = folder + "/bench.nft";
  const std::string list =
      "(echo 'table inet menshen'; echo 'delete table inet menshen'; nft list "
      "table inet menshen | grep -vE 'xt target|queue num|proto-dst map') 2>/dev/null > " +
      file;
  if (std::system(list.c_str()) != 0) die("cannot list the ruleset by nft");
  return seconds([&] {
    if (std::system(("unshare -n nft -f " + file).c_str()) != 0) die("nft -f failed");
  });
}

void measure_kernel(nlohmann::json& out, const Policy& policy, const std::string& text,
                    const std::string& folder) {
  double in_kernel = 0;
  auto kernel = or_die(
      nft::NftKernel::open(std::make_unique<TimedPort>(or_die(nft::open_netlink()), in_kernel)));
  nft::LowerOptions options{.generation = 2};
  const nft::Ruleset first = nft::lower(policy, options);
  out["commit_seconds"] = seconds([&] { check(kernel->commit(first)); });
  nft::LiveRuleset live;
  out["read_back_seconds"] = seconds([&] { live = or_die(kernel->read_back("menshen")); });
  if (!nft::compare(first, live).empty()) die("the kernel holds something else");
  if (policy.lines().size() > 1) {
    const Policy other = load_policy(text);
    std::vector<double> whole;
    std::vector<double> kernel_part;
    for (int i = 0; i < 5; ++i) {  // to the other policy and back again
      ++options.generation;
      const nft::Ruleset next = nft::lower(i % 2 == 0 ? other : policy, options);
      in_kernel = 0;
      whole.push_back(seconds([&] { check(kernel->change(live, next)); }));
      kernel_part.push_back(in_kernel);
      live = or_die(kernel->read_back("menshen"));
      if (!nft::compare(next, live).empty()) die("the kernel holds something else");
    }
    out["change_seconds"] = median(whole);
    out["change_kernel_seconds"] = median(kernel_part);
  }
  out["nft_seconds"] = nft_seconds(folder);
  check(kernel->remove("menshen"));
}

// The lines of each pair, as a daemon would keep them.
std::vector<Line> lines_of(const Policy& policy, DomainId from, DomainId to) {
  std::vector<Line> out;
  for (const Line& line : policy.lines())
    if (line.from.front() == from && line.to.front() == to) out.push_back(line);
  return out;
}

void measure_line(nlohmann::json& out, const Policy& policy, const nft::Ruleset& ruleset,
                  const nft::LowerOptions& options) {
  const prove::PairProver prover(policy, ruleset, options);
  std::vector<double> each;
  for (std::size_t i = 0; i < std::min<std::size_t>(policy.lines().size(), 21); ++i) {
    const Line& line = policy.lines()[i * (policy.lines().size() / 21 + 1) % policy.lines().size()];
    const auto lines = lines_of(policy, line.from.front(), line.to.front());
    each.push_back(seconds([&] {
      if (prover.difference(ruleset, line.from.front(), line.to.front(), lines))
        die("a pair is not as it was proved");
    }));
  }
  if (!each.empty()) out["prove_line_seconds"] = median(each);
}

// --- packets -----------------------------------------------------------------------------------

constexpr std::size_t packet_flows = 4096;  // as many whatever the number of domains

// Domains behind any interface, each allowed to the next one.
std::string packets_policy(std::size_t domains) {
  std::string text = "domains:\n";
  for (std::size_t i = 0; i < domains; ++i)
    text += fmt::format("  d{}: {{networks: [10.{}.{}.0/24]}}\n", i, 64 + (i >> 8U), i & 255U);
  text += "services: {bench: {udp: [5000]}}\nflows:\n";
  if (domains == 1) text += "  []\n";
  for (std::size_t i = 0; i < domains && domains > 1; ++i)
    text += fmt::format("  - {{from: d{}, to: d{}, service: bench}}\n", i, (i + 1) % domains);
  return text;
}

std::uint32_t address_in(std::size_t domain, std::uint8_t host) {
  return 10U << 24U | static_cast<std::uint32_t>(64 + (domain >> 8U)) << 16U |
         static_cast<std::uint32_t>(domain & 255U) << 8U | host;
}

struct Datagram {
  iphdr ip;
  udphdr udp;
};

// Flow i: from a domain to the next one; back: its answer.
Datagram datagram(std::size_t i, std::size_t domains, bool back) {
  const std::size_t from = i * 7919 % domains;
  const std::uint32_t src = address_in(from, 10);
  const std::uint32_t dst = address_in((from + 1) % domains, 20);
  Datagram out{};
  out.ip.version = 4;
  out.ip.ihl = 5;
  out.ip.tot_len = htons(sizeof(Datagram));
  out.ip.ttl = 64;
  out.ip.protocol = IPPROTO_UDP;
  out.ip.saddr = htonl(back ? dst : src);
  out.ip.daddr = htonl(back ? src : dst);
  const auto client = htons(static_cast<std::uint16_t>(20'000 + i));
  out.udp.source = back ? htons(5000) : client;
  out.udp.dest = back ? client : htons(5000);
  out.udp.len = htons(sizeof(udphdr));
  return out;
}

// Sends `packets` over the flows and prints the nanoseconds of CPU time each took, with what the
// kernel did for it on its way.
int send_packets(std::size_t domains, std::size_t packets, bool back) {
  const UniqueFd fd(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  if (!fd) die("cannot open a raw socket");
  std::vector<Datagram> all;
  for (std::size_t i = 0; i < packet_flows; ++i) all.push_back(datagram(i, domains, back));
  timespec begin{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
  for (std::size_t i = 0; i < packets; ++i) {
    const Datagram& each = all[i % all.size()];
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = each.ip.daddr;
    if (::sendto(fd.get(), &each, sizeof(each), 0, reinterpret_cast<const sockaddr*>(&to),
                 sizeof(to)) < 0)
      die("cannot send");
  }
  timespec end{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
  const double spent = static_cast<double>(end.tv_sec - begin.tv_sec) * 1e9 +
                       static_cast<double>(end.tv_nsec - begin.tv_nsec);
  std::printf("%s\n", nlohmann::json{{"ns", spent / static_cast<double>(packets)}}.dump().c_str());
  return 0;
}

// Puts the policy of packets_policy into the kernel; 0 domains: takes it out.
int hold(std::size_t domains) {
  auto kernel = or_die(nft::NftKernel::open());
  if (domains == 0) {
    check(kernel->remove("menshen"));
  } else {
    check(kernel->commit(nft::lower(load_policy(packets_policy(domains)), {.generation = 3})));
  }
  return 0;
}

// How many packets passed since the table was made.
int passed() {
  auto kernel = or_die(nft::NftKernel::open());
  const auto counters = or_die(kernel->counters("menshen"));
  const auto count = counters[static_cast<std::size_t>(nft::Reason::allowed)].packets;
  std::printf("%s\n", nlohmann::json{{"packets", count}}.dump().c_str());
  return 0;
}

std::size_t number(std::string_view text) {
  std::size_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

int measure(std::size_t domains, const std::string& folder) {
  nlohmann::json out;
  out["domains"] = domains;
  const std::string text = policy_text(domains, false);
  Policy policy;
  out["load_seconds"] = seconds([&] { policy = load_policy(text); });
  out["flows"] = policy.lines().size();
  const nft::LowerOptions options{.generation = 1};
  nft::Ruleset ruleset;
  out["lower_seconds"] = seconds([&] { ruleset = nft::lower(policy, options); });
  prove::Report report;
  out["prove_seconds"] = seconds([&] { report = prove::prove(policy, ruleset, options); });
  if (report.conclusion != prove::Conclusion::proved) die(prove::words(report).en);
  out["prove_nodes"] = report.nodes;
  measure_line(out, policy, ruleset, options);
  measure_kernel(out, policy, policy_text(domains, true), folder);
  std::printf("%s\n", out.dump().c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const auto is = [&](const char* what, std::size_t count) {
    return words.size() == count && words[0] == what;
  };
  if (is("measure", 3)) return measure(number(words[1]), words[2]);
  if (is("hold", 2)) return hold(number(words[1]));
  if (is("send", 3)) return send_packets(number(words[1]), number(words[2]), false);
  if (is("answer", 3)) return send_packets(number(words[1]), number(words[2]), true);
  if (is("passed", 1)) return passed();
  die("usage: bench_policy measure DOMAINS FOLDER | hold DOMAINS | send DOMAINS PACKETS | "
      "answer DOMAINS PACKETS | passed");
}
