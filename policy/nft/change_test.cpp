// Changes of the kernel's table that send only what differs, and who is seen to make them. Hidden:
// run by kernel_test.sh.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>

#include "base/file.hpp"
#include "policy/nft/kernel.hpp"
#include "policy/nft/lower.hpp"
#include "policy/nft/surroundings.hpp"
#include "policy/nft/watch.hpp"
#include "policy/policy.hpp"
#include "policy/prove/prove.hpp"

namespace menshen::policy::nft {
namespace {

// A network namespace of our own, entered for the life of this object.
class Namespace {
 public:
  Namespace() : home_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    REQUIRE(::unshare(CLONE_NEWNET) == 0);
  }
  ~Namespace() { static_cast<void>(::setns(home_.get(), CLONE_NEWNET)); }
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;

 private:
  UniqueFd home_;
};

void run(const std::string& command) {
  INFO(command);
  REQUIRE(std::system(command.c_str()) == 0);
}

// Domains that come and go, with lines of every shape.
std::string random_policy(std::mt19937& random) {
  const auto below = [&](unsigned n) {
    return std::uniform_int_distribution<unsigned>(0, n - 1)(random);
  };
  std::string text = "domains:\n  always: {networks: [10.250.0.0/16], interfaces: [up0]}\n";
  std::vector<std::string> names{"always"};
  for (unsigned i = 0; i < 12; ++i) {
    if (below(3) == 0) continue;
    names.push_back(fmt::format("d{}", i));
    // Neighbouring networks, so that intervals join and part.
    text +=
        fmt::format("  d{}: {{networks: [10.{}.{}.0/24, \"fd00:{}::/48\"]{}}}\n", i, i / 4,
                    below(2) == 0 ? i : i + 100, i,
                    below(4) == 0 ? "" : fmt::format(", interfaces: [if{}]", below(2) * 20 + i));
  }
  text += "services:\n";
  for (unsigned s = 0; s < 5; ++s)
    text += fmt::format("  s{}: {{tcp: [{}, \"{}-{}\"], udp: [53]}}\n", s, 100 + s,
                        1000 + below(3) * 10, 1100 + s * 10);
  text += "flows:\n";
  for (unsigned i = 0; i < 8; ++i) {
    const std::string from =
        below(4) == 0 ? "any" : names[below(static_cast<unsigned>(names.size()))];
    std::string to = from;
    while (to == from)
      to = below(4) == 0 ? "any" : names[below(static_cast<unsigned>(names.size()))];
    text += fmt::format("  - {{from: {}, to: {}, service: s{}{}}}\n", from, to, below(5),
                        below(3) == 0 ? ", inspect: block" : "");
  }
  return text;
}

}  // namespace

TEST_CASE("whatever the policies, a change leads to what a whole commit leads to", "[.netns]") {
  const Namespace own;
  auto opened = NftKernel::open();
  REQUIRE(opened);
  NftKernel& kernel = **opened;
  std::mt19937 random(3);
  LowerOptions options{.generation = 1};
  int done = 0;
  for (int round = 0; round < 60; ++round) {
    const std::string text = random_policy(random);
    const auto loaded = load("r.yaml", text, {std::chrono::year(2026) / 11 / 23, Expired::error});
    if (!loaded.policy) continue;
    INFO(text);
    const auto before = kernel.read_back("menshen");
    REQUIRE(before);
    ++options.generation;
    options.log_per_second = round % 5 == 0 ? 50 : 100;  // rules change too
    const Ruleset want = lower(*loaded.policy, options);
    const auto changed = kernel.change(*before, want);
    INFO((changed ? "" : changed.error().text.en));
    REQUIRE(changed);
    const auto live = kernel.read_back("menshen");
    REQUIRE(live);
    for (const Drift& drift : compare(want, *live)) {
      FAIL_CHECK(drift.text.en << ": " << drift.want << " | " << drift.live);
      break;
    }
    if (round % 10 == 0) {
      const auto report = prove::prove_live(*loaded.policy, *live, options);
      INFO(prove::words(report).en);
      CHECK(report.conclusion == prove::Conclusion::proved);
    }
    ++done;
  }
  CHECK(done > 20);
}

