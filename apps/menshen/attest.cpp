#include "apps/menshen/attest.hpp"

#include "apps/control/auditd.hpp"
#include "apps/menshen/person.hpp"
#include "audit/crypto/digest.hpp"
#include "base/file.hpp"

namespace menshen::apps {
namespace fs = std::filesystem;

Result<std::string> attest(const Settings& settings, const fs::path& file,
                           const std::string& name) {
  const Json status = MENSHEN_TRY(ask_auditd(settings, {{"op", "status"}}));
  const auto profile = audit::parse_profile(status.value("profile", ""));
  const audit::Digest digest =
      MENSHEN_TRY(audit::digest_file(profile.value_or(audit::Profile::sm), file));
  std::error_code error;
  const std::uintmax_t bytes = fs::file_size(file, error);
  const Json answer =
      MENSHEN_TRY(ask_auditd(settings, {{"op", "attest"},
                                        {"name", name},
                                        {"digest", audit::to_hex(digest)},
                                        {"bytes", static_cast<std::uint64_t>(bytes)},
                                        {"subject", acting_person()}}));
  const auto evidence = answer.find("evidence");
  if (evidence == answer.end()) {
    return fail(ErrorCode::invalid,
                {"审计守护进程未给出证据", "the audit daemon gave no evidence"});
  }
  return evidence->is_string() ? evidence->get<std::string>() : to_pretty(*evidence);
}

Result<void> attest_beside(const Settings& settings, const std::vector<fs::path>& files) {
  for (const fs::path& file : files) {
    const std::string text = MENSHEN_TRY(attest(settings, file, file.filename().string()));
    MENSHEN_CHECK(write_file_atomic(file.string() + ".evidence.json", text + "\n"));
  }
  return {};
}

}  // namespace menshen::apps
