#include "sensor/capture/classic_pcap.hpp"

#include <fcntl.h>
#include <pcap/pcap.h>
#include <sys/mman.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace menshen::sensor {
namespace {

using namespace std::chrono_literals;

struct Seen {
  std::string bytes;
  std::uint32_t length = 0;
  WallTime time = 0;
  bool operator==(const Seen&) const = default;
};

UniqueFd file_of(std::string_view content) {
  UniqueFd file(::memfd_create("pcap", MFD_CLOEXEC));
  REQUIRE(write_all(file.get(), as_bytes(content)));
  return file;
}

// In the writer's byte order: that of this machine, or the other one.
struct Form {
  bool swapped = false;
  bool nanoseconds = false;
  std::uint32_t snapshot = 262'144;
};

class Text32 {
 public:
  explicit Text32(bool swapped) : swapped_(swapped) {}
  Text32& number(std::uint32_t value) {
    if (swapped_) value = __builtin_bswap32(value);
    text.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  std::string text;

 private:
  bool swapped_;
};

std::string file_header(const Form& form) {
  Text32 out(form.swapped);
  out.number(form.nanoseconds ? 0xa1b2'3c4d : 0xa1b2'c3d4);
  out.number(form.swapped ? 2U << 16U | 4U : 2U | 4U << 16U);
  return out.number(0).number(0).number(form.snapshot).number(1).text;
}

std::string record(const Form& form, std::uint32_t seconds, std::uint32_t fraction,
                   std::string_view bytes, std::uint32_t length) {
  Text32 out(form.swapped);
  out.number(seconds).number(fraction);
  out.number(static_cast<std::uint32_t>(bytes.size())).number(length);
  return out.text.append(bytes);
}

struct Outcome {
  std::vector<Seen> packets;
  bool damaged = false;
  bool operator==(const Outcome&) const = default;
};

Outcome read_all(std::string_view content) {
  UniqueFd file = file_of(content);
  auto port = open_classic_pcap(file, "test");
  REQUIRE(port);
  Outcome out;
  PacketBatch batch;
  std::uint64_t bytes = 0;
  while (!port->finished()) {
    batch.clear();
    if (!port->receive(batch, 0ms)) {
      out.damaged = true;
      continue;
    }
    for (const PacketMeta& packet : batch.packets()) {
      out.packets.push_back({std::string(as_text(packet.frame())), packet.length, packet.time});
      CHECK(packet.id == out.packets.size());
    }
  }
  for (const Seen& packet : out.packets) bytes += packet.length;
  CHECK(port->counters().packets == out.packets.size());
  CHECK(port->counters().bytes >= bytes);
  return out;
}

// The slow twin.
Outcome read_by_libpcap(std::string_view content) {
  UniqueFd file = file_of(content);
  ::lseek(file.get(), 0, SEEK_SET);
  std::array<char, PCAP_ERRBUF_SIZE> error{};
  pcap_t* pcap = pcap_fopen_offline_with_tstamp_precision(fdopen(file.release(), "rb"),
                                                          PCAP_TSTAMP_PRECISION_NANO, error.data());
  REQUIRE(pcap != nullptr);
  Outcome out;
  pcap_pkthdr* header = nullptr;
  const u_char* bytes = nullptr;
  int status = 0;
  while ((status = pcap_next_ex(pcap, &header, &bytes)) == 1) {
    out.packets.push_back({std::string(reinterpret_cast<const char*>(bytes), header->caplen),
                           header->caplen,
                           WallTime{header->ts.tv_sec} * 1'000'000'000 + header->ts.tv_usec});
  }
  out.damaged = status != PCAP_ERROR_BREAK;
  pcap_close(pcap);
  return out;
}

}  // namespace

TEST_CASE("a classic capture file reads as through libpcap, wherever it is cut") {
  std::mt19937 random(7);
  for (const Form& form : {Form{}, Form{.swapped = true}, Form{.nanoseconds = true},
                           Form{.swapped = true, .nanoseconds = true, .snapshot = 700}}) {
    std::string content = file_header(form);
    for (std::uint32_t i = 0; i < 1500; ++i) {
      // Some as long as any may be: several times the block.
      const std::size_t size = i % 300 == 299 ? 262'144 : random() % 1600;
      const std::string bytes(size, static_cast<char>('a' + i % 26));
      content +=
          record(form, i, 999'000 + i % 999, bytes, static_cast<std::uint32_t>(size) + i % 2);
    }
    CHECK(read_all(content) == read_by_libpcap(content));
    for (int cuts = 0; cuts < 6; ++cuts) {
      const std::string part = content.substr(0, 24 + random() % (content.size() - 24));
      CHECK(read_all(part) == read_by_libpcap(part));
    }
  }
}

TEST_CASE("a capture file that claims a packet longer than any ends there") {
  const Form form;
  std::string content = file_header(form) + record(form, 1, 2, "abc", 3);
  std::string broken = record(form, 1, 2, "abc", 3);
  const std::uint32_t claimed = 262'145;
  std::memcpy(broken.data() + 8, &claimed, sizeof(claimed));
  content += broken;
  const Outcome out = read_all(content);
  CHECK(out.packets.size() == 1);
  CHECK(out.damaged);
}

TEST_CASE("other forms of capture files are left to libpcap") {
  for (const std::size_t place : {0U, 4U, 20U}) {  // magic, version, link type
    std::string content = file_header({});
    content[place] = 77;
    UniqueFd file = file_of(content);
    CHECK_FALSE(open_classic_pcap(file, "test"));
    CHECK(file);
  }
  UniqueFd small = file_of("1234");
  CHECK_FALSE(open_classic_pcap(small, "test"));
}

}  // namespace menshen::sensor