TEST_CASE("a change from an older reading is refused, and changes nothing", "[.netns]") {
  const Namespace own;
  auto opened = NftKernel::open();
  REQUIRE(opened);
  NftKernel& kernel = **opened;
  const auto policy = [](const char* flow) {
    const auto loaded =
        load("p.yaml",
             "domains:\n  a: {networks: [10.1.0.0/16], interfaces: [a0]}\n  b: {networks: "
             "[10.2.0.0/16], interfaces: [b0]}\nservices: {web: {tcp: [80]}}\nflows:\n" +
                 std::string(flow),
             {std::chrono::year(2026) / 11 / 23, Expired::error});
    REQUIRE(loaded.policy);
    return *loaded.policy;
  };
  const Ruleset first = lower(policy("  - {from: a, to: b, service: web}\n"), {.generation = 5});
  const Ruleset second = lower(policy("  - {from: b, to: a, service: web}\n"), {.generation = 6});
  REQUIRE(kernel.commit(first));
  const auto old = kernel.read_back("menshen");
  REQUIRE(old);
  run("nft add table inet other");
  const auto refused = kernel.change(*old, second);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::exists);
  CHECK(compare(first, *kernel.read_back("menshen")).empty());
  REQUIRE(kernel.change(*kernel.read_back("menshen"), second));
  CHECK(compare(second, *kernel.read_back("menshen")).empty());
}

TEST_CASE("a full set is made anew", "[.netns]") {
  const Namespace own;
  auto opened = NftKernel::open();
  REQUIRE(opened);
  NftKernel& kernel = **opened;
  Ruleset small = lower(Policy(), {.generation = 5});
  REQUIRE(kernel.commit(small));
  Ruleset large = small;
  auto& flows = *std::find_if(large.sets.begin(), large.sets.end(),
                              [](const Set& set) { return set.name == "flows"; });
  const std::uint32_t room = flows.capacity;
  CHECK(room == 64);
  for (std::uint32_t i = 0; i <= room; ++i) {
    Element element;
    std::memcpy(element.first.bytes.data(), &i, sizeof(i));
    element.last = element.first;
    element.value = 1;
    flows.elements.push_back(element);
  }
  std::sort(flows.elements.begin(), flows.elements.end());
  flows.capacity = 2 * room;
  REQUIRE(kernel.change(*kernel.read_back("menshen"), large));
  const auto live = kernel.read_back("menshen");
  CHECK(compare(large, *live).empty());
}

TEST_CASE("a change by somebody else is told of, with its process", "[.netns]") {
  const Namespace own;
  auto opened = NftKernel::open();
  REQUIRE(opened);
  NftKernel& kernel = **opened;
  auto watch = TransactionWatch::open();
  REQUIRE(watch);
  bool overrun = false;
  // However many elements: one transaction is one notification.
  Ruleset large = lower(Policy(), {.generation = 5});
  REQUIRE(kernel.commit(large));
  auto seen = watch->read(overrun);
  REQUIRE(seen);
  REQUIRE(seen->size() == 1);
  CHECK(seen->front().sender == kernel.address());
  CHECK(seen->front().process == static_cast<std::uint32_t>(::getpid()));

  run("nft flush chain inet menshen track");
  pollfd ready{watch->fd(), POLLIN, 0};
  REQUIRE(::poll(&ready, 1, 10'000) == 1);
  seen = watch->read(overrun);
  REQUIRE(seen);
  REQUIRE(seen->size() == 1);
  CHECK(seen->front().sender != kernel.address());
  CHECK(seen->front().process_name == "nft");
  CHECK_FALSE(overrun);
  CHECK(watch->read(overrun)->empty());
}

TEST_CASE("what else takes part in forwarding is listed", "[.netns]") {
  const Namespace own;
  auto opened = NftKernel::open();
  REQUIRE(opened);
  NftKernel& kernel = **opened;
  REQUIRE(kernel.commit(lower(Policy(), {.generation = 5})));
  CHECK(kernel.others("menshen")->empty());
  auto around = surroundings();
  REQUIRE(around);
  CHECK(around->empty());

  run("nft 'add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }'");
  run("nft 'add table inet own; add chain inet own in { type filter hook input priority 0; }'");
  const auto others = kernel.others("menshen");
  REQUIRE(others);
  REQUIRE(others->size() == 1);  // what is for the appliance itself does not count
  CHECK(others->front().en == "another chain, ip nat post (hook postrouting)");

  run("ip link add br0 type bridge && ip link add x0 type veth peer name x1 && "
      "ip link set x0 master br0 && ip link set x1 master br0");
  around = surroundings();
  REQUIRE(around);
  REQUIRE(around->size() == 1);
  CHECK(around->front().en.find("bridge br0") == 0);
}

}  // namespace menshen::policy::nft
