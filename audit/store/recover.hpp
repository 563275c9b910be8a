// Going on after the signing key was lost.
//
// Nothing signed by the lost key can vouch for the new one, so to everybody who verifies, the
// change is a break until they accept the new key's fingerprint (VerifyOptions::accept_keys) on the
// word of a person. What the lost key had signed stays proved by it.
#pragma once

#include <string>

#include "audit/store/store.hpp"

namespace menshen::audit {

// With the store closed. Makes a new key where there is none, keeps the old public key in the
// folder `retired`, records the loss with its reason, and signs. The new fingerprint.
// ErrorCode::exists: the key is there and signed the last checkpoint; ErrorCode::corrupt: the store
// does not verify at its end; ErrorCode::invalid: no reason, or the old public key cannot be read.
[[nodiscard]] Result<std::string> replace_lost_key(StoreOptions options, const std::string& reason);

}  // namespace menshen::audit
