#include "audit/store/query.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "audit/store/schema.hpp"
#include "audit/store/sqlite.hpp"
#include "audit/store/store.hpp"

namespace menshen::audit {
namespace {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// The indices hold only what their condition says, and SQLite uses them only where the query
// repeats that condition literally.
std::string sql_of(const Filter& filter) {
  std::string_view index = "record_time";
  std::string_view condition;
  const bool acts = !filter.kinds.empty() && std::ranges::all_of(filter.kinds, [](Kind kind) {
    return kind >= Kind::admin;
  });
  if (acts) {
    index = "record_acts";
    condition = "AND kind >= 5 ";
  } else if (filter.severity_min >= Severity::high) {
    index = "record_grave";
    condition = "AND severity >= 3 ";
  }
  std::string kinds;
  for (const Kind kind : filter.kinds) {
    kinds += fmt::format("{}{}", kinds.empty() ? "" : ",", static_cast<int>(kind));
  }
  return fmt::format(
      "SELECT n, bytes FROM record INDEXED BY {} WHERE time >= ?1 AND time < ?2 {}"
      "AND severity >= ?3 {} ORDER BY time DESC, n DESC",
      index, condition, kinds.empty() ? std::string() : fmt::format("AND kind IN ({})", kinds));
}

bool contains(std::string_view text, std::string_view lowered) {
  return std::ranges::search(text, lowered, {}, lower).begin() != text.end() || lowered.empty();
}

class Matcher {
 public:
  explicit Matcher(const Filter& filter) : filter_(filter), text_(filter.text) {
    std::ranges::transform(text_, text_.begin(), lower);
  }

  [[nodiscard]] bool operator()(const Record& record) const {
    const auto says = [](const std::string& wanted, const std::string& is) {
      return wanted.empty() || wanted == is;
    };
    return says(filter_.source, record.source) && says(filter_.subject, record.subject) &&
           says(filter_.action, record.action) && says(filter_.policy_line, record.policy_line) &&
           (filter_.domain.empty() || filter_.domain == record.domain_src ||
            filter_.domain == record.domain_dst) &&
           (!filter_.outcome || filter_.outcome == record.outcome) &&
           (!filter_.sid || (record.rule && record.rule->sid == *filter_.sid)) &&
           (!filter_.address || (record.src && filter_.address->contains(*record.src)) ||
            (record.dst && filter_.address->contains(*record.dst))) &&
           (text_.empty() || contains(record.message, text_) || contains(record.object, text_) ||
            contains(record.detail, text_));
  }

 private:
  const Filter& filter_;
  std::string text_;
};

}  // namespace

class Reader::Impl {
 public:
  explicit Impl(Database opened) : database(std::move(opened)) {}
  Database database;
};

Reader::Reader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

Result<Reader> Reader::open(const std::filesystem::path& directory) {
  const auto path = StorePaths::in(directory).database;
  Database database = MENSHEN_TRY(Database::open(path, Database::Mode::read));
  MENSHEN_CHECK(check_schema(database));
  return Reader(std::make_unique<Impl>(std::move(database)));
}

Result<std::uint64_t> Reader::find(const Filter& filter,
                                   const std::function<bool(const Found&)>& each) const {
  Statement rows = MENSHEN_TRY(impl_->database.prepare(sql_of(filter)));
  rows.bind(1, filter.since.value_or(std::numeric_limits<WallTime>::min()))
      .bind(2, filter.until.value_or(std::numeric_limits<WallTime>::max()))
      .bind(3, static_cast<std::int64_t>(filter.severity_min));
  const Matcher matches(filter);
  std::uint64_t given = 0;
  while (MENSHEN_TRY(rows.step())) {
    Found found;
    found.number = static_cast<std::uint64_t>(rows.integer(0));
    auto record = decode(rows.blob(1));
    if (!record) {
      return fail(ErrorCode::corrupt,
                  {fmt::format("记录 {} 已损坏：{}", found.number, record.error().text.zh),
                   fmt::format("record {} is damaged: {}", found.number, record.error().text.en)});
    }
    found.record = *std::move(record);
    if (!matches(found.record)) continue;
    ++given;
    if (!each(found) || given == filter.limit) break;
  }
  return given;
}

Result<std::vector<Found>> Reader::find(const Filter& filter) const {
  std::vector<Found> all;
  static_cast<void>(MENSHEN_TRY(find(filter, [&](const Found& found) {
    all.push_back(found);
    return true;
  })));
  return all;
}

Result<std::uint64_t> Reader::count(const Filter& filter) const {
  Filter unlimited = filter;
  unlimited.limit = 0;
  return find(unlimited, [](const Found&) { return true; });
}

Result<std::uint64_t> Reader::records() const {
  Statement last = MENSHEN_TRY(impl_->database.prepare("SELECT COALESCE(MAX(n), 0) FROM record"));
  static_cast<void>(MENSHEN_TRY(last.step()));
  return static_cast<std::uint64_t>(last.integer(0));
}

Result<std::optional<SignedNote>> Reader::last_checkpoint() const {
  Statement last = MENSHEN_TRY(
      impl_->database.prepare("SELECT note FROM checkpoint ORDER BY number DESC LIMIT 1"));
  if (!MENSHEN_TRY(last.step())) return std::optional<SignedNote>();
  return std::optional(MENSHEN_TRY(parse_note(last.text(0))));
}

}  // namespace menshen::audit
