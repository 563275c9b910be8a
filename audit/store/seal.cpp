#include "audit/store/seal.hpp"

#include <fmt/format.h>

#include "audit/store/lines.hpp"
#include "audit/store/note.hpp"

namespace menshen::audit {
namespace {

constexpr std::string_view first_line = "menshen-audit-segment/1";

std::string body_of(const Seal& s) {
  return fmt::format(
      "{}\norigin {}\nprofile {}\nsegment {}\nfirst {}\nlast {}\nbytes {}\ndigest {}\ntime {}\n"
      "key {}\n",
      first_line, s.origin, name(s.profile), s.segment, s.first, s.last, s.bytes, to_hex(s.digest),
      format_utc(s.time), to_hex(s.key));
}

std::string whole(const std::string& body, std::string_view signature) {
  return body + "signature " + to_base64(as_bytes(signature)) + "\n";
}

tl::unexpected<Error> fail_seal() {
  return fail(ErrorCode::invalid,
              {"分段封存文件不符合格式", "the segment's seal is not as the format has it"});
}

}  // namespace

Result<std::string> sign_seal(const Seal& seal, const SigningKey& key) {
  const std::string body = body_of(seal);
  return whole(body, MENSHEN_TRY(key.sign(as_bytes(body))));
}

Result<SignedSeal> parse_seal(std::string_view text) {
  if (text.size() > note_bytes_max) return fail_seal();
  Lines lines(text);
  const auto first = lines.value(first_line);
  const auto origin = lines.value("origin ");
  const auto profile = parse_profile(lines.value("profile ").value_or(""));
  const auto segment = parse_line_number(lines.value("segment ").value_or(""));
  const auto from = parse_line_number(lines.value("first ").value_or(""));
  const auto last = parse_line_number(lines.value("last ").value_or(""));
  const auto bytes = parse_line_number(lines.value("bytes ").value_or(""));
  const auto digest = parse_digest(lines.value("digest ").value_or(""));
  const auto time = parse_time(lines.value("time ").value_or(""));
  const auto key = parse_digest(lines.value("key ").value_or(""));
  auto signature = from_base64(lines.value("signature ").value_or("!"));
  if (!first || !origin || !is_origin(*origin) || !profile || !segment || !from || !last ||
      !bytes || !digest || !time || !key || !signature || !lines.empty()) {
    return fail_seal();
  }
  SignedSeal out;
  out.seal = {std::string(*origin), *profile, *segment, *from, *last, *bytes, *digest, *time, *key};
  out.body = body_of(out.seal);
  out.signature = *std::move(signature);
  if (whole(out.body, out.signature) != text) return fail_seal();
  return out;
}

bool verify_seal(const SignedSeal& seal, const PublicKey& key) {
  return seal.seal.profile == key.profile() && seal.seal.key == key.fingerprint() &&
         key.verify(as_bytes(seal.body), as_bytes(seal.signature));
}

}  // namespace menshen::audit
