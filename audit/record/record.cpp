#include "audit/record/record.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/file.hpp"
#include "base/text.hpp"

namespace menshen::audit {
namespace {

constexpr std::string_view magic = "MSAR";
constexpr std::uint16_t version = 1;
constexpr std::uint8_t flag_src = 1;
constexpr std::uint8_t flag_dst = 2;
constexpr std::uint8_t flag_rule = 4;
constexpr std::uint8_t flags_all = flag_src | flag_dst | flag_rule;
constexpr std::size_t stamp_bytes = 16;
constexpr std::size_t header_bytes = 63;  // up to the first field that may be absent

struct TextField {
  std::string Record::*member;
  std::string_view RecordView::*seen;
  std::size_t bytes_max;
  std::string_view name;
};

// In the order of the byte form.
constexpr std::array<TextField, 9> text_fields{{
    {&Record::source, &RecordView::source, source_bytes_max, "source"},
    {&Record::subject, &RecordView::subject, subject_bytes_max, "subject"},
    {&Record::action, &RecordView::action, action_bytes_max, "action"},
    {&Record::object, &RecordView::object, object_bytes_max, "object"},
    {&Record::domain_src, &RecordView::domain_src, domain_bytes_max, "domain_src"},
    {&Record::domain_dst, &RecordView::domain_dst, domain_bytes_max, "domain_dst"},
    {&Record::policy_line, &RecordView::policy_line, policy_line_bytes_max, "policy_line"},
    {&Record::message, &RecordView::message, record_message_bytes_max, "message"},
    {&Record::detail, &RecordView::detail, detail_bytes_max, "detail"},
}};

// So that no record within its fields' limits is over the whole record's.
constexpr std::size_t longest_record() {
  std::size_t bytes = 128 + stamp_bytes;
  for (const TextField& field : text_fields) bytes += 2 + field.bytes_max;
  return bytes;
}
static_assert(longest_record() <= record_bytes_max);
static_assert(detail_bytes_max <= std::numeric_limits<std::uint16_t>::max());

template <class Integer>
void put(std::string& out, Integer value) {
  for (int shift = static_cast<int>(sizeof(Integer)) * 8 - 8; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> shift & 0xffU));
  }
}

bool is_source(std::string_view text) {
  return !text.empty() && text.size() <= source_bytes_max &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789._-") ==
             std::string_view::npos;
}

constexpr bool is_kind(std::uint8_t value) { return value >= 1 && value <= 11; }
constexpr bool is_severity(std::uint8_t value) { return value <= 4; }
constexpr bool is_outcome(std::uint8_t value) { return value <= 5; }

tl::unexpected<Error> fail_field(ErrorCode code, std::string_view field, std::string_view zh,
                                 std::string_view en) {
  return fail(code, {fmt::format("审计记录的字段 {} {}", field, zh),
                     fmt::format("audit record field {} {}", field, en)});
}

Result<void> check(const Record& record) {
  if (!is_source(record.source)) {
    return fail_field(ErrorCode::invalid, "source", "须为 1 至 64 个字符，限 a-z 0-9 . _ -",
                      "must be 1 to 64 characters of a-z 0-9 . _ -");
  }
  if (record.epoch >> 63U != 0 || record.sequence >> 63U != 0 || record.sequence == 0) {
    return fail_field(ErrorCode::invalid, "sequence", "超出范围", "is out of range");
  }
  if (!is_kind(static_cast<std::uint8_t>(record.kind)) ||
      !is_severity(static_cast<std::uint8_t>(record.severity)) ||
      !is_outcome(static_cast<std::uint8_t>(record.outcome))) {
    return fail_field(ErrorCode::invalid, "kind", "不是已知的类别、级别或结果",
                      "is no known kind, severity or outcome");
  }
  for (const TextField& field : text_fields) {
    const std::string& text = record.*field.member;
    if (text.size() > field.bytes_max) {
      return fail_field(ErrorCode::limit, field.name,
                        fmt::format("长 {} 字节，上限为 {}", text.size(), field.bytes_max),
                        fmt::format("has {} bytes, more than {}", text.size(), field.bytes_max));
    }
    if (!is_utf8(text)) {
      return fail_field(ErrorCode::invalid, field.name, "不是有效的 UTF-8", "is not valid UTF-8");
    }
  }
  return {};
}

