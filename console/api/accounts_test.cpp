#include "console/api/accounts.hpp"

#include <catch2/catch.hpp>
#include <thread>

#include "console/api/sessions.hpp"
#include "console/testing/fake_backend.hpp"

using namespace menshen;
using namespace menshen::console;
using testkit::FakeClock;
using testkit::TempDir;

namespace {

const std::string first = "First password 1";
const std::string own = "My own password 2";

struct Bench {
  TempDir folder;
  FakeClock clock;
  std::unique_ptr<Accounts> accounts = open();

  std::unique_ptr<Accounts> open() {
    return std::move(*Accounts::open(folder / "accounts.json", "menshen", clock, cheap_cost));
  }
  std::string code(const std::string& secret) {
    clock.advance(std::chrono::minutes(1));  // a code counts once
    return *totp_code(secret, clock.wall());
  }
  // The secret of its codes.
  std::string administrator(Role role, const std::string& name) {
    const auto begun = accounts->begin_setup(role, name, first);
    REQUIRE(begun);
    REQUIRE(accounts->finish_setup(role, code(begun->secret)));
    return begun->secret;
  }
};

}  // namespace

TEST_CASE("codes are those of RFC 6238, one step either way, and count once") {
  // Appendix B: the secret "12345678901234567890", here six digits of the eight.
  const std::string secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
  CHECK(*totp_code(secret, 59'000'000'000) == "287082");
  CHECK(*totp_code(secret, 1'111'111'109'000'000'000) == "081804");
  const WallTime now = 1'111'111'109'000'000'000;
  const auto step = totp_step(secret, "081804", now, 0);
  REQUIRE(step);
  CHECK(totp_step(secret, "081804", now + 30'000'000'000, 0));
  CHECK_FALSE(totp_step(secret, "081804", now + 60'000'000'000, 0));
  CHECK_FALSE(totp_step(secret, "081804", now, *step));
  CHECK_FALSE(totp_step(secret, "81804", now, 0));
}

TEST_CASE("a password is long, of three kinds, and not the name") {
  CHECK(check_new_password("Correct horse 1", "alice"));
  CHECK_FALSE(check_new_password("Sh0rt pass!", "alice"));
  CHECK_FALSE(check_new_password("onlysmallletters", "alice"));
  CHECK_FALSE(check_new_password("Alice 2 is alice", "alice"));
  CHECK_FALSE(check_new_password("Aa1 " + std::string(password_bytes_max, 'x'), "alice"));
  CHECK_FALSE(check_new_password("Aa1 \xff\xff\xff\xff\xff\xff\xff\xff\xff", "alice"));
  const auto hash = hash_password(first, cheap_cost);
  REQUIRE(hash);
  CHECK(hash->starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
  CHECK(*hash != *hash_password(first, cheap_cost));
  CHECK(password_matches(*hash, first));
  CHECK_FALSE(password_matches(*hash, own));
  CHECK_FALSE(password_matches("not a hash", first));
}

TEST_CASE("signing in needs name, password and a fresh code") {
  Bench bench;
  const std::string secret = bench.administrator(Role::security, "alice");
  CHECK(bench.accounts->sign_in("alice", first, bench.code(secret)));
  const std::string used = bench.code(secret);
  CHECK(bench.accounts->sign_in("alice", first, used));
  CHECK(bench.accounts->sign_in("alice", first, used).error().code == ErrorCode::denied);
  CHECK_FALSE(bench.accounts->sign_in("alice", own, bench.code(secret)));
  CHECK_FALSE(bench.accounts->sign_in("alice", first, ""));
  const auto nobody = bench.accounts->sign_in("nobody", first, "123456");
  const auto wrong = bench.accounts->sign_in("alice", own, "123456");
  CHECK(nobody.error().text == wrong.error().text);
}

TEST_CASE("failures lock a name for a time, whether it exists or not") {
  Bench bench;
  const std::string secret = bench.administrator(Role::security, "alice");
  for (const std::string name : {"alice", "nobody"}) {
    for (int i = 0; i < failures_max; ++i) {
      CHECK(bench.accounts->sign_in(name, own, "000000").error().code == ErrorCode::denied);
    }
    CHECK(bench.accounts->sign_in(name, own, "000000").error().code == ErrorCode::limit);
  }
  CHECK(bench.accounts->sign_in("alice", first, bench.code(secret)).error().code ==
        ErrorCode::limit);
  bench.clock.advance(lock_time);
  CHECK(bench.accounts->sign_in("alice", first, bench.code(secret)));
}

TEST_CASE("a new account enrols at its first sign-in, with a password of its own") {
  Bench bench;
  REQUIRE(bench.accounts->add("bob", Role::inspector, {}, first, "alice"));
  CHECK(bench.accounts->add("bob", Role::audit, {}, first, "alice").error().code ==
        ErrorCode::exists);
  const auto account = bench.accounts->sign_in("bob", first, "");
  REQUIRE(account);
  CHECK(account->totp_secret.empty());
  const auto begun = bench.accounts->begin_enrolment("bob");
  REQUIRE(begun);
  CHECK(begun->uri.starts_with("otpauth://totp/menshen:bob?secret="));
  CHECK_FALSE(bench.accounts->enrol("bob", first, first, bench.code(begun->secret)));
  CHECK_FALSE(bench.accounts->enrol("bob", first, own, "000000"));
  REQUIRE(bench.accounts->enrol("bob", first, own, bench.code(begun->secret)));
  CHECK_FALSE(bench.accounts->sign_in("bob", first, bench.code(begun->secret)));
  CHECK(bench.accounts->sign_in("bob", own, bench.code(begun->secret)));
  CHECK_FALSE(bench.accounts->begin_enrolment("bob"));
  bench.accounts = bench.open();
  CHECK(bench.accounts->sign_in("bob", own, bench.code(begun->secret)));
  REQUIRE(bench.accounts->reset("bob", first));
  CHECK(bench.accounts->sign_in("bob", first, "")->totp_secret.empty());
}

TEST_CASE("of an account that was removed nothing counts for the next of its name") {
  Bench bench;
  REQUIRE(bench.accounts->add("bob", Role::inspector, {}, first, "alice"));
  const auto before = bench.accounts->begin_enrolment("bob");
  REQUIRE(before);
  REQUIRE(bench.accounts->remove("bob"));
  REQUIRE(bench.accounts->add("bob", Role::inspector, {}, own, "alice"));
  CHECK(bench.accounts->begin_enrolment("bob")->secret != before->secret);
}

TEST_CASE("an administrator's reset wins over a password that is being changed") {
  Bench bench;
  const std::string theirs = "The thief's one 3";
  for (int round = 0; round < 50; ++round) {
    INFO(round);
    const std::string name = "user" + std::to_string(round);
    REQUIRE(bench.accounts->add(name, Role::inspector, {}, first, "alice"));
    const auto begun = bench.accounts->begin_enrolment(name);
    REQUIRE(bench.accounts->enrol(name, first, own, bench.code(begun->secret)));
    const std::string code = bench.code(begun->secret);
    std::thread thief(
        [&] { static_cast<void>(bench.accounts->change_password(name, own, theirs, code)); });
    const bool reset = bench.accounts->reset(name, first).has_value();
    thief.join();
    REQUIRE(reset);
    CHECK(bench.accounts->sign_in(name, first, ""));
    REQUIRE(bench.accounts->remove(name));
  }
}

TEST_CASE("accounts that could not be read again are not stored") {
  Bench bench;
  const std::vector<std::string> long_names(account_domains_max, std::string(1000, 'd'));
  Result<void> added;
  std::size_t there = 0;
  while (added && there < accounts_max) {
    added = bench.accounts->add("t" + std::to_string(there), Role::tenant, long_names, first, "s");
    if (added) ++there;
  }
  REQUIRE_FALSE(added);
  CHECK(added.error().code == ErrorCode::limit);
  bench.accounts = bench.open();
  CHECK(bench.accounts->list().size() == there);
}

TEST_CASE("the last administrator of a role stays, and tenants name their domains") {
  Bench bench;
  static_cast<void>(bench.administrator(Role::system, "sys"));
  CHECK(bench.accounts->remove("sys").error().code == ErrorCode::denied);
  CHECK(bench.accounts->set_disabled("sys", true).error().code == ErrorCode::denied);
  CHECK(bench.accounts->reset("sys", own).error().code == ErrorCode::denied);
  CHECK_FALSE(bench.accounts->add("t", Role::tenant, {}, first, "sys"));
  CHECK_FALSE(bench.accounts->add("i", Role::inspector, {"tax"}, first, "sys"));
  CHECK(bench.accounts->add("t", Role::tenant, {"tax"}, first, "sys"));
  for (const char* name : {"", "Upper", "1st", "a/b", "a b", "\xe9\x97\xa8"}) {
    CHECK_FALSE(bench.accounts->add(name, Role::inspector, {}, first, "sys"));
  }
  CHECK(bench.accounts->remove("t"));
}

TEST_CASE("a damaged file of accounts is an error, not an empty console") {
  Bench bench;
  bench.folder.write("accounts.json", R"({"version":1,"accounts":[{"name":"a"}]})");
  const auto opened =
      Accounts::open(bench.folder / "accounts.json", "menshen", bench.clock, cheap_cost);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == ErrorCode::corrupt);
}

TEST_CASE("sessions end by idleness, by age, by number and by order") {
  FakeClock clock;
  Sessions sessions({std::chrono::minutes(15), std::chrono::hours(1)}, clock);
  Account account;
  account.name = "alice";
  const auto [secret, session] = sessions.start(account, "192.0.2.7");
  CHECK(sessions.find(secret, true)->csrf == session.csrf);
  CHECK_FALSE(sessions.find(secret + "x", true));
  SECTION("idle, which what pages do alone does not prevent") {
    clock.advance(std::chrono::minutes(14));
    CHECK(sessions.find(secret, false));
    clock.advance(std::chrono::minutes(1));
    CHECK_FALSE(sessions.find(secret, true));
  }
  SECTION("age, however busy") {
    for (int i = 0; i < 5; ++i) {
      clock.advance(std::chrono::minutes(11));
      CHECK(sessions.find(secret, true));
    }
    clock.advance(std::chrono::minutes(5));
    CHECK_FALSE(sessions.find(secret, true));
  }
  SECTION("number: the oldest goes") {
    for (std::size_t i = 0; i < sessions_of_account_max; ++i) {
      clock.advance(std::chrono::seconds(1));
      static_cast<void>(sessions.start(account, "192.0.2.7"));
    }
    CHECK(sessions.list().size() == sessions_of_account_max);
    CHECK_FALSE(sessions.find(secret, true));
  }
  SECTION("order") {
    CHECK(sessions.end(session.id));
    CHECK_FALSE(sessions.end(session.id));
    CHECK_FALSE(sessions.find(secret, true));
  }
}
