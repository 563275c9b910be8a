// DNP3 (IEEE 1815) over TCP: link frames, transport segments, application fragments. One
// transaction a fragment, in its direction.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "sensor/proto/dnp3.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint16_t start_bytes = 0x0564;
constexpr std::size_t link_header_bytes = 10;  // with its checksum
constexpr std::size_t block_bytes = 16;        // of user data before each checksum
constexpr std::size_t length_min = 5;          // control and addresses
constexpr std::size_t fragment_bytes_max = 4096;
constexpr unsigned unanswered_max = 32;  // requests; beyond: flooded
constexpr std::size_t objects_max = 256;
constexpr std::uint64_t points_max = 16384;  // of one object header
constexpr unsigned response = 129;
constexpr unsigned unsolicited = 130;
constexpr unsigned first_of_fragment = 0x40;
constexpr unsigned last_of_fragment = 0x80;

constexpr Dnp3Name functions[] = {
    {0, "confirm"},
    {1, "read"},
    {2, "write"},
    {3, "select"},
    {4, "operate"},
    {5, "direct_operate"},
    {6, "direct_operate_nr"},
    {7, "immed_freeze"},
    {8, "immed_freeze_nr"},
    {9, "freeze_clear"},
    {10, "freeze_clear_nr"},
    {11, "freeze_at_time"},
    {12, "freeze_at_time_nr"},
    {13, "cold_restart"},
    {14, "warm_restart"},
    {15, "initialize_data"},
    {16, "initialize_appl"},
    {17, "start_appl"},
    {18, "stop_appl"},
    {19, "save_config"},
    {20, "enable_unsolicited"},
    {21, "disable_unsolicited"},
    {22, "assign_class"},
    {23, "delay_measure"},
    {24, "record_current_time"},
    {25, "open_file"},
    {26, "close_file"},
    {27, "delete_file"},
    {28, "get_file_info"},
    {29, "authenticate_file"},
    {30, "abort_file"},
    {31, "activate_config"},
    {32, "authenticate_req"},
    {33, "authenticate_err"},
    {129, "response"},
    {130, "unsolicited_response"},
    {131, "authenticate_resp"},
};

constexpr Dnp3Name indications[] = {
    {0x0100, "all_stations"},      {0x0200, "class_1_events"},  {0x0400, "class_2_events"},
    {0x0800, "class_3_events"},    {0x1000, "need_time"},       {0x2000, "local_control"},
    {0x4000, "device_trouble"},    {0x8000, "device_restart"},  {0x0001, "no_func_code_support"},
    {0x0002, "object_unknown"},    {0x0004, "parameter_error"}, {0x0008, "event_buffer_overflow"},
    {0x0010, "already_executing"}, {0x0020, "config_corrupt"},  {0x0040, "reserved_2"},
    {0x0080, "reserved_1"},
};

// Bits of one point, by group; variations count from 1.
struct Group {
  std::uint8_t group;
  std::uint8_t variations;
  std::array<std::uint8_t, 12> bits;
};
constexpr Group groups[] = {
    {1, 2, {1, 8}},
    {2, 3, {8, 56, 24}},
    {3, 2, {2, 8}},
    {4, 3, {8, 56, 24}},
    {10, 2, {1, 8}},
    {11, 2, {8, 56}},
    {12, 3, {88, 88, 1}},
    {13, 2, {8, 56}},
    {20, 8, {40, 24, 40, 24, 32, 16, 32, 16}},
    {21, 12, {40, 24, 40, 24, 88, 72, 88, 72, 32, 16, 32, 16}},
    {22, 8, {40, 24, 40, 24, 88, 72, 88, 72}},
    {23, 8, {40, 24, 40, 24, 88, 72, 88, 72}},
    {30, 6, {40, 24, 32, 16, 40, 72}},
    {31, 8, {40, 24, 88, 72, 32, 16, 40, 72}},
    {32, 8, {40, 24, 88, 72, 40, 72, 88, 120}},
    {33, 8, {40, 24, 88, 72, 40, 72, 88, 120}},
    {34, 3, {16, 32, 32}},
    {40, 4, {40, 24, 40, 72}},
    {41, 4, {40, 24, 40, 72}},
    {42, 8, {40, 24, 88, 72, 40, 72, 88, 120}},
    {43, 8, {40, 24, 88, 72, 40, 72, 88, 120}},
    {50, 4, {48, 80, 48, 88}},
    {51, 2, {48, 48}},
    {52, 2, {16, 16}},
    {60, 4, {0, 0, 0, 0}},
    {80, 1, {1}},
    {101, 3, {16, 32, 64}},
    {102, 1, {8}},
};

