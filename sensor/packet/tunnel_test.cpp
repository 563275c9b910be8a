#include "sensor/packet/tunnel.hpp"

#include <catch2/catch.hpp>

#include "sensor/packet/decode.hpp"
#include "sensor/packet/test_batch.hpp"

namespace menshen::sensor {

using testing::TestBatch;
using testkit::packet;
using testkit::Packet;

namespace {

Packet bytes(std::initializer_list<int> values) {
  Packet out;
  for (const int value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

Packet join(Packet a, const Packet& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Packet web() { return packet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 80).payload("GET /"); }
Packet web6() { return packet().ipv6("fd00::1", "fd00::2").tcp(1, 80).payload("GET /"); }
Packet frame() {
  return packet().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 80).payload("GET /");
}
Packet over_ip(std::uint8_t protocol, const Packet& content) {
  return packet().ethernet().ipv4("192.0.2.1", "192.0.2.2").protocol(protocol).payload(content);
}
Packet over_udp(std::uint16_t port, const Packet& content) {
  return packet().ethernet().ipv4("192.0.2.1", "192.0.2.2").udp(4000, port).payload(content);
}

// One tunnel opened, its content decoded.
struct Opened {
  explicit Opened(Packet outer_frame) {
    outer.add(std::move(outer_frame));
    outer.decode();
    PacketMeta& packet = (*outer).packets()[0];
    marked = packet.tunnel;
    if (!marked) return;
    content = open_tunnel(packet);
    if (!content) return;
    inner.add(Packet(content->bytes.begin(), content->bytes.end()), content->link);
    inner.decode();
    payload = as_text((*inner).packets()[0].payload());
    tenant = tunnel_tenant(0, packet, *content);
  }
  [[nodiscard]] bool noted(Anomaly anomaly) { return (*outer).packets()[0].has(anomaly); }
  TestBatch outer;
  TestBatch inner;
  bool marked = false;
  std::optional<TunnelContent> content;
  std::string_view payload;
  std::uint64_t tenant = 0;
};

Packet vxlan(int vni, const Packet& content) {
  return over_udp(vxlan_port, join(bytes({8, 0, 0, 0, 0, 0, vni, 0}), content));
}

}  // namespace

TEST_CASE("every kind of tunnel gives its packet") {
  struct Row {
    const char* name;
    Packet frame;
    TunnelKind kind;
    std::uint32_t id;
  };
  const Row rows[] = {
      {"IPv4 in IPv4", over_ip(4, web()), TunnelKind::ip_in_ip, 0},
      {"IPv6 in IPv4", over_ip(41, web6()), TunnelKind::ip_in_ip, 0},
      {"MPLS in IP", over_ip(137, join(bytes({0, 1, 1, 64}), web())), TunnelKind::mpls_in_ip, 0},
      {"GRE", over_ip(47, join(bytes({0, 0, 8, 0}), web())), TunnelKind::gre, 0},
      {"GRE with a key and a checksum",
       over_ip(47, join(bytes({0xa0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 2}), web())), TunnelKind::gre,
       258},
      {"GRE, Ethernet", over_ip(47, join(bytes({0, 0, 0x65, 0x58}), frame())), TunnelKind::gre, 0},
      {"GRE, a VLAN tag", over_ip(47, join(bytes({0, 0, 0x81, 0, 0, 5, 8, 0}), web())),
       TunnelKind::gre, 0},
      {"GRE of PPTP",
       over_ip(47,
               join(bytes({0x30, 1, 0x88, 0x0b, 0, 9, 0, 1, 0, 0, 0, 1, 0xff, 3, 0, 0x21}), web())),
       TunnelKind::gre, 0},
      {"ERSPAN I", over_ip(47, join(bytes({0, 0, 0x88, 0xbe}), frame())), TunnelKind::erspan, 0},
      {"ERSPAN II",
       over_ip(47,
               join(bytes({0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 7, 0, 1, 0, 0, 0, 0}), frame())),
       TunnelKind::erspan, 7},
      {"VXLAN", vxlan(42, frame()), TunnelKind::vxlan, 42},
      {"GENEVE with an option",
       over_udp(geneve_port, join(bytes({1, 0, 0x65, 0x58, 0, 0, 9, 0, 0, 0, 0, 0}), frame())),
       TunnelKind::geneve, 9},
      {"Teredo with the origin",
       over_udp(teredo_port, join(bytes({0, 0, 1, 2, 3, 4, 5, 6}), web6())), TunnelKind::teredo, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const Opened opened(row.frame);
    REQUIRE(opened.content);
    CHECK(opened.content->kind == row.kind);
    CHECK(opened.content->id == row.id);
    CHECK(opened.payload == "GET /");
  }
}

TEST_CASE("what only looks like a tunnel stays what it is") {
  CHECK_FALSE(Opened(over_udp(vxlan_port, bytes({1, 2, 3}))).content);
  CHECK_FALSE(Opened(over_udp(vxlan_port, join(bytes({0, 0, 0, 0, 0, 0, 1, 0}), frame()))).content);
  CHECK(Opened(over_udp(teredo_port, web6())).content.has_value());
  CHECK_FALSE(Opened(over_udp(teredo_port, web())).content);
  CHECK_FALSE(Opened(over_udp(53, web())).marked);
  CHECK_FALSE(Opened(over_ip(50, web())).marked);  // encrypted
}

TEST_CASE("tunnel headers that contradict themselves are noted") {
  struct Row {
    Packet header;
    Anomaly anomaly;
  };
  const Row rows[] = {
      {bytes({0, 2, 8, 0}), Anomaly::gre_wrong_version},
      {bytes({1, 0, 8, 0}), Anomaly::gre_version0_recur},
      {bytes({0, 8, 8, 0}), Anomaly::gre_version0_flags},
      {bytes({0x40, 0, 8, 0, 0, 0, 0, 0, 1, 1, 0, 200}), Anomaly::gre_version0_malformed_sre_hdr},
      {bytes({0x30, 1, 8, 0, 0, 0, 0, 0}), Anomaly::gre_version1_wrong_protocol},
      {bytes({0x10, 1, 0x88, 0x0b, 0, 0, 0, 0}), Anomaly::gre_version1_no_key},
      {bytes({0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x50, 7, 0, 1, 0, 0, 0, 0}),
       Anomaly::erspan_unsupported_version},
  };
  for (const Row& row : rows) {
    CAPTURE(anomaly_info(row.anomaly).name);
    Opened opened(over_ip(47, row.header));
    CHECK(opened.noted(row.anomaly));
  }
  Opened unknown(vxlan(1, bytes({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0})));
  CHECK(unknown.noted(Anomaly::vxlan_unknown_payload_type));
}

TEST_CASE("a header cut anywhere is refused, never read past") {
  const Packet whole = join(
      bytes({0xf0, 0, 0x88, 0xbe, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0x10, 7, 0, 1}),
      bytes({0, 0, 0, 0}));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    Packet cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    Opened opened(over_ip(47, cut));
    if (opened.content) CHECK(opened.content->bytes.size() <= size);
  }
}

TEST_CASE("ways in differ by network, kind and tag, and are the same both ways") {
  const Opened one(vxlan(1, frame()));
  const Opened two(vxlan(2, frame()));
  const Opened back(packet()
                        .ethernet()
                        .ipv4("192.0.2.2", "192.0.2.1")
                        .udp(4001, vxlan_port)
                        .payload(join(bytes({8, 0, 0, 0, 0, 0, 1, 0}), frame())));
  const Opened tagged(packet()
                          .ethernet()
                          .vlan(5)
                          .ipv4("192.0.2.1", "192.0.2.2")
                          .udp(4000, vxlan_port)
                          .payload(join(bytes({8, 0, 0, 0, 0, 0, 1, 0}), frame())));
  const Opened geneve(over_udp(geneve_port, join(bytes({0, 0, 0x65, 0x58, 0, 0, 1, 0}), frame())));
  CHECK(one.tenant != 0);
  CHECK(one.tenant == back.tenant);
  CHECK(one.tenant != two.tenant);
  CHECK(one.tenant != tagged.tenant);
  CHECK(one.tenant != geneve.tenant);
}

}  // namespace menshen::sensor
