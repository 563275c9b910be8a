#include "audit/crypto/sign.hpp"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <array>

#include "base/file.hpp"

namespace menshen::audit {
namespace {

using Bio = Handle<BIO, &BIO_free_all>;
using SignContext = Handle<EVP_MD_CTX, &EVP_MD_CTX_free>;
constexpr std::string_view sm2_identifier = "1234567812345678";  // GM/T 0009-2012, 10
constexpr std::size_t pem_bytes_max = 16U << 10U;

const unsigned char* raw(Bytes bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

tl::unexpected<Error> fail_key(std::string zh, std::string en) {
  return fail(ErrorCode::invalid, {std::move(zh), std::move(en)});
}

std::optional<Profile> profile_of(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "SM2") == 1) return Profile::sm;
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return Profile::intl;
  return std::nullopt;
}

Bio reader(std::string_view pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

std::string content(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

void free_der(unsigned char* der) { OPENSSL_free(der); }

// The password callback: none is ever asked for.
int no_password(char*, int, int, void*) { return -1; }

enum class Use { sign, verify };

// A context ready to sign or verify in one call.
SignContext prepare(Profile profile, EVP_PKEY* key, Use use) {
  SignContext context(EVP_MD_CTX_new());
  if (!context) return nullptr;
  EVP_PKEY_CTX* options = nullptr;  // owned by context
  const char* digest = profile == Profile::sm ? "SM3" : nullptr;
  const auto init = use == Use::sign ? &EVP_DigestSignInit_ex : &EVP_DigestVerifyInit_ex;
  if (init(context.get(), &options, digest, nullptr, nullptr, key, nullptr) != 1) return nullptr;
  if (profile == Profile::sm &&
      EVP_PKEY_CTX_set1_id(options, sm2_identifier.data(),
                           static_cast<int>(sm2_identifier.size())) != 1) {
    return nullptr;
  }
  return context;
}

}  // namespace

Result<PublicKey> PublicKey::from_handle(KeyHandle key) {
  const auto profile = profile_of(key.get());
  if (!profile) {
    return fail_key("公钥既不是 SM2 也不是 Ed25519", "the public key is neither SM2 nor Ed25519");
  }
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key.get(), &der);
  if (size <= 0) return fail_key("无法编码公钥", "cannot encode the public key");
  const Handle<unsigned char, &free_der> owned(der);
  Hasher hasher = MENSHEN_TRY(Hasher::make(*profile));
  hasher.update(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
  const Digest fingerprint = hasher.finish();
  const Bio out(BIO_new(BIO_s_mem()));
  if (!out || PEM_write_bio_PUBKEY(out.get(), key.get()) != 1) {
    return fail_key("无法编码公钥", "cannot encode the public key");
  }
  return PublicKey(*profile, std::move(key), fingerprint, content(out.get()));
}

Result<PublicKey> PublicKey::parse(std::string_view pem) {
  if (pem.size() > pem_bytes_max) return fail_key("公钥过长", "the public key is too long");
  const Bio in = reader(pem);
  KeyHandle key(in ? PEM_read_bio_PUBKEY(in.get(), nullptr, &no_password, nullptr) : nullptr);
  if (!key) return fail_key("不是 PEM 格式的公钥", "this is no public key in PEM form");
  return from_handle(std::move(key));
}

bool PublicKey::verify(Bytes message, Bytes signature) const {
  const SignContext context = prepare(profile_, key_.get(), Use::verify);
  return context && EVP_DigestVerify(context.get(), raw(signature), signature.size(), raw(message),
                                     message.size()) == 1;
}

Result<SigningKey> SigningKey::from_handle(KeyHandle key) {
  // The public half is read back from its own encoding, so both sides use the same code.
  const Bio out(BIO_new(BIO_s_mem()));
  if (!out || PEM_write_bio_PUBKEY(out.get(), key.get()) != 1) {
    return fail_key("无法导出公钥", "cannot export the public key");
  }
  PublicKey pub = MENSHEN_TRY(PublicKey::parse(content(out.get())));
  return SigningKey(std::move(key), std::move(pub));
}

Result<SigningKey> SigningKey::generate(Profile profile) {
  KeyHandle key(EVP_PKEY_Q_keygen(nullptr, nullptr, profile == Profile::sm ? "SM2" : "ED25519"));
  if (!key) {
    return fail(ErrorCode::unavailable,
                {"OpenSSL 无法生成签名密钥", "OpenSSL cannot make a signing key"});
  }
  return from_handle(std::move(key));
}

Result<SigningKey> SigningKey::load(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    return fail_errno(
        {"无法读取签名密钥 " + path.string(), "cannot read the signing key " + path.string()});
  }
  if ((info.st_mode & 077U) != 0) {
    return fail(
        ErrorCode::denied,
        {"签名密钥 " + path.string() + " 可被其他用户访问，权限须为 0600",
         "the signing key " + path.string() + " is open to other users; its mode must be 0600"});
  }
  std::string pem = MENSHEN_TRY(read_file(path, pem_bytes_max));
  KeyHandle key;
  if (const Bio in = reader(pem)) {
    key.reset(PEM_read_bio_PrivateKey(in.get(), nullptr, &no_password, nullptr));
  }
  OPENSSL_cleanse(pem.data(), pem.size());
  if (!key) {
    return fail_key(path.string() + " 不是无口令的 PEM 私钥",
                    path.string() + " is no private key in PEM form without a password");
  }
  return from_handle(std::move(key));
}

Result<void> SigningKey::save(const std::filesystem::path& path) const {
  const Bio out(BIO_new(BIO_s_secmem()));
  if (!out || PEM_write_bio_PKCS8PrivateKey(out.get(), key_.get(), nullptr, nullptr, 0, nullptr,
                                            nullptr) != 1) {
    return fail_key("无法导出签名密钥", "cannot export the signing key");
  }
  if (std::filesystem::exists(path)) {
    return fail(ErrorCode::exists, {"签名密钥已存在：" + path.string(),
                                    "the signing key is there already: " + path.string()});
  }
  std::string pem = content(out.get());
  auto written = write_file_atomic(path, pem, 0600);
  OPENSSL_cleanse(pem.data(), pem.size());
  return written;
}

Result<std::string> SigningKey::sign(Bytes message) const {
  const SignContext context = prepare(public_.profile(), key_.get(), Use::sign);
  std::size_t size = 0;
  if (context && EVP_DigestSign(context.get(), nullptr, &size, raw(message), message.size()) == 1) {
    std::string signature(size, '\0');
    if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                       raw(message), message.size()) == 1) {
      signature.resize(size);
      return signature;
    }
  }
  return fail(ErrorCode::io, {"OpenSSL 签名失败", "OpenSSL could not sign"});
}

std::string format_fingerprint(Profile profile, const Digest& fingerprint) {
  return std::string(digest_name(profile)) + ":" + to_hex(fingerprint);
}

}  // namespace menshen::audit
