#include "audit/backup/backup.hpp"

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <thread>

#include "audit/store/query.hpp"
#include "audit/store/recover.hpp"
#include "audit/store/store.hpp"
#include "audit/testing/samples.hpp"
#include "audit/verify/witness.hpp"
#include "base/file.hpp"
#include "tests/testkit/fake_clock.hpp"
#include "tests/testkit/temp_dir.hpp"

using namespace menshen;
using namespace menshen::audit;
namespace fs = std::filesystem;

namespace {

StoreOptions options_of(const fs::path& directory) {
  StoreOptions options;
  options.directory = directory;
  options.segment_records_max = 256;
  options.index = false;
  return options;
}

Store filled(const fs::path& directory, std::uint64_t count) {
  auto store = Store::open(options_of(directory));
  REQUIRE(store);
  std::vector<Record> records;
  for (std::uint64_t i = 1; i <= count; ++i) records.push_back(sample_alert(i));
  REQUIRE(store->append(std::span<const Record>(records)));
  REQUIRE(store->checkpoint());
  return std::move(*store);
}

void append_one(Store& store, std::uint64_t n) {
  const Record record = sample_alert(n);
  REQUIRE(store.append(std::span(&record, 1)));
}

SignedNote note_of(Store& store) {
  auto note = store.checkpoint();
  REQUIRE(note);
  return *note;
}

Result<VerifyReport> verify_against(const fs::path& store, std::vector<SignedNote> notes) {
  VerifyOptions options;
  options.witnessed = std::move(notes);
  return verify(store, options);
}

std::string proof_of(const fs::path& store, std::uint64_t n) {
  return Reader::open(store)->prover()->prove(n)->to_json();
}
std::string consistency_since(const fs::path& store, const SignedNote& note) {
  return Reader::open(store)->prover()->prove_since(note)->to_json();
}

}  // namespace

TEST_CASE("a store is copied while it is written to, and the copy verifies and opens") {
  testkit::TempDir dir;
  Store store = filled(dir / "store", 700);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (std::uint64_t n = 10'000; !stop; ++n) append_one(store, n);
  });
  const auto report = backup_store(dir / "store", dir / "copy", WithKey::yes);
  stop = true;
  writer.join();
  REQUIRE(report);
  CHECK(report->intact);
  CHECK(report->records >= 700);
  const auto again = restore_store(dir / "copy", dir / "restored", "li.wei");
  REQUIRE(again);
  CHECK(again->records == report->records);
  auto opened = Store::open(options_of(dir / "restored"));
  REQUIRE(opened);
  append_one(*opened, 5);
  Filter filter;
  filter.action = "store.restore";
  const auto found = Reader::open(dir / "restored")->find(filter);
  REQUIRE(found);
  REQUIRE(found->size() == 1);
  CHECK(found->front().record.subject == "li.wei");
}

TEST_CASE("a backup goes nowhere but into an empty folder, and a damaged one is not restored") {
  testkit::TempDir dir;
  Store store = filled(dir / "store", 300);
  dir.write("full/file", "x");
  CHECK(backup_store(dir / "store", dir / "full", WithKey::no).error().code == ErrorCode::exists);
  REQUIRE(backup_store(dir / "store", dir / "copy", WithKey::no));
  CHECK_FALSE(fs::exists(StorePaths::in(dir / "copy").signing_key));
  const auto segment = StorePaths::in(dir / "copy").segment(1);
  std::string bytes = *read_file(segment);
  const std::size_t block = bytes.find("MSBK");
  REQUIRE(block != std::string::npos);
  bytes[block + 100] = static_cast<char>(bytes[block + 100] ^ 1);
  REQUIRE(write_file_atomic(segment, bytes));
  const auto restored = restore_store(dir / "copy", dir / "restored", "x");
  REQUIRE_FALSE(restored);
  CHECK(restored.error().code == ErrorCode::corrupt);
  CHECK_FALSE(fs::exists(dir / "restored"));
  CHECK(backup_store(dir / "nothing", dir / "c", WithKey::no).error().code == ErrorCode::not_found);
}

TEST_CASE("a rewrite by the holder of the key is found by any checkpoint kept elsewhere") {
  testkit::TempDir dir;
  std::vector<SignedNote> seen;
  {
    Store store = filled(dir / "store", 300);
    seen.push_back(note_of(store));
    for (std::uint64_t n = 1'000; n < 1'010; ++n) {
      append_one(store, n);
      seen.push_back(note_of(store));
    }
    REQUIRE(store.close());
  }
  auto honest = verify_against(dir / "store", seen);
  REQUIRE(honest);
  CHECK(honest->intact);
  // The key's holder makes everything anew, without one record.
  REQUIRE(make_directories(dir / "forged"));
  fs::copy_file(dir / "store" / "signing.key", dir / "forged" / "signing.key");
  fs::permissions(dir / "forged" / "signing.key", fs::perms(0600));
  {
    auto forged = Store::open(options_of(dir / "forged"));
    REQUIRE(forged);
    std::vector<Record> records;
    for (std::uint64_t i = 1; i <= 400; ++i) {
      if (i != 77) records.push_back(sample_alert(i));
    }
    REQUIRE(forged->append(std::span<const Record>(records)));
    REQUIRE(forged->close());
  }
  const auto alone = verify(dir / "forged");
  REQUIRE(alone);
  CHECK(alone->intact);
  for (const SignedNote& note : {seen.front(), seen[5], seen.back()}) {
    const auto report = verify_against(dir / "forged", {note});
    REQUIRE(report);
    REQUIRE(report->first_break);
    CHECK(report->first_break->kind == BreakKind::rewritten);
    CHECK(report->first_break->checkpoint == note.checkpoint.number);
  }
}

