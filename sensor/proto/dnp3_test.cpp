#include <catch2/catch.hpp>

#include "sensor/proto/events.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/test_bytes.hpp"

namespace menshen::sensor {

using namespace testing;  // NOLINT(google-build-using-namespace)

namespace {

std::string checked(const std::string& bytes) {
  unsigned crc = 0;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) != 0 ? crc >> 1U ^ 0xa6bcU : crc >> 1U;
  }
  return bytes + le16(~crc & 0xffffU);
}
// One link frame with a transport segment.
std::string frame(unsigned control, std::string_view segment) {
  std::string text = checked(unhex("0564") + static_cast<char>(segment.size() + 5) +
                             static_cast<char>(control) + le16(2) + le16(3));
  while (!segment.empty()) {
    text += checked(std::string(segment.substr(0, 16)));
    segment.remove_prefix(std::min<std::size_t>(segment.size(), 16));
  }
  return text;
}

struct Seen : StreamStage {
  Seen() : StreamStage(20000) {}
  void on_end(Flow& f, Transaction& transaction) override {
    for (const ProtoEvent event : transaction.events) {
      names.emplace_back(proto_event_info(event).name);
    }
    for (std::size_t i = 0; i < transaction.numbers(Number::dnp3_obj_response); ++i) {
      objects.push_back(transaction.number(Number::dnp3_obj_response, i));
    }
    Stage::on_end(f, transaction);
  }
  std::vector<std::string> names;
  std::vector<std::uint64_t> objects;
};

}  // namespace

TEST_CASE("DNP3: a request and a response through all its layers") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1}));
  Seen s;
  s.client(frame(0xc4, unhex("c0 c0 01 3c 02 06 3c 03 06")), piece);
  // Two segments: five binary inputs with flags, one counter.
  s.server(frame(0x44, unhex("41 c0 81 9000 01 02 00 00 04 81")) +
               frame(0x44, unhex("82 82 83 84 85 14 01 07 01 01 2a000000")),
           piece);
  CHECK(s.flow.app == AppProto::dnp3);
  REQUIRE(s.told.size() == 2);
  CHECK(s.told[0][">dnp3.data"] == unhex("c0 01 3c 02 06 3c 03 06"));
  CHECK(eve(s.told[0])["request"]["application"]["function_code"] == 1);
  CHECK(eve(s.told[1])["response"]["iin"]["indicators"] ==
        nlohmann::json::parse(R"(["need_time","device_restart"])"));
  CHECK(s.objects == std::vector<std::uint64_t>{0x0102, 0x1401});
  CHECK(s.names.empty());
}

TEST_CASE("what is wrong in DNP3 is an event") {
  Seen s;
  s.client(frame(0xc4, unhex("c0 c0 01 3c 02 06")));
  std::string bad = frame(0xc4, unhex("c0 c0 01 3c 02 06"));
  bad.back() = static_cast<char>(bad.back() ^ 1);
  s.client(bad);
  CHECK(s.names == std::vector<std::string>{"dnp3.bad_transport_crc"});
  s.names.clear();
  s.server(frame(0x44, unhex("c0 c0 81 0000 f9 09 00 00 01 aa")));
  CHECK(s.names == std::vector<std::string>{"dnp3.unknown_object"});
  s.names.clear();
  s.server(frame(0x44, unhex("c0 c0 81 0000 01 02 01 0000 ffff aa")));
  CHECK(s.names == std::vector<std::string>{"dnp3.max_points_per_object"});
  s.names.clear();
  std::string parts = frame(0xc4, "\x40" + std::string(240, 'x'));
  for (int i = 0; i < 40; ++i) parts += frame(0xc4, std::string(1, '\0') + std::string(240, 'x'));
  s.client(parts);
  CHECK(s.names == std::vector<std::string>{"dnp3.too_long_reassembly"});
}

TEST_CASE("DNP3 requests that nobody answers are a flood, once") {
  Seen s;
  for (int i = 0; i < 100; ++i) s.client(frame(0xc4, unhex("c0 c0 01 3c 02 06")));
  CHECK(s.names == std::vector<std::string>{"dnp3.flooded"});
}

}  // namespace menshen::sensor
