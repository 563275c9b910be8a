#include <openssl/evp.h>
#include <openssl/x509.h>
#include <catch2/catch.hpp>

#include "base/handle.hpp"
#include "sensor/proto/test_stage.hpp"

namespace menshen::sensor {

using testing::Stage;
using testing::Told;
using namespace std::string_literals;

namespace {

std::string be(std::size_t bytes, std::size_t value) {
  std::string out;
  for (std::size_t i = bytes; i-- > 0;) out += static_cast<char>(value >> (8 * i) & 0xffU);
  return out;
}
std::string block(std::size_t length_bytes, const std::string& body) {
  return be(length_bytes, body.size()) + body;
}
std::string record(int content, const std::string& body) {
  return static_cast<char>(content) + "\x03\x01"s + block(2, body);
}
std::string handshake(int type, const std::string& body) {
  return static_cast<char>(type) + block(3, body);
}
std::string extension(std::size_t kind, const std::string& body) {
  return be(2, kind) + block(2, body);
}
std::string client_hello(const std::string& host) {
  const std::string sni = extension(0, block(2, '\0' + block(2, host)));
  return handshake(1, "\x03\x03"s + std::string(32, 'r') + block(1, "session") +
                          block(2, "\x13\x01"s) + block(1, "\0"s) +
                          block(2, extension(23, "") + sni + extension(43, "\x02\x03\x04"s)));
}
std::string server_hello(bool tls13) {
  return handshake(2, "\x03\x03"s + std::string(32, 'r') + block(1, "") + "\x13\x01\0"s +
                          block(2, tls13 ? extension(43, "\x03\x04"s) : extension(23, "")));
}

std::string certificate_der() {
  const Handle<EVP_PKEY, &EVP_PKEY_free> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  const Handle<X509, &X509_free> certificate(X509_new());
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 0x1234);
  ASN1_TIME_set_string(X509_getm_notBefore(certificate.get()), "20260101000000Z");
  ASN1_TIME_set_string(X509_getm_notAfter(certificate.get()), "20270101000000Z");
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  const auto add = [&](const char* field, const char* text) {
    X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(text), -1, -1, 0);
  };
  add("C", "CN");
  add("O", "Example");
  add("CN", "portal.example.cn");
  X509_set_issuer_name(certificate.get(), subject);
  X509_set_pubkey(certificate.get(), key.get());
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  std::string der(static_cast<std::size_t>(i2d_X509(certificate.get(), nullptr)), '\0');
  auto* at = reinterpret_cast<unsigned char*>(der.data());
  i2d_X509(certificate.get(), &at);
  return der;
}

const std::string change_cipher = record(20, "\x01");

}  // namespace

TEST_CASE("a TLS 1.2 handshake, whole and in every small piece") {
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1, 3, 50}));
  Stage s;
  s.client(record(22, client_hello("portal.example.cn")), piece);
  CHECK(s.flow.app == AppProto::tls);
  CHECK(s.told.at(0)[">tls.sni"] == "portal.example.cn");
  s.server(record(22, server_hello(false) + handshake(11, block(3, block(3, certificate_der()))) +
                          handshake(14, "")),
           piece);
  const Told& t = s.told[0];
  CHECK(t["<tls.version"] == "1.2");
  CHECK(t["<tls.cert_subject"] == "C=CN, O=Example, CN=portal.example.cn");
  CHECK(t["<tls.cert_issuer"] == "C=CN, O=Example, CN=portal.example.cn");
  CHECK(t["<tls.cert_serial"] == "12:34");
  CHECK(t["<tls.cert_fingerprint"].size() == 59);
  CHECK(t.eve.find(R"("notbefore":"2026-01-01T00:00:00")") != std::string::npos);
  CHECK(t.eve.find(R"("version":"TLS 1.2")") != std::string::npos);
  CHECK_FALSE(s.flow.encrypted);
  s.client(change_cipher + record(22, "garbage that is the finished message"), piece);
  CHECK_FALSE(s.flow.encrypted);
  s.server(change_cipher, piece);
  CHECK(s.flow.encrypted);
  CHECK(s.told[0].ended);
  CHECK(s.told.size() == 1);
}

TEST_CASE("TLS 1.3 is private after the server's hello") {
  Stage s;
  s.client(record(22, client_hello("a.cn")));
  s.server(record(22, server_hello(true)) + change_cipher + record(23, "encrypted extensions"));
  CHECK(s.told.at(0)["<tls.version"] == "1.3");
  CHECK(s.flow.encrypted);
  CHECK(s.told[0].ended);
}

TEST_CASE("a client alone cannot make a flow private") {
  Stage s;
  s.client(record(22, client_hello("a.cn")) + change_cipher + record(23, "attack"));
  CHECK_FALSE(s.flow.encrypted);
}

TEST_CASE("a handshake message over many records") {
  const std::string hello = client_hello("many.records.cn");
  std::string stream;
  for (const char c : hello) stream += record(22, std::string(1, c));
  Stage s;
  s.client(stream.substr(0, 5) + stream.substr(5), 4);
  CHECK(s.told.at(0)[">tls.sni"] == "many.records.cn");
}

TEST_CASE("a handshake message beyond its limit ends the parser") {
  ProtoLimits limits;
  limits.tls_handshake = 1000;
  Stage s(limits);
  s.client(record(22, "\x01\x00\xff\xff"s + std::string(500, 'x')));
  CHECK(s.proto.counters().limits_reached == 1);
  CHECK_FALSE(s.flow.encrypted);
}

TEST_CASE("every shorter hello is harmless") {
  const std::string hello = client_hello("short.example.cn");
  for (std::size_t size = 0; size < hello.size() - 4; ++size) {
    Stage s;
    // The length says less, so the parser meets its end everywhere.
    s.client(record(22, handshake(1, hello.substr(4, size))));
    s.finish();
    CHECK(s.told.size() <= 1);
  }
}

TEST_CASE("a broken certificate is no certificate") {
  Stage s;
  s.client(record(22, client_hello("a.cn")));
  s.server(record(22, server_hello(false) + handshake(11, block(3, block(3, "not DER")))));
  CHECK(s.told.at(0)["<tls.cert_subject"] == "-");
  CHECK(s.told[0]["<tls.version"] == "1.2");
}

}  // namespace menshen::sensor
