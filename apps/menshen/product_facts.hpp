// What this deployment shows of itself, as compliance/collect/product_facts.md names it: asked of
// the running daemons, read from the store and from /proc. Nothing is taken from the settings where
// it can be observed.
#pragma once

#include <string>

#include "base/clock.hpp"
#include "base/settings.hpp"
#include "compliance/collect/facts.hpp"

namespace menshen::apps {

struct ProductFactOptions {
  const Settings& settings;
  std::filesystem::path settings_file;
  std::string host;  // object of the provenance
  const Clock& clock;
};

// The spaces policy, sensor, audit, system. A daemon that cannot be asked is a failed space. Reads
// the whole audit store once (verification) and scans its records.
[[nodiscard]] compliance::Facts collect_product_facts(const ProductFactOptions& options);

}  // namespace menshen::apps
