// Keywords on the files that transactions carry, in their older one-word spelling, and filestore.
#include <fmt/format.h>

#include <array>

#include "base/ascii.hpp"
#include "sensor/detect/keyword.hpp"

namespace menshen::sensor {
namespace {

// filename:"secret", fileext:"pdf", filemagic:"executable": a text in the name or the type.
template <Buffer to_server, Buffer to_client, bool at_end>
Result<void> parse_text(RuleDraft& draft, const KeywordUse& use) {
  Content content;
  std::string_view text = use.value;
  if (text.starts_with('!')) {
    content.negated = true;
    text = trim(text.substr(1));
  }
  content.pattern = ascii_lower(MENSHEN_TRY(parse_pattern(unquote(text).value_or(text))));
  content.nocase = true;
  content.endswith = at_end;
  draft.add_test_in({BufferKind::transaction, to_server, to_client}, {std::move(content)});
  return {};
}

// filestore; filestore:both,tx: which direction's files, of this transaction or of the whole flow.
Result<void> parse_filestore(RuleDraft& draft, const KeywordUse& use) {
  FileStore& store = draft.rule.file_store;
  if (store.wanted) return invalid("filestore 只能出现一次", "filestore may be given only once");
  store.wanted = true;
  const auto parts = split(use.value, ',');
  if (parts.size() > 2) return invalid_value(use.value);
  for (const auto part : parts) {
    if (part == "request" || part == "to_server") {
      store.reach = FileStore::Reach::to_server;
    } else if (part == "response" || part == "to_client") {
      store.reach = FileStore::Reach::to_client;
    } else if (part == "both") {
      store.reach = FileStore::Reach::both;
    } else if (part != "file" && part != "tx") {
      return invalid(fmt::format("尚不支持 filestore 选项 {}", part),
                     fmt::format("filestore option {} is not supported", part));
    }
  }
  return {};
}

using Value = Keyword::Value;
constexpr std::array keywords = {
    Keyword{"filename", Value::required,
            &parse_text<Buffer::file_name, Buffer::file_name_response, false>},
    Keyword{"fileext", Value::required,
            &parse_text<Buffer::file_name, Buffer::file_name_response, true>},
    Keyword{"filemagic", Value::required,
            &parse_text<Buffer::file_magic, Buffer::file_magic_response, false>},
    Keyword{"filestore", Value::optional, &parse_filestore},
};

}  // namespace

std::span<const Keyword> file_keywords() { return keywords; }

}  // namespace menshen::sensor
