#include "sensor/proto/dns_message.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/ip.hpp"

namespace menshen::sensor {

namespace {

enum Type : std::uint16_t {
  type_a = 1,
  type_ns = 2,
  type_cname = 5,
  type_soa = 6,
  type_ptr = 12,
  type_mx = 15,
  type_txt = 16,
  type_aaaa = 28,
  type_srv = 33,
  type_dname = 39,
  type_sshfp = 44,
  type_svcb = 64,
  type_https = 65,
  type_caa = 257,
};
struct TypeName {
  std::uint16_t type;
  std::string_view name;
};
// IANA "DNS Parameters", in order of their numbers.
constexpr std::array<TypeName, 46> type_names{
    {{1, "A"},         {2, "NS"},          {5, "CNAME"},  {6, "SOA"},     {10, "NULL"},
     {11, "WKS"},      {12, "PTR"},        {13, "HINFO"}, {14, "MINFO"},  {15, "MX"},
     {16, "TXT"},      {17, "RP"},         {18, "AFSDB"}, {24, "SIG"},    {25, "KEY"},
     {28, "AAAA"},     {29, "LOC"},        {33, "SRV"},   {35, "NAPTR"},  {36, "KX"},
     {37, "CERT"},     {39, "DNAME"},      {41, "OPT"},   {43, "DS"},     {44, "SSHFP"},
     {45, "IPSECKEY"}, {46, "RRSIG"},      {47, "NSEC"},  {48, "DNSKEY"}, {49, "DHCID"},
     {50, "NSEC3"},    {51, "NSEC3PARAM"}, {52, "TLSA"},  {55, "HIP"},    {59, "CDS"},
     {60, "CDNSKEY"},  {64, "SVCB"},       {65, "HTTPS"}, {99, "SPF"},    {249, "TKEY"},
     {250, "TSIG"},    {251, "IXFR"},      {252, "AXFR"}, {255, "ANY"},   {256, "URI"},
     {257, "CAA"}}};

constexpr unsigned opcode_max = 6;      // stateful operations (RFC 8490)
constexpr unsigned questions_max = 16;  // more than one is unheard of
constexpr std::size_t legal_name_bytes_max = 255;

// Reads a name and leaves `reader` behind it. A longer name than dns_name_bytes_max is cut; what is
// left of it is walked over once, without following its pointer, so the work stays linear. False:
// broken.
bool read_name(ByteReader& reader, std::string& out, bool& cut) {
  std::size_t behind = 0;
  bool full = false;
  for (std::size_t jumps = 0; jumps <= dns_jumps_max;) {
    const std::uint8_t length = reader.u8();
    if (!reader.ok()) return false;
    const unsigned kind = length & 0xc0U;
    if (kind == 0xc0) {
      const std::size_t target = (length & 0x3fU) << 8U | reader.u8();
      if (behind == 0) behind = reader.position();
      ++jumps;
      if (!full) reader.seek(target);
    } else if (kind != 0) {
      return false;
    } else if (length != 0 && !full) {
      const Bytes label = reader.take(length);
      if (!reader.ok()) return false;
      full = out.size() + label.size() + 1 > dns_name_bytes_max;
      if (!full) {
        if (!out.empty()) out += '.';
        out += as_text(label);
      }
    } else {
      reader.skip(length);
    }
    cut = cut || full;
    if (length == 0 || (full && behind != 0)) {
      if (behind != 0) reader.seek(behind);
      return reader.ok();
    }
  }
  return false;
}

bool read_question(ByteReader& reader, DnsRecord& record, bool& cut) {
  if (!read_name(reader, record.name, cut)) return false;
  record.type = reader.be16();
  record.klass = reader.be16();
  return reader.ok();
}

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string hex_colons(Bytes bytes) {
  std::string out;
  for (const std::byte byte : bytes) {
    fmt::format_to(std::back_inserter(out), "{}{:02x}", out.empty() ? "" : ":",
                   std::to_integer<unsigned>(byte));
  }
  return out;
}

void describe_soa(DnsRecord& record, ByteReader& at, bool& cut) {
  std::string contact;
  if (!read_name(at, record.rdata, cut) || !read_name(at, contact, cut)) return;
  record.rdata_is_name = true;
  Json json{{"mname", record.rdata}, {"rname", contact}};
  for (const char* key : {"serial", "refresh", "retry", "expire", "minimum"}) json[key] = at.be32();
  if (at.ok()) record.details = dump(json);
}

void describe_srv(DnsRecord& record, ByteReader& at, bool& cut) {
  Json json;
  for (const char* key : {"priority", "weight", "port"}) json[key] = at.be16();
  std::string name;
  if (!read_name(at, name, cut)) return;
  json["name"] = name;
  record.details = dump(json);
}

// `at_data` stands at the record's data; its names may point anywhere in the message.
void describe(DnsRecord& record, ByteReader at_data, Bytes data, bool& cut) {
  ByteReader reader(data);
  switch (record.type) {
    case type_a:
      if (data.size() == 4) record.rdata = IpAddr::v4(at_data.be32()).to_string();
      break;
    case type_aaaa:
      if (data.size() == 16) {
        std::array<std::uint8_t, 16> bytes{};
        std::memcpy(bytes.data(), data.data(), bytes.size());
        record.rdata = IpAddr::v6(bytes).to_string();
      }
      break;
    case type_mx:
      at_data.skip(2);
      [[fallthrough]];
    case type_ns:
    case type_cname:
    case type_ptr:
    case type_dname:
      record.rdata_is_name = read_name(at_data, record.rdata, cut);
      break;
    case type_soa:
      return describe_soa(record, at_data, cut);
    case type_srv:
      return describe_srv(record, at_data, cut);
    case type_txt:
      while (!reader.empty()) record.rdata += as_text(reader.take(reader.u8()));
      break;
    case type_sshfp: {
      const unsigned algorithm = reader.u8();
      const unsigned type = reader.u8();
      if (!reader.ok()) break;
      record.details =
          dump({{"fingerprint", hex_colons(reader.rest())}, {"algo", algorithm}, {"type", type}});
      break;
    }
    case type_caa: {
      const unsigned flags = reader.u8();
      const std::string_view tag = as_text(reader.take(reader.u8()));
      if (!reader.ok()) break;
      record.details = dump({{"flags", flags}, {"tag", tag}, {"value", as_text(reader.rest())}});
      break;
    }
    case type_svcb:
    case type_https: {
      const unsigned priority = at_data.be16();
      std::string name;
      if (!read_name(at_data, name, cut)) break;
      record.details = dump({{"priority", priority}, {"target", name}});
      break;
    }
    default:
      break;
  }
}

bool read_resource(ByteReader& reader, DnsRecord& record, bool& cut) {
  if (!read_question(reader, record, cut)) return false;
  record.ttl = reader.be32();
  const std::size_t length = reader.be16();
  const ByteReader at_data = reader;
  const Bytes data = reader.take(length);
  if (!reader.ok()) return false;
  describe(record, at_data, data, cut);
  return true;
}

}  // namespace

std::optional<DnsMessage> parse_dns(Bytes bytes, std::size_t records_max) {
  if (bytes.size() < dns_header_bytes) return std::nullopt;
  DnsMessage message;
  ByteReader reader(bytes);
  message.id = reader.be16();
  message.flags = reader.be16();
  const std::size_t questions = reader.be16();
  const std::size_t answers = reader.be16();
  const std::size_t authorities = reader.be16();
  const std::size_t additionals = reader.be16();
  std::size_t room = records_max;
  const auto section = [&](std::vector<DnsRecord>& into, std::size_t count, DnsFault fault,
                           bool question) {
    for (std::size_t i = 0; i < count && !message.damaged; ++i) {
      if (room == 0) {
        message.cut = true;
        return;
      }
      --room;
      DnsRecord record;
      const bool whole = question ? read_question(reader, record, message.cut)
                                  : read_resource(reader, record, message.cut);
      message.damaged = !whole;
      if (!whole) message.faults |= static_cast<std::uint8_t>(fault);
      if (record.name.size() > legal_name_bytes_max) {
        message.faults |= static_cast<std::uint8_t>(DnsFault::name_too_long);
      }
      // A broken record's name is still a name that somebody asked for.
      if (whole || !record.name.empty()) into.push_back(std::move(record));
    }
  };
  section(message.questions, questions, DnsFault::malformed, true);
  section(message.answers, answers, DnsFault::malformed, false);
  section(message.authorities, authorities, DnsFault::invalid_authorities, false);
  section(message.additionals, additionals, DnsFault::invalid_additionals, false);
  return message;
}

DnsStart check_dns_shape(Bytes bytes) noexcept {
  ByteReader reader(bytes);
  reader.skip(4);
  std::size_t records = 0;
  for (int i = 0; i < 4; ++i) records += reader.be16();
  if (!reader.ok()) return DnsStart::too_short;
  constexpr std::size_t records_plausible_max = 4096;
  if (records == 0 || records > records_plausible_max) return DnsStart::wrong;
  std::size_t name_bytes = 0;
  for (;;) {
    const std::uint8_t length = reader.u8();
    if (!reader.ok()) return DnsStart::too_short;
    if (length > 63) return DnsStart::wrong;
    if (length == 0) break;
    name_bytes += length + 1U;
    if (name_bytes > legal_name_bytes_max) return DnsStart::wrong;
    reader.skip(length);
  }
  reader.skip(4);  // type, class
  return reader.ok() ? DnsStart::plausible : DnsStart::too_short;
}

DnsStart check_dns_start(Bytes bytes, bool response) noexcept {
  if (bytes.size() < 4) return DnsStart::too_short;
  ByteReader reader(bytes);
  reader.skip(2);
  const unsigned flags = reader.be16();
  if ((flags & 0x8000U) != (response ? 0x8000U : 0U)) return DnsStart::wrong;
  if ((flags >> 11U & 0x0fU) > opcode_max || (flags & 0x0040U) != 0) return DnsStart::wrong;
  const unsigned questions = reader.be16();
  const unsigned answers = reader.be16();
  if (!reader.ok() || bytes.size() < dns_header_bytes) return DnsStart::too_short;
  reader.skip(4);
  if (questions == 0 || questions > questions_max) return DnsStart::wrong;
  if (!response && (answers != 0 || (flags & 0x0fU) != 0)) return DnsStart::wrong;
  std::size_t name_bytes = 0;
  for (;;) {
    const std::uint8_t length = reader.u8();
    if (!reader.ok()) return DnsStart::too_short;
    if (length == 0) break;
    if (length > 63) return DnsStart::wrong;  // nothing to point back to yet
    name_bytes += length + 1U;
    if (name_bytes > 255) return DnsStart::wrong;
    reader.skip(length);
    if (!reader.ok()) return DnsStart::too_short;
  }
  const unsigned type = reader.be16();
  const unsigned klass = reader.be16();
  if (!reader.ok()) return DnsStart::too_short;
  // IN, CH, HS, NONE, ANY (RFC 6895 3.2).
  const bool known = klass == 1 || klass == 3 || klass == 4 || klass == 254 || klass == 255;
  return known && type != 0 ? DnsStart::plausible : DnsStart::wrong;
}

std::string dns_type_name(std::uint16_t type) {
  const auto* found = std::lower_bound(
      type_names.begin(), type_names.end(), type,
      [](const TypeName& entry, std::uint16_t wanted) { return entry.type < wanted; });
  const bool known = found != type_names.end() && found->type == type;
  return known ? std::string(found->name) : fmt::to_string(type);
}

std::string dns_rcode_name(unsigned rcode) {
  constexpr std::array<std::string_view, 11> names{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                                   "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
                                                   "NXRRSET", "NOTAUTH", "NOTZONE"};
  return rcode < names.size() ? std::string(names[rcode]) : fmt::to_string(rcode);
}

}  // namespace menshen::sensor
