#include "audit/store/terms.hpp"

#include <algorithm>
#include <cstring>
#include <random>

#include "base/text.hpp"

namespace menshen::audit {
namespace {

constexpr std::size_t slots_min = 4'096;
constexpr std::size_t field_bytes_max = 128;

constexpr bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// What the tokenizer of the index keeps together; everything else becomes _ .
char kept(char c) {
  const bool keeps = is_word(c) || c == '.' || c == '-' || c == ':' || (c & 0x80) != 0;
  return keeps ? lower(c) : '_';
}

__extension__ using Wide = unsigned __int128;

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

// Seeded, so that nobody can choose words that hide each other.
std::uint64_t digest(std::string_view text, std::uint64_t seed) {
  std::uint64_t hash = seed ^ text.size();
  while (text.size() > 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data(), 8);
    hash = mix(hash ^ word, 0x9e3779b97f4a7c15U);
    text.remove_prefix(8);
  }
  std::uint64_t word = 0;
  std::memcpy(&word, text.data(), text.size());
  hash = mix(hash ^ word, 0xd6e8feb86659fd93U ^ seed);
  return hash == 0 ? 1 : hash;
}

template <class Word>
void words_of(std::string_view text, std::string& buffer, const Word& word) {
  std::string_view previous;  // the character before, where it is not ASCII
  const auto end_run = [&] {
    if (!previous.empty()) word(previous);
    previous = {};
  };
  for (std::size_t at = 0; at < text.size();) {
    if (is_word(text[at])) {
      end_run();
      const std::size_t begin = at;
      while (at < text.size() && is_word(text[at])) ++at;
      if (at - begin < 2) continue;
      buffer.assign(text.substr(begin, std::min(at - begin, word_bytes_max)));
      std::ranges::transform(buffer, buffer.begin(), lower);
      word(std::string_view(buffer));
      continue;
    }
    if ((text[at] & 0x80) == 0) {
      end_run();
      ++at;
      continue;
    }
    const std::size_t bytes = std::max<std::size_t>(first_code_point(text.substr(at)).bytes, 1);
    if (!previous.empty()) {
      word(std::string_view(previous.data(), previous.size() + bytes));
    }
    previous = text.substr(at, bytes);
    at += bytes;
  }
  end_run();
}

}  // namespace

std::string field_term(Field field, std::string_view value) {
  std::string term{static_cast<char>(field), ':'};
  for (const char c : value.substr(0, field_bytes_max)) term.push_back(kept(c));
  return term;
}

std::string address_term(Bytes sixteen) {
  constexpr std::string_view digits = "0123456789abcdef";
  const bool v4 =
      std::ranges::all_of(sixteen.first(10), [](std::byte b) { return b == std::byte{}; }) &&
      sixteen[10] == std::byte{0xff} && sixteen[11] == std::byte{0xff};
  std::string term{static_cast<char>(Field::address), ':', v4 ? '4' : '6'};
  for (const std::byte b : v4 ? sixteen.subspan(12) : sixteen) {
    term.push_back(digits[std::to_integer<std::size_t>(b >> 4U)]);
    term.push_back(digits[std::to_integer<std::size_t>(b & std::byte{15})]);
  }
  return term;
}

void for_each_word(std::string_view text, const std::function<void(std::string_view)>& word) {
  std::string buffer;
  words_of(text, buffer, word);
}

TermSet::TermSet()
    : seed_((static_cast<std::uint64_t>(std::random_device{}()) << 32U) | std::random_device{}()),
      slots_(slots_min) {}

void TermSet::grow() {
  std::vector<std::uint64_t> old(slots_.size() * 2);
  old.swap(slots_);
  for (const std::uint64_t hash : old) {
    if (hash == 0) continue;
    std::size_t slot = hash & (slots_.size() - 1);
    while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = hash;
  }
}

void TermSet::put(std::string_view term) {
  const std::uint64_t hash = digest(term, seed_);
  std::size_t slot = hash & (slots_.size() - 1);
  while (slots_[slot] != 0) {
    if (slots_[slot] == hash) return;
    slot = (slot + 1) & (slots_.size() - 1);
  }
  slots_[slot] = hash;
  text_.append(term).push_back(' ');
  if (++used_ * 2 > slots_.size()) grow();
}

void TermSet::put_field(Field field, std::string_view value) {
  if (!value.empty()) put(field_term(field, value));
}

void TermSet::put_words(std::string_view text) {
  words_of(text, term_, [this](std::string_view word) { put(word); });
}

void TermSet::add(const RecordView& record) {
  put_field(Field::source, record.source);
  put_field(Field::domain, record.domain_src);
  put_field(Field::domain, record.domain_dst);
  if (record.src.size() == 16) put(address_term(record.src));
  if (record.dst.size() == 16) put(address_term(record.dst));
  if (record.rule) put_field(Field::rule, std::to_string(record.rule->sid));
  put_field(Field::subject, record.subject);
  put_field(Field::action, record.action);
  put_field(Field::policy_line, record.policy_line);
  put_field(Field::outcome, name(record.outcome));
  put_words(record.message);
  put_words(record.object);
  put_words(record.detail);
}

std::string TermSet::take() {
  std::ranges::fill(slots_, 0);
  used_ = 0;
  return std::exchange(text_, {});
}

}  // namespace menshen::audit
