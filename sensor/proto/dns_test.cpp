#include <catch2/catch.hpp>

#include "sensor/proto/dns_message.hpp"
#include "sensor/proto/test_stage.hpp"

namespace menshen::sensor {

using testing::Stage;
using namespace std::string_literals;

namespace {

std::string be16(std::size_t value) {
  return {static_cast<char>(value >> 8U), static_cast<char>(value & 0xffU)};
}
std::string header(std::size_t id, std::size_t flags, std::size_t questions, std::size_t answers) {
  return be16(id) + be16(flags) + be16(questions) + be16(answers) + be16(0) + be16(0);
}
std::string name(std::initializer_list<std::string_view> labels) {
  std::string out;
  for (const auto label : labels) out += static_cast<char>(label.size()) + std::string(label);
  return out + '\0';
}
std::string query(std::size_t id = 7) {
  return header(id, 0x0100, 1, 0) + name({"www", "example", "cn"}) + be16(1) + be16(1);
}
std::string answer(std::size_t id = 7) {
  return header(id, 0x8180, 1, 2) + name({"www", "example", "cn"}) + be16(1) + be16(1) +
         "\xc0\x0c" + be16(5) + be16(1) + be16(0) + be16(60) + be16(6) + "\x03web\xc0\x10" +
         "\xc0\x2c"s + be16(1) + be16(1) + be16(0) + be16(60) + be16(4) + "\x0a\x1e\x00\x05"s;
}
std::string framed(const std::string& message) { return be16(message.size()) + message; }

}  // namespace

TEST_CASE("a DNS query and its answer are one transaction") {
  Stage s;
  s.flow.tuple.proto = IpProto::udp;
  s.datagram(Direction::to_server, query());
  CHECK(s.flow.app == AppProto::dns);
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0][">dns.query"] == "www.example.cn");
  CHECK_FALSE(s.told[0].ended);
  CHECK(s.told[0].eve ==
        R"({"version":3,"type":"request","tx_id":0,"id":7,"flags":"100","rd":true,"opcode":0,)"
        R"("rcode":"NOERROR","rrname":"www.example.cn","rrtype":"A",)"
        R"("queries":[{"rrname":"www.example.cn","rrtype":"A"}]})");
  s.datagram(Direction::to_client, answer());
  REQUIRE(s.told.size() == 1);
  CHECK(s.told[0].ended);
  CHECK(s.told[0]["<dns.answer.name"] == "www.example.cn,web.example.cn");
  CHECK(s.told[0].eve.find(R"("answers":[{"rrname":"www.example.cn","rrtype":"CNAME","ttl":60,)"
                           R"("rdata":"web.example.cn"},{"rrname":"web.example.cn",)"
                           R"("rrtype":"A","ttl":60,"rdata":"10.30.0.5"}])") != std::string::npos);
}

TEST_CASE("DNS over TCP, whole and in every small piece") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1, 2, 5}));
  Stage s;
  s.client(framed(query(1)) + framed(query(2)), piece);
  s.server(framed(answer(2)) + framed(answer(1)), piece);
  CHECK(s.flow.app == AppProto::dns);
  REQUIRE(s.told.size() == 2);
  CHECK(s.told[0].ended);
  CHECK(s.told[1].ended);
  CHECK(s.told[1]["<dns.answer.name"] == "www.example.cn,web.example.cn");
}

TEST_CASE("unanswered queries give way, the oldest first") {
  ProtoLimits limits;
  limits.transactions = 3;
  Stage s(limits);
  for (std::size_t id = 0; id < 10; ++id) s.datagram(Direction::to_server, query(id));
  REQUIRE(s.told.size() == 10);
  CHECK(s.told[6].ended);
  CHECK_FALSE(s.told[7].ended);
  s.finish();
  CHECK(s.told[9].ended);
}

TEST_CASE("compression loops and chains end") {
  // A name that points to itself, and one that winds through pointers.
  const std::string self = header(1, 0, 1, 0) + "\xc0\x0c" + be16(1) + be16(1);
  const auto looped = parse_dns(as_bytes(self), 100);
  REQUIRE(looped);
  CHECK(looped->damaged);
  std::string chain = header(1, 0x8000, 0, 1);
  for (std::size_t i = 0; i < 1000; ++i) chain += be16(0xc000 | (chain.size() + 2));
  const auto wound = parse_dns(as_bytes(chain), 100);
  REQUIRE(wound);
  CHECK(wound->damaged);
}

