#include "policy/prove/trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "base/overloaded.hpp"

namespace menshen::policy::prove {
namespace {

using nft::Chain;
using nft::DataType;
using nft::Set;
using nft::Verdict;

constexpr std::size_t slot_bytes = 4;
constexpr std::size_t slots = 16;
constexpr std::size_t jumps_max = 16;      // NFT_JUMP_STACK_SIZE
constexpr std::size_t steps_max = 10'000;  // no ruleset that a kernel accepts comes near

// What an expression did to its rule.
enum class Step : std::uint8_t { next, broken, judged, unknown };

class Machine {
 public:
  Machine(const nft::Ruleset& ruleset, const Packet& packet) : ruleset_(ruleset), packet_(packet) {
    mark_ = 0;
    ct_mark_ = packet.ct_mark;
  }
  Trace run();

 private:
  Step step(const nft::Expression& expression);
  Step load(const nft::LoadAddress& e);
  Step load(const nft::LoadMeta& e);
  Step load(const nft::LoadCt& e);
  Step look_up(const nft::Lookup& e);
  template <class T>
  Step put(nft::Slot slot, const T& value, std::size_t bytes = sizeof(T)) {
    std::uint8_t* to = registers_.data() + slot * slot_bytes;
    std::memset(to, 0, (bytes + slot_bytes - 1) / slot_bytes * slot_bytes);
    std::memcpy(to, &value, bytes);
    return Step::next;
  }
  Step put_address(nft::Slot slot, const IpAddr& address, bool v6);
  std::uint32_t word(nft::Slot slot) const {
    std::uint32_t value = 0;
    std::memcpy(&value, registers_.data() + slot * slot_bytes, sizeof(value));
    return value;
  }
  const Chain* chain(std::string_view name) const;
  const Set* set(std::string_view name) const;

  const nft::Ruleset& ruleset_;
  const Packet& packet_;
  std::array<std::uint8_t, slots * slot_bytes + 16> registers_{};
  std::uint32_t mark_ = 0;
  std::uint32_t ct_mark_ = 0;
  bool ct_mark_set_ = false;
  std::string counted_;
  Verdict verdict_;
  Outcome outcome_;
};

template <class T>
const T* by_name(const std::vector<T>& all, std::string_view name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const T& each) { return each.name == name; });
  return found == all.end() ? nullptr : &*found;
}

const Chain* Machine::chain(std::string_view name) const { return by_name(ruleset_.chains, name); }
const Set* Machine::set(std::string_view name) const { return by_name(ruleset_.sets, name); }

Step Machine::put_address(nft::Slot slot, const IpAddr& address, bool v6) {
  if (v6) return put(slot, address.bytes());
  std::array<std::uint8_t, 4> v4{};
  std::copy_n(address.bytes().begin() + 12, 4, v4.begin());
  return put(slot, v4);
}

Step Machine::load(const nft::LoadAddress& e) {
  if (e.v6 != packet_.v6) return Step::unknown;  // other bytes of the header
  return put_address(e.to, e.source ? packet_.src : packet_.dst, e.v6);
}

Step Machine::load(const nft::LoadMeta& e) {
  switch (e.key) {
    case nft::LoadMeta::Key::nfproto:
      return put(e.to, std::uint8_t{packet_.v6 ? std::uint8_t{10} : std::uint8_t{2}});
    case nft::LoadMeta::Key::l4proto:
      return put(e.to, packet_.protocol);
    case nft::LoadMeta::Key::mark:
      return put(e.to, mark_);
    case nft::LoadMeta::Key::iifname:
    case nft::LoadMeta::Key::oifname:
      break;
  }
  const std::string& name =
      e.key == nft::LoadMeta::Key::iifname ? packet_.in_interface : packet_.out_interface;
  std::array<char, 16> bytes{};
  std::copy_n(name.begin(), std::min<std::size_t>(name.size(), 15), bytes.begin());
  return put(e.to, bytes);
}

Step Machine::load(const nft::LoadCt& e) {
  using Key = nft::LoadCt::Key;
  if (e.key == Key::state)
    return put(e.to, std::uint32_t{static_cast<std::uint8_t>(packet_.state)});
  if (packet_.state == State::invalid || packet_.state == State::untracked) return Step::broken;
  switch (e.key) {
    case Key::mark:
      return put(e.to, ct_mark_);
    case Key::original_protocol:
      return put(e.to, packet_.original_protocol);
    case Key::original_dport: {
      const std::array<std::uint8_t, 2> port{
          static_cast<std::uint8_t>(packet_.original_port >> 8U),
          static_cast<std::uint8_t>(packet_.original_port & 0xffU)};
      return put(e.to, port);
    }
    case Key::original_src4:
    case Key::original_dst4:
      if (packet_.v6) return Step::broken;
      break;
    case Key::original_src6:
    case Key::original_dst6:
      if (!packet_.v6) return Step::broken;
      break;
    case Key::state:
      break;
  }
  const bool source = e.key == Key::original_src4 || e.key == Key::original_src6;
  return put_address(e.to, source ? packet_.original_src : packet_.original_dst, packet_.v6);
}

