#include "audit/store/recover.hpp"

#include <fmt/format.h>

#include "audit/store/upkeep.hpp"

namespace menshen::audit {
namespace {

constexpr std::size_t public_key_bytes_max = 16U << 10U;

// The key that the last checkpoint is signed by.
Result<Digest> last_signer(const StorePaths& paths) {
  Segment segment = MENSHEN_TRY(Segment::open(paths.newest_segment(), Database::Mode::read));
  auto note = MENSHEN_TRY(segment.last_note());
  if (!note && !segment.head().previous_note.empty()) {
    note = MENSHEN_TRY(parse_note(segment.head().previous_note));
  }
  if (note) return note->checkpoint.key;
  return fail(ErrorCode::invalid, {"审计库尚无检查点，无需恢复",
                                   "the store has no checkpoint yet; there is nothing to recover"});
}

}  // namespace

Result<std::string> replace_lost_key(StoreOptions options, const std::string& reason) {
  if (reason.empty()) {
    return fail(ErrorCode::invalid, {"须说明密钥丢失的原因", "say how the key was lost"});
  }
  const StorePaths paths = StorePaths::in(options.directory);
  {
    const UniqueFd lock = MENSHEN_TRY(take_lock(paths.lock));
    const Digest signer = MENSHEN_TRY(last_signer(paths));
    if (!std::filesystem::exists(paths.signing_key)) {
      const std::string pem = MENSHEN_TRY(read_file(paths.public_key, public_key_bytes_max));
      const PublicKey old = MENSHEN_TRY(PublicKey::parse(pem));
      MENSHEN_CHECK(retire_key(paths, old, options.file_mode));
      const SigningKey made = MENSHEN_TRY(SigningKey::generate(old.profile()));
      MENSHEN_CHECK(made.save(paths.signing_key));
    }
    // A key that is there but has signed nothing is what an interrupted recovery left.
    const SigningKey key = MENSHEN_TRY(SigningKey::load(paths.signing_key));
    if (key.public_key().fingerprint() == signer) {
      return fail(ErrorCode::exists, {"签名密钥仍在，无需恢复；如需更换请用 rotate-key",
                                      "the signing key is there; to replace it use rotate-key"});
    }
    options.profile = key.public_key().profile();
  }
  options.key_lost_reason = reason;
  options.index = false;
  Store store = MENSHEN_TRY(Store::open(std::move(options)));
  const std::string fingerprint = store.status().fingerprint;
  MENSHEN_CHECK(store.close());
  return fingerprint;
}

}  // namespace menshen::audit