TEST_CASE("an endless name is cut, and what follows is still read") {
  std::string labels;
  for (int i = 0; i < 2000; ++i) labels += "\x01x";
  const std::string message = header(1, 0x8000, 2, 0) + labels + '\0' + be16(1) + be16(1) +
                              name({"next"}) + be16(1) + be16(1);
  const auto parsed = parse_dns(as_bytes(message), 100);
  REQUIRE(parsed);
  CHECK(parsed->cut);
  CHECK_FALSE(parsed->damaged);
  REQUIRE(parsed->questions.size() == 2);
  CHECK(parsed->questions[0].name.size() <= dns_name_bytes_max);
  CHECK(parsed->questions[1].name == "next");
}

TEST_CASE("records beyond the limit are not kept") {
  std::string message = header(1, 0x8000, 0, 100);
  for (int i = 0; i < 100; ++i)
    message += name({"x"}) + be16(1) + be16(1) + be16(0) + be16(0) + be16(0);
  const auto parsed = parse_dns(as_bytes(message), 10);
  REQUIRE(parsed);
  CHECK(parsed->answers.size() == 10);
  CHECK(parsed->cut);
}

TEST_CASE("every shorter message is read as far as it goes") {
  const std::string whole = answer();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string part = whole.substr(0, size);
    const auto parsed = parse_dns(as_bytes(part), 100);
    CHECK(parsed.has_value() == (size >= dns_header_bytes));
    if (parsed) CHECK(parsed->damaged);
  }
}

TEST_CASE("what only looks like DNS is not") {
  CHECK(check_dns_start(as_bytes(query()), false) == DnsStart::plausible);
  CHECK(check_dns_start(as_bytes(query()), true) == DnsStart::wrong);
  CHECK(check_dns_start(as_bytes(answer()), true) == DnsStart::plausible);
  CHECK(check_dns_start(as_bytes("GET / HTTP/1.1\r\nHost"), false) == DnsStart::wrong);
  CHECK(check_dns_start(as_bytes(query().substr(0, 20)), false) == DnsStart::too_short);
  Stage netbios;
  netbios.flow.tuple.dport = 137;
  netbios.datagram(Direction::to_server, query());
  CHECK(netbios.flow.app == AppProto::failed);
  CHECK(netbios.told.empty());
  Stage from_that_port;
  from_that_port.flow.tuple.sport = 5353;
  from_that_port.flow.tuple.dport = 53;
  from_that_port.datagram(Direction::to_server, query());
  CHECK(from_that_port.flow.app == AppProto::dns);
}

TEST_CASE("types and codes have their names") {
  CHECK(dns_type_name(28) == "AAAA");
  CHECK(dns_type_name(256) == "URI");
  CHECK(dns_type_name(4711) == "4711");
  CHECK(dns_rcode_name(3) == "NXDOMAIN");
  CHECK(dns_rcode_name(14) == "14");
}

namespace {

std::string resource(std::size_t type, const std::string& data) {
  return name({"x", "cn"}) + be16(type) + be16(1) + be16(0) + be16(60) + be16(data.size()) + data;
}
std::string counts(std::size_t flags, std::size_t questions, std::size_t answers,
                   std::size_t authorities, std::size_t additionals) {
  return be16(7) + be16(flags) + be16(questions) + be16(answers) + be16(authorities) +
         be16(additionals);
}
const std::string question = name({"x", "cn"}) + be16(1) + be16(1);

std::vector<std::string> events_of(const std::string& message, Direction direction) {
  Stage s;
  s.flow.tuple.proto = IpProto::udp;
  s.datagram(Direction::to_server, query(1));
  s.datagram(direction, message);
  return s.told.back().events;
}

}  // namespace

TEST_CASE("every section of a response has its names and numbers") {
  const std::string soa = name({"ns"}) + name({"root"}) + std::string(20, '\1');
  const std::string message = counts(0xa183, 1, 1, 1, 1) + question +
                              resource(15, be16(10) + name({"mail", "cn"})) + resource(6, soa) +
                              resource(33, be16(1) + be16(2) + be16(443) + name({"srv", "cn"}));
  Stage s;
  s.flow.tuple.proto = IpProto::udp;
  s.datagram(Direction::to_server, query());
  s.datagram(Direction::to_client, message);
  REQUIRE(s.told.size() == 1);
  const auto& t = s.told[0];
  CHECK(t["<dns.answer.name"] == "x.cn");
  CHECK(t["<dns.authorities.rrname"] == "x.cn");
  CHECK(t["<dns.additionals.rrname"] == "x.cn");
  CHECK(t["<dns.response.rrname"] == "x.cn,x.cn,mail.cn,x.cn,ns,x.cn");
  CHECK(t["#>dns.opcode"] == "0");
  CHECK(t["#<dns.opcode"] == "4");
  CHECK(t["#<dns.rcode"] == "3");
  CHECK(t["#>dns.rrtype"] == "1");
  CHECK(t["#<dns.rrtype"] == "15");
  CHECK(t.eve.find(R"("soa":{"mname":"ns","rname":"root","serial":16843009)") != std::string::npos);
  CHECK(t.eve.find(R"("srv":{"priority":1,"weight":2,"port":443,"name":"srv.cn"})") !=
        std::string::npos);
}

