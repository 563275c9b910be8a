#include "policy/nft/expression.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_NFQUEUE.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

namespace menshen::policy::nft {
namespace {

constexpr std::uint32_t xt_revision = 3;
constexpr std::size_t xt_info_bytes = (sizeof(xt_NFQ_info_v3) + 7) / 8 * 8;  // XT_ALIGN

struct AddressField {
  bool v6;
  bool source;
  std::uint32_t offset;
  std::uint32_t bytes;
};
constexpr std::array<AddressField, 4> address_fields{
    {{false, true, 12, 4}, {false, false, 16, 4}, {true, true, 8, 16}, {true, false, 24, 16}}};

struct MetaField {
  LoadMeta::Key key;
  std::uint32_t kernel;
};
constexpr std::array<MetaField, 5> meta_fields{{{LoadMeta::Key::nfproto, NFT_META_NFPROTO},
                                                {LoadMeta::Key::l4proto, NFT_META_L4PROTO},
                                                {LoadMeta::Key::iifname, NFT_META_IIFNAME},
                                                {LoadMeta::Key::oifname, NFT_META_OIFNAME},
                                                {LoadMeta::Key::mark, NFT_META_MARK}}};

struct CtField {
  LoadCt::Key key;
  std::uint32_t kernel;
  bool original;
};
constexpr std::array<CtField, 8> ct_fields{
    {{LoadCt::Key::state, NFT_CT_STATE, false},
     {LoadCt::Key::mark, NFT_CT_MARK, false},
     {LoadCt::Key::original_src4, NFT_CT_SRC_IP, true},
     {LoadCt::Key::original_dst4, NFT_CT_DST_IP, true},
     {LoadCt::Key::original_src6, NFT_CT_SRC_IP6, true},
     {LoadCt::Key::original_dst6, NFT_CT_DST_IP6, true},
     {LoadCt::Key::original_protocol, NFT_CT_PROTOCOL, false},
     {LoadCt::Key::original_dport, NFT_CT_PROTO_DST, true}}};

constexpr std::size_t address_bytes_max = 16;

std::array<std::uint8_t, address_bytes_max> prefix_mask(unsigned bits) {
  std::array<std::uint8_t, address_bytes_max> mask{};
  for (unsigned bit = 0; bit < bits; ++bit)
    mask.at(bit / 8) |= static_cast<std::uint8_t>(0x80U >> bit % 8);
  return mask;
}

std::uint32_t kernel_register(Slot slot) { return NFT_REG32_00 + slot; }

// The kernel reports a register at a 16-byte boundary by its old number.
Slot slot_of(std::uint32_t reg) {
  if (reg >= NFT_REG32_00) return static_cast<Slot>(reg - NFT_REG32_00);
  return static_cast<Slot>((reg - NFT_REG_1) * 4);
}

int verdict_code(Verdict::Kind kind) {
  switch (kind) {
    case Verdict::Kind::accept:
      return NF_ACCEPT;
    case Verdict::Kind::jump_to:
      return NFT_JUMP;
    case Verdict::Kind::go_to:
      return NFT_GOTO;
    case Verdict::Kind::return_:
      return NFT_RETURN;
    case Verdict::Kind::drop:
    case Verdict::Kind::other:
      break;
  }
  return NF_DROP;
}

class Maker {
 public:
  explicit Maker(QueueKind queue) : queue_(queue) {}

