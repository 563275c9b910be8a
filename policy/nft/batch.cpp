#include "policy/nft/batch.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/object.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/assert.hpp"

namespace menshen::policy::nft {
namespace {

using ChainHandle = Handle<nftnl_chain, &nftnl_chain_free>;
using RuleHandle = Handle<nftnl_rule, &nftnl_rule_free>;
using SetHandle = Handle<nftnl_set, &nftnl_set_free>;
using ObjectHandle = Handle<nftnl_obj, &nftnl_obj_free>;
using UdataHandle = Handle<nftnl_udata_buf, &nftnl_udata_buf_free>;

// nft's numbers of data types (its src/datatype.h): the kernel only stores them, `nft list` needs
// them.
constexpr std::array<std::pair<FieldType, std::uint32_t>, 8> type_numbers{
    {{FieldType::id, 19},
     {FieldType::ipv4, 7},
     {FieldType::ipv6, 8},
     {FieldType::port, 13},
     {FieldType::protocol, 12},
     {FieldType::interface, 41},
     {FieldType::ct_state, 26},
     {FieldType::other, 0}}};
constexpr unsigned type_bits = 6;
constexpr std::uint32_t host_endian = 1;
constexpr std::uint32_t big_endian = 2;

// An attribute's length has 16 bits; one element takes less than element_bytes_max.
constexpr std::size_t scratch_bytes = 128U << 10U;
constexpr std::size_t elements_bytes_max = 60U << 10U;
constexpr std::size_t element_bytes_max = 256;

std::size_t field_bytes(FieldType type) {
  switch (type) {
    case FieldType::port:
      return 2;
    case FieldType::protocol:
      return 1;
    default:
      return padded_bytes(type);
  }
}

bool host_order(const std::vector<FieldType>& key) {
  return key.front() == FieldType::id || key.front() == FieldType::ct_state ||
         key.front() == FieldType::interface;
}

// The key one above, big-endian; false where there is none.
bool increment(ElementKey& key, std::size_t bytes) {
  for (std::size_t i = bytes; i-- > 0;)
    if (++key.bytes[i] != 0) return true;
  return false;
}

void put_element(nlmsghdr* message, const Set& set, const ElementKey& key, bool interval_end,
                 std::uint32_t value) {
  nlattr* element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
  if (interval_end)
    mnl_attr_put_u32(message, NFTA_SET_ELEM_FLAGS, htonl(NFT_SET_ELEM_INTERVAL_END));
  nlattr* nest = mnl_attr_nest_start(message, NFTA_SET_ELEM_KEY);
  mnl_attr_put(message, NFTA_DATA_VALUE, key_bytes(set.key), key.bytes.data());
  mnl_attr_nest_end(message, nest);
  if (set.data != DataType::none && !interval_end) {
    nlattr* data = mnl_attr_nest_start(message, NFTA_SET_ELEM_DATA);
    if (set.data == DataType::id) {
      mnl_attr_put_u32(message, NFTA_DATA_VALUE, value);
    } else {
      const Verdict& verdict = set.verdicts.at(value);
      nlattr* inner = mnl_attr_nest_start(message, NFTA_DATA_VERDICT);
      mnl_attr_put_u32(message, NFTA_VERDICT_CODE,
                       htonl(static_cast<std::uint32_t>(kernel_verdict(verdict))));
      if (!verdict.chain.empty())
        mnl_attr_put_strz(message, NFTA_VERDICT_CHAIN, verdict.chain.c_str());
      mnl_attr_nest_end(message, inner);
    }
    mnl_attr_nest_end(message, data);
  }
  mnl_attr_nest_end(message, element);
}

}  // namespace

std::size_t key_bytes(const std::vector<FieldType>& key) {
  if (key.size() == 1) return field_bytes(key.front());
  std::size_t bytes = 0;
  for (const FieldType type : key) bytes += padded_bytes(type);
  return bytes;
}

std::uint32_t kernel_key_type(const std::vector<FieldType>& key) {
  std::uint32_t type = 0;
  for (const FieldType field : key) {
    for (const auto& [known, number] : type_numbers)
      if (known == field) type = type << type_bits | number;
  }
  return type;
}

std::vector<FieldType> read_key_type(std::uint32_t type) {
  std::vector<FieldType> key;
  for (; type != 0; type >>= type_bits) {
    FieldType field = FieldType::other;
    for (const auto& [known, number] : type_numbers)
      if (number == (type & ((1U << type_bits) - 1))) field = known;
    key.insert(key.begin(), field);
  }
  if (key.empty()) key.push_back(FieldType::other);
  return key;
}

Batch::Batch(std::uint32_t sequence) : first_(sequence), sequence_(sequence) {
  scratch_.resize(scratch_bytes);
  const nlmsghdr* message = nftnl_batch_begin(scratch_.data(), sequence_++);
  steps_.emplace_back("begin transaction");
  end(message);
}

nlmsghdr* Batch::begin(std::uint16_t type, std::uint16_t flags, std::string step) {
  steps_.push_back(std::move(step));
  return nftnl_nlmsg_build_hdr(scratch_.data(), type, NFPROTO_INET, flags, sequence_++);
}

void Batch::end(const nlmsghdr* message) {
  last_ = message->nlmsg_seq;
  last_offset_ = bytes_.size();
  const std::size_t padded = NLMSG_ALIGN(message->nlmsg_len);
  MENSHEN_ASSERT(padded <= scratch_.size());
  bytes_.insert(bytes_.end(), scratch_.data(), scratch_.data() + padded);
}

void Batch::add_table(const std::string& table) {
  nlmsghdr* message =
      begin(NFT_MSG_NEWTABLE, NLM_F_CREATE, fmt::format("add table inet {}", table));
  mnl_attr_put_strz(message, NFTA_TABLE_NAME, table.c_str());
  end(message);
}

void Batch::delete_table(const std::string& table) {
  nlmsghdr* message = begin(NFT_MSG_DELTABLE, 0, fmt::format("delete table inet {}", table));
  mnl_attr_put_strz(message, NFTA_TABLE_NAME, table.c_str());
  end(message);
}

void Batch::add_counter(const std::string& table, const Counter& counter) {
  nlmsghdr* message =
      begin(NFT_MSG_NEWOBJ, NLM_F_CREATE, fmt::format("add counter {}", counter.name));
  const ObjectHandle object(nftnl_obj_alloc());
  if (object) {
    nftnl_obj_set_str(object.get(), NFTNL_OBJ_TABLE, table.c_str());
    nftnl_obj_set_str(object.get(), NFTNL_OBJ_NAME, counter.name.c_str());
    nftnl_obj_set_u32(object.get(), NFTNL_OBJ_TYPE, NFT_OBJECT_COUNTER);
    nftnl_obj_set_u64(object.get(), NFTNL_OBJ_CTR_PKTS, counter.value.packets);
    nftnl_obj_set_u64(object.get(), NFTNL_OBJ_CTR_BYTES, counter.value.bytes);
    nftnl_obj_nlmsg_build_payload(message, object.get());
  }
  end(message);
}

bool Batch::add_chain(const std::string& table, const Chain& chain) {
  nlmsghdr* message =
      begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE, fmt::format("add chain {}", chain.name));
  const ChainHandle made(nftnl_chain_alloc());
  if (!made) return false;
  nftnl_chain_set_str(made.get(), NFTNL_CHAIN_TABLE, table.c_str());
  nftnl_chain_set_str(made.get(), NFTNL_CHAIN_NAME, chain.name.c_str());
  if (chain.hook == Hook::forward) {
    nftnl_chain_set_str(made.get(), NFTNL_CHAIN_TYPE, "filter");
    nftnl_chain_set_u32(made.get(), NFTNL_CHAIN_HOOKNUM, NF_INET_FORWARD);
    nftnl_chain_set_s32(made.get(), NFTNL_CHAIN_PRIO, 0);
    nftnl_chain_set_u32(made.get(), NFTNL_CHAIN_POLICY, NF_DROP);
  }
  nftnl_chain_nlmsg_build_payload(message, made.get());
  end(message);
  return true;
}

