// Any text: parse_note must refuse it or give back that very text.
#include <cstdint>
#include <cstdlib>

#include "audit/store/note.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen;
  const std::string_view text = as_text(std::as_bytes(std::span(data, size)));
  const auto note = menshen::audit::parse_note(text);
  if (note && note->text != text) std::abort();
  return 0;
}
