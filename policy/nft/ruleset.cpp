#include "policy/nft/ruleset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "base/ip.hpp"
#include "base/overloaded.hpp"
#include "base/text.hpp"

namespace menshen::policy::nft {
namespace {

std::uint32_t host_u32(std::span<const std::uint8_t> bytes) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

std::string state_name(std::uint32_t state) {
  switch (state) {
    case 1:
      return "invalid";
    case 2:
      return "established";
    case 4:
      return "related";
    case 8:
      return "new";
    case 64:
      return "untracked";
    default:
      return fmt::format("{:#x}", state);
  }
}

std::string field_text(FieldType type, std::span<const std::uint8_t> bytes) {
  switch (type) {
    case FieldType::id:
      return std::to_string(host_u32(bytes));
    case FieldType::ct_state:
      return state_name(host_u32(bytes));
    case FieldType::other:
      return fmt::format("{:#010x}", host_u32(bytes));
    case FieldType::port:
      return std::to_string(bytes[0] << 8 | bytes[1]);
    case FieldType::protocol:
      return std::to_string(bytes[0]);
    case FieldType::ipv4:
      return fmt::format("{}.{}.{}.{}", bytes[0], bytes[1], bytes[2], bytes[3]);
    case FieldType::ipv6: {
      std::array<std::uint8_t, 16> address{};
      std::copy_n(bytes.begin(), address.size(), address.begin());
      return IpAddr::v6(address).to_string();
    }
    case FieldType::interface: {
      const char* text = reinterpret_cast<const char*>(bytes.data());
      return fmt::format("\"{}\"", escape_controls({text, strnlen(text, 16)}));
    }
  }
  return {};
}

std::string key_text(const Set& set, const ElementKey& key) {
  std::string out;
  std::size_t offset = 0;
  for (const FieldType type : set.key) {
    if (!out.empty()) out += " . ";
    out += field_text(type, std::span(key.bytes).subspan(offset));
    offset += padded_bytes(type);
  }
  return out;
}

std::string verdict_text(const Verdict& verdict) {
  switch (verdict.kind) {
    case Verdict::Kind::accept:
      return "accept";
    case Verdict::Kind::drop:
      return "drop";
    case Verdict::Kind::return_:
      return "return";
    case Verdict::Kind::jump_to:
      return "jump " + verdict.chain;
    case Verdict::Kind::go_to:
      return "goto " + verdict.chain;
    case Verdict::Kind::other:
      break;
  }
  return "verdict?";
}

std::string_view name_of(LoadMeta::Key key) {
  switch (key) {
    case LoadMeta::Key::nfproto:
      return "nfproto";
    case LoadMeta::Key::l4proto:
      return "l4proto";
    case LoadMeta::Key::iifname:
      return "iifname";
    case LoadMeta::Key::oifname:
      return "oifname";
    case LoadMeta::Key::mark:
      return "mark";
  }
  return "?";
}

std::string_view name_of(LoadCt::Key key) {
  switch (key) {
    case LoadCt::Key::state:
      return "ct state";
    case LoadCt::Key::mark:
      return "ct mark";
    case LoadCt::Key::original_src4:
      return "ct original ip saddr";
    case LoadCt::Key::original_dst4:
      return "ct original ip daddr";
    case LoadCt::Key::original_src6:
      return "ct original ip6 saddr";
    case LoadCt::Key::original_dst6:
      return "ct original ip6 daddr";
    case LoadCt::Key::original_protocol:
      return "ct original protocol";
    case LoadCt::Key::original_dport:
      return "ct original proto-dst";
  }
  return "?";
}

std::string lookup_text(const Lookup& e) {
  if (e.data == DataType::none)
    return fmt::format("r{} {}in @{}", e.from, e.inverted ? "not " : "", e.set);
  if (e.data == DataType::verdict) return fmt::format("r{} vmap @{}", e.from, e.set);
  return fmt::format("r{} = @{}[r{}]", e.to, e.set, e.from);
}

std::string expression_text(const Expression& expression) {
  return std::visit(
      Overloaded{
          [](const LoadAddress& e) {
            return fmt::format("r{} = {} {}", e.to, e.v6 ? "ip6" : "ip",
                               e.source ? "saddr" : "daddr");
          },
          [](const LoadMeta& e) { return fmt::format("r{} = {}", e.to, name_of(e.key)); },
          [](const LoadCt& e) { return fmt::format("r{} = {}", e.to, name_of(e.key)); },
          [](const SetMark& e) { return fmt::format("mark set r{}", e.from); },
          [](const SetCtMark& e) { return fmt::format("ct mark set r{}", e.from); },
          [](const SetValue& e) { return fmt::format("r{} = {:#x}", e.to, e.value); },
          [](const KeepPrefix& e) { return fmt::format("r{} &= /{}", e.slot, e.bits); },
          [](const Compare& e) {
            return fmt::format("r{} {} {:#04x}", e.slot,
                               e.equal ? "==" : "!=", fmt::join(e.bytes, " "));
          },
          [](const Lookup& e) { return lookup_text(e); },
          [](const Count& e) { return fmt::format("counter {}", e.counter); },
          [](const Limit& e) {
            return fmt::format("limit {}/second burst {}", e.per_second, e.burst);
          },
          [](const Log& e) {
            return fmt::format("log group {} snaplen {} \"{}\"", e.group, e.snap_bytes,
                               escape_controls(e.prefix));
          },
          [](const Queue& e) {
            return fmt::format("queue {}{}", e.number, e.bypass ? " bypass" : "");
          },
          [](const Verdict& e) { return verdict_text(e); },
          [](const Foreign& e) { return fmt::format("foreign \"{}\"", escape_controls(e.name)); },
      },
      expression);
}

std::string_view name_of(FieldType type) {
  switch (type) {
    case FieldType::id:
      return "id";
    case FieldType::ipv4:
      return "ipv4";
    case FieldType::ipv6:
      return "ipv6";
    case FieldType::port:
      return "port";
    case FieldType::protocol:
      return "protocol";
    case FieldType::interface:
      return "interface";
    case FieldType::ct_state:
      return "ct_state";
    case FieldType::other:
      return "other";
  }
  return "?";
}

}  // namespace

std::string to_text(const Rule& rule) {
  std::string out;
  for (const Expression& expression : rule.expressions) {
    if (!out.empty()) out += "; ";
    out += expression_text(expression);
  }
  return out;
}

std::string to_text(const Set& set, const Element& element) {
  std::string out = key_text(set, element.first);
  if (element.last != element.first) out += "-" + key_text(set, element.last);
  if (set.data == DataType::id) out += fmt::format(" : {}", element.value);
  if (set.data == DataType::verdict) {
    out += " : ";
    out += element.value < set.verdicts.size() ? verdict_text(set.verdicts[element.value]) : "?";
  }
  return out;
}

std::string to_text(const Ruleset& ruleset, std::size_t elements_shown) {
  std::string out = fmt::format("table inet {} generation {}\n", ruleset.table, ruleset.generation);
  for (const Counter& counter : ruleset.counters)
    out += fmt::format("  counter {}\n", counter.name);
  for (const Set& set : ruleset.sets) {
    std::string key;
    for (const FieldType type : set.key) {
      if (!key.empty()) key += " . ";
      key += name_of(type);
    }
    const std::string_view data = set.data == DataType::id        ? " : id"
                                  : set.data == DataType::verdict ? " : verdict"
                                                                  : "";
    out += fmt::format("  {} {} {}{}{}\n", set.data == DataType::none ? "set" : "map", set.name,
                       key, data, set.interval ? " interval" : "");
    const std::size_t shown = std::min(elements_shown, set.elements.size());
    for (std::size_t i = 0; i < shown; ++i)
      out += fmt::format("    {}\n", to_text(set, set.elements[i]));
    if (shown < set.elements.size())
      out += fmt::format("    ... {} more\n", set.elements.size() - shown);
  }
  for (const Chain& chain : ruleset.chains) {
    out += fmt::format("  chain {}{}\n", chain.name,
                       chain.hook == Hook::forward ? " (hook forward, policy drop)"
                       : chain.hook == Hook::other ? " (another hook)"
                                                   : "");
    for (const Rule& rule : chain.rules) out += fmt::format("    {}\n", to_text(rule));
  }
  return out;
}

}  // namespace menshen::policy::nft
