#include "apps/common/proof_json.hpp"

namespace menshen::apps {
namespace {

Json packet_json(const policy::prove::Packet& packet) {
  return {{"src", packet.src.to_string()},
          {"dst", packet.dst.to_string()},
          {"in_interface", packet.in_interface},
          {"out_interface", packet.out_interface},
          {"protocol", packet.protocol},
          {"state", static_cast<unsigned>(packet.state)},
          {"ct_mark", packet.ct_mark},
          {"original_src", packet.original_src.to_string()},
          {"original_dst", packet.original_dst.to_string()},
          {"original_protocol", packet.original_protocol},
          {"original_port", packet.original_port}};
}

}  // namespace

Json to_json(const policy::prove::Report& report) {
  const Text said = policy::prove::words(report);
  Json violations = Json::array();
  for (const policy::prove::CounterExample& each : report.violations) {
    violations.push_back({{"packet", packet_json(each.packet)},
                          {"from", each.from},
                          {"to", each.to},
                          {"policy", policy::prove::words(each.wanted).en},
                          {"ruleset", policy::prove::words(each.found).en},
                          {"line", each.line},
                          {"rules", each.rules},
                          {"zh", each.text.zh},
                          {"en", each.text.en}});
  }
  Json unmodelled = Json::array();
  for (const Text& each : report.unmodelled)
    unmodelled.push_back({{"zh", each.zh}, {"en", each.en}});
  return {{"conclusion", policy::prove::name_of(report.conclusion)},
          {"zh", said.zh},
          {"en", said.en},
          {"violations", violations},
          {"unmodelled", unmodelled},
          {"domains", report.domains},
          {"lines", report.lines},
          {"elements", report.elements},
          {"address_classes", report.address_classes},
          {"port_classes", report.port_classes},
          {"interface_classes", report.interface_classes},
          {"nodes", report.nodes}};
}

}  // namespace menshen::apps