bool Batch::add_set(const std::string& table, const Set& set, std::uint32_t id) {
  nlmsghdr* message = begin(NFT_MSG_NEWSET, NLM_F_CREATE, fmt::format("add set {}", set.name));
  const SetHandle made(nftnl_set_alloc());
  const UdataHandle udata(nftnl_udata_buf_alloc(64));
  if (!made || !udata) return false;
  nftnl_set_set_str(made.get(), NFTNL_SET_TABLE, table.c_str());
  nftnl_set_set_str(made.get(), NFTNL_SET_NAME, set.name.c_str());
  nftnl_set_set_u32(made.get(), NFTNL_SET_ID, id);
  std::uint32_t flags = set.interval ? NFT_SET_INTERVAL : 0;
  nftnl_set_set_u32(made.get(), NFTNL_SET_KEY_TYPE, kernel_key_type(set.key));
  nftnl_set_set_u32(made.get(), NFTNL_SET_KEY_LEN, static_cast<std::uint32_t>(key_bytes(set.key)));
  nftnl_udata_put_u32(udata.get(), NFTNL_UDATA_SET_KEYBYTEORDER,
                      host_order(set.key) ? host_endian : big_endian);
  if (set.data != DataType::none) {
    flags |= NFT_SET_MAP;
    const bool id_data = set.data == DataType::id;
    nftnl_set_set_u32(
        made.get(), NFTNL_SET_DATA_TYPE,
        id_data ? kernel_key_type({FieldType::id}) : static_cast<std::uint32_t>(NFT_DATA_VERDICT));
    nftnl_set_set_u32(made.get(), NFTNL_SET_DATA_LEN, id_data ? 4 : 0);
    if (id_data) nftnl_udata_put_u32(udata.get(), NFTNL_UDATA_SET_DATABYTEORDER, host_endian);
  }
  nftnl_set_set_u32(made.get(), NFTNL_SET_FLAGS, flags);
  // With its size known, a hash set gets the kernel's fixed table.
  if (!set.interval && set.capacity != 0)
    nftnl_set_set_u32(made.get(), NFTNL_SET_DESC_SIZE, set.capacity);
  nftnl_set_set_data(made.get(), NFTNL_SET_USERDATA, nftnl_udata_buf_data(udata.get()),
                     nftnl_udata_buf_len(udata.get()));
  nftnl_set_nlmsg_build_payload(message, made.get());
  end(message);
  return true;
}

