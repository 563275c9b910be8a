#include "sensor/packet/defrag.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>
#include <string>

#include "sensor/packet/decode.hpp"
#include "sensor/packet/test_batch.hpp"

namespace menshen::sensor {

using testing::TestBatch;
using testkit::packet;
using testkit::Packet;

namespace {

constexpr WallTime second = 1'000'000'000;

struct Piece {
  std::uint16_t offset = 0;  // bytes
  bool more = true;
  std::string text;
};

Packet part(const Piece& piece, bool v6 = false, std::uint32_t id = 1,
            std::string_view source = "10.0.0.1") {
  auto builder = packet().ethernet();
  if (v6) {
    builder.ipv6("fd00::1", "fd00::2");
  } else {
    builder.ipv4(source, "10.0.0.2");
  }
  return builder.fragment(piece.offset, piece.more, id).protocol(17).payload(piece.text);
}

// Feeds parts one by one; remembers the last packet's record.
struct Feeder {
  explicit Feeder(const DefragOptions& options = {}) : defrag(options) {}

  // The payload of the datagram that this part completes; "": none.
  std::string add(Packet frame, WallTime time = 0, std::uint64_t tenant = 0) {
    batch = std::make_unique<TestBatch>();
    batch->add(std::move(frame), LinkType::ethernet, time);
    batch->decode(ChecksumMode::ignore);
    last = &(**batch).packets()[0];
    REQUIRE(last->fragment);
    const auto whole = defrag.add(*last, tenant, buffer);
    if (!whole) return {};
    TestBatch inner;
    PacketMeta& meta = inner.add(Packet(whole->begin(), whole->end()), LinkType::raw_ip);
    inner.decode(ChecksumMode::ignore);
    CHECK_FALSE(meta.fragment);
    CHECK(meta.ip_version == last->ip_version);
    const std::size_t header = meta.ip_version == 4 ? 20 : 40;
    return std::string(as_text(*whole).substr(header));
  }
  [[nodiscard]] bool noted(Anomaly anomaly) const { return last->has(anomaly); }

