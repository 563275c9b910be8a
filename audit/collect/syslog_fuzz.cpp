// Any bytes as a syslog message and as a syslog connection.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "audit/collect/collector.hpp"
#include "audit/collect/frames.hpp"

namespace {

constexpr std::size_t message_bytes_max = 64;

std::vector<std::string> frames_of(std::string_view bytes, std::size_t piece) {
  menshen::audit::FrameReader reader(message_bytes_max);
  std::vector<std::string> frames;
  const auto keep = [&](const auto& frame) {
    if (!frame) return false;
    if (frame->message.size() > message_bytes_max) std::abort();
    frames.emplace_back(frame->message);
    return true;
  };
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    reader.feed(bytes.substr(at, piece));
    while (keep(reader.next())) {
    }
  }
  keep(reader.last());
  return frames;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  constexpr WallTime now = 1'795'421'730'000'000'000;
  const std::string_view message = bytes.substr(0, 8192);
  const audit::Record record =
      audit::external_record(message, audit::parse_syslog(message, now),
                             {*IpAddr::parse("10.0.0.1"), {}}, "d", "udp", now);
  // Whatever came in, the record can be stored.
  audit::Record named = record;
  named.source = "collectd";
  named.epoch = named.sequence = 1;
  if (!audit::encode(named)) std::abort();
  // However the bytes are cut on their way, the messages are the same.
  if (frames_of(bytes, 1) != frames_of(bytes, bytes.size() + 1)) std::abort();
  return 0;
}