void put_address(std::string& out, const std::optional<IpAddr>& address) {
  if (address) {
    out.append(reinterpret_cast<const char*>(address->bytes().data()), address->bytes().size());
  }
}

tl::unexpected<Error> fail_at(std::size_t offset, std::string_view zh, std::string_view en) {
  return fail(ErrorCode::invalid, {fmt::format("审计记录第 {} 字节处：{}", offset, zh),
                                   fmt::format("audit record, byte {}: {}", offset, en)});
}

Result<void> take_texts(ByteReader& in, RecordView& record) {
  for (const TextField& field : text_fields) {
    const std::size_t offset = in.position();
    const std::size_t length = in.be16();
    if (length > field.bytes_max) {
      return fail_at(offset, fmt::format("{} 过长", field.name),
                     fmt::format("{} is too long", field.name));
    }
    const std::string_view text = as_text(in.take(length));
    if (!in.ok()) return fail_at(offset, "记录不完整", "the record ends too early");
    if (!is_utf8(text)) {
      return fail_at(offset, fmt::format("{} 不是有效的 UTF-8", field.name),
                     fmt::format("{} is not valid UTF-8", field.name));
    }
    record.*field.seen = text;
  }
  if (!is_source(record.source)) {
    return fail_at(0, "来源名称无效", "the source's name is not valid");
  }
  return {};
}

Result<void> take_stamp(ByteReader& in, RecordView& record) {
  if (in.remaining() == 1) {
    if (in.u8() == 0) return {};
  } else if (in.remaining() == stamp_bytes + 1) {
    Stamp stamp;
    stamp.received = static_cast<WallTime>(in.be64());
    stamp.uid = in.be32();
    stamp.pid = in.be32();
    record.stamp = stamp;
    if (in.u8() == 1) return {};
  }
  return fail_at(in.position(), "结尾不符合格式", "the end is not as the format has it");
}

// Bytes that belong to no character become U+FFFD.
std::string to_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    const std::size_t bytes = std::max<std::size_t>(point.bytes, 1);
    out.append(point.valid ? text.substr(0, bytes) : "\xef\xbf\xbd");
    text.remove_prefix(bytes);
  }
  return out;
}

// The greatest length up to bytes_max at which valid UTF-8 can be cut without breaking a character.
std::size_t utf8_cut(std::string_view text, std::size_t bytes_max) {
  std::size_t cut = bytes_max;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0U) == 0x80U) --cut;
  return cut;
}

}  // namespace

Result<void> encode(const Record& record, std::string& out) {
  MENSHEN_CHECK(check(record));
  out.append(magic);
  put(out, version);
  put(out, record.time);
  put(out, record.monotonic);
  out.append(reinterpret_cast<const char*>(record.boot.data()), record.boot.size());
  put(out, record.epoch);
  put(out, record.sequence);
  put(out, static_cast<std::uint8_t>(record.kind));
  put(out, static_cast<std::uint8_t>(record.severity));
  put(out, static_cast<std::uint8_t>(record.outcome));
  put(out, static_cast<std::uint8_t>((record.src ? flag_src : 0) | (record.dst ? flag_dst : 0) |
                                     (record.rule ? flag_rule : 0)));
  put(out, record.sport);
  put(out, record.dport);
  put(out, record.proto);
  put_address(out, record.src);
  put_address(out, record.dst);
  if (record.rule) {
    put(out, record.rule->gid);
    put(out, record.rule->sid);
    put(out, record.rule->rev);
  }
  for (const TextField& field : text_fields) {
    const std::string& text = record.*field.member;
    put(out, static_cast<std::uint16_t>(text.size()));
    out.append(text);
  }
  if (record.stamp) {
    put(out, record.stamp->received);
    put(out, record.stamp->uid);
    put(out, record.stamp->pid);
  }
  put(out, static_cast<std::uint8_t>(record.stamp ? 1 : 0));
  return {};
}