// Nothing: unknown.
std::optional<std::uint64_t> point_bits(unsigned group, unsigned variation) {
  // Strings: the variation is their length.
  if (group >= 110 && group <= 113) return std::uint64_t{variation} * 8;
  const auto* found = std::ranges::find(groups, group, &Group::group);
  if (found == std::end(groups) || variation == 0 || variation > found->variations) {
    return std::nullopt;
  }
  return found->bits[variation - 1];
}

// CRC-16/DNP.
std::uint16_t checksum(Bytes bytes) noexcept {
  unsigned crc = 0;
  for (const std::byte byte : bytes) {
    crc ^= std::to_integer<unsigned>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) != 0 ? crc >> 1U ^ 0xa6bcU : crc >> 1U;
  }
  return static_cast<std::uint16_t>(~crc);
}

std::uint32_t little(ByteReader& reader, unsigned bytes) {
  return bytes == 1 ? reader.u8() : bytes == 2 ? le16(reader) : le32(reader);
}

bool checked(Bytes bytes, ByteReader& sum) noexcept { return le16(sum) == checksum(bytes); }

std::size_t frame_bytes(std::size_t length) {
  const std::size_t data = length - std::min(length, length_min);
  return link_header_bytes + data + (data + block_bytes - 1) / block_bytes * 2;
}

struct Object {
  unsigned group = 0;
  unsigned variation = 0;
  unsigned prefix = 0;
  unsigned range = 0;
  std::uint64_t start = 0;
  std::uint64_t stop = 0;
  std::uint64_t count = 0;
};

// False: the range is of no known form.
bool read_range(ByteReader& reader, Object& object) {
  switch (object.range) {
    case 0:
    case 1:
    case 2: {
      const unsigned bytes = 1U << object.range;
      object.start = little(reader, bytes);
      object.stop = little(reader, bytes);
      if (object.stop < object.start) return false;
      object.count = object.stop - object.start + 1;
      return reader.ok();
    }
    case 6:
      return true;
    case 7:
    case 8:
    case 9:
      object.count = little(reader, 1U << (object.range - 7));
      return reader.ok();
    case 11:
      object.count = reader.u8();
      return reader.ok();
    default:
      return false;
  }
}

enum class Skipped : std::uint8_t { yes, unknown, short_of };

// The points of an object behind its header.
Skipped skip_points(ByteReader& reader, const Object& object) {
  constexpr unsigned index_max = 3;
  const auto width = [](unsigned code) { return code == 3 ? 4U : code; };
  if (object.prefix > index_max) {  // each point says its size
    for (std::uint64_t i = 0; i < object.count && reader.ok(); ++i) {
      reader.skip(little(reader, width(object.prefix - index_max)));
    }
  } else {
    const auto bits = point_bits(object.group, object.variation);
    if (!bits) return Skipped::unknown;
    const std::uint64_t each = *bits + width(object.prefix) * 8;
    // Points of less than a byte are packed.
    const std::uint64_t bytes = (object.count * each + 7) / 8;
    if (bytes > reader.remaining()) return Skipped::short_of;
    reader.skip(bytes);
  }
  return reader.ok() ? Skipped::yes : Skipped::short_of;
}

bool carries_data(unsigned function) {
  return function >= response || (function >= 2 && function <= 6) || function >= 25;
}

