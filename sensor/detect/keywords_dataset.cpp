// Keywords that look a buffer up in a set: dataset, datarep, and lists of file hashes.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "sensor/detect/dataset.hpp"
#include "sensor/detect/keyword.hpp"

namespace menshen::sensor {
namespace {

// "100mb", "64KiB", "4096".
Result<std::uint64_t> parse_memory(std::string_view text) {
  const NumberRange range = MENSHEN_TRY(parse_range(text, dataset_memory_max));
  if (range.kind != NumberRange::Kind::equal || range.first == 0) return invalid_value(text);
  return range.first;
}

// A file beside the rules, unless its path is whole.
std::filesystem::path beside(const RuleDraft& draft, std::string_view file) {
  return draft.folder / std::filesystem::path(file);
}

// "type md5", "load bad.lst", "memcap 10mb", "hashsize 1024".
Result<void> parse_option(const RuleDraft& draft, std::string_view part, DatasetOptions& options) {
  const std::size_t blank = std::min(part.find_first_of(" \t"), part.size());
  const std::string_view key = part.substr(0, blank);
  const std::string_view value = trim(part.substr(blank));
  if (value.empty()) return invalid_value(part);
  if (key == "type") {
    options.type = dataset_type_of(value);
    return options.type ? Result<void>{} : invalid_value(part);
  }
  if (key == "load" || key == "state") {
    if (!options.load.empty()) return invalid_value(part);
    options.load = beside(draft, value);
    options.load_if_there = key == "state";
    return {};
  }
  if (key == "memcap") {
    options.memory_max = MENSHEN_TRY(parse_memory(value));
    return {};
  }
  if (key == "hashsize") {  // the table grows by itself
    return parse_number(value) ? Result<void>{} : invalid_value(part);
  }
  return invalid(fmt::format("不支持数据集选项 {}", key),
                 fmt::format("option {} of a set is not supported", key));
}

Result<void> look_up(RuleDraft& draft, const DatasetOptions& options, DatasetTest test) {
  if (draft.datasets == nullptr || !draft.in_sticky_buffer()) {
    return invalid("须用于粘滞缓冲区", "needs a sticky buffer before it");
  }
  test.set = MENSHEN_TRY(draft.datasets->open(options));
  draft.add_test({std::move(test)});
  return {};
}

// dataset:isset,NAME,type string,load FILE
Result<void> parse_dataset(RuleDraft& draft, const KeywordUse& use) {
  using Operation = DatasetTest::Operation;
  static constexpr std::pair<std::string_view, Operation> operations[] = {
      {"set", Operation::set},
      {"unset", Operation::unset},
      {"isset", Operation::is_set},
      {"isnotset", Operation::is_not_set}};
  const auto parts = split(use.value, ',');
  if (parts.size() < 2 || parts[1].empty()) return invalid_value(use.value);
  const auto* found =
      std::ranges::find(operations, parts[0], &std::pair<std::string_view, Operation>::first);
  if (found == std::end(operations)) return invalid_value(parts[0]);
  DatasetOptions options;
  options.name = parts[1];
  for (const auto part : std::span(parts).subspan(2)) {
    MENSHEN_CHECK(parse_option(draft, part, options));
  }
  return look_up(draft, options, {found->second, nullptr, {}});
}

// datarep:NAME,>,200,load FILE,type md5
Result<void> parse_datarep(RuleDraft& draft, const KeywordUse& use) {
  const auto parts = split(use.value, ',');
  if (parts.size() < 3 || parts[0].empty()) return invalid_value(use.value);
  const std::string_view sign = parts[1] == "==" ? "=" : parts[1];
  DatasetTest test{DatasetTest::Operation::reputation, nullptr, {}};
  test.reputation = MENSHEN_TRY(parse_range(fmt::format("{}{}", sign, parts[2]), UINT16_MAX));
  DatasetOptions options;
  options.name = parts[0];
  options.reputations = true;
  for (const auto part : std::span(parts).subspan(3)) {
    MENSHEN_CHECK(parse_option(draft, part, options));
  }
  return look_up(draft, options, std::move(test));
}

// filemd5:bad.md5; filesha256:!known.sha256
template <Buffer to_server, Buffer to_client, std::size_t digits>
Result<void> parse_hash_list(RuleDraft& draft, const KeywordUse& use) {
  std::string_view text = use.value;
  const bool negated = text.starts_with('!');
  if (negated) text = trim(text.substr(1));
  text = unquote(text).value_or(text);
  if (text.empty() || draft.datasets == nullptr) return invalid_value(use.value);
  DatasetOptions options;
  options.load = beside(draft, text);
  options.name = fmt::format("{}:{}", use.name, options.load.string());
  options.type = DatasetType::hex;
  options.digits = digits;
  DatasetTest test{
      negated ? DatasetTest::Operation::is_not_set : DatasetTest::Operation::is_set, nullptr, {}};
  test.set = MENSHEN_TRY(draft.datasets->open(options));
  draft.add_test_in({BufferKind::transaction, to_server, to_client}, {std::move(test)});
  return {};
}

using Value = Keyword::Value;
constexpr std::array keywords = {
    Keyword{"dataset", Value::required, &parse_dataset},
    Keyword{"datarep", Value::required, &parse_datarep},
    Keyword{"filemd5", Value::required,
            &parse_hash_list<Buffer::file_md5, Buffer::file_md5_response, 32>},
    Keyword{"filesha1", Value::required,
            &parse_hash_list<Buffer::file_sha1, Buffer::file_sha1_response, 40>},
    Keyword{"filesha256", Value::required,
            &parse_hash_list<Buffer::file_sha256, Buffer::file_sha256_response, 64>},
};

}  // namespace

std::span<const Keyword> dataset_keywords() { return keywords; }

}  // namespace menshen::sensor
