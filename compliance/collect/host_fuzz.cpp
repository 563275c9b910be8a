// Any bytes as each of the host's files.
#include <cstddef>
#include <cstdint>

#include "compliance/collect/parse.hpp"
#include "compliance/collect/utf8.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen::compliance;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view half = text.substr(0, size / 2);
  static_cast<void>(parse::settings(text, SettingsStyle::space));
  static_cast<void>(parse::settings(text, SettingsStyle::equals));
  static_cast<void>(parse::accounts(half, text.substr(half.size()), 20000));
  static_cast<void>(parse::sshd(text));
  static_cast<void>(parse::listening(text, "0A"));
  static_cast<void>(parse::packages(text));
  nlohmann::json into = {{"modules", nlohmann::json::object()},
                         {"options", nlohmann::json::object()}};
  parse::pam(text, into);
  nlohmann::json list = nlohmann::json::array();
  parse::rsyslog_targets(text, list);
  parse::sudo_without_password(text, list);
  // No password field survives redaction: every second field is one of ours.
  const std::string redacted = parse::redact_shadow(text);
  for (const std::string_view line : parse::lines(redacted)) {
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && colon + 1 < line.size() && line[colon + 1] != '<')
      __builtin_trap();
  }
  // What is printable once is printable again, unchanged.
  const std::string safe = printable(text);
  if (printable(safe) != safe) __builtin_trap();
  // nlohmann throws on bytes that are not UTF-8: they must be gone.
  static_cast<void>(nlohmann::json(safe).dump());
  return 0;
}
