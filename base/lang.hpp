// The two languages of everything that a person reads.
//
// Both are written where the message is made, so neither can be forgotten and no catalogue can go
// stale. Identifiers, JSON keys and log fields are not translated.
#pragma once

#include <string>
#include <string_view>

namespace menshen {

enum class Lang : unsigned char { zh, en };

struct Text {
  std::string zh;
  std::string en;

  [[nodiscard]] const std::string& in(Lang lang) const { return lang == Lang::zh ? zh : en; }
  bool operator==(const Text&) const = default;
};

// "zh", "zh_CN.UTF-8", "en", "en-US" ... ; false where it is neither language.
[[nodiscard]] bool parse_lang(std::string_view text, Lang& lang);

// From LC_ALL, LC_MESSAGES, LANG, in that order; English where they name another language, none or
// "C".
[[nodiscard]] Lang lang_from_environment();

}  // namespace menshen
