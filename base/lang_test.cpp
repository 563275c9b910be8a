#include "base/lang.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <optional>

namespace menshen {
namespace {

constexpr std::array variables = {"LC_ALL", "LC_MESSAGES", "LANG"};

// Sets the three variables (nullptr: unset) and puts the old values back.
class Environment {
 public:
  explicit Environment(std::array<const char*, 3> values) {
    for (std::size_t i = 0; i < variables.size(); ++i) {
      if (const char* old = ::secure_getenv(variables[i])) old_[i] = old;
      set(variables[i], values[i]);
    }
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() {
    for (std::size_t i = 0; i < variables.size(); ++i) {
      set(variables[i], old_[i] ? old_[i]->c_str() : nullptr);
    }
  }

 private:
  // NOLINTBEGIN(concurrency-mt-unsafe): the tests of base have one thread here
  static void set(const char* name, const char* value) {
    if (value != nullptr) {
      ::setenv(name, value, 1);
    } else {
      ::unsetenv(name);
    }
  }
  // NOLINTEND(concurrency-mt-unsafe)
  std::array<std::optional<std::string>, 3> old_;
};

TEST_CASE("languages by their names") {
  for (const char* name : {"zh", "zh_CN.UTF-8", "zh-CN", "ZH", "zh.UTF-8", "zh@x"}) {
    CAPTURE(name);
    Lang lang = Lang::en;
    CHECK(parse_lang(name, lang));
    CHECK(lang == Lang::zh);
  }
  for (const char* name : {"en", "en_US.UTF-8", "en-GB", "En"}) {
    CAPTURE(name);
    Lang lang = Lang::zh;
    CHECK(parse_lang(name, lang));
    CHECK(lang == Lang::en);
  }
  for (const char* name : {"", "C", "C.UTF-8", "de_DE", "zho", "english", "_zh"}) {
    CAPTURE(name);
    Lang lang = Lang::zh;
    CHECK_FALSE(parse_lang(name, lang));
    CHECK(lang == Lang::zh);
  }
}

TEST_CASE("the first variable that is set decides") {
  const auto with = [](const char* all, const char* messages, const char* lang) {
    const Environment environment({all, messages, lang});
    return lang_from_environment();
  };
  CHECK(with("zh_CN.UTF-8", "en_US", "en_US") == Lang::zh);
  CHECK(with("", "zh_CN", "en_US") == Lang::zh);
  CHECK(with(nullptr, nullptr, "zh_CN") == Lang::zh);
  CHECK(with("C", "zh_CN", "zh_CN") == Lang::en);
  CHECK(with("de_DE", nullptr, "zh_CN") == Lang::en);
  CHECK(with(nullptr, nullptr, nullptr) == Lang::en);
}

}  // namespace
}  // namespace menshen