  Defragmenter defrag;
  std::unique_ptr<TestBatch> batch;
  std::vector<std::byte> buffer;
  PacketMeta* last = nullptr;
};

}  // namespace

TEST_CASE("E5: a datagram comes out whole in whatever order its parts arrive") {
  const bool v6 = GENERATE(false, true);
  const std::vector<Piece> pieces = {{0, true, "AAAAAAAABBBBBBBB"},
                                     {16, true, "CCCCCCCC"},
                                     {24, true, "DDDDDDDD"},
                                     {32, true, "EEEEEEEE"},
                                     {40, false, "FFF"}};
  std::vector<std::size_t> order(pieces.size());
  std::iota(order.begin(), order.end(), 0);
  do {
    Feeder feeder;
    std::string whole;
    for (std::size_t i = 0; i < order.size(); ++i) {
      whole = feeder.add(part(pieces[order[i]], v6));
      CHECK(whole.empty() == (i + 1 < order.size()));
    }
    CHECK(whole == "AAAAAAAABBBBBBBBCCCCCCCCDDDDDDDDEEEEEEEEFFF");
    CHECK(feeder.defrag.counters().incomplete == 0);
    CHECK(feeder.defrag.counters().pages == 0);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("E5: where parts overlap, the policy says whose bytes stay") {
  // Shankar and Paxson's picture in small: a part 8..24 is met by one that begins before it, one
  // at the same place, one within, and one that covers it on both sides.
  struct Row {
    HostPolicy policy;
    std::string before;  // old 8..24, new 0..16
    std::string same;    // old 8..24, new 8..16
    std::string within;  // old 8..32, new 16..24
    std::string around;  // old 8..16, new 0..24
  };
  const Row row = GENERATE(values<Row>({
      {HostPolicy::first, "noo", "-oo", "-ooo", "non"},
      {HostPolicy::last, "nno", "-no", "-ono", "nnn"},
      {HostPolicy::bsd, "nno", "-oo", "-ooo", "nnn"},
      {HostPolicy::bsd_right, "noo", "-no", "-ono", "non"},
      {HostPolicy::linux_, "nno", "-no", "-ooo", "nnn"},
      {HostPolicy::windows, "noo", "-oo", "-ooo", "nnn"},
      {HostPolicy::solaris, "noo", "-oo", "-ooo", "nnn"},
      {HostPolicy::old_linux, "nno", "-no", "-ooo", "nnn"},
      {HostPolicy::vista, "noo", "-oo", "-ooo", "nnn"},
      {HostPolicy::macos, "noo", "-oo", "-ooo", "non"},
  }));
  CAPTURE(static_cast<int>(row.policy));
  const auto run = [&](std::uint16_t old_at, std::size_t old_blocks, std::uint16_t new_at,
                       std::size_t new_blocks, const std::string& expected) {
    DefragOptions options;
    options.hosts = HostPolicies::all(row.policy);
    Feeder feeder(options);
    feeder.add(part({old_at, true, std::string(old_blocks * 8, 'o')}));
    feeder.add(part({new_at, true, std::string(new_blocks * 8, 'n')}));
    CHECK(feeder.noted(Anomaly::ipv4_frag_overlap));
    std::string whole;
    const auto end = static_cast<std::uint16_t>(expected.size() * 8);
    if (expected[0] == '-') whole = feeder.add(part({0, true, std::string(8, '-')}));
    if (whole.empty()) whole = feeder.add(part({end, false, "!"}));
    std::string shape;
    for (std::size_t i = 0; i + 1 < whole.size(); i += 8) shape.push_back(whole[i]);
    CHECK(shape == expected);
  };
  run(8, 2, 0, 2, row.before);
  run(8, 2, 8, 1, row.same);
  run(8, 3, 16, 1, row.within);
  run(8, 1, 0, 3, row.around);
}

TEST_CASE("E5: equal identifications of other hosts, tenants or times never mix") {
  Feeder feeder;
  CHECK(feeder.add(part({0, true, "AAAAAAAA"})).empty());
  CHECK(feeder.add(part({8, false, "B"}, false, 1, "10.0.0.9")).empty());
  CHECK(feeder.add(part({8, false, "B"}), 0, 7).empty());
  CHECK(feeder.add(part({8, false, "B"}, false, 2)).empty());
  CHECK(feeder.add(part({8, false, "B"})) == "AAAAAAAAB");
  CHECK(feeder.add(part({0, true, "AAAAAAAA"}), second).empty());
  CHECK(feeder.add(part({8, false, "B"}), 62 * second).empty());
  CHECK(feeder.defrag.counters().timeouts >= 1);
}

TEST_CASE("E5: inline, a part that says other bytes again is dropped; the same bytes are not") {
  DefragOptions options;
  options.refuse_overlaps = true;
  Feeder feeder(options);
  feeder.add(part({0, true, "AAAAAAAA"}));
  CHECK(feeder.add(part({0, true, "AAAAAAAA"})).empty());
  CHECK_FALSE(feeder.last->dropped());
  CHECK(feeder.add(part({0, true, "EVILEVIL"})).empty());
  CHECK(feeder.last->reason == DropReason::fragment_overlap);
  CHECK(feeder.add(part({8, false, "B"})) == "AAAAAAAAB");
}

TEST_CASE("E5: impossible parts are noted and taken for nothing") {
  Feeder feeder;
  feeder.add(part({65'528, false, std::string(64, 'x')}));
  CHECK(feeder.noted(Anomaly::ipv4_frag_pkt_too_large));
  feeder.add(part({8, true, "odd"}, true));
  CHECK(feeder.noted(Anomaly::ipv6_frag_invalid_length));
  CHECK(feeder.defrag.counters().incomplete == 0);
  // A last part that ends before bytes already seen: no datagram with a hole comes of it.
  feeder.add(part({32, true, "EEEEEEEEFFFFFFFF"}));
  CHECK(feeder.add(part({16, false, "C"})).empty());
  CHECK(feeder.add(part({0, true, "AAAAAAAA"})).empty());
  CHECK(feeder.add(part({8, true, "BBBBBBBB"})) == "AAAAAAAABBBBBBBBC");
}

TEST_CASE("M1: parts that complete nothing hold bounded memory, the oldest give way") {
  DefragOptions options;
  options.datagrams_max = 64;
  options.pages_max = 256;
  options.source_pages_max = 16;
  Feeder feeder(options);
  for (std::uint32_t id = 0; id < 2000; ++id) {
    const auto source = "10.1.0." + std::to_string(id % 7);
    feeder.add(part({static_cast<std::uint16_t>(id % 100 * 512), true, std::string(512, 'x')},
                    false, id, source));
    REQUIRE(feeder.defrag.counters().incomplete <= options.datagrams_max);
    REQUIRE(feeder.defrag.counters().pages <= options.pages_max);
  }
  CHECK(feeder.defrag.counters().displaced > 1000);
  feeder.add(part({0, true, "AAAAAAAA"}, false, 9999));
  CHECK(feeder.add(part({8, false, "B"}, false, 9999)) == "AAAAAAAAB");
}

TEST_CASE("D1: the largest datagram in the smallest parts, backwards, comes out whole") {
  Feeder feeder;
  std::string whole;
  for (int at = 65'000 / 8; at >= 0; --at) {
    whole = feeder.add(
        part({static_cast<std::uint16_t>(at * 8), at != 65'000 / 8, "12345678"}, false, 3));
  }
  CHECK(whole.size() == 65'008);
}

TEST_CASE("at parts_max a datagram's further parts are refused") {
  DefragOptions options;
  options.parts_max = 3;
  Feeder feeder(options);
  for (std::uint16_t i = 0; i < 3; ++i) {
    feeder.add(part({static_cast<std::uint16_t>(i * 8), true, "xxxxxxxx"}));
  }
  CHECK_FALSE(feeder.last->dropped());
  CHECK(feeder.add(part({24, false, "end"})).empty());
  CHECK(feeder.last->reason == DropReason::fragment_memory);
  CHECK(feeder.noted(Anomaly::ipv4_frag_ignored));
}

}  // namespace menshen::sensor