void Batch::elements(std::uint16_t type, const std::string& table, const Set& set,
                     std::span<const Element> some) {
  const bool adding = type == NFT_MSG_NEWSETELEM;
  std::size_t next = 0;
  while (next < some.size()) {
    const std::size_t from = next;
    nlmsghdr* message = begin(type, adding ? NLM_F_CREATE : 0, "");
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, table.c_str());
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set.name.c_str());
    nlattr* list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
    while (next < some.size() && message->nlmsg_len + 2 * element_bytes_max < elements_bytes_max) {
      const Element& element = some[next++];
      put_element(message, set, element.first, false, element.value);
      if (!set.interval) continue;
      ElementKey after = element.last;
      if (increment(after, key_bytes(set.key))) put_element(message, set, after, true, 0);
    }
    mnl_attr_nest_end(message, list);
    steps_.back() = fmt::format("{} elements {}-{} of set {}", adding ? "add" : "delete", from + 1,
                                next, set.name);
    end(message);
  }
}

bool Batch::add_rule(const std::string& table, const std::string& chain, const Rule& rule,
                     std::size_t number, QueueKind queue) {
  nlmsghdr* message = begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND,
                            fmt::format("add rule {} of chain {}", number, chain));
  const RuleHandle made(nftnl_rule_alloc());
  if (!made) return false;
  nftnl_rule_set_u32(made.get(), NFTNL_RULE_FAMILY, NFPROTO_INET);
  nftnl_rule_set_str(made.get(), NFTNL_RULE_TABLE, table.c_str());
  nftnl_rule_set_str(made.get(), NFTNL_RULE_CHAIN, chain.c_str());
  for (const Expression& expression : rule.expressions) {
    ExpressionHandle each = make_expression(expression, queue);
    if (!each) return false;
    nftnl_rule_add_expr(made.get(), each.release());
  }
  nftnl_rule_nlmsg_build_payload(message, made.get());
  end(message);
  return true;
}

