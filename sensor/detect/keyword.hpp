// The keyword table: one row per name that a rule may use. What has no row is rejected by name.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "sensor/detect/rule.hpp"

namespace menshen::sensor {

struct Classification {
  std::string category;
  std::uint32_t priority = 3;
};
using Classifications = std::map<std::string, Classification, std::less<>>;

class Datasets;

// A rule while its options are read, left to right.
class RuleDraft {
 public:
  explicit RuleDraft(const Classifications& classifications) : classifications_(&classifications) {}

  Rule rule;
  Datasets* datasets = nullptr;  // where sets by name stand; null: none can be used
  std::filesystem::path folder;  // of the rule's file: where files that it names are
  std::shared_ptr<const Reputation> reputation;  // null: none is configured
  // The hash of a variable's name, kept for events.
  [[nodiscard]] std::uint64_t named(std::string_view name);

  // A sticky buffer: following tests look there.
  void open_buffer(BufferRef buffer, bool many_instances);
  Result<void> add_transform(Transform transform);
  Result<void> open_base64();

  // Adds to the open buffer; a relative test without one joins the last match's buffer.
  void add_test(Test test);
  // Adds to a named buffer without opening it (urilen, pcre's buffer letters).
  void add_test_in(BufferRef buffer, Test test);
  // The content that modifiers apply to.
  [[nodiscard]] Content* last_content();
  // The old spelling: moves the last content to another buffer.
  Result<void> move_last_content(BufferRef buffer);
  // A number or the name of an earlier byte_extract / byte_math result.
  [[nodiscard]] Result<Operand> operand(std::string_view text) const;
  [[nodiscard]] Result<int> new_variable(std::string_view name);
  [[nodiscard]] const Classifications& classifications() const { return *classifications_; }
  // A buffer that was opened and has no test.
  [[nodiscard]] bool in_sticky_buffer() const { return opened_; }
  [[nodiscard]] bool buffer_left_empty() const { return opened_ && list_ < 0 && !nested_; }

 private:
  struct Place {
    int list = -1;
    int test = -1;
    bool nested = false;
  };
  std::vector<Test>* tests_at(const Place& place);
  int find_list(const BufferRef& buffer, const std::vector<Transform>& transforms, bool fresh);

  const Classifications* classifications_;
  std::map<std::string, int, std::less<>> variables_;
  BufferRef open_;
  bool opened_ = false;
  bool many_ = false;
  bool nested_ = false;  // in base64_data
  int list_ = -1;        // where open_ stands in rule.lists; -1: no test yet
  std::vector<Transform> transforms_;
  Place last_;     // any test
  Place content_;  // the last content
  Place base64_;   // the last base64_decode
};

struct KeywordUse {
  std::string_view name;
  std::string_view value;
};

struct Keyword {
  enum class Value : std::uint8_t { none, required, optional };
  std::string_view name;
  Value value = Value::required;
  Result<void> (*parse)(RuleDraft&, const KeywordUse&) = nullptr;
};

// nullptr: unknown. Case matters, as in the rule language.
[[nodiscard]] const Keyword* find_keyword(std::string_view name);
[[nodiscard]] std::vector<std::string_view> keyword_names();

// The parts of the table, each in its own file.
[[nodiscard]] std::span<const Keyword> meta_keywords();
[[nodiscard]] std::span<const Keyword> content_keywords();
[[nodiscard]] std::span<const Keyword> byte_keywords();
[[nodiscard]] std::span<const Keyword> buffer_keywords();
[[nodiscard]] std::span<const Keyword> transform_keywords();
[[nodiscard]] std::span<const Keyword> file_keywords();
[[nodiscard]] std::span<const Keyword> field_keywords();
[[nodiscard]] std::span<const Keyword> web_keywords();
[[nodiscard]] std::span<const Keyword> header_keywords();
[[nodiscard]] std::span<const Keyword> network_keywords();
[[nodiscard]] std::span<const Keyword> service_keywords();
[[nodiscard]] std::span<const Keyword> protocol_keywords();
[[nodiscard]] std::span<const Keyword> state_keywords();
[[nodiscard]] std::span<const Keyword> dataset_keywords();
[[nodiscard]] std::span<const Keyword> reputation_keywords();

// ---- helpers for the parse functions
// ----------------------------------------------------------------------------

[[nodiscard]] std::string_view trim(std::string_view text);
// Parts between `separator`, trimmed. An empty text has no parts.
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);
[[nodiscard]] std::vector<std::string_view> words(std::string_view text);
// Decimal, or hexadecimal after 0x; the whole text.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text);
[[nodiscard]] std::optional<std::int64_t> parse_signed(std::string_view text);
// "5", "!5", "<5", ">=5", "5<>9", "5-9"; K, M, G after a number multiply.
[[nodiscard]] Result<NumberRange> parse_range(std::string_view text, std::uint64_t max);
// "&0xf0=0x10", "&1!=1": some of the bits.
[[nodiscard]] Result<NumberRange> parse_mask(std::string_view text);
[[nodiscard]] std::optional<std::string_view> unquote(std::string_view text);
// |41 42| and backslash escapes to bytes.
[[nodiscard]] Result<std::string> parse_pattern(std::string_view text);
[[nodiscard]] std::uint64_t hash_name(std::string_view name) noexcept;
[[nodiscard]] tl::unexpected<Error> invalid(std::string zh, std::string en);
[[nodiscard]] tl::unexpected<Error> invalid_value(std::string_view value);

}  // namespace menshen::sensor
