#include "audit/store/note.hpp"

#include <catch2/catch.hpp>

using namespace menshen;
using namespace menshen::audit;

namespace {
Checkpoint sample(const SigningKey& key) {
  Checkpoint c;
  c.origin = "gov-cloud-a";
  c.profile = key.public_key().profile();
  c.number = 17;
  c.size = 4711;
  c.root.fill(std::byte{0x5f});
  c.time = 1'795'421'730'000'123'000;
  c.previous.fill(std::byte{0x9a});
  c.key = key.public_key().fingerprint();
  return c;
}
}  // namespace

TEST_CASE("a note reads back as what was signed") {
  const auto key = SigningKey::generate(GENERATE(Profile::sm, Profile::intl));
  REQUIRE(key);
  const auto note = sign_note(sample(*key), *key);
  REQUIRE(note);
  CHECK(note->text.size() <= note_bytes_max);
  CHECK(note->text.starts_with("menshen-audit-checkpoint/2\norigin gov-cloud-a\nprofile "));
  const auto back = parse_note(note->text);
  REQUIRE(back);
  CHECK(back->checkpoint == note->checkpoint);
  CHECK(verify_note(*back, key->public_key()));
  CHECK_FALSE(verify_note(*back, SigningKey::generate(Profile::sm)->public_key()));
}

TEST_CASE("no change of a note goes unnoticed") {
  const auto key = SigningKey::generate(Profile::intl);
  REQUIRE(key);
  const std::string text = sign_note(sample(*key), *key).value().text;
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string other = text;
      other[i] = static_cast<char>(other[i] ^ (1 << bit));
      const auto note = parse_note(other);
      INFO(i << ' ' << bit);
      CHECK_FALSE((note && verify_note(*note, key->public_key())));
    }
  }
  for (std::size_t n = 0; n < text.size(); ++n) CHECK_FALSE(parse_note(text.substr(0, n)));
  CHECK_FALSE(parse_note(text + "\n"));
}

TEST_CASE("an origin is one printable word") {
  CHECK(is_origin("gov-cloud-a"));
  CHECK(is_origin(std::string(origin_bytes_max, 'a')));
  for (const std::string& bad : {std::string(), std::string("a b"), std::string("a\nkey x"),
                                 std::string("云"), std::string(origin_bytes_max + 1, 'a')}) {
    CHECK_FALSE(is_origin(bad));
  }
  const auto key = SigningKey::generate(Profile::intl);
  Checkpoint c = sample(*key);
  c.origin = "two words";
  CHECK_FALSE(sign_note(c, *key));
}
