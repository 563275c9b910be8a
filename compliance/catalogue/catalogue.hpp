// What is asked (items of GB/T 22239-2019 8.1 and 8.2, level 3), how it is judged (checks) and by
// which edition of the rules a rate is counted. All of it is data: rules/mlps/*.yaml,
// rules/mlps/checks/*.yaml.
//
// A Catalogue is immutable and may be read by any thread; an Assessment points into it.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.hpp"
#include "base/lang.hpp"
#include "compliance/catalogue/expression.hpp"
#include "compliance/catalogue/sources.hpp"

namespace menshen::compliance {

enum class Part : unsigned char { general, cloud };  // 8.1, 8.2
enum class Automation : unsigned char {
  automatic,
  semi,
  manual
};  // how far a machine can judge it
enum class Responsible : unsigned char { provider, tenant, both };  // of the cloud
enum class Method : unsigned char { interview, examine, test };

struct HighRisk {
  Text reason;
  std::vector<std::string> references;  // "T/ISEAA 001-2020", "2025 guideline 6.3.2.1"
  std::string trigger;                  // A-01 ... A-32 of the 2025 report template, or empty
};

struct Item {
  std::string id;       // 8.1.3.2.a
  std::string control;  // 8.1.3.2
  Text control_title;
  Text requirement;  // our own wording, never the standard's sentence
  std::vector<Text> objects;
  std::vector<Method> methods;
  Responsible responsible = Responsible::both;
  Automation automation = Automation::manual;
  std::optional<HighRisk> high_risk;
  int weight = 1;                 // 1 ordinary, 2 important, 3 key (an estimate: see Meta)
  char sag = 'G';                 // S, A or G
  bool optional_wording = false;  // the standard says "may"
  std::vector<std::string> checks;
  Text guidance;           // for the assessor; may be empty
  bool technical = false;  // counts on the technical side of the 2021 score
};

struct Layer {
  std::string id;  // 8.1.3
  Part part = Part::general;
  Text title;
  std::vector<Item> items;  // in the order of the standard
};

struct Remediation {
  Text text;
  std::vector<std::string> commands;  // one a line, as typed
};

struct Check {
  std::string id;  // policy-default-drop
  std::vector<std::string> items;
  Text title;
  Text object;              // what was looked at: "this appliance"
  bool supporting = false;  // passing is evidence for a person; not passing proves nothing
  Expression assertion;
  std::optional<Expression> partial;  // tried when the assertion is false: 部分符合
  std::optional<Expression> applies;  // false: 不适用
  Text pass_reason;                   // {path} stands for the observed value
  Text partial_reason;
  Text fail_reason;
  Remediation remediation;
};

struct Edition {
  std::string id;  // 2025-strict, 2025-half, 2021
  Text title;
  Text basis;
  bool score = false;           // false: conformity rate; true: the 2021 deduction score
  double partial_share = 0;     // what a partial item earns: 0 or 0.5
  double conforming_above = 0;  // percent
  double basic_above = 0;
};

// A class of assessed objects: one of the 2025 report's twelve, or the deployment's own.
struct ObjectClass {
  std::string id;  // server
  Text title;
  std::vector<std::string> layers;  // whose items are judged on it
  bool host = false;                // facts can be collected from it (SSH, offline)
};

struct Meta {
  std::string standard;  // GB/T 22239-2019
  std::string version;   // of these data files
  Text wording;          // whose words the requirements are
  std::vector<Text> sources;
  std::vector<Text> estimates;    // fields that are not certain, shown in every report
  std::vector<Edition> editions;  // the first is the one a report leads with
};

struct Catalogue {
  Meta meta;
  Sources sources;  // what may be read and run on a host
  std::vector<ObjectClass> classes;
  std::vector<Layer> layers;
  std::map<std::string, Check, std::less<>> checks;
  std::string digest_sha256;  // over all files, by name: names the exact rules in the report

  [[nodiscard]] const Item* find_item(std::string_view id) const;          // linear
  [[nodiscard]] const ObjectClass* find_class(std::string_view id) const;  // linear
  [[nodiscard]] std::size_t item_count() const;
};

inline constexpr std::size_t catalogue_files_max = 256;
inline constexpr std::size_t catalogue_items_max = 4096;
inline constexpr std::size_t catalogue_checks_max = 1024;

// One file's diagnostics each. A file that cannot be read is a diagnostic too.
struct LoadedCatalogue {
  std::optional<Catalogue> catalogue;  // empty where any file has an error
  std::vector<Diagnostics> diagnostics;
};
[[nodiscard]] LoadedCatalogue load_catalogue(const std::filesystem::path& directory);

// The pieces, for tests and fuzzing.
[[nodiscard]] std::optional<Layer> parse_layer(std::string_view source, Diagnostics& diagnostics);
[[nodiscard]] std::optional<std::vector<Check>> parse_checks(std::string_view source,
                                                             const Sources& sources,
                                                             Diagnostics& diagnostics);
[[nodiscard]] std::optional<std::vector<ObjectClass>> parse_classes(std::string_view source,
                                                                    Diagnostics& diagnostics);
[[nodiscard]] std::optional<Meta> parse_meta(std::string_view source, Diagnostics& diagnostics);

}  // namespace menshen::compliance
