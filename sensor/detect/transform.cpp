#include "sensor/detect/transform.hpp"

#include <libpsl.h>
#include <openssl/evp.h>
#include <zlib.h>

#include <algorithm>
#include <array>

#include "base/ascii.hpp"

namespace menshen::sensor {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }

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
    if (c == '%' && in + 2 < text.size() && hex_digit(text[in + 1]) >= 0 &&
        hex_digit(text[in + 2]) >= 0) {
      c = static_cast<char>(hex_digit(text[in + 1]) * 16 + hex_digit(text[in + 2]));
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
    if (name) c = ascii_lower(c);
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

void from_base64(std::string& text, const Transform& transform, std::string& decoded) {
  const auto from = static_cast<std::size_t>(transform.offset);
  if (from >= text.size()) return;
  auto input = as_bytes(text).subspan(from);
  if (transform.bytes != 0) {
    input = input.first(std::min(input.size(), static_cast<std::size_t>(transform.bytes)));
  }
  if (transform.mode == Base64Mode::rfc4648) {  // here, a blank is a wrong byte like any other
    const auto blank = [](std::byte b) { return is_space(std::to_integer<char>(b)); };
    input = input.first(
        static_cast<std::size_t>(std::find_if(input.begin(), input.end(), blank) - input.begin()));
  }
  if (decode_base64(input, transform.mode, input.size(), decoded)) text = decoded;
}

// Debian's copy of the public suffix list (https://publicsuffix.org) knows which part of a name is
// registered and which is the registry's.
const psl_ctx_t* suffixes() {
  static const psl_ctx_t* const list = psl_builtin();
  return list;
}

void keep_domain(std::string& text) {
  std::string name = text;
  name = ascii_lower(name);
  const char* found = psl_registrable_domain(suffixes(), name.c_str());
  if (found != nullptr) text = text.substr(static_cast<std::size_t>(found - name.c_str()));
}

void keep_suffix(std::string& text) {
  std::string name = text;
  name = ascii_lower(name);
  const char* found = psl_unregistrable_domain(suffixes(), name.c_str());
  if (found != nullptr) text = text.substr(static_cast<std::size_t>(found - name.c_str()));
}

constexpr int zlib_window = MAX_WBITS;
constexpr int gzip_window = MAX_WBITS + 16;

void inflate_into(std::string& text, const Transform& transform, int window, std::string& out) {
  z_stream stream{};
  if (inflateInit2(&stream, window) != Z_OK) return;
  out.resize(transform.bytes != 0 ? static_cast<std::size_t>(transform.bytes)
                                  : inflate_bytes_default);
  stream.next_in = reinterpret_cast<Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int rc = inflate(&stream, Z_SYNC_FLUSH);
  const std::size_t got = out.size() - stream.avail_out;
  inflateEnd(&stream);
  if ((rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) || got == 0) return;
  text.assign(out, 0, got);
}

void subslice(std::string& text, const Transform& transform) {
  const auto size = static_cast<std::int64_t>(text.size());
  const std::int64_t from = transform.offset < 0 ? size + transform.offset : transform.offset;
  if (from < 0 || from >= size) {
    text.clear();
    return;
  }
  const std::int64_t length = transform.bytes == 0 ? size - from
                              : transform.bytes < 0
                                  ? std::max<std::int64_t>(0, size + transform.bytes - from)
                                  : transform.bytes;
  text = text.substr(static_cast<std::size_t>(from), static_cast<std::size_t>(length));
}

void apply(std::string& text, const Transform& transform, TransformScratch& scratch) {
  switch (transform.kind) {
    case TransformKind::dotprefix:
      text.insert(text.begin(), '.');
      break;
    case TransformKind::to_lowercase:
      text = ascii_lower(text);
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
    case TransformKind::from_base64:
      from_base64(text, transform, scratch.other);
      break;
    case TransformKind::domain:
      keep_domain(text);
      break;
    case TransformKind::tld:
      keep_suffix(text);
      break;
    case TransformKind::pcre_capture:
      if (const auto part = transform.regex->capture(as_bytes(text), scratch.regex)) {
        text = text.substr(part->first, part->second - part->first);
      }
      break;
    case TransformKind::gunzip:
      inflate_into(text, transform, gzip_window, scratch.other);
      break;
    case TransformKind::zlib_deflate:
      inflate_into(text, transform, zlib_window, scratch.other);
      break;
    case TransformKind::subslice:
      subslice(text, transform);
      break;
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

}  // namespace

Bytes apply_transforms(Bytes input, std::span<const Transform> transforms,
                       TransformScratch& scratch) {
  if (transforms.empty()) return input;
  scratch.text.assign(as_text(input));
  for (const Transform& transform : transforms) apply(scratch.text, transform, scratch);
  return as_bytes(scratch.text);
}

bool decode_base64(Bytes input, Base64Mode mode, std::size_t bytes_max, std::string& output) {
  output.clear();
  std::uint32_t bits = 0;
  int count = 0;
  std::size_t digits = 0;
  std::size_t padding = 0;
  for (const std::byte byte : input) {
    const auto c = static_cast<char>(byte);
    const int value = base64_digit(c);
    if (value < 0) {
      if (c == '=' && mode != Base64Mode::rfc4648) {
        ++padding;
        if (mode == Base64Mode::strict) continue;
        break;
      }
      const bool blank = mode == Base64Mode::rfc4648 && is_space(c);
      if (mode == Base64Mode::rfc2045 || blank) continue;
      if (mode == Base64Mode::strict) return false;
      break;
    }
    if (padding != 0 && mode == Base64Mode::strict) return false;
    if (output.size() >= bytes_max) break;
    ++digits;
    bits = bits << 6U | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    output.push_back(static_cast<char>(bits >> static_cast<unsigned>(count) & 0xFFU));
  }
  if (mode == Base64Mode::strict && (digits + padding) % 4 != 0) return false;
  return !output.empty();
}

}  // namespace menshen::sensor
