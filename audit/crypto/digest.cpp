#include "audit/crypto/digest.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/file.hpp"

namespace menshen::audit {

std::string_view name(Profile profile) { return profile == Profile::sm ? "sm" : "intl"; }
std::string_view digest_name(Profile profile) { return profile == Profile::sm ? "sm3" : "sha256"; }
std::optional<Profile> parse_profile(std::string_view text) {
  if (text == "sm") return Profile::sm;
  if (text == "intl") return Profile::intl;
  return std::nullopt;
}

std::string to_hex(Bytes bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) {
    out.push_back(digits[std::to_integer<std::size_t>(b >> 4U)]);
    out.push_back(digits[std::to_integer<std::size_t>(b & std::byte{15})]);
  }
  return out;
}

std::optional<Digest> parse_digest(std::string_view hex) {
  Digest digest{};
  if (hex.size() != 2 * digest.size()) return std::nullopt;
  for (std::size_t i = 0; i < hex.size(); ++i) {
    const std::size_t value = std::string_view("0123456789abcdef").find(hex[i]);
    if (value == std::string_view::npos) return std::nullopt;
    digest[i / 2] = digest[i / 2] << 4U | static_cast<std::byte>(value);
  }
  return digest;
}

std::string to_base64(Bytes bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // OpenSSL writes a final NUL
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4 != 0) return std::nullopt;
  if (text.empty()) return std::string();
  std::size_t padding = 0;
  while (padding < 2 && text[text.size() - 1 - padding] == '=') ++padding;
  if (text.substr(0, text.size() - padding).find_first_not_of(alphabet) != std::string_view::npos) {
    return std::nullopt;
  }
  std::string out(text.size() / 4 * 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  if (length < 0) return std::nullopt;
  out.resize(out.size() - padding);
  // One text per value: unused bits of the last character must be zero.
  if (to_base64(as_bytes(out)) != text) return std::nullopt;
  return out;
}

Result<Hasher> Hasher::make(Profile profile) {
  Method method(EVP_MD_fetch(nullptr, profile == Profile::sm ? "SM3" : "SHA2-256", nullptr));
  Context context(EVP_MD_CTX_new());
  if (!method || !context || EVP_DigestInit_ex2(context.get(), method.get(), nullptr) != 1) {
    return fail(ErrorCode::unavailable,
                {"OpenSSL 不提供所需的杂凑算法 " + std::string(digest_name(profile)),
                 "OpenSSL does not provide the digest " + std::string(digest_name(profile))});
  }
  return Hasher(profile, std::move(method), std::move(context));
}

Hasher::Hasher(Profile profile, Method method, Context context)
    : profile_(profile), method_(std::move(method)), context_(std::move(context)) {}

void Hasher::begin() {
  // With the context's own method: nothing is allocated, so it cannot fail.
  static_cast<void>(EVP_DigestInit_ex2(context_.get(), nullptr, nullptr));
}

void Hasher::update(Bytes bytes) {
  static_cast<void>(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
}

Digest Hasher::finish() {
  Digest digest{};
  unsigned length = 0;
  static_cast<void>(
      EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.data()), &length));
  begin();
  return digest;
}

Result<Digest> digest_file(Profile profile, const std::filesystem::path& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const auto what = [&] {
    return Text{"无法读取 " + path.string(), "cannot read " + path.string()};
  };
  if (!fd) return fail_errno(what());
  Hasher hasher = MENSHEN_TRY(Hasher::make(profile));
  std::vector<std::byte> buffer(256U << 10U);
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(what());
    if (n == 0) return hasher.finish();
    hasher.update(Bytes(buffer).first(static_cast<std::size_t>(n)));
  }
}

}  // namespace menshen::audit
