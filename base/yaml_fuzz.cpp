// Any text: parsing ends without a crash, a refusal has a place within the text and shows no
// control character, and what is accepted reads the same a second time.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.hpp"
#include "base/yaml.hpp"

namespace {

using menshen::yaml::Node;

void require(bool condition) {
  if (!condition) std::abort();
}

void check_node(const Node& node, std::size_t lines) {
  require(node.range.begin.line >= 1 && node.range.begin.line <= lines);
  require(node.range.begin.column >= 1);
  require(node.range.end.line == node.range.begin.line);
  require(node.range.end.column >= node.range.begin.column);
  require(menshen::is_utf8(node.text));
  for (const Node& item : node.items) check_node(item, lines);
  for (const auto& entry : node.entries) {
    require(node.find(entry.key) == &entry.value);  // no key is there twice
    check_node(entry.value, lines);
  }
}

void check_visible(std::string_view text) {
  while (!text.empty()) {
    const menshen::CodePoint c = menshen::first_code_point(text);
    require(c.valid && (c.value == '\n' || !menshen::is_control(c.value)));
    text.remove_prefix(c.bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string source(reinterpret_cast<const char*>(data), size);
  menshen::Diagnostics diagnostics("fuzz.yaml", source);
  const auto root = menshen::yaml::parse(source, diagnostics);
  require(root.has_value() != diagnostics.has_errors());
  std::size_t lines = 2;  // an error or an empty value may stand behind the last line
  for (const char c : source) lines += c == '\n' ? 1 : 0;
  if (root) {
    check_node(*root, lines);
    static_cast<void>(menshen::yaml::as_integer(*root, -10, 10, diagnostics));
    static_cast<void>(menshen::yaml::as_bool(*root, diagnostics));
    static_cast<void>(menshen::yaml::as_list(*root, diagnostics));
    menshen::yaml::reject_unknown_keys(*root, {"from", "to", "rules"}, diagnostics);
  }
  for (const auto& d : diagnostics.all()) require(d.range.begin.line <= lines);
  check_visible(diagnostics.render(menshen::Lang::zh));
  check_visible(diagnostics.to_json(menshen::Lang::en));
  return 0;
}
