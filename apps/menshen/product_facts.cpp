#include "apps/menshen/product_facts.hpp"

#include "apps/control/client.hpp"
#include "apps/menshen/audit_facts.hpp"
#include "apps/menshen/system_facts.hpp"

namespace menshen::apps {
namespace {

void add_daemon(compliance::Facts& facts, const ProductFactOptions& options, std::string_view space,
                std::string_view socket_key, const std::string& source) {
  const auto answer = control_call(options.settings.text(socket_key), {"facts", Json::object()});
  const WallTime now = options.clock.wall();
  if (answer) {
    compliance::add_product_facts(facts, space, *answer, options.host, source, now);
  } else {
    compliance::fail_product_facts(facts, space, answer.error().text, options.host, source, now);
  }
}

}  // namespace

compliance::Facts collect_product_facts(const ProductFactOptions& options) {
  compliance::Facts facts;
  add_daemon(facts, options, "policy", "general.policyd_socket",
             "menshen-policyd: table inet menshen read back");
  add_daemon(facts, options, "sensor", "general.sensord_socket",
             "menshen-sensord: its own counters");
  auto audit = audit_facts(options.settings, options.clock);
  const std::string source = "audit store " + options.settings.text("audit.directory") +
                             ": verified and read; menshen-auditd: status";
  const WallTime now = options.clock.wall();
  if (audit) {
    // Nothing copies records elsewhere where the store says nothing of it.
    if (!audit->store.contains("backup_targets")) audit->store["backup_targets"] = Json::array();
    compliance::add_product_facts(facts, "audit", audit->store, options.host, source, now);
    // Counted over the stored events, so not the sensor's own word.
    compliance::add_product_facts(facts, "sensor",
                                  {{"alerts_incomplete", audit->alerts_incomplete}}, options.host,
                                  source, now);
  } else {
    compliance::fail_product_facts(facts, "audit", audit.error().text, options.host, source, now);
  }
  compliance::add_product_facts(facts, "system",
                                system_facts(options.settings, options.settings_file), options.host,
                                "/proc and the control sockets' credentials", now);
  return facts;
}

}  // namespace menshen::apps
