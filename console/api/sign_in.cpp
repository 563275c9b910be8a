#include "console/api/sign_in.hpp"

#include <argon2.h>
#include <fmt/format.h>
#include <liboath/oath.h>
#include <qrencode.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "base/handle.hpp"
#include "base/text.hpp"
#include "console/http/secret.hpp"

namespace menshen::console {
namespace {

constexpr std::uint32_t hash_bytes = 32;
constexpr std::size_t salt_bytes = 16;
constexpr std::size_t name_characters_looked_for = 3;  // shorter ones are in any text
constexpr unsigned totp_digits = 6;
constexpr std::size_t code_bytes_max = 16;

using QrHandle = Handle<QRcode, &QRcode_free>;

// liboath wants the bytes, not their Base32.
std::optional<std::string> bytes_of(std::string_view base32) {
  char* out = nullptr;
  std::size_t length = 0;
  if (oath_base32_decode(base32.data(), base32.size(), &out, &length) != OATH_OK) return {};
  std::string bytes(out, length);
  std::free(out);
  return bytes;
}

std::string escape_uri(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace

Result<void> check_new_password(std::string_view password, std::string_view name) {
  if (password.size() > password_bytes_max || !is_utf8(password) ||
      count_code_points(password) < password_characters_min) {
    return fail(ErrorCode::invalid,
                {fmt::format("口令须为 {} 个字符以上，不超过 {} 字节", password_characters_min,
                             password_bytes_max),
                 fmt::format("a password has {} characters or more, and at most {} bytes",
                             password_characters_min, password_bytes_max)});
  }
  std::array<bool, 4> kinds{};
  for (const char c : password) {
    kinds[c >= 'a' && c <= 'z'   ? 0
          : c >= 'A' && c <= 'Z' ? 1
          : c >= '0' && c <= '9' ? 2
                                 : 3] = true;
  }
  if (std::ranges::count(kinds, true) < 3) {
    return fail(ErrorCode::invalid,
                {"口令须含小写字母、大写字母、数字、其他字符中的三类",
                 "a password has three of: small letters, capitals, digits, other characters"});
  }
  if (name.size() >= name_characters_looked_for && password.find(name) != std::string_view::npos) {
    return fail(ErrorCode::invalid,
                {"口令不得包含账号名", "the password must not hold the account's name"});
  }
  return {};
}

Result<std::string> hash_password(std::string_view password, const PasswordCost& cost) {
  const std::string salt = random_bytes(salt_bytes);
  std::string encoded(
      argon2_encodedlen(cost.passes, cost.memory_kib, 1, salt_bytes, hash_bytes, Argon2_id), '\0');
  const int code =
      argon2id_hash_encoded(cost.passes, cost.memory_kib, 1, password.data(), password.size(),
                            salt.data(), salt.size(), hash_bytes, encoded.data(), encoded.size());
  if (code != ARGON2_OK) {
    const char* reason = argon2_error_message(code);
    return fail(ErrorCode::limit, {fmt::format("无法计算口令摘要：{}", reason),
                                   fmt::format("cannot hash the password: {}", reason)});
  }
  encoded.resize(encoded.find('\0'));
  return encoded;
}

bool password_matches(const std::string& encoded, std::string_view password) {
  return password.size() <= password_bytes_max &&
         argon2id_verify(encoded.c_str(), password.data(), password.size()) == ARGON2_OK;
}

std::string new_totp_secret() {
  const std::string random = random_bytes(totp_secret_bytes);
  char* out = nullptr;
  std::size_t length = 0;
  if (oath_base32_encode(random.data(), random.size(), &out, &length) != OATH_OK) return {};
  std::string secret(out, length);
  std::free(out);
  return secret;
}

std::string totp_uri(std::string_view secret, std::string_view account, std::string_view issuer) {
  return fmt::format("otpauth://totp/{}:{}?secret={}&issuer={}&algorithm=SHA1&digits={}&period={}",
                     escape_uri(issuer), escape_uri(account), secret, escape_uri(issuer),
                     totp_digits, totp_step_seconds);
}

Result<std::string> totp_code(std::string_view secret, WallTime time) {
  const auto bytes = bytes_of(secret);
  std::array<char, code_bytes_max> code{};
  if (!bytes || oath_totp_generate(bytes->data(), bytes->size(), time / 1'000'000'000,
                                   totp_step_seconds, 0, totp_digits, code.data()) != OATH_OK) {
    return fail(ErrorCode::invalid, {"动态口令密钥无效", "the secret for codes is not valid"});
  }
  return std::string(code.data());
}

std::optional<std::uint64_t> totp_step(std::string_view secret, std::string_view code, WallTime now,
                                       std::uint64_t last_step) {
  if (code.size() != totp_digits) return std::nullopt;
  constexpr WallTime step = totp_step_seconds * 1'000'000'000LL;
  for (int apart = -totp_steps_apart_max; apart <= totp_steps_apart_max; ++apart) {
    const WallTime time = now + apart * step;
    if (time < 0) continue;
    const auto number = static_cast<std::uint64_t>(time / step);
    const auto right = totp_code(secret, time);
    if (right && equal_secrets(*right, code) && number > last_step) return number;
  }
  return std::nullopt;
}

Result<std::string> qr_svg(const std::string& text) {
  const QrHandle code(QRcode_encodeString8bit(text.c_str(), 0, QR_ECLEVEL_M));
  if (!code) return fail_errno({"无法生成二维码", "cannot make the QR code"});
  constexpr int margin = 4;
  const int side = code->width + 2 * margin;
  std::string path;
  for (int y = 0; y < code->width; ++y) {
    for (int x = 0; x < code->width; ++x) {
      if ((code->data[y * code->width + x] & 1U) != 0) {
        path += fmt::format("M{} {}h1v1h-1z", x + margin, y + margin);
      }
    }
  }
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {0}\" "
      "shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h{0}v{0}H0z\"/>"
      "<path d=\"{1}\"/></svg>",
      side, path);
}

}  // namespace menshen::console
