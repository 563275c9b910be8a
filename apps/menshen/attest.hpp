// The audit store vouches for files: auditd makes their digest a signed record and gives evidence
// that can be checked without the store (audit/store/evidence.hpp).
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/settings.hpp"

namespace menshen::apps {

// The evidence as JSON text. `name` is what the record calls the file.
[[nodiscard]] Result<std::string> attest(const Settings& settings,
                                         const std::filesystem::path& file,
                                         const std::string& name);
// Each file's evidence beside it, as FILE.evidence.json. Stops at the first that fails.
[[nodiscard]] Result<void> attest_beside(const Settings& settings,
                                         const std::vector<std::filesystem::path>& files);

}  // namespace menshen::apps
