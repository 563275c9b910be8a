#include "policy/import/first_match.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "policy/import/regions.hpp"

namespace menshen::policy::imports {
namespace {

bool is_plain(const End& end) { return end.any_of.empty() && end.none_of.empty(); }

Match both_of(const Match& a, const Match& b) {
  Match out = a;
  const auto add = [](End& end, const End& more) {
    end.any_of.insert(end.any_of.end(), more.any_of.begin(), more.any_of.end());
    end.none_of.insert(end.none_of.end(), more.none_of.begin(), more.none_of.end());
  };
  add(out.from, b.from);
  add(out.to, b.to);
  out.services = both(a.services, b.services);
  out.v4 = a.v4 && b.v4;
  out.v6 = a.v6 && b.v6;
  return out;
}

bool contains_region(const End& end, const Prefix& region) {
  const auto holds = [&](const Prefix& p) { return contains(p, region); };
  return std::all_of(
             end.any_of.begin(), end.any_of.end(),
             [&](const auto& list) { return std::any_of(list.begin(), list.end(), holds); }) &&
         std::none_of(end.none_of.begin(), end.none_of.end(), holds);
}

class Flattener {
 public:
  Flattener(const Program& program, Writer& writer) : program_(program), writer_(writer) {}
  Result<void> run();

 private:
  struct Flat {
    Match match;
    Action action;
    std::string reason;
  };
  // False: a limit was reached.
  bool follow(const std::string& chain, Match context, std::size_t depth);
  bool take(const Step& step, const Match& match, std::size_t depth);
  bool exclude(Match& context, const Step& step);
  void lose(const Step& step, const Text& why);
  Result<void> regions();
  const Writer::Ids& ids_of(const End& end, bool v4, bool v6);
  void inside();

