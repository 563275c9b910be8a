#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <catch2/catch.hpp>

#include "base/handle.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/test_stage.hpp"
#include "sensor/proto/tls_hello.hpp"

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
  const Handle<X509_EXTENSION, &X509_EXTENSION_free> names(
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name,
                          "DNS:portal.example.cn,DNS:*.example.cn,IP:10.0.0.1"));
  X509_add_ext(certificate.get(), names.get(), -1);
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
  CHECK(t["#<tls.version"] == "771");
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
  CHECK(s.told.at(0)["#<tls.version"] == "772");
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
  CHECK(s.told[0]["#<tls.version"] == "771");
}

namespace {

std::string hex_list(std::initializer_list<std::size_t> values) {
  std::string out;
  for (const std::size_t value : values) out += be(2, value);
  return out;
}
std::string hello_body(std::size_t version, const std::string& ciphers,
                       const std::string& extensions) {
  return be(2, version) + std::string(32, 'r') + block(1, "") + block(2, ciphers) +
         block(1, "\0"s) + block(2, extensions);
}
bool has_event(const Told& told, std::string_view name) {
  return std::ranges::find(told.events, name) != told.events.end();
}

}  // namespace

TEST_CASE("the chain of certificates, and what each side shows of its own") {
  Stage s;
  s.client(record(22, client_hello("a.cn")));
  const std::string der = certificate_der();
  s.server(record(
      22, server_hello(false) +
              handshake(11, block(3, block(3, der) + block(3, "issuer") + block(3, "root"))) +
              handshake(13, "request") + handshake(14, "")));
  const Told& t = s.told.at(0);
  CHECK(t["<tls.certs"] == der + ",issuer,root");
  CHECK(t["#<tls.cert_chain_len"] == "3");
  CHECK(t["<tls.subjectaltname"] == "portal.example.cn,*.example.cn,10.0.0.1");
  CHECK(t["#<tls.cert_notbefore"] == "1767225600");
  CHECK(t["#<tls.cert_notafter"] == "1798761600");
  CHECK(t["#<tls.cert_validity"] == "2");  // the test's packets are from 1970
  CHECK(t.eve.find(R"("subjectaltname":["portal.example.cn","*.example.cn","10.0.0.1"])") !=
        std::string::npos);
  CHECK(t[">tls.cert_subject"] == "-");
  s.client(record(22, handshake(11, block(3, block(3, der))) + handshake(16, "keys")));
  CHECK(s.told[0][">tls.cert_subject"] == "C=CN, O=Example, CN=portal.example.cn");
  CHECK(s.told[0]["#>tls.cert_chain_len"] == "1");
  CHECK(s.told[0]["#>ssl_state"] == "1,2,16,4");
  CHECK(s.told[0].eve.find(R"("client":{"subject":)") != std::string::npos);
}

TEST_CASE("a certificate's time is judged by the packet's") {
  constexpr std::int64_t ns_per_s = 1'000'000'000;
  const auto [now_s, judged] = GENERATE(
      table<std::int64_t, const char*>({{1767225599, "2"}, {1767225600, "0"}, {1798761601, "1"}}));
  Stage s;
  s.time = now_s * ns_per_s;
  s.client(record(22, client_hello("a.cn")));
  s.server(record(22, server_hello(false) + handshake(11, block(3, block(3, certificate_der())))));
  CHECK(s.told.at(0)["#<tls.cert_validity"] == judged);
}

TEST_CASE("more certificates than are kept are counted") {
  std::string chain;
  for (int i = 0; i < 40; ++i) chain += block(3, "x");
  Stage s;
  s.client(record(22, client_hello("a.cn")));
  s.server(record(22, server_hello(false) + handshake(11, block(3, chain))));
  CHECK(s.told.at(0)["#<tls.cert_chain_len"] == "40");
  CHECK(s.told[0]["<tls.certs"].size() == 32 * 2 - 1);
}

