#include "sensor/detect/transform.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace menshen::sensor {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

void strip_whitespace(std::string& text) {
  text.erase(std::remove_if(text.begin(), text.end(), is_space), text.end());
}

void compress_whitespace(std::string& text) {
  const auto both = [](char a, char b) { return is_space(a) && is_space(b); };
  text.erase(std::unique(text.begin(), text.end(), both), text.end());
}

void url_decode(std::string& text) {
  std::size_t out = 0;
  for (std::size_t in = 0; in < text.size(); ++in) {
    char c = text[in];
    if (c == '+') c = ' ';
    if (c == '%' && in + 2 < text.size() && hex_value(text[in + 1]) >= 0 &&
        hex_value(text[in + 2]) >= 0) {
      c = static_cast<char>(hex_value(text[in + 1]) * 16 + hex_value(text[in + 2]));
      in += 2;
    }
    text[out++] = c;
  }
  text.resize(out);
}

// Names before the colon of each line.
void header_lowercase(std::string& text) {
  bool name = true;
  for (char& c : text) {
    if (c == ':') name = false;
    if (c == '\n') name = true;
    if (name) c = lower(c);
  }
}

// HTTP/2 pseudo headers begin with a colon.
void strip_pseudo_headers(std::string& text) {
  std::string kept;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto newline = text.find('\n', begin);
    const auto end = newline == std::string::npos ? text.size() : newline + 1;
    if (text[begin] != ':') kept.append(text, begin, end - begin);
    begin = end;
  }
  text = std::move(kept);
}

void digest(std::string& text, const EVP_MD* algorithm) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned length = 0;
  if (EVP_Digest(text.data(), text.size(), out.data(), &length, algorithm, nullptr) != 1)
    length = 0;
  text.assign(reinterpret_cast<const char*>(out.data()), length);
}

void apply(std::string& text, const Transform& transform) {
  switch (transform.kind) {
    case TransformKind::dotprefix:
      text.insert(text.begin(), '.');
      break;
    case TransformKind::to_lowercase:
      std::transform(text.begin(), text.end(), text.begin(), lower);
      break;
    case TransformKind::to_uppercase:
      std::transform(text.begin(), text.end(), text.begin(), upper);
      break;
    case TransformKind::strip_whitespace:
      strip_whitespace(text);
      break;
    case TransformKind::compress_whitespace:
      compress_whitespace(text);
      break;
    case TransformKind::url_decode:
      url_decode(text);
      break;
    case TransformKind::xor_key:
      for (std::size_t i = 0; i < text.size(); ++i) {
        text[i] = static_cast<char>(text[i] ^ transform.argument[i % transform.argument.size()]);
      }
      break;
    case TransformKind::header_lowercase:
      header_lowercase(text);
      break;
    case TransformKind::strip_pseudo_headers:
      strip_pseudo_headers(text);
      break;
    case TransformKind::from_base64: {
      std::string decoded;
      decode_base64(as_bytes(text), text.size(), decoded);
      text = std::move(decoded);
      break;
    }
    case TransformKind::to_md5:
      digest(text, EVP_md5());
      break;
    case TransformKind::to_sha1:
      digest(text, EVP_sha1());
      break;
    case TransformKind::to_sha256:
      digest(text, EVP_sha256());
      break;
  }
}

int base64_value(unsigned char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

}  // namespace

Bytes apply_transforms(Bytes input, std::span<const Transform> transforms, std::string& storage) {
  if (transforms.empty()) return input;
  storage.assign(as_text(input));
  for (const Transform& transform : transforms) apply(storage, transform);
  return as_bytes(storage);
}

void decode_base64(Bytes input, std::size_t bytes_max, std::string& output) {
  output.clear();
  std::uint32_t bits = 0;
  int count = 0;
  for (const std::byte byte : input) {
    const auto c = std::to_integer<unsigned char>(byte);
    if (is_space(static_cast<char>(c))) continue;
    const int value = base64_value(c);
    if (value < 0 || output.size() >= bytes_max) break;
    bits = bits << 6U | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    output.push_back(static_cast<char>(bits >> static_cast<unsigned>(count) & 0xFFU));
  }
}

}  // namespace menshen::sensor