  ExpressionHandle operator()(const LoadAddress& e) {
    const auto& field =
        *std::find_if(address_fields.begin(), address_fields.end(),
                      [&](const AddressField& f) { return f.v6 == e.v6 && f.source == e.source; });
    start("payload");
    u32(NFTNL_EXPR_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
    u32(NFTNL_EXPR_PAYLOAD_OFFSET, field.offset);
    u32(NFTNL_EXPR_PAYLOAD_LEN, field.bytes);
    u32(NFTNL_EXPR_PAYLOAD_DREG, kernel_register(e.to));
    return done();
  }
  ExpressionHandle operator()(const LoadMeta& e) {
    start("meta");
    for (const MetaField& field : meta_fields)
      if (field.key == e.key) u32(NFTNL_EXPR_META_KEY, field.kernel);
    u32(NFTNL_EXPR_META_DREG, kernel_register(e.to));
    return done();
  }
  ExpressionHandle operator()(const LoadCt& e) {
    start("ct");
    for (const CtField& field : ct_fields) {
      if (field.key != e.key) continue;
      u32(NFTNL_EXPR_CT_KEY, field.kernel);
      if (field.original) u8(NFTNL_EXPR_CT_DIR, IP_CT_DIR_ORIGINAL);
    }
    u32(NFTNL_EXPR_CT_DREG, kernel_register(e.to));
    return done();
  }
  ExpressionHandle operator()(const SetMark& e) {
    start("meta");
    u32(NFTNL_EXPR_META_KEY, NFT_META_MARK);
    u32(NFTNL_EXPR_META_SREG, kernel_register(e.from));
    return done();
  }
  ExpressionHandle operator()(const SetCtMark& e) {
    start("ct");
    u32(NFTNL_EXPR_CT_KEY, NFT_CT_MARK);
    u32(NFTNL_EXPR_CT_SREG, kernel_register(e.from));
    return done();
  }
  ExpressionHandle operator()(const SetValue& e) {
    start("immediate");
    u32(NFTNL_EXPR_IMM_DREG, kernel_register(e.to));
    if (made_) nftnl_expr_set(made_.get(), NFTNL_EXPR_IMM_DATA, &e.value, sizeof(e.value));
    return done();
  }
  ExpressionHandle operator()(const KeepPrefix& e) {
    const auto mask = prefix_mask(e.bits);
    constexpr std::array<std::uint8_t, address_bytes_max> none{};
    start("bitwise");
    u32(NFTNL_EXPR_BITWISE_SREG, kernel_register(e.slot));
    u32(NFTNL_EXPR_BITWISE_DREG, kernel_register(e.slot));
    u32(NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
    u32(NFTNL_EXPR_BITWISE_LEN, e.bytes);
    if (made_) {
      nftnl_expr_set(made_.get(), NFTNL_EXPR_BITWISE_MASK, mask.data(), e.bytes);
      nftnl_expr_set(made_.get(), NFTNL_EXPR_BITWISE_XOR, none.data(), e.bytes);
    }
    return done();
  }
  ExpressionHandle operator()(const Compare& e) {
    start("cmp");
    u32(NFTNL_EXPR_CMP_SREG, kernel_register(e.slot));
    u32(NFTNL_EXPR_CMP_OP, e.equal ? NFT_CMP_EQ : NFT_CMP_NEQ);
    if (made_) {
      nftnl_expr_set(made_.get(), NFTNL_EXPR_CMP_DATA, e.bytes.data(),
                     static_cast<std::uint32_t>(e.bytes.size()));
    }
    return done();
  }
  ExpressionHandle operator()(const Lookup& e) {
    start("lookup");
    u32(NFTNL_EXPR_LOOKUP_SREG, kernel_register(e.from));
    str(NFTNL_EXPR_LOOKUP_SET, e.set);
    if (e.data == DataType::id) u32(NFTNL_EXPR_LOOKUP_DREG, kernel_register(e.to));
    if (e.data == DataType::verdict) u32(NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
    if (e.inverted) u32(NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
    return done();
  }
  ExpressionHandle operator()(const Count& e) {
    start("objref");
    u32(NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
    str(NFTNL_EXPR_OBJREF_IMM_NAME, e.counter);
    return done();
  }
  ExpressionHandle operator()(const Limit& e) {
    start("limit");
    u64(NFTNL_EXPR_LIMIT_RATE, e.per_second);
    u64(NFTNL_EXPR_LIMIT_UNIT, 1);
    u32(NFTNL_EXPR_LIMIT_BURST, e.burst);
    u32(NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
    u32(NFTNL_EXPR_LIMIT_FLAGS, 0);
    return done();
  }
  ExpressionHandle operator()(const Log& e) {
    start("log");
    u16(NFTNL_EXPR_LOG_GROUP, e.group);
    u32(NFTNL_EXPR_LOG_SNAPLEN, e.snap_bytes);
    str(NFTNL_EXPR_LOG_PREFIX, e.prefix);
    return done();
  }
  ExpressionHandle operator()(const Queue& e) {
    if (queue_ == QueueKind::native) {
      start("queue");
      u16(NFTNL_EXPR_QUEUE_NUM, e.number);
      u16(NFTNL_EXPR_QUEUE_TOTAL, 1);
      u16(NFTNL_EXPR_QUEUE_FLAGS, e.bypass ? NFT_QUEUE_FLAG_BYPASS : 0);
      return done();
    }
    start("target");
    str(NFTNL_EXPR_TG_NAME, "NFQUEUE");
    u32(NFTNL_EXPR_TG_REV, xt_revision);
    if (!made_) return done();
    xt_NFQ_info_v3 info{};
    info.queuenum = e.number;
    info.queues_total = 1;
    info.flags = e.bypass ? NFQ_FLAG_BYPASS : 0;
    // libnftnl takes the block over and frees it.
    void* block = std::calloc(1, xt_info_bytes);
    if (block == nullptr) return nullptr;
    std::memcpy(block, &info, sizeof(info));
    nftnl_expr_set(made_.get(), NFTNL_EXPR_TG_INFO, block, xt_info_bytes);
    return done();
  }
  ExpressionHandle operator()(const Verdict& e) {
    start("immediate");
    u32(NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
    u32(NFTNL_EXPR_IMM_VERDICT, static_cast<std::uint32_t>(verdict_code(e.kind)));
    if (!e.chain.empty()) str(NFTNL_EXPR_IMM_CHAIN, e.chain);
    return done();
  }
  ExpressionHandle operator()(const Foreign&) { return nullptr; }

 private:
  void start(const char* name) { made_.reset(nftnl_expr_alloc(name)); }
  void u8(std::uint16_t key, std::uint8_t v) {
    if (made_) nftnl_expr_set_u8(made_.get(), key, v);
  }
  void u16(std::uint16_t key, std::uint16_t v) {
    if (made_) nftnl_expr_set_u16(made_.get(), key, v);
  }
  void u32(std::uint16_t key, std::uint32_t v) {
    if (made_) nftnl_expr_set_u32(made_.get(), key, v);
  }
  void u64(std::uint16_t key, std::uint64_t v) {
    if (made_) nftnl_expr_set_u64(made_.get(), key, v);
  }
  void str(std::uint16_t key, const std::string& v) {
    if (made_) nftnl_expr_set_str(made_.get(), key, v.c_str());
  }
  ExpressionHandle done() { return std::move(made_); }

  QueueKind queue_;
  ExpressionHandle made_;
};

std::uint32_t get(const nftnl_expr* e, std::uint16_t key) { return nftnl_expr_get_u32(e, key); }
bool has(const nftnl_expr* e, std::uint16_t key) { return nftnl_expr_is_set(e, key); }
std::string text(const nftnl_expr* e, std::uint16_t key) {
  const char* value = has(e, key) ? nftnl_expr_get_str(e, key) : nullptr;
  return value == nullptr ? "" : value;
}

using Read = std::optional<Expression>;

Read read_payload(const nftnl_expr* e) {
  if (has(e, NFTNL_EXPR_PAYLOAD_SREG) ||
      get(e, NFTNL_EXPR_PAYLOAD_BASE) != NFT_PAYLOAD_NETWORK_HEADER)
    return std::nullopt;
  for (const AddressField& field : address_fields) {
    if (field.offset == get(e, NFTNL_EXPR_PAYLOAD_OFFSET) &&
        field.bytes == get(e, NFTNL_EXPR_PAYLOAD_LEN))
      return LoadAddress{field.v6, field.source, slot_of(get(e, NFTNL_EXPR_PAYLOAD_DREG))};
  }
  return std::nullopt;
}

Read read_meta(const nftnl_expr* e) {
  if (has(e, NFTNL_EXPR_META_SREG)) {
    if (get(e, NFTNL_EXPR_META_KEY) != NFT_META_MARK) return std::nullopt;
    return SetMark{slot_of(get(e, NFTNL_EXPR_META_SREG))};
  }
  for (const MetaField& field : meta_fields) {
    if (field.kernel == get(e, NFTNL_EXPR_META_KEY))
      return LoadMeta{field.key, slot_of(get(e, NFTNL_EXPR_META_DREG))};
  }
  return std::nullopt;
}

Read read_ct(const nftnl_expr* e) {
  const std::uint32_t key = get(e, NFTNL_EXPR_CT_KEY);
  if (has(e, NFTNL_EXPR_CT_SREG)) {
    if (key != NFT_CT_MARK) return std::nullopt;
    return SetCtMark{slot_of(get(e, NFTNL_EXPR_CT_SREG))};
  }
  const bool directed = has(e, NFTNL_EXPR_CT_DIR);
  if (directed && nftnl_expr_get_u8(e, NFTNL_EXPR_CT_DIR) != IP_CT_DIR_ORIGINAL)
    return std::nullopt;
  for (const CtField& field : ct_fields) {
    if (field.kernel == key && field.original == directed)
      return LoadCt{field.key, slot_of(get(e, NFTNL_EXPR_CT_DREG))};
  }
  return std::nullopt;
}

Read read_cmp(const nftnl_expr* e) {
  const std::uint32_t op = get(e, NFTNL_EXPR_CMP_OP);
  if (op != NFT_CMP_EQ && op != NFT_CMP_NEQ) return std::nullopt;
  std::uint32_t bytes = 0;
  const auto* data =
      static_cast<const std::uint8_t*>(nftnl_expr_get(e, NFTNL_EXPR_CMP_DATA, &bytes));
  if (data == nullptr) return std::nullopt;
  return Compare{op == NFT_CMP_EQ, slot_of(get(e, NFTNL_EXPR_CMP_SREG)), {data, data + bytes}};
}

// Only a mask that keeps the first bits, in place.
Read read_bitwise(const nftnl_expr* e) {
  const std::uint32_t slot = get(e, NFTNL_EXPR_BITWISE_SREG);
  const std::uint32_t length = get(e, NFTNL_EXPR_BITWISE_LEN);
  std::uint32_t mask_bytes = 0;
  std::uint32_t xor_bytes = 0;
  const auto* mask =
      static_cast<const std::uint8_t*>(nftnl_expr_get(e, NFTNL_EXPR_BITWISE_MASK, &mask_bytes));
  const auto* flips =
      static_cast<const std::uint8_t*>(nftnl_expr_get(e, NFTNL_EXPR_BITWISE_XOR, &xor_bytes));
  if (get(e, NFTNL_EXPR_BITWISE_OP) != NFT_BITWISE_BOOL ||
      get(e, NFTNL_EXPR_BITWISE_DREG) != slot || (length != 4 && length != address_bytes_max) ||
      mask == nullptr || flips == nullptr || mask_bytes != length || xor_bytes != length ||
      std::any_of(flips, flips + length, [](std::uint8_t byte) { return byte != 0; }))
    return std::nullopt;
  KeepPrefix out{slot_of(slot), static_cast<std::uint8_t>(length), 0};
  for (std::uint32_t i = 0; i < length && mask[i] != 0; ++i)
    out.bits = static_cast<std::uint8_t>(out.bits + std::popcount(mask[i]));
  if (!std::equal(mask, mask + length, prefix_mask(out.bits).begin())) return std::nullopt;
  return out;
}

Read read_immediate(const nftnl_expr* e) {
  if (get(e, NFTNL_EXPR_IMM_DREG) == NFT_REG_VERDICT)
    return read_verdict(static_cast<int>(get(e, NFTNL_EXPR_IMM_VERDICT)),
                        text(e, NFTNL_EXPR_IMM_CHAIN));
  std::uint32_t bytes = 0;
  const void* data = nftnl_expr_get(e, NFTNL_EXPR_IMM_DATA, &bytes);
  SetValue value{0, slot_of(get(e, NFTNL_EXPR_IMM_DREG))};
  if (data == nullptr || bytes != sizeof(value.value)) return std::nullopt;
  std::memcpy(&value.value, data, sizeof(value.value));
  return value;
}

Read read_lookup(const nftnl_expr* e) {
  Lookup out{text(e, NFTNL_EXPR_LOOKUP_SET), slot_of(get(e, NFTNL_EXPR_LOOKUP_SREG)),
             DataType::none, 0, false};
  if (has(e, NFTNL_EXPR_LOOKUP_DREG)) {
    const std::uint32_t reg = get(e, NFTNL_EXPR_LOOKUP_DREG);
    out.data = reg == NFT_REG_VERDICT ? DataType::verdict : DataType::id;
    if (reg != NFT_REG_VERDICT) out.to = slot_of(reg);
  }
  if (has(e, NFTNL_EXPR_LOOKUP_FLAGS))
    out.inverted = (get(e, NFTNL_EXPR_LOOKUP_FLAGS) & NFT_LOOKUP_F_INV) != 0;
  return out;
}

Read read_limit(const nftnl_expr* e) {
  if (nftnl_expr_get_u64(e, NFTNL_EXPR_LIMIT_UNIT) != 1 ||
      get(e, NFTNL_EXPR_LIMIT_TYPE) != NFT_LIMIT_PKTS || get(e, NFTNL_EXPR_LIMIT_FLAGS) != 0)
    return std::nullopt;
  return Limit{nftnl_expr_get_u64(e, NFTNL_EXPR_LIMIT_RATE), get(e, NFTNL_EXPR_LIMIT_BURST)};
}

Read read_log(const nftnl_expr* e) {
  if (!has(e, NFTNL_EXPR_LOG_GROUP)) return std::nullopt;
  return Log{nftnl_expr_get_u16(e, NFTNL_EXPR_LOG_GROUP), get(e, NFTNL_EXPR_LOG_SNAPLEN),
             text(e, NFTNL_EXPR_LOG_PREFIX)};
}

Read read_queue(const nftnl_expr* e) {
  if (nftnl_expr_get_u16(e, NFTNL_EXPR_QUEUE_TOTAL) != 1) return std::nullopt;
  const std::uint16_t flags = nftnl_expr_get_u16(e, NFTNL_EXPR_QUEUE_FLAGS);
  if ((flags & ~NFT_QUEUE_FLAG_BYPASS) != 0) return std::nullopt;
  return Queue{nftnl_expr_get_u16(e, NFTNL_EXPR_QUEUE_NUM), flags != 0};
}

Read read_target(const nftnl_expr* e) {
  std::uint32_t bytes = 0;
  const void* data = nftnl_expr_get(e, NFTNL_EXPR_TG_INFO, &bytes);
  xt_NFQ_info_v3 info{};
  if (text(e, NFTNL_EXPR_TG_NAME) != "NFQUEUE" || get(e, NFTNL_EXPR_TG_REV) != xt_revision ||
      data == nullptr || bytes < sizeof(info))
    return std::nullopt;
  std::memcpy(&info, data, sizeof(info));
  if (info.queues_total != 1 || (info.flags & ~NFQ_FLAG_BYPASS) != 0) return std::nullopt;
  return Queue{info.queuenum, info.flags != 0};
}

Read read_objref(const nftnl_expr* e) {
  if (get(e, NFTNL_EXPR_OBJREF_IMM_TYPE) != NFT_OBJECT_COUNTER) return std::nullopt;
  return Count{text(e, NFTNL_EXPR_OBJREF_IMM_NAME)};
}

}  // namespace

Verdict read_verdict(int code, std::string chain) {
  switch (code) {
    case NF_ACCEPT:
      return {Verdict::Kind::accept, {}};
    case NF_DROP:
      return {Verdict::Kind::drop, {}};
    case NFT_RETURN:
      return {Verdict::Kind::return_, {}};
    case NFT_JUMP:
      return {Verdict::Kind::jump_to, std::move(chain)};
    case NFT_GOTO:
      return {Verdict::Kind::go_to, std::move(chain)};
    default:
      return {Verdict::Kind::other, {}};
  }
}

int kernel_verdict(const Verdict& verdict) { return verdict_code(verdict.kind); }

ExpressionHandle make_expression(const Expression& expression, QueueKind queue) {
  return std::visit(Maker(queue), expression);
}

Expression read_expression(const nftnl_expr* expression) {
  using Reader = Read (*)(const nftnl_expr*);
  static constexpr std::array<std::pair<std::string_view, Reader>, 12> readers{
      {{"payload", read_payload},
       {"meta", read_meta},
       {"ct", read_ct},
       {"bitwise", read_bitwise},
       {"cmp", read_cmp},
       {"immediate", read_immediate},
       {"lookup", read_lookup},
       {"limit", read_limit},
       {"log", read_log},
       {"queue", read_queue},
       {"target", read_target},
       {"objref", read_objref}}};
  const std::string name = nftnl_expr_get_str(expression, NFTNL_EXPR_NAME);
  for (const auto& [known, read] : readers) {
    if (name != known) continue;
    if (auto out = read(expression)) return *std::move(out);
  }
  return Foreign{name};
}

}  // namespace menshen::policy::nft
