#include "console/http/certificate.hpp"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>

#include "base/file.hpp"
#include "base/handle.hpp"
#include "console/http/secret.hpp"

namespace menshen::console {
namespace {

void free_names(GENERAL_NAMES* names) { GENERAL_NAMES_free(names); }
using BioHandle = Handle<BIO, &BIO_free>;
using KeyHandle = Handle<EVP_PKEY, &EVP_PKEY_free>;
using CertificateHandle = Handle<X509, &X509_free>;
using ExtensionHandle = Handle<X509_EXTENSION, &X509_EXTENSION_free>;
using ContextHandle = Handle<SSL_CTX, &SSL_CTX_free>;
using NamesHandle = Handle<GENERAL_NAMES, &free_names>;

tl::unexpected<Error> failed(const Text& what) {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  const std::string detail = reason == nullptr ? "" : fmt::format(" ({})", reason);
  return fail(ErrorCode::invalid, {what.zh + detail, what.en + detail});
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio, &data);
  return length > 0 ? std::string(data, static_cast<std::size_t>(length)) : std::string();
}

BioHandle memory(std::string_view text) {
  return BioHandle(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string name_of(const X509_NAME* name) {
  const BioHandle bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  return text_of(bio.get());
}

std::string time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::vector<std::string> names_of(const X509* certificate) {
  std::vector<std::string> out;
  const NamesHandle names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const BioHandle bio(BIO_new(BIO_s_mem()));
    GENERAL_NAME_print(bio.get(), sk_GENERAL_NAME_value(names.get(), i));
    out.push_back(text_of(bio.get()));
  }
  return out;
}

std::string fingerprint_of(const X509* certificate) {
  unsigned char* der = nullptr;
  const int length = i2d_X509(certificate, &der);
  if (length <= 0) return {};
  std::string digest =
      sha256_hex({reinterpret_cast<const char*>(der), static_cast<std::size_t>(length)});
  OPENSSL_free(der);
  return digest;
}

CertificateInfo info_of(const X509* certificate) {
  CertificateInfo info;
  info.subject = name_of(X509_get_subject_name(certificate));
  info.issuer = name_of(X509_get_issuer_name(certificate));
  info.not_before = time_of(X509_get0_notBefore(certificate));
  info.not_after = time_of(X509_get0_notAfter(certificate));
  info.sha256 = fingerprint_of(certificate);
  info.names = names_of(certificate);
  info.self_signed =
      X509_NAME_cmp(X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) == 0;
  return info;
}

bool add_extension(X509* certificate, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const ExtensionHandle extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

Result<CertificateHandle> sign_own(EVP_PKEY* key, const std::string& name) {
  CertificateHandle certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  // 127 bits: positive, and not guessable (RFC 5280, 4.1.2.2).
  std::string serial = random_bytes(16);
  serial[0] = static_cast<char>((serial[0] & 0x7f) | 0x40);
  ASN1_STRING_set(X509_get_serialNumber(certificate.get()), serial.data(),
                  static_cast<int>(serial.size()));
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), self_signed_days * 86400L);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>("Menshen"), -1, -1, 0);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), subject);
  const std::string alternatives = fmt::format("DNS:{},DNS:localhost,IP:127.0.0.1,IP:::1", name);
  if (!add_extension(certificate.get(), NID_subject_alt_name, alternatives.c_str()) ||
      !add_extension(certificate.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(certificate.get(), NID_key_usage, "critical,digitalSignature") ||
      !add_extension(certificate.get(), NID_ext_key_usage, "serverAuth") ||
      X509_sign(certificate.get(), key, EVP_sha256()) == 0) {
    return failed({"无法签发控制台证书", "cannot sign the console's certificate"});
  }
  return certificate;
}

}  // namespace

Result<bool> ensure_certificate(const std::filesystem::path& file, const std::string& name) {
  std::error_code error;
  if (std::filesystem::exists(file, error)) return false;
  const KeyHandle key(EVP_EC_gen("P-256"));
  if (!key) return failed({"无法生成控制台私钥", "cannot make the console's key"});
  const CertificateHandle certificate = MENSHEN_TRY(sign_own(key.get(), name));
  const BioHandle key_text(BIO_new(BIO_s_mem()));
  const BioHandle certificate_text(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  PEM_write_bio_X509(certificate_text.get(), certificate.get());
  std::string both = text_of(certificate_text.get()) + text_of(key_text.get());
  MENSHEN_CHECK(write_file_atomic(file, both, 0600));
  wipe(both);
  return true;
}

Result<CertificateInfo> read_certificate(const std::filesystem::path& file) {
  const std::string text = MENSHEN_TRY(read_file(file, certificate_bytes_max));
  const BioHandle bio = memory(text);
  const CertificateHandle certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!certificate) return failed({"不是 PEM 证书", "no PEM certificate"});
  return info_of(certificate.get());
}

Result<void> use_certificate(ssl_ctx_st* context, const std::filesystem::path& file) {
  if (SSL_CTX_use_certificate_chain_file(context, file.c_str()) == 1 &&
      SSL_CTX_use_PrivateKey_file(context, file.c_str(), SSL_FILETYPE_PEM) == 1 &&
      SSL_CTX_check_private_key(context) == 1) {
    return {};
  }
  return failed({fmt::format("证书 {} 无法使用", file.string()),
                 fmt::format("the certificate {} cannot be used", file.string())});
}

Result<CertificateInfo> replace_certificate(const std::filesystem::path& file,
                                            std::string_view certificate, std::string_view key) {
  if (certificate.size() > certificate_bytes_max || key.size() > certificate_bytes_max) {
    return fail(ErrorCode::limit, {"证书或私钥过大", "the certificate or key is too large"});
  }
  const BioHandle certificate_text = memory(certificate);
  const BioHandle key_text = memory(key);
  const CertificateHandle leaf(
      PEM_read_bio_X509(certificate_text.get(), nullptr, nullptr, nullptr));
  if (!leaf) return failed({"证书不是 PEM 格式", "the certificate is not PEM"});
  // Its own empty passphrase: without one OpenSSL would ask at the terminal.
  const KeyHandle secret(
      PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, const_cast<char*>("")));
  if (!secret) {
    return failed({"私钥不是未加密的 PEM 格式", "the key is not PEM without a passphrase"});
  }
  if (X509_check_private_key(leaf.get(), secret.get()) != 1) {
    ERR_clear_error();
    return fail(ErrorCode::invalid,
                {"证书与私钥不匹配", "the certificate and the key do not belong together"});
  }
  if (X509_cmp_current_time(X509_get0_notBefore(leaf.get())) > 0 ||
      X509_cmp_current_time(X509_get0_notAfter(leaf.get())) < 0) {
    return fail(ErrorCode::invalid,
                {"证书不在有效期内", "the certificate is not valid at this time"});
  }
  std::string both = std::string(certificate) + "\n" + std::string(key);
  // A server that starts with what it cannot use does not start: tried beside the old one first.
  const std::filesystem::path candidate = file.string() + ".new";
  MENSHEN_CHECK(write_file_atomic(candidate, both, 0600));
  const ContextHandle context(SSL_CTX_new(TLS_server_method()));
  const auto usable = use_certificate(context.get(), candidate);
  std::error_code error;
  std::filesystem::remove(candidate, error);
  const auto replaced = usable ? write_file_atomic(file, both, 0600) : usable;
  wipe(both);
  if (!replaced) return tl::make_unexpected(replaced.error());
  return info_of(leaf.get());
}

}  // namespace menshen::console
