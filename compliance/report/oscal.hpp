// The catalogue and a result as OSCAL 1.2 (JSON), for other programs. What OSCAL has no words for
// stands in properties of our own namespace: the five verdicts, rates, triggers, weights.
//
// Clause 8.1.3.2.a is the control mlps-l3-8.1.3.2.a (an OSCAL token begins with a letter). One
// finding an item that has a verdict, one observation a check and object. Identifiers are derived
// from the content, so the same input gives the same bytes. Always a self-assessment.
#pragma once

#include <string>

#include "compliance/assess/assess.hpp"

namespace menshen::compliance {

inline constexpr std::string_view oscal_version = "1.2.2";
inline constexpr std::string_view oscal_namespace = "https://menshen.example/ns/oscal";

[[nodiscard]] std::string oscal_catalog(const Catalogue& catalogue, WallTime time);
[[nodiscard]] std::string oscal_results(const Assessment& assessment);
// One item for each finding: the plan of action. Without findings one item that says so (OSCAL
// wants at least one).
[[nodiscard]] std::string oscal_poam(const Assessment& assessment);

}  // namespace menshen::compliance