TEST_CASE("randoms, application protocols and versions of both sides") {
  Stage s;
  const std::string alpn = extension(16, block(2, block(1, "h2") + block(1, "http/1.1")));
  s.client(record(22, handshake(1, hello_body(0x0303, "\x13\x01"s, alpn))));
  s.server(record(22, handshake(2, "\x03\x03"s + std::string(4, 't') + std::string(28, 'b') +
                                       block(1, "") + "\x13\x01\0"s +
                                       block(2, extension(43, "\x03\x04"s) +
                                                    extension(16, block(2, block(1, "h2")))))));
  const Told& t = s.told.at(0);
  CHECK(t[">tls.alpn"] == "h2,http/1.1");
  CHECK(t["<tls.alpn"] == "h2");
  CHECK(t[">tls.random"] == std::string(32, 'r'));
  CHECK(t["<tls.random_time"] == "tttt");
  CHECK(t["<tls.random_bytes"] == std::string(28, 'b'));
  CHECK(t["<ja3s.string"] == "771,4865,43-16");
  CHECK(t["<ja3s.hash"] == ja3_hash("771,4865,43-16"));
  CHECK(t.eve.find(R"("client_alpns":["h2","http/1.1"],"server_alpns":["h2"])") !=
        std::string::npos);
}

TEST_CASE("JA3 as its authors publish it") {
  CHECK(ja3_hash("769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0") ==
        "ada70206e40642a3e4461f35503241d5");
  CHECK(ja3_hash("769,4-5-10-9-100-98-3-6-19-18-99,,,") == "de350869b8c85de67a350c8d186f11e6");
  // GREASE is left out everywhere.
  const std::string hello =
      hello_body(0x0301, hex_list({0x1a1a, 47, 53}),
                 extension(0x2a2a, "") + extension(10, block(2, hex_list({0xfafa, 23, 24}))) +
                     extension(11, block(1, "\0\1"s)));
  CHECK(ja3_text(read_client_hello(as_bytes(hello))) == "769,47-53,10-11,23-24,0-1");
  const std::string bare = "\x03\x01"s + std::string(32, 'r') + block(1, "") +
                           block(2, hex_list({4, 5})) + block(1, "\0"s);
  CHECK(ja3_text(read_client_hello(as_bytes(bare))) == "769,4-5,,,");
}

TEST_CASE("JA4 as its authors publish it") {
  const std::string ciphers =
      hex_list({0x0a0a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8,
                0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035});
  std::string extensions = extension(0x1a1a, "") + extension(0, block(2, "\0"s + block(2, "a.cn")));
  for (const std::size_t kind : {0x17, 0xff01, 0x0a, 0x0b, 0x23}) extensions += extension(kind, "");
  extensions += extension(16, block(2, block(1, "h2") + block(1, "http/1.1")));
  for (const std::size_t kind : {0x05, 0x12, 0x33, 0x2d, 0x1b, 0x4469, 0x15}) {
    extensions += extension(kind, "");
  }
  extensions += extension(
      13, block(2, hex_list({0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601})));
  extensions += extension(43, block(1, hex_list({0x3a3a, 0x0304, 0x0303})));
  const std::string body = hello_body(0x0303, ciphers, extensions);
  CHECK(ja4_hash(read_client_hello(as_bytes(body)), 't') == "t13d1516h2_8daaf6152771_e5627efa2ab1");
  const std::string none = hello_body(0x0301, "", "");
  CHECK(ja4_hash(read_client_hello(as_bytes(none)), 'q') == "q10i000000_000000000000_000000000000");
}

TEST_CASE("a hello in the form of SSL 2 that offers TLS") {
  const std::string body = "\x01\x03\x01"s + be(2, 6) + be(2, 0) + be(2, 16) +
                           "\0\0\x2f\x01\0\x80"s + std::string(16, 'c');
  const auto piece = GENERATE(values<std::size_t>({std::string_view::npos, 1, 7}));
  Stage s;
  s.client("\x80"s + static_cast<char>(body.size()) + body, piece);
  CHECK(s.flow.app == AppProto::tls);
  CHECK(s.told.at(0)[">ja3.string"] == "769,47,,,");
  s.server(record(22, server_hello(false)), piece);
  s.client(record(22, handshake(16, "keys")), piece);
  CHECK(s.told[0]["#>ssl_state"] == "1,2,4");
  CHECK(s.told[0]["#>tls.version"] == "769");
}

