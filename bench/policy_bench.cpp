// What policies cost at size, step by step: bench_policy DOMAINS. One JSON object on standard output.
//
// Each domain has 4 networks and 20 flows. "commit" and what follows need root; they work on the
// kernel of the network namespace this program runs in.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>

#include "policy/nft/kernel.hpp"
#include "policy/nft/lower.hpp"
#include "policy/policy.hpp"
#include "policy/prove/prove.hpp"

namespace {

using namespace menshen;
using namespace menshen::policy;

constexpr std::size_t flows_per_domain = 20;
constexpr std::size_t services = 40;

// Domain i has a network of its own in 10/8 (a /24 up to 65,536 domains) for tests with packets,
// two more in 100.64/10 and 172.16/12, and one IPv6 network; its flows go to domains that follow it.
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

}  // namespace

int main(int argc, char** argv) {
  std::size_t domains = 0;
  const std::string_view size = argc > 1 ? argv[1] : "";
  std::from_chars(size.data(), size.data() + size.size(), domains);
  if (domains == 0) die("usage: bench_policy DOMAINS");
  nlohmann::json out;
  out["domains"] = domains;
  const std::string text = policy_text(domains, false);
  Policy policy;
  out["load_seconds"] = seconds([&] { policy = load_policy(text); });
  out["flows"] = policy.lines().size();
  nft::LowerOptions options{.generation = 1};
  nft::Ruleset ruleset;
  out["lower_seconds"] = seconds([&] { ruleset = nft::lower(policy, options); });
  prove::Report report;
  out["prove_seconds"] = seconds([&] { report = prove::prove(policy, ruleset, options); });
  if (report.conclusion != prove::Conclusion::proved) die(prove::words(report).en);
  out["prove_nodes"] = report.nodes;
  std::printf("%s\n", out.dump().c_str());
  return 0;
}
