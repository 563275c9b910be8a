#include "policy/import/import.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.hpp"
#include "policy/import/regions.hpp"
#include "policy/import/service_set.hpp"
#include "policy/policy.hpp"

namespace menshen::policy::imports {
namespace {

// The corpora of the fuzz targets are samples of what is read.
std::string sample(std::string_view name) {
  auto text = read_file(std::filesystem::path(MENSHEN_SOURCE_DIR) / "tests/corpus" / name,
                        source_bytes_max);
  REQUIRE(text);
  return *std::move(text);
}

struct Made {
  Imported imported;
  Policy policy;

  [[nodiscard]] bool passes(const char* src, const char* dst, IpProto proto,
                            std::uint16_t port) const {
    const FlowQuery query{*IpAddr::parse(src), *IpAddr::parse(dst), proto, port, {}, {}};
    return policy.decide(query).action == Action::allow;
  }
  [[nodiscard]] bool lost(Effect effect, std::string_view place) const {
    return std::any_of(imported.losses.begin(), imported.losses.end(), [&](const Loss& loss) {
      return loss.effect == effect && loss.place.find(place) != std::string::npos;
    });
  }
};

Made make(Format format, std::vector<std::string> texts, const ImportOptions& options = {}) {
  std::vector<Source> sources;
  sources.reserve(texts.size());
  for (std::string& text : texts)
    sources.push_back({fmt::format("file{}", sources.size() + 1), std::move(text)});
  auto imported = import_rules(format, sources, options);
  if (!imported) FAIL(imported.error().text.en);
  INFO(imported->yaml);
  Loaded loaded = load("made.yaml", imported->yaml, {std::chrono::year(2026) / 11 / 23});
  INFO(loaded.diagnostics.render(Lang::en));
  REQUIRE(loaded.policy);
  return {*std::move(imported), *std::move(loaded.policy)};
}

Error refusal(Format format, std::string text) {
  const std::array sources{Source{"file", std::move(text)}};
  const auto made = import_rules(format, sources, {});
  REQUIRE_FALSE(made);
  return made.error();
}

}  // namespace

TEST_CASE("sets of services have the algebra of sets") {
  const ServiceSet web = ServiceSet::of_ports(IpProto::tcp, 80, 80);
  const ServiceSet low = ServiceSet::of_ports(IpProto::tcp, 1, 1023);
  CHECK(both(web, low) == web);
  CHECK(either(web, low) == low);
  CHECK(without(web, low).empty());
  CHECK(without(low, web).tcp == std::vector<PortRange>{{1, 79}, {81, 1023}});
  CHECK(either(without(low, web), web) == low);
  CHECK(without(ServiceSet::all(), ServiceSet{}) == ServiceSet::all());
  CHECK(either(without(ServiceSet::all(), web), web) == ServiceSet::all());
  CHECK(ServiceSet::of_protocol("ipv6-icmp")->icmp);
  CHECK_FALSE(ServiceSet::of_protocol("sctp"));
}

TEST_CASE("nested networks become disjoint regions that cover the same addresses") {
  const auto regions = regions_of({*Prefix::parse("10.0.0.0/8"), *Prefix::parse("10.1.0.0/16"),
                                   *Prefix::parse("10.1.2.3"), *Prefix::parse("10.0.0.0/9"),
                                   *Prefix::parse("10.128.0.0/9"), *Prefix::parse("fd00::/8")});
  REQUIRE(regions);
  // Both halves cover 10.0.0.0/8, so it makes no region of its own.
  REQUIRE(regions->size() == 5);
  double addresses = 0;
  std::vector<Prefix> all;
  for (const Region& region : *regions) {
    for (const Prefix& each : region.networks) {
      CHECK(contains(region.outer, each));
      for (const Prefix& other : all) CHECK_FALSE(each.overlaps(other));
      all.push_back(each);
      if (each.is_v4()) addresses += static_cast<double>(std::uint64_t{1} << (32 - each.length()));
    }
  }
  CHECK(addresses == 16'777'216);
  CHECK(prefixes_of_range(*IpAddr::parse("10.0.0.1"), *IpAddr::parse("10.0.0.6")).size() == 4);
  CHECK(prefixes_of_range(*IpAddr::parse("0.0.0.0"), *IpAddr::parse("255.255.255.255")) ==
        std::vector{all_addresses(false)});
  CHECK(prefixes_of_range(*IpAddr::parse("::"),
                          *IpAddr::parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))
            .size() == 1);
  CHECK(parse_network("10.1.2.3/255.255.0.0")->to_string() == "10.1.0.0/16");
  CHECK_FALSE(parse_network("10.1.2.3/255.0.255.0"));
  CHECK_FALSE(parse_network("10.1.2.3/33"));
}

