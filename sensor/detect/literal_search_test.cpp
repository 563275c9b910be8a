#include "sensor/detect/literal_search.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <random>
#include <string>

using menshen::sensor::find_literal;

namespace {

// The slow, obvious twin.
std::size_t find_slowly(std::string text, const std::string& literal, bool folded) {
  if (folded) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  }
  return text.find(literal);
}

}  // namespace

TEST_CASE("a literal is found where a plain search finds it") {
  std::mt19937 random(3);
  // Few letters, both cases, and the signs that differ from letters by the case's bit alone.
  const std::string alphabet("aAbB@`[{\x00\xff", 10);
  const auto make = [&](std::size_t size) {
    std::string text(size, ' ');
    for (char& c : text) c = alphabet[random() % alphabet.size()];
    return text;
  };
  for (int round = 0; round < 20'000; ++round) {
    const std::string text = make(random() % 70);
    std::string literal = make(1 + random() % (round % 3 == 0 ? 20 : 4));
    const bool folded = random() % 2 == 0;
    if (folded) {
      std::transform(literal.begin(), literal.end(), literal.begin(),
                     [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    }
    // On the heap and exact, so that the sanitizer sees a read beyond.
    const std::unique_ptr<char[]> exact(new char[text.size()]);
    std::copy(text.begin(), text.end(), exact.get());
    REQUIRE(find_literal({exact.get(), text.size()}, literal, folded) ==
            find_slowly(text, literal, folded));
  }
}

TEST_CASE("a literal at the very beginning, the very end, and none") {
  const std::string text = "GET " + std::string(100, 'x') + "needle";
  CHECK(find_literal(text, "GET", false) == 0);
  CHECK(find_literal(text, "needle", false) == 104);
  CHECK(find_literal(text, "get ", true) == 0);
  CHECK(find_literal(text, "needles", false) == std::string::npos);
  CHECK(find_literal("", "a", false) == std::string::npos);
  CHECK(find_literal("", "", false) == 0);
  CHECK(find_literal("abc", "abc", false) == 0);
}