Json read_objects(ByteReader& reader, unsigned function, Direction direction,
                  FieldTransaction& into) {
  Json list = Json::array();
  while (reader.remaining() >= 3 && list.size() < objects_max) {
    Object object;
    object.group = reader.u8();
    object.variation = reader.u8();
    const unsigned qualifier = reader.u8();
    object.prefix = qualifier >> 4U & 7U;
    object.range = qualifier & 0x0fU;
    into.add(by(direction, Number::dnp3_obj, Number::dnp3_obj_response),
             object.group << 8U | object.variation);
    const bool known = read_range(reader, object);
    list.push_back({{"group", object.group},
                    {"variation", object.variation},
                    {"qualifier", qualifier},
                    {"prefix_code", object.prefix},
                    {"range_code", object.range},
                    {"start", object.start},
                    {"stop", object.stop},
                    {"count", object.count}});
    if (object.count > points_max) {
      into.add_event(ProtoEvent::dnp3_max_points_per_object);
      break;
    }
    if (!known) break;
    if (!carries_data(function)) continue;
    const Skipped skipped = skip_points(reader, object);
    if (skipped == Skipped::unknown) into.add_event(ProtoEvent::dnp3_unknown_object);
    if (skipped != Skipped::yes) break;
  }
  return list;
}

Json describe_control(unsigned control) {
  return {{"fir", (control & 0x80U) != 0},
          {"fin", (control & 0x40U) != 0},
          {"con", (control & 0x20U) != 0},
          {"uns", (control & 0x10U) != 0},
          {"sequence", control & 0x0fU}};
}

struct Link {
  std::size_t length = 0;
  unsigned control = 0;
  std::uint16_t destination = 0;
  std::uint16_t source = 0;
  [[nodiscard]] bool user_data() const {
    const unsigned function = control & 0x0fU;
    return (control & 0x40U) != 0 && (function == 3 || function == 4);
  }
};

class Dnp3Parser final : public MessageParser {
 public:
  explicit Dnp3Parser(const ParserContext& context)
      : MessageParser(context, AppProto::dnp3, Over::stream) {}

