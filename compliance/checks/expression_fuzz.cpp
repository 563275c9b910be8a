// A check expression on facts of every type: an outcome, never a crash; without facts never yes or
// no.
#include <cstddef>
#include <cstdint>

#include "compliance/checks/evaluate.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen;
  using namespace menshen::compliance;
  if (size > 65536) return 0;
  const std::string text(reinterpret_cast<const char*>(data), size);
  Diagnostics diagnostics("fuzz.yaml", text);
  const auto node = yaml::parse(text, diagnostics);
  if (!node) return 0;
  static const Sources sources = [] {
    Sources s;
    s.settings.push_back({"/etc/login.defs", {"/etc/login.defs"}, SettingsStyle::space, {}});
    s.texts.push_back({"pg_hba", {"/pg_hba.conf"}, SettingsStyle::equals, {}});
    s.commands.push_back({"sshd", {"sshd", "-T"}});
    return s;
  }();
  const auto expression = parse_expression(*node, sources, diagnostics);
  if (!expression) return 0;
  static const Facts facts = [] {
    Facts f;
    const Provenance p = make_provenance("h", "s", 0, "raw");
    const auto object = nlohmann::json::parse(
        R"({"n":5,"t":"text","l":[1,"x",null,true],"e":[],"o":{"a.b":1,"a":{"b":2}},)"
        R"("z":null,"y":true})");
    f.add("a", object, p);
    f.add("host.sshd", object, p);
    f.add("host.file./etc/login.defs", {{"present", true}, {"settings", object}}, p);
    f.fail("bad", {"坏", "bad"}, p);
    return f;
  }();
  std::vector<Observation> seen;
  static_cast<void>(evaluate(*expression, facts, seen));
  for (const Observation& o : seen)
    if (o.observed.size() > observed_bytes_max + 3) __builtin_trap();
  seen.clear();
  const Outcome blind = evaluate(*expression, Facts(), seen);
  if (blind != Outcome::unknown) __builtin_trap();
  return 0;
}