TEST_CASE("what is wrong with a DNS message is an event") {
  using Events = std::vector<std::string>;
  const auto to_server = Direction::to_server;
  const auto to_client = Direction::to_client;
  CHECK(events_of(counts(0x0100, 2, 0, 0, 0) + question, to_server) ==
        Events{"dns.malformed_data"});
  CHECK(events_of(counts(0x8180, 0, 0, 1, 0), to_client) == Events{"dns.invalid_authorities"});
  CHECK(events_of(counts(0x8180, 0, 0, 0, 1), to_client) == Events{"dns.invalid_additionals"});
  CHECK(events_of(counts(0x0140, 1, 0, 0, 0) + question, to_server) == Events{"dns.z_flag_set"});
  CHECK(events_of(counts(0x3900, 1, 0, 0, 0) + question, to_server) ==
        Events{"dns.invalid_opcode"});
  CHECK(events_of(counts(0x8180, 1, 0, 0, 0) + question, to_server) == Events{"dns.not_a_request"});
  CHECK(events_of(counts(0x0100, 1, 0, 0, 0) + question, to_client) ==
        Events{"dns.not_a_response"});
  CHECK(events_of(query(), to_server).empty());
}

TEST_CASE("at its own port DNS is DNS, whatever its flags say") {
  Stage s;
  s.flow.tuple.proto = IpProto::udp;
  s.flow.tuple.dport = 53;
  s.datagram(Direction::to_server, counts(0x4940, 1, 0, 0, 0) + question);
  CHECK(s.flow.app == AppProto::dns);
  CHECK(s.told.at(0).events == std::vector<std::string>{"dns.z_flag_set", "dns.invalid_opcode"});
  Stage elsewhere;
  elsewhere.flow.tuple.proto = IpProto::udp;
  elsewhere.datagram(Direction::to_server, counts(0x4940, 1, 0, 0, 0) + question);
  CHECK(elsewhere.flow.app == AppProto::failed);
  Stage stream;
  stream.flow.tuple.dport = 53;
  stream.client(framed(counts(0x4940, 1, 0, 0, 0) + question), 3);
  CHECK(stream.flow.app == AppProto::dns);
}

TEST_CASE("a capture that begins with the answer") {
  Stage s;
  s.flow.tuple.proto = IpProto::udp;
  s.datagram(Direction::to_server, answer());
  s.datagram(Direction::to_client, query(9));
  REQUIRE(s.told.size() == 2);
  CHECK(s.told[0]["<dns.answer.name"] == "www.example.cn,web.example.cn");
  CHECK(s.told[0].events.empty());
  CHECK(s.told[1][">dns.query"] == "www.example.cn");
  CHECK(s.told[1].events.empty());
}

TEST_CASE("mDNS and LLMNR speak at their ports, each message for itself") {
  Stage mdns;
  mdns.flow.tuple.proto = IpProto::udp;
  mdns.flow.tuple.sport = mdns.flow.tuple.dport = 5353;
  mdns.datagram(Direction::to_server,
                counts(0x8400, 0, 1, 0, 0) + resource(12, name({"iMac", "_tcp", "local"})));
  CHECK(mdns.flow.app == AppProto::mdns);
  REQUIRE(mdns.told.size() == 1);
  CHECK(mdns.told[0][">mdns.answers.rrname"] == "x.cn");
  CHECK(mdns.told[0][">mdns.response.rrname"] == "x.cn,iMac._tcp.local");
  CHECK(mdns.told[0].ended);
  Stage llmnr;
  llmnr.flow.tuple.proto = IpProto::udp;
  llmnr.flow.tuple.dport = 5355;
  llmnr.datagram(Direction::to_server, query(1));
  llmnr.datagram(Direction::to_server, query(2));
  CHECK(llmnr.flow.app == AppProto::llmnr);
  CHECK(llmnr.told.at(1)[">llmnr.queries.rrname"] == "www.example.cn");
  CHECK(check_dns_shape(as_bytes("GET / HTTP/1.1\r\n")) == DnsStart::wrong);
  CHECK(check_dns_shape(as_bytes(query().substr(0, 20))) == DnsStart::too_short);
}

}  // namespace menshen::sensor
