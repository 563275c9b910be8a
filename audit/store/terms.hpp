// The terms under which a record is found: its fields, and the words of its texts.
//
// A word is a run of ASCII letters, digits and _ , in lower case, of 2 to word_bytes_max bytes
// (the rest is cut); of other characters, each pair of neighbours and the last one alone, so that
// Chinese is found at any place. Fields carry a letter and a colon: d:finance, a:40a0a0005 (an
// address's bytes in hex behind its family), r:2034647. Terms only lead to blocks; each record is
// then compared itself.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/record/record.hpp"

namespace menshen::audit {

inline constexpr std::size_t word_bytes_max = 32;

enum class Field : char {
  source = 'o',
  domain = 'd',
  address = 'a',
  rule = 'r',
  subject = 'u',
  action = 'x',
  policy_line = 'l',
  outcome = 'y',
};

// A term of a field, in the characters that the index keeps.
[[nodiscard]] std::string field_term(Field field, std::string_view value);
// The address's own digits, of which a prefix has the beginning.
[[nodiscard]] std::string address_term(Bytes sixteen);
void for_each_word(std::string_view text, const std::function<void(std::string_view)>& word);

// The different terms of many records, each once.
class TermSet {
 public:
  TermSet();
  void add(const RecordView& record);
  // All terms, a space between them; and begins anew.
  [[nodiscard]] std::string take();

 private:
  void put(std::string_view term);
  void put_field(Field field, std::string_view value);
  void put_words(std::string_view text);
  void grow();

  std::uint64_t seed_;
  std::vector<std::uint64_t> slots_;  // digests of the terms that are there; 0: free
  std::size_t used_ = 0;
  std::string text_;
  std::string term_;
};

}  // namespace menshen::audit