bool Batch::add_ruleset(const Ruleset& ruleset, QueueKind queue) {
  bool ok = true;
  for (const Counter& counter : ruleset.counters) add_counter(ruleset.table, counter);
  for (const Chain& chain : ruleset.chains) ok = ok && add_chain(ruleset.table, chain);
  std::uint32_t id = 1;
  for (const Set& set : ruleset.sets) ok = ok && add_set(ruleset.table, set, id++);
  for (const Chain& chain : ruleset.chains) ok = ok && add_rules(ruleset.table, chain, queue);
  // After the rules: the kernel walks a map once for each chain that comes to use it.
  for (const Set& set : ruleset.sets)
    elements(NFT_MSG_NEWSETELEM, ruleset.table, set, set.elements);
  return ok;
}

bool Batch::add_rules(const std::string& table, const Chain& chain, QueueKind queue) {
  std::size_t number = 1;
  return std::all_of(chain.rules.begin(), chain.rules.end(), [&](const Rule& rule) {
    return add_rule(table, chain.name, rule, number++, queue);
  });
}

void Batch::remove(std::uint16_t type, std::uint16_t table_attribute, const std::string& table,
                   std::uint16_t name_attribute, const std::string& name, std::string step) {
  nlmsghdr* message = begin(type, 0, std::move(step));
  mnl_attr_put_strz(message, table_attribute, table.c_str());
  mnl_attr_put_strz(message, name_attribute, name.c_str());
  end(message);
}

bool Batch::change_set(const std::string& table, const Set& live, const Set& want) {
  if (live.key != want.key || live.data != want.data || live.interval != want.interval ||
      live.other_flags != want.other_flags || live.catch_all)
    return false;
  if (live.capacity != 0 && live.capacity < want.elements.size()) return false;
  std::vector<Element> gone;
  std::vector<Element> fresh;
  const auto same = [&](const Element& l, const Element& w) {
    return want.data == DataType::verdict ? live.verdicts.at(l.value) == want.verdicts.at(w.value)
                                          : l.value == w.value;
  };
  const auto key = [](const Element& e) { return std::pair(e.first, e.last); };
  auto l = live.elements.begin();
  auto w = want.elements.begin();
  while (l != live.elements.end() || w != want.elements.end()) {
    if (w == want.elements.end() || (l != live.elements.end() && key(*l) < key(*w))) {
      gone.push_back(*l++);
    } else if (l == live.elements.end() || key(*w) < key(*l)) {
      fresh.push_back(*w++);
    } else {
      if (!same(*l, *w)) {
        gone.push_back(*l);
        fresh.push_back(*w);
      }
      ++l;
      ++w;
    }
  }
  Set keys = live;  // to delete, a key is enough
  keys.data = DataType::none;
  elements(NFT_MSG_DELSETELEM, table, keys, gone);
  elements(NFT_MSG_NEWSETELEM, table, want, fresh);
  return true;
}