Result<std::string> encode(const Record& record) {
  std::string out;
  MENSHEN_CHECK(encode(record, out));
  return out;
}

Result<RecordView> view(Bytes bytes) {
  if (bytes.size() > record_bytes_max) return fail_at(record_bytes_max, "记录过长", "too long");
  ByteReader in(bytes);
  if (as_text(in.take(magic.size())) != magic) {
    return fail_at(0, "不是审计记录", "this is no audit record");
  }
  if (const std::uint16_t found = in.be16(); found != version) {
    return fail_at(magic.size(), fmt::format("不支持的格式版本 {}", found),
                   fmt::format("format version {} is not supported", found));
  }
  RecordView record;
  record.time = static_cast<WallTime>(in.be64());
  record.monotonic = static_cast<MonotonicTime>(in.be64());
  record.boot = in.take(sizeof(BootId));
  record.epoch = in.be64();
  record.sequence = in.be64();
  const std::size_t enumerators = in.position();
  const std::uint8_t kind = in.u8();
  const std::uint8_t severity = in.u8();
  const std::uint8_t outcome = in.u8();
  const std::uint8_t flags = in.u8();
  if (!in.ok()) return fail_at(bytes.size(), "记录不完整", "the record ends too early");
  if (record.epoch >> 63U != 0 || record.sequence >> 63U != 0 || record.sequence == 0) {
    return fail_at(enumerators - 16, "序号超出范围", "epoch or sequence is out of range");
  }
  if (!is_kind(kind) || !is_severity(severity) || !is_outcome(outcome) ||
      (flags & ~flags_all) != 0) {
    return fail_at(enumerators, "未知的类别、级别、结果或标志",
                   "unknown kind, severity, outcome or flag");
  }
  record.kind = Kind{kind};
  record.severity = Severity{severity};
  record.outcome = Outcome{outcome};
  record.sport = in.be16();
  record.dport = in.be16();
  record.proto = in.u8();
  if ((flags & flag_src) != 0) record.src = in.take(16);
  if ((flags & flag_dst) != 0) record.dst = in.take(16);
  if ((flags & flag_rule) != 0) {
    RuleId rule;
    rule.gid = in.be32();
    rule.sid = in.be32();
    rule.rev = in.be32();
    record.rule = rule;
  }
  if (!in.ok()) return fail_at(bytes.size(), "记录不完整", "the record ends too early");
  MENSHEN_CHECK(take_texts(in, record));
  MENSHEN_CHECK(take_stamp(in, record));
  return record;
}

std::optional<RecordView> view_stored(Bytes bytes) noexcept {
  if (bytes.size() < header_bytes) return std::nullopt;
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto at = [data]<class Integer>(std::size_t offset, Integer) {
    Integer value = 0;
    for (std::size_t i = 0; i < sizeof(Integer); ++i) {
      value = static_cast<Integer>(static_cast<std::uint64_t>(value) << 8U | data[offset + i]);
    }
    return value;
  };
  RecordView record;
  record.time = static_cast<WallTime>(at(6, std::uint64_t{}));
  record.monotonic = static_cast<MonotonicTime>(at(14, std::uint64_t{}));
  record.boot = bytes.subspan(22, sizeof(BootId));
  record.epoch = at(38, std::uint64_t{});
  record.sequence = at(46, std::uint64_t{});
  record.kind = Kind{data[54]};
  record.severity = Severity{data[55]};
  record.outcome = Outcome{data[56]};
  const std::uint8_t flags = data[57];
  record.sport = at(58, std::uint16_t{});
  record.dport = at(60, std::uint16_t{});
  record.proto = data[62];
  std::size_t next = header_bytes;
  const auto take = [&](std::size_t n) {
    const Bytes taken = n <= bytes.size() - next ? bytes.subspan(next, n) : Bytes{};
    next = std::min(bytes.size(), next + n);
    return taken;
  };
  if ((flags & flag_src) != 0) record.src = take(16);
  if ((flags & flag_dst) != 0) record.dst = take(16);
  if ((flags & flag_rule) != 0) {
    if (bytes.size() - next < 12) return std::nullopt;
    record.rule = RuleId{at(next, std::uint32_t{}), at(next + 4, std::uint32_t{}),
                         at(next + 8, std::uint32_t{})};
    next += 12;
  }
  for (const TextField& field : text_fields) {
    if (bytes.size() - next < 2) return std::nullopt;
    const std::size_t length = at(next, std::uint16_t{});
    next += 2;
    if (bytes.size() - next < length) return std::nullopt;
    record.*field.seen = as_text(take(length));
  }
  if (bytes.size() - next == stamp_bytes + 1) {
    record.stamp = Stamp{static_cast<WallTime>(at(next, std::uint64_t{})),
                         at(next + 8, std::uint32_t{}), at(next + 12, std::uint32_t{})};
  }
  return record;
}

