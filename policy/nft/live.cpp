#include "policy/nft/live.hpp"

#include <arpa/inet.h>
#include <libnftnl/chain.h>
#include <libnftnl/object.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/handle.hpp"
#include "policy/nft/attributes.hpp"
#include "policy/nft/batch.hpp"

namespace menshen::policy::nft {
namespace {

using ChainHandle = Handle<nftnl_chain, &nftnl_chain_free>;
using RuleHandle = Handle<nftnl_rule, &nftnl_rule_free>;
using SetHandle = Handle<nftnl_set, &nftnl_set_free>;
using ObjectHandle = Handle<nftnl_obj, &nftnl_obj_free>;

constexpr std::uint32_t our_flags = NFT_SET_INTERVAL | NFT_SET_MAP;

std::string text(const char* value) { return value == nullptr ? "" : value; }

ElementKey decrement(ElementKey key, std::size_t bytes) {
  for (std::size_t i = bytes; i-- > 0;)
    if (key.bytes[i]-- != 0) break;
  return key;
}

ElementKey highest(std::size_t bytes) {
  ElementKey key;
  std::fill_n(key.bytes.begin(), bytes, std::uint8_t{0xff});
  return key;
}

Verdict read_data_verdict(const nlattr* attribute) {
  const auto verdict = nested_of<NFTA_VERDICT_MAX>(attribute);
  const nlattr* code = verdict[NFTA_VERDICT_CODE];
  const nlattr* chain = verdict[NFTA_VERDICT_CHAIN];
  return read_verdict(code == nullptr ? NF_DROP : static_cast<int>(ntohl(mnl_attr_get_u32(code))),
                      chain == nullptr ? "" : text(mnl_attr_get_str(chain)));
}

}  // namespace

auto LiveReader::RawElement::operator<=>(const RawElement& other) const {
  // Where one interval ends and the next begins at the same key, the end comes first.
  return std::tuple(key, !interval_end, value) <=>
         std::tuple(other.key, !other.interval_end, other.value);
}

LiveReader::LiveReader(std::string table) { ruleset_.table = std::move(table); }

void LiveReader::chain(const nlmsghdr* message) {
  const ChainHandle live(nftnl_chain_alloc());
  if (!live || nftnl_chain_nlmsg_parse(message, live.get()) < 0) return;
  if (text(nftnl_chain_get_str(live.get(), NFTNL_CHAIN_TABLE)) != ruleset_.table ||
      nftnl_chain_get_u32(live.get(), NFTNL_CHAIN_FAMILY) != NFPROTO_INET)
    return;
  Chain out{text(nftnl_chain_get_str(live.get(), NFTNL_CHAIN_NAME)), Hook::none, {}};
  if (nftnl_chain_is_set(live.get(), NFTNL_CHAIN_HOOKNUM)) {
    const bool ours = text(nftnl_chain_get_str(live.get(), NFTNL_CHAIN_TYPE)) == "filter" &&
                      nftnl_chain_get_u32(live.get(), NFTNL_CHAIN_HOOKNUM) == NF_INET_FORWARD &&
                      nftnl_chain_get_s32(live.get(), NFTNL_CHAIN_PRIO) == 0 &&
                      nftnl_chain_get_u32(live.get(), NFTNL_CHAIN_POLICY) == NF_DROP;
    out.hook = ours ? Hook::forward : Hook::other;
  }
  ruleset_.chains.push_back(std::move(out));
}

void LiveReader::rule(const nlmsghdr* message) {
  const RuleHandle live(nftnl_rule_alloc());
  if (!live || nftnl_rule_nlmsg_parse(message, live.get()) < 0) return;
  const std::string name = text(nftnl_rule_get_str(live.get(), NFTNL_RULE_CHAIN));
  if (text(nftnl_rule_get_str(live.get(), NFTNL_RULE_TABLE)) != ruleset_.table) return;
  const auto chain = std::find_if(ruleset_.chains.begin(), ruleset_.chains.end(),
                                  [&](const Chain& c) { return c.name == name; });
  if (chain == ruleset_.chains.end()) return;
  Rule out;
  const auto add = [](nftnl_expr* each, void* data) {
    static_cast<Rule*>(data)->expressions.push_back(read_expression(each));
    return 0;
  };
  nftnl_expr_foreach(live.get(), add, &out);
  chain->rules.push_back(std::move(out));
}

void LiveReader::set(const nlmsghdr* message) {
  const SetHandle live(nftnl_set_alloc());
  if (!live || nftnl_set_nlmsg_parse(message, live.get()) < 0) return;
  if (text(nftnl_set_get_str(live.get(), NFTNL_SET_TABLE)) != ruleset_.table) return;
  RawSet raw;
  raw.set.name = text(nftnl_set_get_str(live.get(), NFTNL_SET_NAME));
  const std::uint32_t flags = nftnl_set_get_u32(live.get(), NFTNL_SET_FLAGS);
  raw.set.interval = (flags & NFT_SET_INTERVAL) != 0;
  raw.set.other_flags = flags & ~our_flags;
  if (nftnl_set_is_set(live.get(), NFTNL_SET_DESC_SIZE))
    raw.set.capacity = nftnl_set_get_u32(live.get(), NFTNL_SET_DESC_SIZE);
  raw.set.key = read_key_type(nftnl_set_get_u32(live.get(), NFTNL_SET_KEY_TYPE));
  if ((flags & NFT_SET_MAP) != 0) {
    const std::uint32_t data = nftnl_set_get_u32(live.get(), NFTNL_SET_DATA_TYPE);
    raw.set.data =
        data == static_cast<std::uint32_t>(NFT_DATA_VERDICT) ? DataType::verdict : DataType::id;
  }
  sets_.push_back(std::move(raw));
}

void LiveReader::element(const nlattr* attribute, RawSet& raw) {
  const auto fields = nested_of<NFTA_SET_ELEM_MAX>(attribute);
  const std::uint32_t flags = fields[NFTA_SET_ELEM_FLAGS] == nullptr
                                  ? 0
                                  : ntohl(mnl_attr_get_u32(fields[NFTA_SET_ELEM_FLAGS]));
  const auto key = nested_of<NFTA_DATA_MAX>(fields[NFTA_SET_ELEM_KEY]);
  if ((flags & NFT_SET_ELEM_CATCHALL) != 0 || key[NFTA_DATA_VALUE] == nullptr) {
    raw.set.catch_all = true;
    return;
  }
  RawElement out;
  out.interval_end = (flags & NFT_SET_ELEM_INTERVAL_END) != 0;
  const std::size_t bytes =
      std::min<std::size_t>(mnl_attr_get_payload_len(key[NFTA_DATA_VALUE]), out.key.bytes.size());
  std::memcpy(out.key.bytes.data(), mnl_attr_get_payload(key[NFTA_DATA_VALUE]), bytes);
  const auto data = nested_of<NFTA_DATA_MAX>(fields[NFTA_SET_ELEM_DATA]);
  if (data[NFTA_DATA_VALUE] != nullptr) {
    std::memcpy(
        &out.value, mnl_attr_get_payload(data[NFTA_DATA_VALUE]),
        std::min<std::size_t>(mnl_attr_get_payload_len(data[NFTA_DATA_VALUE]), sizeof(out.value)));
  } else if (data[NFTA_DATA_VERDICT] != nullptr) {
    const Verdict verdict = read_data_verdict(data[NFTA_DATA_VERDICT]);
    const auto known = std::find(raw.set.verdicts.begin(), raw.set.verdicts.end(), verdict);
    out.value = static_cast<std::uint32_t>(known - raw.set.verdicts.begin());
    if (known == raw.set.verdicts.end()) raw.set.verdicts.push_back(verdict);
  }
  raw.elements.push_back(out);
}

void LiveReader::elements(const nlmsghdr* message) {
  const auto fields = attributes_of<NFTA_SET_ELEM_LIST_MAX>(message, sizeof(nfgenmsg));
  if (fields[NFTA_SET_ELEM_LIST_SET] == nullptr) return;
  const std::string_view name = mnl_attr_get_str(fields[NFTA_SET_ELEM_LIST_SET]);
  const auto raw =
      std::find_if(sets_.begin(), sets_.end(), [&](const RawSet& r) { return r.set.name == name; });
  const nlattr* list = fields[NFTA_SET_ELEM_LIST_ELEMENTS];
  if (raw == sets_.end() || list == nullptr) return;
  for_each_nested(list, [&](const nlattr* each) { element(each, *raw); });
}

void LiveReader::counter(const nlmsghdr* message) {
  const ObjectHandle live(nftnl_obj_alloc());
  if (!live || nftnl_obj_nlmsg_parse(message, live.get()) < 0) return;
  if (text(nftnl_obj_get_str(live.get(), NFTNL_OBJ_TABLE)) != ruleset_.table ||
      nftnl_obj_get_u32(live.get(), NFTNL_OBJ_TYPE) != NFT_OBJECT_COUNTER)
    return;
  ruleset_.counters.push_back({text(nftnl_obj_get_str(live.get(), NFTNL_OBJ_NAME)),
                               {nftnl_obj_get_u64(live.get(), NFTNL_OBJ_CTR_PKTS),
                                nftnl_obj_get_u64(live.get(), NFTNL_OBJ_CTR_BYTES)}});
}

std::vector<std::string> LiveReader::set_names() const {
  std::vector<std::string> names;
  for (const RawSet& raw : sets_) names.push_back(raw.set.name);
  return names;
}

void LiveReader::join_intervals(RawSet& raw) {
  const std::size_t bytes = key_bytes(raw.set.key);
  std::vector<Element>& out = raw.set.elements;
  bool open = false;
  for (const RawElement& each : raw.elements) {
    if (open) {
      out.back().last = decrement(each.key, bytes);
      open = false;
    }
    if (each.interval_end) continue;
    out.push_back({each.key, highest(bytes), each.value});
    open = true;
  }
}

Ruleset LiveReader::finish() && {
  for (RawSet& raw : sets_) {
    // Verdicts in one order, whatever the order of the elements.
    std::vector<Verdict> sorted = raw.set.verdicts;
    std::sort(sorted.begin(), sorted.end());
    for (RawElement& each : raw.elements) {
      if (raw.set.data != DataType::verdict || each.value >= raw.set.verdicts.size()) continue;
      const auto at = std::lower_bound(sorted.begin(), sorted.end(), raw.set.verdicts[each.value]);
      each.value = static_cast<std::uint32_t>(at - sorted.begin());
    }
    raw.set.verdicts = std::move(sorted);
    std::sort(raw.elements.begin(), raw.elements.end());
    if (raw.set.interval) {
      join_intervals(raw);
    } else {
      for (const RawElement& each : raw.elements)
        raw.set.elements.push_back({each.key, each.key, each.value});
    }
    ruleset_.sets.push_back(std::move(raw.set));
  }
  const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
  std::sort(ruleset_.counters.begin(), ruleset_.counters.end(), by_name);
  std::sort(ruleset_.sets.begin(), ruleset_.sets.end(), by_name);
  std::sort(ruleset_.chains.begin(), ruleset_.chains.end(), by_name);
  return std::move(ruleset_);
}

}  // namespace menshen::policy::nft