namespace {

template <class T>
const T* find_named(const std::vector<T>& sorted, const std::string& name) {
  const auto found =
      std::lower_bound(sorted.begin(), sorted.end(), name,
                       [](const T& each, const std::string& n) { return each.name < n; });
  return found == sorted.end() || found->name != name ? nullptr : &*found;
}

}  // namespace

// In an order in which nothing refers to what is not there: what is new first, what is gone last.
bool Batch::add_change(const Ruleset& live, const Ruleset& want, QueueKind queue) {
  const std::string& table = want.table;
  for (const Counter& counter : want.counters)
    if (find_named(live.counters, counter.name) == nullptr) add_counter(table, {counter.name, {}});
  for (const Chain& chain : want.chains) {
    const Chain* old = find_named(live.chains, chain.name);
    if (old != nullptr && old->hook != chain.hook) return false;
    if (old == nullptr && !add_chain(table, chain)) return false;
  }
  for (const Chain& chain : live.chains) {
    const Chain* now = find_named(want.chains, chain.name);
    if (now == nullptr && chain.hook != Hook::none) return false;
    if (now != nullptr && now->rules == chain.rules) continue;
    remove(NFT_MSG_DELRULE, NFTA_RULE_TABLE, table, NFTA_RULE_CHAIN, chain.name,
           fmt::format("flush chain {}", chain.name));
  }
  std::uint32_t id = 1;
  for (const Set& set : want.sets) {
    const Set* old = find_named(live.sets, set.name);
    if (old != nullptr) {
      if (!change_set(table, *old, set)) return false;
      continue;
    }
    if (!add_set(table, set, id++)) return false;
    elements(NFT_MSG_NEWSETELEM, table, set, set.elements);
  }
  for (const Chain& chain : want.chains) {
    const Chain* old = find_named(live.chains, chain.name);
    if (old != nullptr && old->rules == chain.rules) continue;
    if (!add_rules(table, chain, queue)) return false;
  }
  for (const Set& set : live.sets) {
    if (find_named(want.sets, set.name) != nullptr) continue;
    remove(NFT_MSG_DELSET, NFTA_SET_TABLE, table, NFTA_SET_NAME, set.name,
           fmt::format("delete set {}", set.name));
  }
  for (const Chain& chain : live.chains) {
    if (find_named(want.chains, chain.name) != nullptr) continue;
    remove(NFT_MSG_DELCHAIN, NFTA_CHAIN_TABLE, table, NFTA_CHAIN_NAME, chain.name,
           fmt::format("delete chain {}", chain.name));
  }
  return true;
}

void Batch::require_generation(std::uint32_t generation) {
  MENSHEN_ASSERT(steps_.size() == 1);  // it stands in the first message
  auto* message = reinterpret_cast<nlmsghdr*>(scratch_.data());
  mnl_attr_put_u32(message, NFNL_BATCH_GENID, htonl(generation));
  bytes_.clear();
  end(message);
}

bool Batch::add_trial(const std::string& table, const Expression& expression, QueueKind queue) {
  add_table(table);
  return add_chain(table, {"trial", Hook::none, {}}) &&
         add_rule(table, "trial", {{expression}}, 1, queue);
}

void Batch::finish(End how) {
  nlmsghdr last{};
  std::memcpy(&last, bytes_.data() + last_offset_, sizeof(last));
  last.nlmsg_flags |= NLM_F_ACK;
  std::memcpy(bytes_.data() + last_offset_, &last, sizeof(last));
  if (how == End::try_only) return;
  const std::uint32_t answered = last_;
  end(nftnl_batch_end(scratch_.data(), sequence_++));
  last_ = answered;
}

std::span<const std::byte> Batch::bytes() const { return std::as_bytes(std::span(bytes_)); }

std::string Batch::step(std::uint32_t sequence) const {
  const std::size_t index = sequence - first_;
  return index < steps_.size() ? steps_[index] : "end transaction";
}

}  // namespace menshen::policy::nft
