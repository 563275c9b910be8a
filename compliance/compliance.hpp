// The compliance module's front door. Four steps, each usable alone:
//
//   auto loaded = load_catalogue("/usr/share/menshen/mlps");          // data, with diagnostics
//   Facts facts = collect_host(LocalHost(), system_clock(), host);    // what this host shows
//   add_product_facts(facts, "policy", policyd_json, host, "menshen-policyd: status", now);   //
//   what the daemons say Assessment a = assess(*loaded.catalogue, std::move(facts), {name, host,
//   version}, now); write(render_html(a, {.lang = Lang::zh})); write(to_json(a));
//
// Always a self-assessment (自查): only a licensed body issues a conclusion.
#pragma once

#include "compliance/assess/assess.hpp"        // IWYU pragma: export
#include "compliance/catalogue/catalogue.hpp"  // IWYU pragma: export
#include "compliance/collect/facts.hpp"        // IWYU pragma: export
#include "compliance/collect/host.hpp"         // IWYU pragma: export
#include "compliance/report/report.hpp"        // IWYU pragma: export