TEST_CASE("a witness follows a store, signs what it saw, and refuses a rewrite") {
  testkit::TempDir dir;
  testkit::FakeClock clock;
  const auto key = SigningKey::generate(Profile::sm);
  REQUIRE(key);
  const auto ledger = dir / "ledger";
  Store store = filled(dir / "store", 300);
  const SignedNote first = note_of(store);
  const auto seen = witness(ledger, *key, proof_of(dir / "store", 1), "", clock);
  REQUIRE(seen);
  CHECK(seen->fresh);
  CHECK_FALSE(witness(ledger, *key, proof_of(dir / "store", 1), "", clock)->fresh);
  append_one(store, 1'000);
  const SignedNote second = note_of(store);
  // A proof alone does not show that the later one holds the earlier.
  CHECK(witness(ledger, *key, proof_of(dir / "store", 1), "", clock).error().code ==
        ErrorCode::invalid);
  REQUIRE(witness(ledger, *key, consistency_since(dir / "store", first), "", clock));
  const std::string text = *read_file(ledger);
  const auto notes = parse_witness(text, &key->public_key());
  REQUIRE(notes);
  REQUIRE(notes->size() == 2);
  CHECK((*notes)[1].text == second.text);
  CHECK(verify_against(dir / "store", *notes)->intact);
  // Another's signature, or none, is not the witness'.
  const auto other = SigningKey::generate(Profile::sm);
  CHECK(parse_witness(text, &other->public_key()).error().code == ErrorCode::corrupt);
  CHECK(parse_witness(first.text + "\n", &key->public_key()).error().code == ErrorCode::corrupt);
  CHECK(parse_witness(first.text + "\n" + second.text + "\n")->size() == 2);
  // Another pin, another store.
  CHECK_FALSE(witness(ledger, *key, consistency_since(dir / "store", second), "sm3:00", clock));
  Store stranger = filled(dir / "stranger", 400);
  CHECK_FALSE(witness(ledger, *key, proof_of(dir / "stranger", 1), "", clock));
}

TEST_CASE("half an entry does not stay in a ledger") {
  testkit::TempDir dir;
  Store store = filled(dir / "store", 10);
  const std::string entry = note_of(store).text + "\n";
  REQUIRE(append_entry(dir / "notes", entry));
  // A disk that fills in the middle of the second.
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{entry.size() + 20, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const auto full = append_entry(dir / "notes", entry);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK_FALSE(full);
  REQUIRE(append_entry(dir / "notes", entry));
  const auto notes = parse_witness(dir.read("notes"));
  REQUIRE(notes);
  CHECK(notes->size() == 2);
}

TEST_CASE("a log of the forwarder's messages is a witness; anything else is not") {
  testkit::TempDir dir;
  Store store = filled(dir / "store", 10);
  const SignedNote note = note_of(store);
  const std::string log = "Nov 23 x\n<110>1 - a b - checkpoint [x note=\"" +
                          to_base64(as_bytes(note.text)) + "\"]\nmore\n";
  const auto notes = parse_witness(log);
  REQUIRE(notes);
  REQUIRE(notes->size() == 1);
  CHECK(notes->front().text == note.text);
  CHECK(parse_witness("nothing").error().code == ErrorCode::invalid);
  CHECK(parse_witness("x note=\"!!\"").error().code == ErrorCode::corrupt);
  CHECK(parse_witness(note.text.substr(0, 200)).error().code == ErrorCode::corrupt);
}

TEST_CASE("after the key was lost the store goes on, and only an accepted key makes it whole") {
  testkit::TempDir dir;
  std::string old;
  SignedNote seen;
  {
    Store store = filled(dir / "store", 300);
    old = store.status().fingerprint;
    seen = note_of(store);
    REQUIRE(store.close());
  }
  auto options = options_of(dir / "store");
  CHECK(replace_lost_key(options, "disk").error().code == ErrorCode::exists);
  fs::remove(dir / "store" / "signing.key");
  CHECK(Store::open(options).error().code == ErrorCode::corrupt);
  CHECK(replace_lost_key(options, "").error().code == ErrorCode::invalid);
  const auto fresh = replace_lost_key(options, "disk");
  REQUIRE(fresh);
  CHECK(*fresh != old);
  {
    auto store = Store::open(options);
    REQUIRE(store);
    append_one(*store, 1'000);
    REQUIRE(store->close());
  }
  const auto doubted = verify(dir / "store");
  REQUIRE(doubted);
  REQUIRE(doubted->first_break);
  CHECK(doubted->first_break->kind == BreakKind::key_changed);
  VerifyOptions accepting;
  accepting.accept_keys = {*fresh};
  accepting.witnessed = {seen};
  const auto whole = verify(dir / "store", accepting);
  REQUIRE(whole);
  CHECK(whole->intact);
  accepting.accept_keys = {old};
  CHECK_FALSE(verify(dir / "store", accepting)->intact);
}
