// The compliance module's front door. The steps, each usable alone:
//
//   auto loaded = load_catalogue("/usr/share/menshen/mlps");       // data, with diagnostics
//   Facts facts = collect_host(LocalHost(), loaded.catalogue->sources, system_clock(), host);
//   add_product_facts(facts, "policy", json, host, "menshen-policyd: table read back", now);
//   read_fleet(hosts, options, script, done);                      // other hosts, over SSH
//   Capture::parse(text, key);                                     // or carried by hand
//   Assessment a = assess(*loaded.catalogue, objects, {name, host, version}, now);
//   render_html(a, {.lang = Lang::zh}); to_json(a);
//
// Always a self-assessment (自查): only a licensed body issues a conclusion.
#pragma once

#include "compliance/assess/assess.hpp"        // IWYU pragma: export
#include "compliance/catalogue/catalogue.hpp"  // IWYU pragma: export
#include "compliance/collect/capture.hpp"      // IWYU pragma: export
#include "compliance/collect/facts.hpp"        // IWYU pragma: export
#include "compliance/collect/host.hpp"         // IWYU pragma: export
#include "compliance/collect/ssh.hpp"          // IWYU pragma: export
#include "compliance/report/report.hpp"        // IWYU pragma: export
#include "compliance/runs/run.hpp"             // IWYU pragma: export
#include "compliance/scope/inventory.hpp"      // IWYU pragma: export
#include "compliance/scope/scope_facts.hpp"    // IWYU pragma: export
#include "compliance/tasks/task.hpp"           // IWYU pragma: export