Record to_record(const RecordView& view) {
  const auto address = [](Bytes from) -> std::optional<IpAddr> {
    if (from.size() != 16) return std::nullopt;
    std::array<std::uint8_t, 16> bytes{};
    std::ranges::transform(from, bytes.begin(),
                           [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
    return IpAddr::v6(bytes);
  };
  Record record;
  record.time = view.time;
  record.monotonic = view.monotonic;
  std::ranges::transform(view.boot, record.boot.begin(),
                         [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
  record.epoch = view.epoch;
  record.sequence = view.sequence;
  record.kind = view.kind;
  record.severity = view.severity;
  record.outcome = view.outcome;
  record.sport = view.sport;
  record.dport = view.dport;
  record.proto = view.proto;
  record.src = address(view.src);
  record.dst = address(view.dst);
  record.rule = view.rule;
  for (const TextField& field : text_fields) record.*field.member = view.*field.seen;
  record.stamp = view.stamp;
  return record;
}

Result<Record> decode(Bytes bytes) { return to_record(MENSHEN_TRY(view(bytes))); }

void put_stamped(Bytes unstamped, const Stamp& stamp, std::string& out) {
  out.append(as_text(unstamped.first(unstamped.size() - 1)));
  put(out, stamp.received);
  put(out, stamp.uid);
  put(out, stamp.pid);
  put(out, std::uint8_t{1});
}

Bytes without_stamp(Bytes encoded) {
  if (encoded.empty()) return encoded;
  const std::size_t tail = encoded.back() == std::byte{1} ? stamp_bytes + 1 : 1;
  return encoded.first(encoded.size() - std::min(tail, encoded.size()));
}

void fit(Record& record) {
  for (const TextField& field : text_fields) {
    if (field.member == &Record::source) continue;
    std::string& text = record.*field.member;
    if (!is_utf8(text)) text = to_utf8(text);
    if (text.size() <= field.bytes_max) continue;
    if (field.member == &Record::detail) {
      text = fmt::format(R"({{"truncated_bytes":{}}})", text.size());
    } else {
      text.resize(utf8_cut(text, field.bytes_max));
    }
  }
}

Result<BootId> current_boot_id() {
  const std::string text = MENSHEN_TRY(read_file("/proc/sys/kernel/random/boot_id", 4096));
  BootId id{};
  std::size_t digits = 0;
  for (const char c : text) {
    const std::size_t value = std::string_view("0123456789abcdef").find(c);
    if (value == std::string_view::npos || digits == 2 * id.size()) continue;
    id[digits / 2] = static_cast<std::uint8_t>(id[digits / 2] << 4U | value);
    ++digits;
  }
  if (digits != 2 * id.size()) {
    return fail(ErrorCode::io, {"无法读取本次启动的标识", "cannot read this boot's identifier"});
  }
  return id;
}

}  // namespace menshen::audit