TEST_CASE("forwarding rules of iptables keep their order, jumps and comments") {
  const Made made = make(Format::iptables, {sample("import_iptables_fuzz/filter")},
                         {{{"office", *Prefix::parse("10.9.0.0/16")}}});
  CHECK(made.passes("10.1.0.1", "10.3.0.9", IpProto::tcp, 22));
  CHECK_FALSE(made.passes("10.1.0.66", "10.3.0.9", IpProto::tcp, 22));
  CHECK_FALSE(made.passes("10.2.0.1", "10.3.0.9", IpProto::tcp, 22));
  CHECK(made.passes("10.1.0.1", "10.3.0.9", IpProto::tcp, 443));
  CHECK(made.passes("192.0.2.1", "10.3.0.9", IpProto::tcp, 80));
  CHECK_FALSE(made.passes("10.2.0.1", "10.3.0.9", IpProto::tcp, 80));  // returned from the chain
  CHECK(made.passes("192.0.2.1", "10.2.3.4", IpProto::udp, 5005));
  CHECK_FALSE(made.passes("10.4.0.1", "10.2.3.4", IpProto::udp, 5005));
  CHECK_FALSE(made.passes("10.1.0.1", "10.2.0.5", IpProto::tcp, 80));
  CHECK(made.passes("10.1.0.1", "10.2.0.8", IpProto::tcp, 80));
  CHECK(made.passes("10.9.1.1", "10.2.0.8", IpProto::icmp, 0));
  CHECK_FALSE(made.passes("10.8.1.1", "10.2.0.8", IpProto::icmp, 0));
  CHECK(made.imported.yaml.find(R"(reason: "运维 \"ssh\"")") != std::string::npos);
  CHECK(made.lost(Effect::more_closed, "file1:20"));  // the rate limit
  CHECK(made.lost(Effect::none, "file1:22"));         // the log
  CHECK(made.lost(Effect::more_closed, "file1"));     // address translation
  CHECK(made.lost(Effect::more_open, ""));            // inside a network
}

TEST_CASE("what iptables says of an interface needs its networks") {
  const Made made = make(Format::iptables, {sample("import_iptables_fuzz/filter")});
  CHECK(made.lost(Effect::more_closed, "file1:19"));
  CHECK_FALSE(made.passes("10.9.1.1", "10.2.0.8", IpProto::icmp, 0));
}

TEST_CASE("both families of iptables make one policy") {
  const std::string six =
      "# Generated by ip6tables-save v1.8.9\n*filter\n:FORWARD ACCEPT [0:0]\n"
      "-A FORWARD -d fd00:2::/32 -p tcp -m tcp --dport 25 -j DROP\nCOMMIT\n";
  const Made made = make(Format::iptables, {sample("import_iptables_fuzz/filter"), six});
  CHECK(made.passes("fd00:1::1", "fd00:2::1", IpProto::tcp, 80));
  CHECK_FALSE(made.passes("fd00:1::1", "fd00:2::1", IpProto::tcp, 25));
  CHECK(made.passes("10.1.0.1", "10.3.0.9", IpProto::tcp, 22));
  CHECK_FALSE(made.passes("10.7.0.1", "10.3.0.9", IpProto::tcp, 22));
  const std::array twice{Source{"a", sample("import_iptables_fuzz/filter")},
                         Source{"b", sample("import_iptables_fuzz/filter")}};
  CHECK_FALSE(import_rules(Format::iptables, twice, {}));
}

TEST_CASE("what is no iptables-save is refused; jumps in a circle end") {
  CHECK(refusal(Format::iptables, "hello\n").code == ErrorCode::invalid);
  const Made made =
      make(Format::iptables, {"*filter\n:FORWARD ACCEPT [0:0]\n:A - [0:0]\n-A FORWARD -j A\n"
                              "-A A -s 10.0.0.0/8 -j A\nCOMMIT\n"});
  CHECK(made.lost(Effect::more_open, "4:A"));
}

TEST_CASE("rules of nft are read with their sets, maps and jumps") {
  const Made made =
      make(Format::nft, {sample("import_nft_fuzz/rules")},
           {{{"lan0", *Prefix::parse("10.1.0.0/16")}, {"lan1", *Prefix::parse("fd01::/64")}}});
  CHECK(made.passes("10.2.0.1", "10.3.0.1", IpProto::tcp, 8050));
  CHECK_FALSE(made.passes("10.2.0.1", "10.3.0.1", IpProto::udp, 8050));
  for (const char* bad : {"10.1.0.66", "10.1.0.67", "10.1.7.9"})
    CHECK_FALSE(made.passes(bad, "10.3.0.1", IpProto::tcp, 80));
  CHECK(made.passes("10.1.0.1", "192.0.2.1", IpProto::udp, 53));
  CHECK(made.passes("fd01::7", "2001:db8::1", IpProto::tcp, 53));
  CHECK_FALSE(made.passes("10.4.0.1", "10.3.0.1", IpProto::udp, 53));
  CHECK_FALSE(made.passes("10.4.0.1", "10.3.0.1", IpProto::tcp, 25));
  CHECK(made.lost(Effect::more_closed, "fw forward handle 7"));
  CHECK_FALSE(made.lost(Effect::more_open, "handle 3"));
}

TEST_CASE("nft without a forward chain, or with two, is refused") {
  CHECK(refusal(Format::nft, R"({"nftables": []})").code == ErrorCode::invalid);
  const std::string chain =
      R"({"chain": {"family": "ip", "table": "TABLE", "name": "f", "hook": "forward",)"
      R"( "prio": 0, "policy": "drop"}})";
  std::string two = R"({"nftables": [)" + chain + ", " + chain + "]}";
  two.replace(two.find("TABLE"), 5, "other");
  CHECK(refusal(Format::nft, two).text.en.find("several chains") != std::string::npos);
  CHECK(refusal(Format::nft, "{\"nftables\": [").code == ErrorCode::invalid);
  CHECK(refusal(Format::nft, std::string(100'000, '[')).code == ErrorCode::limit);
}

TEST_CASE("Neutron's groups let pass what both ends allow") {
  const std::string networks = R"({"networks": [{"id": "n", "name": "税务"}]})";
  const Made made = make(Format::openstack, {sample("import_openstack_fuzz/groups"), networks});
  CHECK(made.passes("10.50.1.10", "10.50.2.10", IpProto::tcp, 5432));
  CHECK_FALSE(made.passes("10.50.3.10", "10.50.2.10", IpProto::tcp, 5432));
  CHECK_FALSE(made.passes("10.50.1.10", "10.50.2.10", IpProto::tcp, 5433));
  CHECK(made.passes("192.0.2.1", "10.50.1.10", IpProto::tcp, 80));
  CHECK_FALSE(made.passes("192.0.2.1", "10.50.1.10", IpProto::icmp, 0));
  CHECK_FALSE(made.passes("10.50.2.10", "192.0.2.1", IpProto::tcp, 80));
  CHECK(made.passes("10.50.2.10", "10.50.1.10", IpProto::tcp, 80));
  CHECK_FALSE(made.passes("10.50.2.10", "10.50.2.11", IpProto::tcp, 5432));
  CHECK(made.passes("192.0.2.1", "10.50.3.10", IpProto::udp, 9));
  CHECK_FALSE(made.passes("10.50.3.10", "10.50.4.10", IpProto::tcp, 80));
  CHECK_FALSE(made.passes("10.50.4.10", "10.50.3.10", IpProto::tcp, 80));
  CHECK_FALSE(made.passes("fd50::10", "fd50::11", IpProto::tcp, 1));  // nothing leaves by IPv6
  CHECK(made.lost(Effect::more_closed, "security group web"));
  CHECK(made.lost(Effect::more_closed, "port p6"));
  CHECK(made.lost(Effect::none, "port p7"));
}

TEST_CASE("pods with equal rules share a domain; what cannot be carried over is told") {
  const Made made = make(Format::kubernetes, {sample("import_kubernetes_fuzz/shop")});
  const auto shared = made.policy.find_domain("shop-web");
  REQUIRE(shared);
  CHECK(made.policy.domain(*shared).networks.size() == 2);
  CHECK(made.policy.find_domain("shop-web-2-v6"));
  CHECK(made.lost(Effect::more_closed, "Pod shop/node"));
  CHECK(made.lost(Effect::more_closed, "Namespace shop"));
  CHECK(made.lost(Effect::more_closed, "NetworkPolicy shop/db"));
  CHECK(made.lost(Effect::none, "Service web"));
  CHECK(refusal(Format::kubernetes, "kind: Namespace\nmetadata: {name: x}\n").code ==
        ErrorCode::invalid);
}

TEST_CASE("lists of lists whose items do not say their kind are read to the innermost") {
  const auto pod = [](int n) {
    const std::string name = std::to_string(n);
    return R"({"metadata": {"name": "p)" + name + R"(", "labels": {"app": ")" + name +
           R"("}}, "status": {"podIP": "10.0.0.)" + name + R"("}})";
  };
  std::string inner;
  for (int n = 2; n <= 40; ++n) inner += (n == 2 ? "" : ", ") + pod(n);
  const Made made = make(Format::kubernetes,
                         {R"({"kind": "PodList", "items": [)" + pod(1) + "]}",
                          R"({"kind": "PodListList", "items": [{"items": [)" + inner + "]}]}"});
  CHECK(made.imported.domains == 41);
  CHECK(made.passes("10.0.0.1", "10.0.0.40", IpProto::tcp, 80));
}

TEST_CASE("an import beyond a limit is refused with the limit") {
  std::string text = "*filter\n:FORWARD DROP [0:0]\n";
  for (unsigned i = 0; i <= domains_made_max; ++i)
    text += fmt::format("-A FORWARD -s 10.{}.{}.0/24 -j ACCEPT\n", i / 256, i % 256);
  CHECK(refusal(Format::iptables, text + "COMMIT\n").code == ErrorCode::limit);
  std::string pods = "{\"ports\": [";
  for (unsigned i = 0; i <= domains_made_max; ++i) {
    pods += fmt::format("{}{{\"id\": \"{}\", \"fixed_ips\": [{{\"ip_address\": \"10.0.{}.{}\"}}]}}",
                        i == 0 ? "" : ",", i, i / 256, i % 256);
  }
  CHECK(refusal(Format::openstack, pods + "]}").code == ErrorCode::limit);
}

}  // namespace menshen::policy::imports
