#include "policy/prove/prove.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.hpp"
#include "policy/prove/evaluate.hpp"
#include "policy/prove/intent.hpp"
#include "policy/prove/outcomes.hpp"
#include "policy/prove/trace.hpp"
#include "policy/prove/world.hpp"

namespace menshen::policy::prove {
namespace {

std::size_t inhabited_classes(const Space& space) {
  std::size_t count = 0;
  for (Class cls = 0; cls < space.classes(); ++cls) count += space.inhabited(cls) ? 1U : 0U;
  return count;
}

std::string place_of(const Policy& policy, const Packet& packet) {
  FlowQuery query;
  query.src = packet.original_src;
  query.dst = packet.original_dst;
  query.proto = static_cast<IpProto>(packet.original_protocol);
  query.dport = packet.original_port;
  const Decision decision = decide_by_walk(policy, query);
  if (decision.by != DecidedBy::line) return {};
  return fmt::format("{}:{}", policy.source_name(), policy.lines()[decision.line].position.line);
}

CounterExample counter_example(const Policy& policy, const nft::Ruleset& ruleset, Packet packet,
                               Outcome wanted, Outcome found) {
  CounterExample out;
  out.wanted = std::move(wanted);
  out.found = std::move(found);
  const auto name = [&](const IpAddr& address) {
    const DomainId domain = policy.domain_of(address);
    return domain == domain_any ? std::string() : policy.domain(domain).name;
  };
  out.from = name(packet.original_src);
  out.to = name(packet.original_dst);
  out.line = place_of(policy, packet);
  out.rules = trace(ruleset, packet).rules;
  const Text what = words(packet);
  const Text should = words(out.wanted);
  const Text does = words(out.found);
  const std::string line = out.line.empty() ? "" : " " + escape_controls(out.line);
  out.text = {fmt::format("{}：策略要求{}{}，规则集{}（{}）", what.zh, should.zh, line, does.zh,
                          fmt::join(out.rules, "、")),
              fmt::format("{}: by the policy it {}{}, by the ruleset it {} ({})", what.en,
                          should.en, line, does.en, fmt::join(out.rules, ", "))};
  out.packet = std::move(packet);
  return out;
}

}  // namespace

Report prove(const Policy& policy, const nft::Ruleset& ruleset, const nft::LowerOptions& lowered,
             const ProveOptions& options) {
  Report report;
  Diagrams diagrams(options.nodes_max);
  Outcomes outcomes;
  const World world(policy, ruleset, diagrams);
  const Evaluation evaluation = evaluate(ruleset, world, outcomes);
  const Node intent =
      intent_of(policy, world, outcomes, {ruleset.generation, lowered.queue, lowered.queue_bypass});
  report.unmodelled = evaluation.unmodelled;
  report.unmodelled.insert(report.unmodelled.end(), options.surroundings.begin(),
                           options.surroundings.end());
  report.domains = policy.domains().size();
  report.lines = policy.lines().size();
  for (const nft::Set& set : ruleset.sets) report.elements += set.elements.size();
  for (const Family family : {Family::v4, Family::v6})
    report.address_classes += inhabited_classes(world.space(Field::src, family));
  report.port_classes = inhabited_classes(world.space(Field::original_port, Family::v4));
  report.interface_classes = inhabited_classes(world.space(Field::in_interface, Family::v4));

  if (!diagrams.full() && evaluation.outcome != intent) {
    // Where the ruleset's outcome is not modelled, it shows nothing.
    const Node modelled = diagrams.map(evaluation.outcome, [&](std::uint32_t number) {
      return number != 0 && outcomes[number].fate != Fate::unmodelled ? std::uint32_t{1}
                                                                      : std::uint32_t{0};
    });
    Node where = diagrams.both(world.inhabited(), modelled);
    while (report.violations.size() < violations_max && !diagrams.full()) {
      const auto bits = diagrams.difference(evaluation.outcome, intent, where);
      if (!bits) break;
      Packet packet = world.packet_at(*bits);
      const auto outcome = [&](Node node) { return outcomes[world.outcome_at(node, packet)]; };
      report.violations.push_back(
          counter_example(policy, ruleset, packet, outcome(intent), outcome(evaluation.outcome)));
      // The next one lies elsewhere.
      Node rest = nothing;
      for (auto bit = bits->rbegin(); bit != bits->rend(); ++bit) {
        rest = bit->set ? diagrams.make(bit->level, always, rest)
                        : diagrams.make(bit->level, rest, always);
      }
      where = diagrams.both(where, rest);
    }
  }
  report.nodes = diagrams.nodes();
  if (diagrams.full()) {
    report.violations.clear();
    report.unmodelled.push_back(
        {fmt::format("证明所需节点超过上限 {}", options.nodes_max),
         fmt::format("the proof needs more than {} nodes", options.nodes_max)});
  }
  report.conclusion = !report.violations.empty()   ? Conclusion::violated
                      : !report.unmodelled.empty() ? Conclusion::unknown
                                                   : Conclusion::proved;
  return report;
}

Report prove_live(const Policy& policy, const nft::LiveRuleset& live,
                  const nft::LowerOptions& lowered, const ProveOptions& options) {
  if (live.present && !live.dormant) return prove(policy, live.ruleset, lowered, options);
  nft::Ruleset none;
  none.generation = lowered.generation;
  return prove(policy, none, lowered, options);
}

std::string_view name_of(Conclusion conclusion) {
  switch (conclusion) {
    case Conclusion::proved:
      return "proved";
    case Conclusion::violated:
      return "violated";
    case Conclusion::unknown:
      break;
  }
  return "unknown";
}

Text words(const Report& report) {
  const std::size_t pairs =
      report.domains * (report.domains - std::min<std::size_t>(report.domains, 1));
  switch (report.conclusion) {
    case Conclusion::proved:
      return {fmt::format("已证明：{} 个安全域的全部 {} 个有序对之间，恰好放行策略允许的报文",
                          report.domains, pairs),
              fmt::format("proved: between all {} ordered pairs of {} domains exactly the allowed "
                          "packets pass",
                          pairs, report.domains)};
    case Conclusion::violated:
      return {fmt::format("不成立：{} 个反例报文", report.violations.size()),
              fmt::format("violated: {} packets show it", report.violations.size())};
    case Conclusion::unknown:
      break;
  }
  return {
      fmt::format("无法判定：{} 项未建模", report.unmodelled.size()),
      fmt::format("unknown: {} things take part that are not modelled", report.unmodelled.size())};
}

}  // namespace menshen::policy::prove
