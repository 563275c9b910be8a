#include "audit/store/note.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "audit/store/lines.hpp"

namespace menshen::audit {
namespace {

constexpr std::string_view first_line = "menshen-audit-checkpoint/2";
constexpr std::string_view signature_key = "signature ";

tl::unexpected<Error> fail_note(std::string zh, std::string en) {
  return fail(ErrorCode::invalid, {"检查点：" + std::move(zh), "checkpoint: " + std::move(en)});
}

std::string body(const Checkpoint& checkpoint) {
  return fmt::format(
      "{}\norigin {}\nprofile {}\nnumber {}\nsize {}\nroot {}\ntime {}\nprevious {}\nkey {}\n",
      first_line, checkpoint.origin, name(checkpoint.profile), checkpoint.number, checkpoint.size,
      to_hex(checkpoint.root), format_utc(checkpoint.time), to_hex(checkpoint.previous),
      to_hex(checkpoint.key));
}

std::string whole(std::string signed_text, std::string_view signature) {
  return std::move(signed_text) + std::string(signature_key) + to_base64(as_bytes(signature)) +
         "\n";
}

}  // namespace

bool is_origin(std::string_view text) {
  return !text.empty() && text.size() <= origin_bytes_max &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

Result<SignedNote> sign_note(const Checkpoint& checkpoint, const SigningKey& key) {
  if (!is_origin(checkpoint.origin)) {
    return fail_note("origin 须为 1 至 128 个可打印 ASCII 字符（无空格）",
                     "the origin must be 1 to 128 printable ASCII characters without space");
  }
  SignedNote note;
  note.checkpoint = checkpoint;
  const std::string text = body(checkpoint);
  note.signature = MENSHEN_TRY(key.sign(as_bytes(text)));
  note.text = whole(text, note.signature);
  return note;
}

Result<SignedNote> parse_note(std::string_view text) {
  if (text.size() > note_bytes_max) return fail_note("过长", "too long");
  Lines lines(text);
  SignedNote note;
  Checkpoint& c = note.checkpoint;
  const auto first = lines.value(first_line);
  const auto origin = lines.value("origin ");
  const auto profile = lines.value("profile ");
  const auto number = lines.value("number ");
  const auto size = lines.value("size ");
  const auto root = lines.value("root ");
  const auto time = lines.value("time ");
  const auto previous = lines.value("previous ");
  const auto key = lines.value("key ");
  const auto signature = lines.value(signature_key);
  if (!first || !origin || !profile || !number || !size || !root || !time || !previous || !key ||
      !signature || !lines.empty()) {
    return fail_note("各行不符合格式", "its lines are not as the format has them");
  }
  const auto profile_value = parse_profile(*profile);
  const auto number_value = parse_line_number(*number);
  const auto size_value = parse_line_number(*size);
  const auto root_value = parse_digest(*root);
  const auto time_value = parse_time(*time);
  const auto previous_value = parse_digest(*previous);
  const auto key_value = parse_digest(*key);
  const auto signature_value = from_base64(*signature);
  if (!is_origin(*origin) || !profile_value || !number_value || !size_value || !root_value ||
      !time_value || !previous_value || !key_value || !signature_value) {
    return fail_note("某行的值无效", "a line's value is not valid");
  }
  c = {std::string(*origin), *profile_value, *number_value,   *size_value,
       *root_value,          *time_value,    *previous_value, *key_value};
  note.signature = *signature_value;
  note.text = whole(body(c), note.signature);
  if (note.text != text) return fail_note("不是规范格式", "it is not in canonical form");
  return note;
}

bool verify_note(const SignedNote& note, const PublicKey& key) {
  return note.checkpoint.profile == key.profile() && note.checkpoint.key == key.fingerprint() &&
         key.verify(as_bytes(body(note.checkpoint)), as_bytes(note.signature));
}

}  // namespace menshen::audit
