#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "audit/crypto/sign.hpp"
#include "tests/testkit/temp_dir.hpp"

using namespace menshen;
using namespace menshen::audit;

namespace {
Digest digest_of(Profile profile, std::string_view text) {
  auto hasher = Hasher::make(profile);
  REQUIRE(hasher);
  hasher->update(as_bytes("something before, to see that finish() begins anew"));
  static_cast<void>(hasher->finish());
  hasher->update(as_bytes(text));
  return hasher->finish();
}
}  // namespace

TEST_CASE("digests agree with the standards' examples") {
  // GB/T 32905-2016, A.1; FIPS 180-4 example.
  CHECK(to_hex(digest_of(Profile::sm, "abc")) ==
        "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
  CHECK(to_hex(digest_of(Profile::intl, "abc")) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("a file's digest is that of its bytes") {
  const testkit::TempDir folder;
  const std::string text(1'000'000, 'x');
  folder.write("f", text);
  CHECK(digest_file(Profile::sm, folder / "f").value() == digest_of(Profile::sm, text));
  CHECK(digest_file(Profile::sm, folder / "none").error().code == ErrorCode::not_found);
}

TEST_CASE("hex and base64 are strict") {
  const Digest digest = digest_of(Profile::sm, "");
  CHECK(parse_digest(to_hex(digest)) == digest);
  CHECK_FALSE(parse_digest(to_hex(digest).substr(1)));
  CHECK_FALSE(parse_digest(std::string(64, 'A')));
  for (const std::string text : {"", "f", "fo", "foo", "foob"}) {
    CHECK(from_base64(to_base64(as_bytes(text))) == text);
  }
  CHECK(to_base64(as_bytes("foob")) == "Zm9vYg==");
  for (const std::string bad : {"Zg", "Zg=", "Zh==", "Z===", "Zg==\n", " Zg=", "Z=g=", "===="}) {
    INFO(bad);
    CHECK_FALSE(from_base64(bad));
  }
}

TEST_CASE("a signature holds for its message, key and profile only") {
  const Profile profile = GENERATE(Profile::sm, Profile::intl);
  const auto key = SigningKey::generate(profile);
  REQUIRE(key);
  CHECK(key->public_key().profile() == profile);
  const auto signature = key->sign(as_bytes("message"));
  REQUIRE(signature);
  CHECK(key->public_key().verify(as_bytes("message"), as_bytes(*signature)));
  CHECK_FALSE(key->public_key().verify(as_bytes("massage"), as_bytes(*signature)));
  CHECK_FALSE(key->public_key().verify(as_bytes("message"), {}));
  std::string other = *signature;
  other[other.size() / 2] = static_cast<char>(other[other.size() / 2] ^ 1);
  CHECK_FALSE(key->public_key().verify(as_bytes("message"), as_bytes(other)));
  for (const Profile p : {Profile::sm, Profile::intl}) {
    CHECK_FALSE(
        SigningKey::generate(p)->public_key().verify(as_bytes("message"), as_bytes(*signature)));
  }
}

TEST_CASE("a key survives its file, which only its owner may read") {
  const Profile profile = GENERATE(Profile::sm, Profile::intl);
  const testkit::TempDir folder;
  const auto key = SigningKey::generate(profile);
  REQUIRE(key);
  REQUIRE(key->save(folder / "key"));
  struct stat info {};
  REQUIRE(::stat((folder / "key").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777U) == 0600U);
  CHECK(key->save(folder / "key").error().code == ErrorCode::exists);

  const auto back = SigningKey::load(folder / "key");
  REQUIRE(back);
  CHECK(back->public_key().fingerprint() == key->public_key().fingerprint());
  CHECK(key->public_key().verify(as_bytes("m"), as_bytes(back->sign(as_bytes("m")).value())));

  ::chmod((folder / "key").c_str(), 0640);
  CHECK(SigningKey::load(folder / "key").error().code == ErrorCode::denied);
  CHECK(SigningKey::load(folder / "none").error().code == ErrorCode::not_found);
}

TEST_CASE("public keys of neither profile are refused") {
  CHECK_FALSE(PublicKey::parse(""));
  CHECK_FALSE(PublicKey::parse("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"));
  const std::string p256 =
      "-----BEGIN PUBLIC KEY-----\n"
      "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n"
      "6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n"
      "-----END PUBLIC KEY-----\n";
  CHECK_FALSE(PublicKey::parse(p256));
}
