#include "apps/common/active_policy.hpp"

#include "apps/control/message.hpp"
#include "audit/crypto/digest.hpp"
#include "base/file.hpp"

namespace menshen::apps {
namespace {

constexpr std::string_view format_name = "menshen-active-policy/1";
constexpr std::size_t file_bytes_max = 64U << 20U;

tl::unexpected<Error> corrupt(const std::filesystem::path& file, std::string_view why_zh,
                              std::string_view why_en) {
  return fail(ErrorCode::corrupt, {"策略状态文件 " + file.string() + "：" + std::string(why_zh),
                                   "policy state " + file.string() + ": " + std::string(why_en)});
}

}  // namespace

std::filesystem::path active_policy_file(const std::filesystem::path& state_directory) {
  return state_directory / "active.json";
}

Result<std::optional<ActivePolicy>> load_active_policy(const std::filesystem::path& file) {
  auto text = read_file(file, file_bytes_max);
  if (!text && text.error().code == ErrorCode::not_found) return std::optional<ActivePolicy>{};
  if (!text) return tl::make_unexpected(text.error());
  const Json json = Json::parse(*text, nullptr, false);
  if (!json.is_object() || json.value("format", "") != format_name) {
    return corrupt(file, "格式无法识别", "not in a form that this version knows");
  }
  ActivePolicy active;
  try {
    active.name = json.at("name").get<std::string>();
    active.source = json.at("source").get<std::string>();
    active.sha256 = json.at("sha256").get<std::string>();
    active.applied_at = MENSHEN_TRY(parse_time(json.at("applied_at").get<std::string>()));
    active.applied_by = json.at("applied_by").get<std::string>();
    active.generation = json.at("generation").get<std::uint32_t>();
  } catch (const Json::exception&) {
    return corrupt(file, "缺少字段或类型错误", "a field is missing or of the wrong type");
  }
  if (MENSHEN_TRY(sha256_hex(active.source)) != active.sha256) {
    return corrupt(file, "内容与摘要不符", "its text does not match its digest");
  }
  return std::optional<ActivePolicy>{std::move(active)};
}

Result<void> save_active_policy(const std::filesystem::path& file, const ActivePolicy& policy) {
  const Json json = {{"format", format_name},
                     {"name", policy.name},
                     {"source", policy.source},
                     {"sha256", policy.sha256},
                     {"applied_at", format_utc(policy.applied_at)},
                     {"applied_by", policy.applied_by},
                     {"generation", policy.generation}};
  return write_file_atomic(file, to_pretty(json) + "\n");
}

Result<policy::Policy> compile_active(const ActivePolicy& active, const Clock& clock) {
  auto loaded =
      policy::load(active.name, active.source, {policy::today(clock), policy::Expired::omit});
  if (!loaded.policy) {
    return fail(ErrorCode::corrupt,
                {"已保存的策略无法编译：\n" + loaded.diagnostics.render(Lang::zh),
                 "the saved policy does not compile:\n" + loaded.diagnostics.render(Lang::en)});
  }
  return std::move(*loaded.policy);
}

Result<std::string> sha256_hex(std::string_view bytes) {
  audit::Hasher hasher = MENSHEN_TRY(audit::Hasher::make(audit::Profile::intl));
  hasher.update(as_bytes(bytes));
  return audit::to_hex(hasher.finish());
}

}  // namespace menshen::apps
