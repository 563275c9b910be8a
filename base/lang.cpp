#include "base/lang.hpp"

#include <cstdlib>

namespace menshen {

bool parse_lang(std::string_view text, Lang& lang) {
  const std::string_view name = text.substr(0, text.find_first_of("_-.@"));
  const auto is = [name](char first, char second) {
    return name.size() == 2 && (name[0] | 0x20) == first && (name[1] | 0x20) == second;
  };
  if (is('z', 'h')) {
    lang = Lang::zh;
  } else if (is('e', 'n')) {
    lang = Lang::en;
  } else {
    return false;
  }
  return true;
}

Lang lang_from_environment() {
  for (const char* variable : {"LC_ALL", "LC_MESSAGES", "LANG"}) {
    const char* value = ::secure_getenv(variable);
    if (value == nullptr || *value == '\0') continue;
    Lang lang = Lang::en;
    // The first one that is set decides (POSIX), also when it names a third language.
    return parse_lang(value, lang) ? lang : Lang::en;
  }
  return Lang::en;
}

}  // namespace menshen
