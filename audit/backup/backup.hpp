// Copies of a store that can be verified and taken into use again.
//
// A backup is a folder that `menshen audit verify --store` reads like the store itself: finished
// segments are copied as files, the one that is written to through SQLite's backup interface, while
// auditd writes on. What came in after the copy is not in it, which every witness of a later
// checkpoint will show once it is restored.
#pragma once

#include <filesystem>
#include <string>

#include "audit/verify/verify.hpp"

namespace menshen::audit {

enum class WithKey : bool { no, yes };

// `target` must be absent or empty; on an error it is removed again. The private key goes along
// only when asked for (and readable): whoever has it can forge. The copy is verified before this
// returns, with the options' pins and witnesses; ErrorCode::corrupt where it does not hold.
[[nodiscard]] Result<VerifyReport> backup_store(const std::filesystem::path& store,
                                                const std::filesystem::path& target, WithKey with,
                                                const VerifyOptions& options = {});

// The backup is verified, copied to `store`, which must be absent or empty, and verified there.
// With the private key in it, the restoration becomes the restored store's next record.
// Without, the store needs its key (or store/recover.hpp) before auditd opens it.
[[nodiscard]] Result<VerifyReport> restore_store(const std::filesystem::path& backup,
                                                 const std::filesystem::path& store,
                                                 const std::string& subject,
                                                 const VerifyOptions& options = {});

}  // namespace menshen::audit