 protected:
  std::size_t extent(Direction /*direction*/, Bytes bytes) override {
    if (bytes.size() < 3) return extent_unknown;
    ByteReader reader(bytes);
    if (reader.be16() != start_bytes) return extent_broken;
    return frame_bytes(reader.u8());
  }

  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    ByteReader reader(bytes);
    reader.skip(2);
    Link link;
    link.length = reader.u8();
    link.control = reader.u8();
    link.destination = le16(reader);
    link.source = le16(reader);
    if (!checked(bytes.first(link_header_bytes - 2), reader)) {
      warn(flow, direction, ProtoEvent::dnp3_bad_link_crc, packet);
      return ParserStatus::more;
    }
    // A transport header and an application header at least.
    if (link.length < length_min || (link.user_data() && link.length < length_min + 1)) {
      warn(flow, direction, ProtoEvent::dnp3_len_too_small, packet);
      return ParserStatus::more;
    }
    if (!link.user_data()) return ParserStatus::more;
    std::string data;
    while (!reader.empty()) {
      const Bytes block = reader.take(std::min(block_bytes, reader.remaining() - 2));
      if (!checked(block, reader)) {
        warn(flow, direction, ProtoEvent::dnp3_bad_transport_crc, packet);
        return ParserStatus::more;
      }
      data += as_text(block);
    }
    segment(flow, direction, link, data, packet);
    return ParserStatus::more;
  }

 private:
  // A transaction for what is wrong alone.
  void warn(Flow& flow, Direction direction, ProtoEvent event, PacketMeta& packet) {
    FieldTransaction& transaction = exchange.begin(flow);
    transaction.one_way = direction;
    transaction.add_event(event);
    exchange.finish(flow, transaction, direction, packet);
  }

  void segment(Flow& flow, Direction direction, const Link& link, std::string_view data,
               PacketMeta& packet) {
    auto& fragment = fragments_[static_cast<std::size_t>(direction)];
    const auto transport = static_cast<unsigned char>(data[0]);
    if ((transport & first_of_fragment) != 0) {
      fragment.bytes.clear();
      fragment.open = true;
    }
    if (!fragment.open) return;
    data.remove_prefix(1);
    if (fragment.bytes.size() + data.size() > fragment_bytes_max) {
      fragment = {};
      return warn(flow, direction, ProtoEvent::dnp3_too_long_reassembly, packet);
    }
    fragment.bytes += data;
    if ((transport & last_of_fragment) == 0) return;
    const std::string whole = std::exchange(fragment, {}).bytes;
    application(flow, direction, link, whole, packet);
  }

  void application(Flow& flow, Direction direction, const Link& link, std::string_view bytes,
                   PacketMeta& packet) {
    if (bytes.size() < 2) return warn(flow, direction, ProtoEvent::dnp3_len_too_small, packet);
    ByteReader reader(as_bytes(bytes));
    const unsigned control = reader.u8();
    const unsigned function = reader.u8();
    FieldTransaction& transaction = exchange.begin(flow);
    transaction.one_way = direction;
    count(transaction, function);
    transaction.add(by(direction, Buffer::dnp3_data, Buffer::dnp3_data_response), bytes);
    transaction.add(by(direction, Number::dnp3_func, Number::dnp3_func_response), function);
    const bool answers = function >= response;
    Json body{{"control", describe_control(control)}, {"function_code", function}};
    Json names = Json::array();
    if (answers) {
      const unsigned bits = reader.be16();
      transaction.add(Number::dnp3_ind, bits);
      for (const Dnp3Name& indication : indications) {
        if ((bits & indication.number) != 0) names.push_back(indication.name);
      }
    }
    body["objects"] = read_objects(reader, function, direction, transaction);
    body["complete"] = reader.empty();
    Json json{{"type", function == unsolicited ? "unsolicited_response"
                       : answers               ? "response"
                                               : "request"},
              {"control",
               {{"dir", (link.control & 0x80U) != 0},
                {"pri", (link.control & 0x40U) != 0},
                {"fcb", (link.control & 0x20U) != 0},
                {"fcv", (link.control & 0x10U) != 0},
                {"function_code", link.control & 0x0fU}}},
              {"src", link.source},
              {"dst", link.destination},
              {"application", std::move(body)}};
    if (answers) json["iin"] = {{"indicators", std::move(names)}};
    add_eve(transaction, answers ? "response" : "request", json);
    exchange.finish(flow, transaction, direction, packet);
  }

  // Requests that nobody answers are what a flood is made of.
  void count(FieldTransaction& transaction, unsigned function) {
    if (function >= response) {
      unanswered_ = 0;
      flooded_ = false;
      return;
    }
    if (++unanswered_ <= unanswered_max || flooded_) return;
    flooded_ = true;
    transaction.add_event(ProtoEvent::dnp3_flooded);
  }

  struct Fragment {
    bool open = false;
    std::string bytes;
  };
  std::array<Fragment, 2> fragments_;
  unsigned unanswered_ = 0;
  bool flooded_ = false;
};

}  // namespace

std::span<const Dnp3Name> dnp3_functions() noexcept { return functions; }
std::span<const Dnp3Name> dnp3_indications() noexcept { return indications; }

Guess probe_dnp3(Direction /*direction*/, Bytes bytes) noexcept {
  ByteReader reader(bytes);
  if (!bytes.empty() && bytes[0] != std::byte{start_bytes >> 8U}) return Guess::no;
  if (reader.be16() != start_bytes) return bytes.size() < 2 ? Guess::more : Guess::no;
  if (bytes.size() < link_header_bytes) return Guess::more;
  reader.seek(link_header_bytes - 2);
  return checked(bytes.first(link_header_bytes - 2), reader) ? Guess::yes : Guess::no;
}

Guess probe_dnp3_by_port(Direction /*direction*/, Bytes bytes) noexcept {
  if (bytes.size() < 2) return Guess::more;
  return ByteReader(bytes).be16() == start_bytes ? Guess::yes : Guess::no;
}

std::unique_ptr<Parser> make_dnp3_parser(const ParserContext& context) {
  return std::make_unique<Dnp3Parser>(context);
}

}  // namespace menshen::sensor
