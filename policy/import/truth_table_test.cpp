// Each file of truth_tables/: what is imported decides every cell as the table says.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <set>

#include "base/file.hpp"
#include "policy/import/document.hpp"
#include "policy/policy.hpp"

namespace menshen::policy::imports {
namespace {

const std::filesystem::path folder =
    std::filesystem::path(MENSHEN_SOURCE_DIR) / "policy/import/truth_tables";

FlowQuery probe_of(std::string_view name, const std::string& from, const std::string& to) {
  const std::string_view protocol = name.substr(0, name.find('-'));
  const auto port =
      static_cast<std::uint16_t>(std::stoi(std::string(name.substr(name.find('-') + 1))));
  const IpProto proto = protocol == "tcp"   ? IpProto::tcp
                        : protocol == "udp" ? IpProto::udp
                                            : IpProto::icmp;
  return {*IpAddr::parse(from), *IpAddr::parse(to), proto, port, {}, {}};
}

Source source_of(const std::filesystem::path& path) {
  auto text = read_file(path, source_bytes_max);
  REQUIRE(text);
  return {path.filename().string(), *text};
}

// Cells that were compared.
std::size_t compare(const yaml::Node& expected, const Policy& policy) {
  std::size_t cells = 0;
  const auto& ends = member(expected, "ends").items;
  for (const auto& [probe, range, rows] : member(expected, "tables").entries) {
    REQUIRE(rows.items.size() == ends.size());
    for (std::size_t from = 0; from < ends.size(); ++from) {
      std::string found;
      for (std::size_t to = 0; to < ends.size(); ++to) {
        const FlowQuery query = probe_of(probe, ends[from].text, ends[to].text);
        const bool passes = policy.decide(query).action == Action::allow;
        CHECK(policy.decide(query) == decide_by_walk(policy, query));
        found += from == to ? '-' : passes ? '.' : 'X';
        ++cells;
      }
      INFO(probe << " from " << ends[from].text);
      CHECK(found == rows.items[from].text);
    }
  }
  return cells;
}

}  // namespace

TEST_CASE("an imported cluster decides every cell of every truth table") {
  const Source cluster = source_of(folder / "cluster.yaml");
  std::size_t tables = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".yaml" || entry.path().filename() == "cluster.yaml") continue;
    INFO(entry.path().filename().string());
    const Source objects = source_of(entry.path());
    const auto documents = documents_of(objects);
    REQUIRE(documents);
    const std::array sources{cluster, objects};
    const auto made = import_rules(Format::kubernetes, sources, {});
    REQUIRE(made);
    // The table itself is no object of the cluster; nothing else is left out.
    for (const Loss& loss : made->losses) CHECK(loss.place == "TruthTable ");
    const Loaded loaded = load("made.yaml", made->yaml, {std::chrono::year(2026) / 11 / 23});
    INFO(made->yaml);
    REQUIRE(loaded.policy);
    CHECK(loaded.policy->lines().size() == made->lines);
    CHECK(compare(documents->back(), *loaded.policy) == 500);
    ++tables;
  }
  CHECK(tables == 57);
}

}  // namespace menshen::policy::imports
