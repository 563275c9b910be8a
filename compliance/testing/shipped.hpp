// The shipped catalogue, loaded once, and the moment at which the tests judge.
#pragma once

#include <catch2/catch.hpp>

#include "compliance/compliance.hpp"
#include "compliance/testing/fake_host.hpp"

namespace menshen::compliance::testing {

inline const WallTime now = parse_time("2026-11-23T08:00:00Z").value();

inline const Catalogue& catalogue() {
  static const LoadedCatalogue loaded = load_catalogue(MENSHEN_MLPS_DIR);
  REQUIRE(loaded.catalogue);
  return *loaded.catalogue;
}

}  // namespace menshen::compliance::testing
