// A rule as data: what its text means, before and after compilation. No behaviour here;
// content_match.hpp and header_match.hpp evaluate it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "sensor/detect/address_set.hpp"
#include "sensor/detect/asn1.hpp"
#include "sensor/detect/regex.hpp"
#include "sensor/detect/rule_info.hpp"
#include "sensor/proto/transaction.hpp"

namespace menshen::sensor {

// A set of protocols.
class AppProtoSet {
 public:
  constexpr AppProtoSet() = default;
  constexpr AppProtoSet(std::span<const AppProto> protos) {
    for (const AppProto proto : protos) bits_ |= bit(proto);
  }
  [[nodiscard]] constexpr bool empty() const noexcept { return bits_ == 0; }
  [[nodiscard]] constexpr bool contains(AppProto proto) const noexcept {
    return (bits_ & bit(proto)) != 0;
  }
  constexpr AppProtoSet& operator&=(AppProtoSet other) noexcept {
    bits_ &= other.bits_;
    return *this;
  }
  constexpr AppProtoSet& operator|=(AppProtoSet other) noexcept {
    bits_ |= other.bits_;
    return *this;
  }

 private:
  static constexpr std::uint64_t bit(AppProto proto) noexcept {
    return std::uint64_t{1} << static_cast<unsigned>(proto);
  }
  static_assert(static_cast<unsigned>(AppProto::count) <= 64);
  std::uint64_t bits_ = 0;
};

// ---- where a test looks -------------------------------------------------------------------------

enum class BufferKind : std::uint8_t {
  payload,  // of the packet or the reassembled stream
  tcp_header,
  udp_header,
  ipv4_header,
  ipv6_header,
  icmpv4_header,
  icmpv6_header,
  igmp_header,
  ethernet_header,
  ip_source,  // the address's bytes, as they stand in the header
  ip_destination,
  transaction,
};

struct BufferRef {
  BufferKind kind = BufferKind::payload;
  Buffer to_server = Buffer::count;  // transaction; count: not in this direction
  Buffer to_client = Buffer::count;
  AppProto proto = AppProto::unknown;  // a frame's; else the field's own row tells
  bool operator==(const BufferRef&) const = default;
  [[nodiscard]] Buffer in(Direction d) const noexcept {
    return d == Direction::to_server ? to_server : to_client;
  }
  // Whose transactions may have it.
  [[nodiscard]] AppProtoSet protos() const noexcept;
};

enum class TransformKind : std::uint8_t {
  dotprefix,
  to_lowercase,
  to_uppercase,
  strip_whitespace,
  compress_whitespace,
  url_decode,
  xor_key,
  header_lowercase,
  strip_pseudo_headers,
  from_base64,
  to_md5,
  to_sha1,
  to_sha256,
  domain,        // the registrable part of a host name
  tld,           // the public suffix of a host name
  pcre_capture,  // what the expression's first group caught
  gunzip,
  zlib_deflate,
  subslice,
};
enum class Base64Mode : std::uint8_t { rfc4648, rfc2045, strict };
struct Transform {
  TransformKind kind = TransformKind::dotprefix;
  std::string argument;  // xor_key: the key's bytes; pcre_capture: the expression as written
  std::shared_ptr<const Regex> regex;  // pcre_capture
  // from_base64, subslice (negative: from the end), gunzip and zlib_deflate (bytes: at most).
  std::int64_t offset = 0;
  std::int64_t bytes = 0;  // 0: all
  Base64Mode mode = Base64Mode::rfc4648;
  [[nodiscard]] auto key() const noexcept { return std::tie(kind, argument, offset, bytes, mode); }
  bool operator==(const Transform& other) const noexcept { return key() == other.key(); }
  bool operator<(const Transform& other) const noexcept { return key() < other.key(); }
};

// ---- tests on a buffer --------------------------------------------------------------------------

// A number written in the rule, or a variable that byte_extract or byte_math filled in earlier.
struct Operand {
  std::int64_t value = 0;
  int variable = -1;
};

struct Content {
  std::string pattern;      // lower case where nocase
  std::string replacement;  // inline, what it becomes; as long as the pattern; empty: stays
  bool nocase = false;
  bool negated = false;
  std::optional<Operand> offset;
  std::optional<Operand> depth;  // counted from offset, as written
  std::optional<Operand> distance;
  std::optional<Operand> within;
  bool startswith = false;
  bool endswith = false;
  bool fast_pattern = false;
  bool fast_pattern_only = false;
  std::uint16_t chop_offset = 0;
  std::uint16_t chop_length = 0;  // 0: whole
};

// What a group of an expression caught goes into a variable of the flow or of the packet.
struct Capture {
  enum class Scope : std::uint8_t { flow, packet } scope = Scope::flow;
  std::string name;
  std::uint32_t group = 1;
};

struct RegexTest {
  std::shared_ptr<const Regex> regex;
  std::vector<Capture> captures;
  bool negated = false;
  bool relative = false;
};

struct IsDataAt {
  Operand position;
  bool relative = false;
  bool negated = false;
};

enum class Comparison : std::uint8_t {
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  bit_and,
  bit_or
};
// dce: as the transaction has its numbers (Transaction::little_endian).
enum class Endian : std::uint8_t { big, little, dce };

// How byte_test, byte_jump, byte_extract and byte_math read a number.
struct NumberAt {
  Operand bytes;
  Operand offset;
  bool relative = false;
  Endian endian = Endian::big;
  unsigned base = 0;          // 8, 10, 16: digits in text; 0: binary
  std::uint64_t bitmask = 0;  // 0: none
};

struct ByteTest {
  NumberAt number;
  Comparison comparison = Comparison::equal;
  bool negated = false;
  Operand value;
};

struct ByteJump {
  NumberAt number;
  std::uint64_t multiplier = 1;
  bool align = false;
  enum class From : std::uint8_t { here, beginning, end } from = From::here;
  Operand post_offset;
};

struct ByteExtract {
  NumberAt number;
  std::uint64_t multiplier = 1;
  unsigned align = 0;  // 0, 2, 4
  int variable = 0;
};

struct ByteMath {
  NumberAt number;
  enum class Operation : std::uint8_t {
    add,
    subtract,
    multiply,
    divide,
    shift_left,
    shift_right
  } operation{};
  Operand operand;
  int variable = 0;
};

// A comparison with one or two bounds: bsize, dsize, ttl, ...
struct NumberRange {
  enum class Kind : std::uint8_t {
    equal,
    not_equal,
    less,
    less_equal,
    greater,
    greater_equal,
    between,
    not_between,
    masked,  // first: the mask, second: what it leaves
    not_masked
  };
  Kind kind = Kind::equal;
  std::uint64_t first = 0;
  std::uint64_t second = 0;  // between: both bounds exclusive
  [[nodiscard]] bool contains(std::uint64_t value) const noexcept;
};

struct SizeTest {
  NumberRange size;
};

struct Absent {
  bool or_else = false;  // absent:or_else: also fine if present and the other tests hold
};

struct Entropy {
  NumberRange thousandths;  // bits of entropy per byte, times 1000
  std::uint32_t offset = 0;
  std::uint32_t bytes = 0;
};

struct Asn1Test {
  Asn1Checks checks;
  std::int64_t offset = 0;
  bool relative = false;
};

class Dataset;
struct DatasetTest {
  enum class Operation : std::uint8_t { set, unset, is_set, is_not_set, reputation } operation{};
  std::shared_ptr<Dataset> set;
  NumberRange reputation;
};

struct Test;
struct Base64Decode {
  Operand offset;
  std::uint32_t bytes = 0;  // 0: all
  bool relative = false;
  bool rfc2045 = false;     // skips what is not in the alphabet
  std::vector<Test> tests;  // on the decoded bytes (base64_data)
};

struct Test {
  std::variant<Content, RegexTest, IsDataAt, ByteTest, ByteJump, ByteExtract, ByteMath, SizeTest,
               Absent, Entropy, Asn1Test, Base64Decode, DatasetTest>
      what;
  bool relative_next =
      false;  // the next test starts where this one ended: try other places when it fails
  [[nodiscard]] bool relative() const;
};

struct TestList {
  BufferRef buffer;
  std::vector<Transform> transforms;
  std::vector<Test> tests;
  // Only the finished buffer can answer: negation, sizes, "ends with".
  bool needs_complete = false;
  bool absent = false;
};

// ---- tests on a transaction ---------------------------------------------------------------------

struct NumberTest {
  Number to_server = Number::count;
  Number to_client = Number::count;
  std::vector<NumberRange> any_of;
  // Which instances: any of them, each of them, or one by its place (negative: from the end).
  enum class Which : std::uint8_t { any, all, one } which = Which::any;
  int place = 0;
  [[nodiscard]] Number in(Direction d) const noexcept {
    return d == Direction::to_server ? to_server : to_client;
  }
};

struct EventTest {
  ProtoEvent event{};
};

// A hook: how far one direction of the transaction must have come.
struct StageTest {
  AppProto proto = AppProto::unknown;
  Direction direction = Direction::to_server;
  Buffer known = Buffer::count;  // this of it is there; count: its beginning is enough
  bool complete = false;         // nothing more comes
  bool lasting = false;          // the rule fires with each packet until nothing more comes
};

using TransactionTest = std::variant<NumberTest, EventTest, StageTest>;

// ---- tests on the packet and the flow -----------------------------------------------------------

enum class Field : std::uint8_t {
  dsize,
  ttl,
  ip_id,
  ip_proto,
  tos,
  itype,
  icode,
  icmp_id,
  icmp_seq,
  tcp_seq,
  tcp_ack,
  tcp_window,
  tcp_mss,
  tcp_wscale,
  fragoffset,
  vlan_layers,
  igmp_type,
  icmpv6_mtu,
  flow_age,
  flow_packets_to_server,
  flow_packets_to_client,
  flow_packets,
  flow_bytes_to_server,
  flow_bytes_to_client,
  flow_bytes,
  stream_size_server,
  stream_size_client,
  stream_size_either,
  stream_size_both,
};

struct FieldTest {
  Field field = Field::dsize;
  NumberRange range;
};
struct FlagsTest {
  enum class Mode : std::uint8_t { exact, all, any, none } mode = Mode::exact;
  std::uint8_t flags = 0;
  std::uint8_t ignored = 0;
};
struct FragBitsTest {
  enum class Mode : std::uint8_t { exact, all, any, none } mode = Mode::exact;
  std::uint8_t bits = 0;  // reserved 4, dont 2, more 1
};
struct SameIpTest {};
struct IpOptionTest {
  std::uint8_t option = 0;
  bool any = false;
};
struct AppProtoTest {
  AppProto proto = AppProto::unknown;
  AppProtoSet protos{};  // it, and those that carry it
  bool negated = false;
  // Whose: the flow's, or what one side speaks; packet: the side that sent the packet; original:
  // the flow's before the peers changed it.
  enum class Side : std::uint8_t { flow, to_server, to_client, packet, original } side = Side::flow;
};
// The packet shows that the two sides speak different protocols.
struct MismatchTest {};
// An anomaly that a stage noted on the packet: decode-event, stream-event.
struct AnomalyTest {
  Anomaly anomaly{};
};
// A header's checksum: the header is there, and its checksum is right or wrong.
struct ChecksumTest {
  Anomaly wrong{};
  bool valid = true;
};
struct VlanTest {
  enum class Layer : std::uint8_t { any, all, numbered };
  NumberRange id;
  Layer layer = Layer::any;
  int number = 0;  // from the outermost; negative: from the innermost
};
// What is known of an address, by category.
class Reputation;
struct ReputationTest {
  enum class Side : std::uint8_t { source, destination, any, both } side = Side::source;
  std::shared_ptr<const Reputation> reputation;
  unsigned category = 0;
  std::optional<NumberRange> score;  // nothing: whether there is one
  bool known = true;                 // without a score: there is one, or there is none
};
using HeaderTest =
    std::variant<ReputationTest, FieldTest, FlagsTest, FragBitsTest, SameIpTest, IpOptionTest,
                 AppProtoTest, AnomalyTest, ChecksumTest, VlanTest, MismatchTest>;

struct FlowTest {
  enum class State : std::uint8_t { any, established, not_established, stateless };
  State state = State::any;
  bool to_server = true;
  bool to_client = true;
  bool only_stream = false;
  bool no_stream = false;
  bool only_fragments = false;  // datagrams that came in parts
  bool no_fragments = false;
  bool present = false;  // the rule has a flow keyword
};

// ---- state across packets -----------------------------------------------------------------------

enum class BitOperation : std::uint8_t { set, unset, toggle, is_set, is_not_set };
enum class BitScope : std::uint8_t { flow, source, destination, ip_pair };
struct BitTest {  // is_set, is_not_set before the match; the others after it
  BitOperation operation = BitOperation::set;
  BitScope scope = BitScope::flow;
  std::vector<std::uint64_t> names;  // hashes; is_set: any of them
  std::uint32_t seconds = 0;         // xbits: how long it lasts
};
struct FlowIntTest {
  enum class Operation : std::uint8_t {
    assign,
    add,
    subtract,
    compare,
    is_set,
    is_not_set
  } operation{};
  Comparison comparison = Comparison::equal;
  std::uint64_t name = 0;
  std::uint64_t value = 0;
  std::optional<std::uint64_t> other;  // the value is that of another variable
};

struct Threshold {
  enum class Kind : std::uint8_t {
    none,
    limit,
    threshold,
    both,
    backoff,
    detection_filter
  } kind = Kind::none;
  enum class Track : std::uint8_t { source, destination, both, rule, flow } track = Track::source;
  std::uint32_t count = 0;
  std::uint32_t seconds = 0;
  std::uint32_t multiplier = 0;
};

// Matches that are not reported: all, or those of some hosts.
struct Suppression {
  enum class Track : std::uint8_t { any, source, destination, either } track = Track::any;
  AddressSet hosts = AddressSet::any();
};

// Beyond a rate the rule has another action, for some time.
struct RateFilter {
  Threshold rate;
  RuleAction action = RuleAction::alert;
  std::uint32_t seconds = 0;
};

// ---- the rule -----------------------------------------------------------------------------------

struct RuleProto {
  enum class Transport : std::uint8_t { any, tcp, udp, icmp, icmpv4, icmpv6, sctp };
  enum class Part : std::uint8_t { both, packet, stream };  // tcp, tcp-pkt, tcp-stream
  Transport transport = Transport::any;
  Part part = Part::both;
  AppProtoSet apps{};           // empty: any
  std::uint8_t ip_version = 0;  // 0: any
};

// filestore: which files of the transaction are to be kept.
struct FileStore {
  bool wanted = false;
  enum class Reach : std::uint8_t { same, to_server, to_client, both } reach = Reach::same;
};

// tag: packets that are recorded after a match.
inline constexpr std::uint32_t tag_count_default = 256;
inline constexpr std::uint32_t tag_count_max = 1U << 20U;
struct Tag {
  enum class Scope : std::uint8_t { none, session, source, destination } scope = Scope::none;
  enum class Unit : std::uint8_t { packets, seconds, bytes } unit = Unit::packets;
  std::uint32_t count = 0;
};

// What a rule is checked on; decides also how far its action reaches.
enum class RuleKind : std::uint8_t {
  ip_only,        // addresses alone: the first packet of each direction; action on the flow
  like_ip_only,   // the same with negated addresses: every packet; action on the flow
  packet,         // every packet; action on the packet
  app_only,       // the flow's protocol alone; action on the flow
  stream,         // reassembled bytes (and packets outside of a stream); action on the flow
  packet_stream,  // both; action on the flow
  transaction,    // protocol buffers; action on the flow
};

struct Rule {
  RuleInfo info;
  RuleProto proto;
  RuleKind kind = RuleKind::packet;
  AddressSet src = AddressSet::any();
  AddressSet dst = AddressSet::any();
  PortSet sport = PortSet::any();
  PortSet dport = PortSet::any();
  bool bidirectional = false;
  bool transactional = false;  // => : request and response conditions in one rule
  FlowTest flow;
  std::vector<HeaderTest> header;
  std::vector<TestList> lists;
  std::vector<TransactionTest> asks;
  std::vector<BitTest> bits;
  std::vector<FlowIntTest> ints;
  Threshold threshold;
  Threshold detection_filter;
  std::vector<Suppression> suppressions;
  std::optional<RateFilter> rate_filter;
  FileStore file_store;
  std::vector<Tag> tags;
  bool quiet_transaction = false;  // its transaction is not logged
  bool replaces = false;           // a content has a replacement
  bool captures = false;           // an expression fills variables
  bool two_rules = false;          // <> with two different sides: reports what fits both ways twice
  // Of variables that events name, by their hash.
  std::vector<std::pair<std::uint64_t, std::string>> names;
  bool noalert = false;
  bool alert_anyway = false;  // `alert` in a pass rule
  bool bypass = false;        // after a match the flow is let go
  bool has_priority = false;
  int variables = 0;        // how many byte_extract / byte_math results
  std::uint32_t order = 0;  // of loading

  [[nodiscard]] bool reads_bits() const noexcept;
  [[nodiscard]] bool writes_bits() const noexcept;
  [[nodiscard]] bool has_payload_tests() const noexcept;
  [[nodiscard]] bool has_transaction_tests() const noexcept;
};

inline constexpr int rule_variables_max = 16;

}  // namespace menshen::sensor
