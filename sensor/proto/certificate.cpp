#include "sensor/proto/certificate.hpp"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstring>
#include <ctime>
#include <utility>

#include "base/handle.hpp"
#include "base/ip.hpp"
#include "sensor/proto/asn1.hpp"

namespace menshen::sensor {

namespace {

constexpr std::uint8_t bit_string = 0x03;

using X509Handle = Handle<X509, &X509_free>;
using BioHandle = Handle<BIO, &BIO_free_all>;
using NamesHandle = Handle<GENERAL_NAMES, &GENERAL_NAMES_free>;
using NumberHandle = Handle<BIGNUM, &BN_free>;

std::string colon_hex(Bytes bytes, bool upper) {
  const std::string_view digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string out;
  out.reserve(3 * bytes.size());
  for (const std::byte b : bytes) {
    if (!out.empty()) out += ':';
    const auto value = std::to_integer<unsigned>(b);
    out += digits[value >> 4U];
    out += digits[value & 15U];
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

std::string serial_text(const ASN1_INTEGER* serial) {
  const NumberHandle number(ASN1_INTEGER_to_BN(serial, nullptr));
  if (number == nullptr) return {};
  std::string bytes(static_cast<std::size_t>(BN_num_bytes(number.get())), '\0');
  BN_bn2bin(number.get(), reinterpret_cast<unsigned char*>(bytes.data()));
  if (bytes.empty()) bytes.push_back('\0');
  return colon_hex(as_bytes(bytes), true);
}

std::string time_text(const std::tm& tm) {
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", tm.tm_year + 1900, tm.tm_mon + 1,
                     tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void set_time(const ASN1_TIME* time, std::string& text, std::int64_t& seconds) {
  std::tm tm{};
  if (ASN1_TIME_to_tm(time, &tm) != 1) return;
  text = time_text(tm);
  seconds = timegm(&tm);
}

std::string text_of(const ASN1_STRING* string) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
          static_cast<std::size_t>(ASN1_STRING_length(string))};
}

std::string address_text(const ASN1_OCTET_STRING* address) {
  const std::string bytes = text_of(address);
  if (bytes.size() == 4) return IpAddr::v4(ByteReader(as_bytes(bytes)).be32()).to_string();
  if (bytes.size() != 16) return {};
  std::array<std::uint8_t, 16> v6{};
  std::memcpy(v6.data(), bytes.data(), v6.size());
  return IpAddr::v6(v6).to_string();
}

std::vector<std::string> alternative_names(const X509_EXTENSIONS* extensions) {
  std::vector<std::string> out;
  const NamesHandle names(static_cast<GENERAL_NAMES*>(
      X509V3_get_d2i(extensions, NID_subject_alt_name, nullptr, nullptr)));
  const int count = names == nullptr ? 0 : sk_GENERAL_NAME_num(names.get());
  for (int i = 0; i < count && out.size() < certificate_names_max; ++i) {
    int kind = 0;
    const auto* value = static_cast<const ASN1_STRING*>(
        GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &kind));
    if (kind == GEN_DNS || kind == GEN_EMAIL || kind == GEN_URI) {
      out.push_back(text_of(value));
    } else if (kind == GEN_IPADD) {
      out.push_back(address_text(value));
    }
  }
  return out;
}

// One element of DER: its tag and how many bytes of content it says it has. `short_header`: the
// bytes end within its header.
struct Element {
  std::uint8_t tag = 0;
  std::uint64_t length = 0;
  bool short_header = false;
};
Element read_element(ByteReader& reader) noexcept {
  Element element;
  element.tag = reader.u8();
  element.length = reader.u8();
  if (element.length > 0x80 && element.length <= 0x88) {
    const std::uint64_t bytes = element.length & 0x7fU;
    element.length = 0;
    for (std::uint64_t i = 0; i < bytes; ++i) element.length = element.length << 8U | reader.u8();
  }
  element.short_header = !reader.ok();
  return element;
}

}  // namespace

// RFC 5280 4.1: the parts of a TBSCertificate that must be there, after an optional version.
CertificateFault find_fault(Bytes der) noexcept {
  constexpr std::uint8_t integer = 0x02;
  constexpr std::uint8_t sequence = 0x30;
  constexpr std::uint8_t version = 0xa0;
  constexpr std::array<std::uint8_t, 6> parts{integer,  sequence, sequence,
                                              sequence, sequence, sequence};
  ByteReader reader(der);
  const Element whole = read_element(reader);
  if (whole.short_header || whole.length > reader.remaining()) return CertificateFault::length;
  if (whole.tag != sequence) return CertificateFault::other;
  ByteReader outer(reader.take(whole.length));
  const Element signed_part = read_element(outer);
  if (signed_part.short_header) return CertificateFault::length;
  if (signed_part.tag != sequence || signed_part.length > outer.remaining()) {
    return CertificateFault::other;
  }
  ByteReader inner(outer.take(signed_part.length));
  bool first = true;
  for (const std::uint8_t wanted : parts) {
    if (inner.empty()) return CertificateFault::missing_element;
    Element element = read_element(inner);
    if (std::exchange(first, false) && element.tag == version) {
      inner.skip(element.length);
      if (inner.empty()) return CertificateFault::missing_element;
      element = read_element(inner);
    }
    if (element.short_header || element.length > inner.remaining()) return CertificateFault::length;
    if (element.tag != wanted) return CertificateFault::unknown_element;
    inner.skip(element.length);
  }
  return CertificateFault::other;
}

namespace {

// What is told of a certificate, still as OpenSSL has it.
struct Parts {
  const ASN1_INTEGER* serial = nullptr;
  const X509_NAME* issuer = nullptr;
  const X509_NAME* subject = nullptr;
  const ASN1_TIME* not_before = nullptr;
  const ASN1_TIME* not_after = nullptr;
  const X509_EXTENSIONS* extensions = nullptr;
};

Certificate tell(Bytes der, const Parts& parts) {
  std::array<std::byte, SHA_DIGEST_LENGTH> digest{};
  SHA1(reinterpret_cast<const unsigned char*>(der.data()), der.size(),
       reinterpret_cast<unsigned char*>(digest.data()));
  Certificate found;
  found.subject = name_text(parts.subject);
  found.issuer = name_text(parts.issuer);
  found.serial = serial_text(parts.serial);
  found.fingerprint = colon_hex(digest, false);
  found.alternative_names = alternative_names(parts.extensions);
  set_time(parts.not_before, found.not_before, found.not_before_s);
  set_time(parts.not_after, found.not_after, found.not_after_s);
  return found;
}

// OpenSSL's own structure decodes the public key where it is parsed, which takes most of the time
// and nobody asks for. So the parts are parsed one by one, those that are told by OpenSSL too.
class Cursor {
 public:
  explicit Cursor(Bytes bytes) noexcept
      : at_(reinterpret_cast<const unsigned char*>(bytes.data())), end_(at_ + bytes.size()) {}