Step Machine::look_up(const nft::Lookup& e) {
  const Set* in = set(e.set);
  if (in == nullptr || in->catch_all || in->other_flags != 0) return Step::unknown;
  nft::ElementKey key;
  std::size_t at = 0;
  for (const nft::FieldType type : in->key) {
    const std::size_t bytes = nft::padded_bytes(type);
    if (at + bytes > key.bytes.size()) return Step::unknown;
    std::memcpy(key.bytes.data() + at, registers_.data() + e.from * slot_bytes + at, bytes);
    at += bytes;
  }
  const auto after = std::upper_bound(
      in->elements.begin(), in->elements.end(), key,
      [](const nft::ElementKey& k, const nft::Element& element) { return k < element.first; });
  const bool found = after != in->elements.begin() && key <= std::prev(after)->last;
  if (found == e.inverted) return Step::broken;
  if (e.inverted || e.data == DataType::none) return Step::next;
  const std::uint32_t value = std::prev(after)->value;
  if (e.data == DataType::id) return put(e.to, value);
  if (value >= in->verdicts.size()) return Step::unknown;
  verdict_ = in->verdicts[value];
  return Step::judged;
}

Step Machine::step(const nft::Expression& expression) {
  return std::visit(
      Overloaded{
          [&](const nft::LoadAddress& e) { return load(e); },
          [&](const nft::LoadMeta& e) { return load(e); },
          [&](const nft::LoadCt& e) { return load(e); },
          [&](const nft::SetMark& e) {
            mark_ = word(e.from);
            return Step::next;
          },
          [&](const nft::SetCtMark& e) {
            ct_mark_ = word(e.from);
            ct_mark_set_ = true;
            return Step::next;
          },
          [&](const nft::SetValue& e) { return put(e.to, e.value); },
          [&](const nft::KeepPrefix& e) {
            std::uint8_t* value = registers_.data() + e.slot * slot_bytes;
            for (std::size_t bit = e.bits; bit < std::size_t{e.bytes} * 8; ++bit)
              value[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> bit % 8));
            return Step::next;
          },
          [&](const nft::Compare& e) {
            const std::uint8_t* from = registers_.data() + e.slot * slot_bytes;
            const bool equal = std::equal(e.bytes.begin(), e.bytes.end(), from);
            return equal == e.equal ? Step::next : Step::broken;
          },
          [&](const nft::Lookup& e) { return look_up(e); },
          [&](const nft::Count& e) {
            counted_ = e.counter;
            return Step::next;
          },
          [&](const nft::Limit&) { return packet_.within_limits ? Step::next : Step::broken; },
          [&](const nft::Log&) { return Step::next; },
          [&](const nft::Queue& e) {
            outcome_.fate = Fate::inspect;
            outcome_.queue = e.number;
            outcome_.bypass = e.bypass;
            verdict_ = {Verdict::Kind::other, {}};
            return Step::judged;
          },
          [&](const Verdict& e) {
            verdict_ = e;
            return Step::judged;
          },
          [&](const nft::Foreign&) { return Step::unknown; },
      },
      expression);
}

Trace Machine::run() {
  Trace out;
  const auto base = std::find_if(ruleset_.chains.begin(), ruleset_.chains.end(),
                                 [](const Chain& c) { return c.hook == nft::Hook::forward; });
  const auto finish = [&](Fate fate) {
    outcome_.fate = fate;
    outcome_.reason = counted_;
    if (ct_mark_set_) outcome_.mark = told_mark(ct_mark_, ruleset_.generation);
    out.outcome = outcome_;
    return std::move(out);
  };
  if (base == ruleset_.chains.end()) return finish(Fate::pass);
  const Chain* here = &*base;
  std::size_t next = 0;
  std::vector<std::pair<const Chain*, std::size_t>> stack;
  for (std::size_t steps = 0; steps < steps_max; ++steps) {
    if (next == here->rules.size()) {
      if (stack.empty()) return finish(Fate::drop);  // the base chain's policy
      std::tie(here, next) = stack.back();
      stack.pop_back();
      continue;
    }
    const nft::Rule& rule = here->rules[next++];
    counted_.clear();
    Step did = Step::next;
    for (const nft::Expression& expression : rule.expressions) {
      did = step(expression);
      if (did != Step::next) break;
    }
    if (did == Step::unknown) return finish(Fate::unmodelled);
    if (did == Step::broken) continue;
    out.rules.push_back(fmt::format("{} rule {}", here->name, next));
    if (did == Step::next) continue;
    switch (verdict_.kind) {
      case Verdict::Kind::accept:
        return finish(Fate::pass);
      case Verdict::Kind::drop:
        return finish(Fate::drop);
      case Verdict::Kind::return_:
        next = here->rules.size();
        continue;
      case Verdict::Kind::other:
        return finish(outcome_.fate == Fate::inspect ? Fate::inspect : Fate::unmodelled);
      case Verdict::Kind::jump_to:
        if (stack.size() == jumps_max) return finish(Fate::drop);
        stack.emplace_back(here, next);
        break;
      case Verdict::Kind::go_to:
        break;
    }
    here = chain(verdict_.chain);
    next = 0;
    if (here == nullptr) return finish(Fate::unmodelled);
  }
  return finish(Fate::unmodelled);
}

}  // namespace

Trace trace(const nft::Ruleset& ruleset, const Packet& packet) {
  return Machine(ruleset, packet).run();
}

}  // namespace menshen::policy::prove