  const Program& program_;
  Writer& writer_;
  std::vector<Flat> flat_;
  std::size_t steps_ = 0;
  std::vector<Prefix> outer_;  // by domain
  std::map<std::tuple<End, bool, bool>, Writer::Ids> ids_;
};

void Flattener::lose(const Step& step, const Text& why) {
  Effect effect = Effect::more_open;
  if (step.kind == Step::Kind::accept) effect = Effect::more_closed;
  if (step.kind == Step::Kind::nothing) effect = Effect::none;
  writer_.loss(effect, step.place, why);
}

// What a step takes away from those behind it. False: that cannot be expressed.
bool Flattener::exclude(Match& context, const Step& step) {
  const Match& match = step.match;
  const bool services = match.services != ServiceSet::all();
  const bool from = !is_plain(match.from);
  const bool to = !is_plain(match.to);
  if ((context.v4 && !match.v4) || (context.v6 && !match.v6)) return false;
  if ((services ? 1 : 0) + (from ? 1 : 0) + (to ? 1 : 0) != 1) return false;
  if (services) {
    context.services = without(context.services, match.services);
    return !context.services.other;
  }
  const End& end = from ? match.from : match.to;
  if (end.any_of.size() != 1 || !end.none_of.empty()) return false;
  End& out = from ? context.from : context.to;
  out.none_of.insert(out.none_of.end(), end.any_of.front().begin(), end.any_of.front().end());
  return true;
}

bool Flattener::take(const Step& step, const Match& match, std::size_t depth) {
  const auto emit = [&](Action action) {
    flat_.push_back({match, action, step.reason});
    return flat_.size() <= rules_made_max;
  };
  switch (step.kind) {
    case Step::Kind::accept:
      return emit(Action::allow);
    case Step::Kind::drop:
      return emit(Action::deny);
    case Step::Kind::jump:
    case Step::Kind::go_to:
      return follow(step.target, match, depth + 1);
    case Step::Kind::leave:
      return depth != 0 || emit(program_.policy);
    case Step::Kind::nothing:
      break;
  }
  return true;
}

bool Flattener::follow(const std::string& chain, Match context, std::size_t depth) {
  const auto found = program_.chains.find(chain);
  if (found == program_.chains.end() || depth > jumps_max) {
    writer_.loss(Effect::more_open, chain,
                 {"找不到该链或跳转过深", "there is no such chain, or jumps are too deep"});
    return true;
  }
  for (const Step& step : found->second) {
    if (++steps_ > rules_made_max * 4) return false;
    if (step.match.unknown) {
      lose(step, *step.match.unknown);
      continue;
    }
    if (step.match.state != State::opening) {
      const bool implied = step.match.state == State::known     ? step.kind == Step::Kind::accept
                           : step.match.state == State::invalid ? step.kind == Step::Kind::drop
                                                                : false;
      if (!implied)
        lose(step, {"连接状态条件无法表达", "its connection state cannot be expressed"});
      continue;
    }
    const Match match = both_of(context, step.match);
    if (match.services.empty() || (!match.v4 && !match.v6)) continue;
    if (!take(step, match, depth)) return false;
    if (step.kind == Step::Kind::nothing || step.kind == Step::Kind::jump) continue;
    const bool every = is_plain(step.match.from) && is_plain(step.match.to) &&
                       step.match.services == ServiceSet::all() && (step.match.v4 || !context.v4) &&
                       (step.match.v6 || !context.v6);
    if (every) return true;
    const bool leaves = step.kind == Step::Kind::leave || step.kind == Step::Kind::go_to;
    if (leaves && depth != 0 && !exclude(context, step))
      lose(step, {"该返回或跳转无法表达", "this return or goto cannot be expressed"});
  }
  return true;
}

Result<void> Flattener::regions() {
  std::vector<Prefix> cuts;
  const auto add = [&](const End& end) {
    for (const auto& list : end.any_of) cuts.insert(cuts.end(), list.begin(), list.end());
    cuts.insert(cuts.end(), end.none_of.begin(), end.none_of.end());
  };
  for (const Flat& each : flat_) {
    add(each.match.from);
    add(each.match.to);
  }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  std::erase_if(cuts, [&](const Prefix& p) { return p.is_v4() ? !program_.v4 : !program_.v6; });
  if (program_.v4) cuts.push_back(all_addresses(false));
  if (program_.v6) cuts.push_back(all_addresses(true));
  if (cuts.size() > domains_made_max) {
    return fail(ErrorCode::limit,
                {fmt::format("规则涉及的网段超过 {} 个", domains_made_max),
                 fmt::format("the rules name more than {} networks", domains_made_max)});
  }
  for (Region& region : MENSHEN_TRY(regions_of(std::move(cuts)))) {
    const bool whole = region.outer.length() == 0;
    const std::string text = region.outer.to_string();
    writer_.domain(whole ? region.outer.is_v4() ? "outside" : "outside6" : "net-" + text,
                   whole ? "" : text, std::move(region.networks));
    outer_.push_back(region.outer);
  }
  return {};
}

const Writer::Ids& Flattener::ids_of(const End& end, bool v4, bool v6) {
  const auto [found, fresh] = ids_.try_emplace({end, v4, v6});
  if (!fresh) return found->second;
  for (std::size_t i = 0; i < outer_.size(); ++i) {
    if ((outer_[i].is_v4() ? v4 : v6) && contains_region(end, outer_[i]))
      found->second.push_back(i);
  }
  return found->second;
}

// A policy does not decide inside a domain: say so where the rules did.
void Flattener::inside() {
  std::vector<ServiceSet> open(outer_.size(), ServiceSet::all());
  std::vector<bool> denied(outer_.size());
  for (const Flat& each : flat_) {
    const auto& from = ids_of(each.match.from, each.match.v4, each.match.v6);
    const auto& to = ids_of(each.match.to, each.match.v4, each.match.v6);
    Writer::Ids same;
    std::set_intersection(from.begin(), from.end(), to.begin(), to.end(), std::back_inserter(same));
    for (const std::size_t id : same) {
      const ServiceSet now = both(open[id], each.match.services);
      if (each.action == Action::deny && !now.empty()) denied[id] = true;
      open[id] = without(open[id], each.match.services);
    }
  }
  std::size_t count = 0;
  for (std::size_t id = 0; id < outer_.size(); ++id)
    count += denied[id] || (program_.policy == Action::deny && !open[id].empty()) ? 1U : 0U;
  if (count == 0) return;
  writer_.loss(Effect::more_open, "",
               {fmt::format("{} 个安全域内部（同一网段之间）的限制未导入：域内流量始终放行", count),
                fmt::format("inside {} domains (a network with itself) the rules deny something; "
                            "traffic inside a domain always passes",
                            count)});
}

Result<void> Flattener::run() {
  if (!follow(program_.base, Match{}, 0)) {
    return fail(ErrorCode::limit,
                {fmt::format("展开跳转后规则超过 {} 条", rules_made_max),
                 fmt::format("more than {} rules after jumps are followed", rules_made_max)});
  }
  MENSHEN_CHECK(regions());
  for (const Flat& each : flat_) {
    writer_.line(ids_of(each.match.from, each.match.v4, each.match.v6),
                 ids_of(each.match.to, each.match.v4, each.match.v6), each.match.services,
                 each.action, each.reason);
  }
  if (program_.policy == Action::allow) {
    const Writer::Ids& all = ids_of(End{}, true, true);
    writer_.line(all, all, ServiceSet::all(), Action::allow, {});
  }
  inside();
  return {};
}

}  // namespace

Result<void> write_first_match(const Program& program, Writer& writer) {
  return Flattener(program, writer).run();
}

std::vector<Prefix> networks_behind(std::string_view name, const ImportOptions& options) {
  std::vector<Prefix> out;
  const bool wild = name.ends_with('+') || name.ends_with('*');
  for (const auto& [interface, network] : options.interfaces) {
    if (wild ? std::string_view(interface).starts_with(name.substr(0, name.size() - 1))
             : interface == name)
      out.push_back(network);
  }
  return out;
}

void restrict_to(End& end, std::vector<Prefix> networks, bool negated) {
  if (negated) {
    end.none_of.insert(end.none_of.end(), networks.begin(), networks.end());
  } else {
    end.any_of.push_back(std::move(networks));
  }
}

Text interface_unknown(std::string_view name) {
  return {fmt::format("接口 {} 后的网段未知，请用 --network {}=网段 说明", name, name),
          fmt::format("the networks behind {} are not known; tell them by --network {}=PREFIX",
                      name, name)};
}

}  // namespace menshen::policy::imports