  [[nodiscard]] bool at_end() const noexcept { return at_ == end_; }
  // The next value by one of OpenSSL's d2i functions; null: it is none.
  template <class Read>
  [[nodiscard]] auto read(Read d2i) noexcept {
    return d2i(nullptr, &at_, end_ - at_);
  }
  // The inside of the next value; nothing: it has another tag, or is odd.
  [[nodiscard]] std::optional<Bytes> enter(std::uint8_t tag) noexcept {
    Asn1Reader reader(std::as_bytes(std::span(at_, end_)));
    const Bytes content = reader.take(tag);
    if (!reader.ok()) return std::nullopt;
    at_ = reinterpret_cast<const unsigned char*>(content.data()) + content.size();
    return content;
  }

 private:
  const unsigned char* at_;
  const unsigned char* end_;
};

using IntegerHandle = Handle<ASN1_INTEGER, &ASN1_INTEGER_free>;
using NameHandle = Handle<X509_NAME, &X509_NAME_free>;
using TimeHandle = Handle<ASN1_TIME, &ASN1_TIME_free>;
using AlgorithmHandle = Handle<X509_ALGOR, &X509_ALGOR_free>;
void free_extensions(X509_EXTENSIONS* extensions) {
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}
using ExtensionsHandle = Handle<X509_EXTENSIONS, &free_extensions>;

bool skip_algorithm(Cursor& cursor) {
  return AlgorithmHandle(cursor.read(d2i_X509_ALGOR)) != nullptr;
}

bool skip_bits(Cursor& cursor) noexcept {
  const auto bits = cursor.enter(bit_string);
  return bits && !bits->empty() && std::to_integer<unsigned>(bits->front()) <= 7;
}

// RFC 5280 4.1, as nearly all certificates have it. Nothing: this one has not.
std::optional<Certificate> read_usual(Bytes der) {
  Cursor file(der);
  const auto whole = file.enter(asn1::sequence);
  if (!whole) return std::nullopt;
  Cursor outer(*whole);
  const auto signed_part = outer.enter(asn1::sequence);
  if (!signed_part || !skip_algorithm(outer) || !skip_bits(outer) || !outer.at_end()) {
    return std::nullopt;
  }
  Cursor inner(*signed_part);
  const auto version = inner.enter(asn1::context(0));
  if (!version) return std::nullopt;
  Cursor number(*version);
  if (IntegerHandle(number.read(d2i_ASN1_INTEGER)) == nullptr || !number.at_end()) {
    return std::nullopt;
  }
  const IntegerHandle serial(inner.read(d2i_ASN1_INTEGER));
  if (serial == nullptr || !skip_algorithm(inner)) return std::nullopt;
  const NameHandle issuer(inner.read(d2i_X509_NAME));
  const auto validity = inner.enter(asn1::sequence);
  if (issuer == nullptr || !validity) return std::nullopt;
  Cursor times(*validity);
  const TimeHandle not_before(times.read(d2i_ASN1_TIME));
  const TimeHandle not_after(times.read(d2i_ASN1_TIME));
  if (not_before == nullptr || not_after == nullptr || !times.at_end()) return std::nullopt;
  const NameHandle subject(inner.read(d2i_X509_NAME));
  const auto key = inner.enter(asn1::sequence);
  if (subject == nullptr || !key) return std::nullopt;
  Cursor key_parts(*key);
  if (!skip_algorithm(key_parts) || !skip_bits(key_parts) || !key_parts.at_end()) {
    return std::nullopt;
  }
  ExtensionsHandle extensions;
  if (!inner.at_end()) {
    const auto wrapped = inner.enter(asn1::context(3));
    if (!wrapped || !inner.at_end()) return std::nullopt;
    Cursor list(*wrapped);
    extensions.reset(list.read(d2i_X509_EXTENSIONS));
    if (extensions == nullptr || !list.at_end()) return std::nullopt;
  }
  return tell(der, {serial.get(), issuer.get(), subject.get(), not_before.get(), not_after.get(),
                    extensions.get()});
}

}  // namespace

std::optional<Certificate> read_certificate(Bytes der) {
  if (auto usual = read_usual(der)) return usual;
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const X509Handle certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (certificate == nullptr) return std::nullopt;
  return tell(der,
              {X509_get0_serialNumber(certificate.get()), X509_get_issuer_name(certificate.get()),
               X509_get_subject_name(certificate.get()), X509_get0_notBefore(certificate.get()),
               X509_get0_notAfter(certificate.get()), X509_get0_extensions(certificate.get())});
}

}  // namespace menshen::sensor
