#include "sensor/proto/certificate.hpp"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <array>
#include <ctime>

#include "base/handle.hpp"

namespace menshen::sensor {

namespace {

using X509Handle = Handle<X509, &X509_free>;
using BioHandle = Handle<BIO, &BIO_free_all>;
using NumberHandle = Handle<BIGNUM, &BN_free>;

std::string colon_hex(Bytes bytes, bool upper) {
  std::string out;
  for (const std::byte b : bytes) {
    if (!out.empty()) out += ':';
    const auto value = std::to_integer<unsigned>(b);
    out += upper ? fmt::format("{:02X}", value) : fmt::format("{:02x}", value);
  }
  return out;
}

std::string name_text(const X509_NAME* name) {
  const BioHandle bio(BIO_new(BIO_s_mem()));
  constexpr unsigned long style =
      (XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_FN_SN | ASN1_STRFLGS_UTF8_CONVERT);
  if (bio == nullptr || X509_NAME_print_ex(bio.get(), name, 0, style) < 0) return {};
  char* text = nullptr;
  const long length = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(length)};
}

std::string serial_text(const X509* certificate) {
  const NumberHandle number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  if (number == nullptr) return {};
  std::string bytes(static_cast<std::size_t>(BN_num_bytes(number.get())), '\0');
  BN_bn2bin(number.get(), reinterpret_cast<unsigned char*>(bytes.data()));
  if (bytes.empty()) bytes.push_back('\0');
  return colon_hex(as_bytes(bytes), true);
}

std::string time_text(const ASN1_TIME* time) {
  std::tm tm{};
  if (ASN1_TIME_to_tm(time, &tm) != 1) return {};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", tm.tm_year + 1900, tm.tm_mon + 1,
                     tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

}  // namespace

std::optional<Certificate> read_certificate(Bytes der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const X509Handle certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (certificate == nullptr) return std::nullopt;
  std::array<std::byte, SHA_DIGEST_LENGTH> digest{};
  SHA1(reinterpret_cast<const unsigned char*>(der.data()), der.size(),
       reinterpret_cast<unsigned char*>(digest.data()));
  return Certificate{.subject = name_text(X509_get_subject_name(certificate.get())),
                     .issuer = name_text(X509_get_issuer_name(certificate.get())),
                     .serial = serial_text(certificate.get()),
                     .fingerprint = colon_hex(digest, false),
                     .not_before = time_text(X509_get0_notBefore(certificate.get())),
                     .not_after = time_text(X509_get0_notAfter(certificate.get()))};
}

}  // namespace menshen::sensor