TEST_CASE("TLCP is read like TLS") {
  Stage s;
  const auto tlcp = [](const std::string& body) { return "\x16\x01\x01"s + block(2, body); };
  s.client(tlcp(handshake(1, "\x01\x01"s + std::string(32, 'r') + block(1, "") +
                                 block(2, hex_list({0xe013, 0xe011})) + block(1, "\0"s))));
  CHECK(s.flow.app == AppProto::tls);
  CHECK(s.told.at(0)[">ja3.string"] == "257,57363-57361,,,");
  const std::string der = certificate_der();
  s.server(tlcp(handshake(2, "\x01\x01"s + std::string(32, 'r') + block(1, "") + "\xe0\x13\0"s) +
                handshake(11, block(3, block(3, der) + block(3, der)))));
  CHECK(s.told[0].eve.find(R"("version":"TLCP 1.1")") != std::string::npos);
  CHECK(s.told[0]["#<tls.cert_chain_len"] == "2");
}

TEST_CASE("what is wrong with a handshake is an event") {
  const auto events_of = [](const std::string& client, const std::string& server = "") {
    Stage s;
    s.client(client);
    if (!server.empty()) s.server(server);
    return s.told.empty() ? Told{} : s.told.at(0);
  };
  const std::string hello = record(22, client_hello("a.cn"));
  const auto certificates = [&](const std::string& der) {
    return record(22, server_hello(false) + handshake(11, block(3, block(3, der))));
  };
  CHECK(has_event(events_of(hello + "\x30\x03\x01\x00\x01x"s), "tls.invalid_record_type"));
  CHECK(has_event(events_of(hello + "\x16\x09\x01\x00\x01x"s), "tls.invalid_record_version"));
  CHECK(has_event(events_of(hello + "\x16\x03\x01\xff\xffx"s), "tls.invalid_record_length"));
  CHECK(has_event(events_of(hello, record(22, "AAAA")), "tls.invalid_handshake_message"));
  CHECK(has_event(events_of(hello, certificates("\x30\x82\x10\x00x"s)),
                  "tls.certificate_invalid_length"));
  CHECK(has_event(events_of(hello, certificates("\x30\x02\x30\x00"s)),
                  "tls.certificate_missing_element"));
  CHECK(has_event(events_of(hello, certificates("\x30\x04\x30\x02\x04\x00"s)),
                  "tls.certificate_unknown_element"));
  CHECK(has_event(events_of(hello, certificates("not DER")), "tls.certificate_invalid_length"));
  const std::string name = block(2, "\0"s + block(2, "a.cn"));
  const auto with_names = [&](const std::string& extensions) {
    return record(22, handshake(1, hello_body(0x0303, "\0\x2f"s, extensions)));
  };
  CHECK(has_event(events_of(with_names(extension(0, name) + extension(0, name))),
                  "tls.multiple_sni_extensions"));
  CHECK(has_event(events_of(with_names(extension(0, block(2, "\x01"s + block(2, "a.cn"))))),
                  "tls.invalid_sni_type"));
  CHECK(has_event(events_of(with_names(extension(0, be(2, 99) + "\0"s + block(2, "a.cn")))),
                  "tls.invalid_sni_length"));
  CHECK(events_of(hello).events.empty());
}

TEST_CASE("a heartbeat that asks for more than it sends") {
  const auto sent = [](std::size_t payload, std::size_t real) {
    Stage s;
    s.client(record(22, client_hello("a.cn")));
    s.client(record(24, "\x01"s + be(2, payload) + std::string(real, 'p')), 4);
    return s.told.at(0);
  };
  CHECK(has_event(sent(0x4000, 1), "tls.overflow_heartbeat_message"));
  CHECK_FALSE(has_event(sent(4, 20), "tls.invalid_heartbeat_message"));
  CHECK(has_event(sent(4, 20), "tls.heartbeat_message"));
  CHECK(has_event(sent(4, 19), "tls.invalid_heartbeat_message"));
}

TEST_CASE("a heartbeat's answer that is longer than what was asked") {
  const auto answered = [](std::size_t asked, std::size_t answer) {
    Stage s;
    s.client(record(22, client_hello("a.cn")));
    s.client(record(24, "\x01"s + be(2, asked) + std::string(asked + 16, 'p')), 4);
    s.server(record(24, "\x02"s + be(2, answer) + std::string(answer + 16, 'p')), 5);
    return s.told.at(0);
  };
  CHECK_FALSE(has_event(answered(20, 20), "tls.dataleak_heartbeat_mismatch"));
  CHECK_FALSE(has_event(answered(20, 19), "tls.dataleak_heartbeat_mismatch"));
  CHECK(has_event(answered(20, 21), "tls.dataleak_heartbeat_mismatch"));
}

}  // namespace menshen::sensor
