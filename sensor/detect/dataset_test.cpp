#include "sensor/detect/dataset.hpp"

#include <catch2/catch.hpp>

#include "sensor/detect/ruleset.hpp"
#include "tests/testkit/temp_dir.hpp"

using namespace menshen;
using namespace menshen::sensor;
using testkit::TempDir;

namespace {

DatasetOptions named(std::string name, std::optional<DatasetType> type = {},
                     std::filesystem::path load = {}) {
  DatasetOptions options;
  options.name = std::move(name);
  options.type = type;
  options.load = std::move(load);
  return options;
}

DatasetOptions limited(DatasetOptions options, std::uint64_t memory_max) {
  options.memory_max = memory_max;
  return options;
}

DatasetOptions with_reputations(DatasetOptions options) {
  options.reputations = true;
  return options;
}

DatasetOptions if_there(DatasetOptions options) {
  options.load_if_there = true;
  return options;
}

std::shared_ptr<Dataset> made(Datasets& sets, const DatasetOptions& options) {
  auto set = sets.open(options);
  if (!set) FAIL(set.error().text.en);
  return *set;
}

std::size_t rejected(const std::filesystem::path& file) {
  RuleSetBuilder builder;
  REQUIRE(builder.add_file(file));
  auto rules = std::move(builder).build();
  REQUIRE(rules);
  return rules->summary().rejected;
}

}  // namespace

TEST_CASE("a set knows what was added, and what its file says") {
  const TempDir folder;
  Datasets sets;
  const auto seen = made(sets, named("seen", DatasetType::string));
  CHECK(seen->add(as_bytes("a")));
  CHECK_FALSE(seen->add(as_bytes("a")));
  CHECK(seen->contains(as_bytes("a")));
  CHECK_FALSE(seen->contains(as_bytes("A")));
  CHECK(seen->remove(as_bytes("a")));
  CHECK_FALSE(seen->remove(as_bytes("a")));

  // "bad.example" in base64.
  const auto listed = made(sets, named("listed", DatasetType::string,
                                       folder.write("l", "# names\n\nYmFkLmV4YW1wbGU=\r\n")));
  CHECK(listed->contains(as_bytes("bad.example")));
  CHECK(listed->size() == 1);
}

TEST_CASE("hashes and addresses are compared as bytes") {
  const TempDir folder;
  Datasets sets;
  const auto md5 = made(
      sets, named("m", DatasetType::md5, folder.write("m", "0CC175B9C0F1B6A831C399E269772661\n")));
  constexpr std::string_view hash =
      "\x0c\xc1\x75\xb9\xc0\xf1\xb6\xa8\x31\xc3\x99\xe2\x69\x77\x26\x61";
  CHECK(md5->contains(as_bytes(hash)));
  CHECK_FALSE(md5->contains(as_bytes("a")));
  const auto ip =
      made(sets, named("i", DatasetType::ip, folder.write("i", "10.0.0.1\n2001:db8::1\n")));
  CHECK(ip->contains(as_bytes(std::string_view("\x0a\0\0\x01", 4))));
  CHECK_FALSE(ip->contains(as_bytes(std::string_view("\x0a\0\0\x02", 4))));
}

TEST_CASE("a list of reputations gives each value's") {
  const TempDir folder;
  Datasets sets;
  const auto list = made(sets, with_reputations(named("r", DatasetType::string,
                                                      folder.write("r", "YQ==,200\nYg== , 7\n"))));
  CHECK(list->reputation(as_bytes("a")) == 200);
  CHECK(list->reputation(as_bytes("b")) == 7);
  CHECK_FALSE(list->reputation(as_bytes("c")));
}

TEST_CASE("a wrong line of a set's file is named; so is a missing file") {
  const TempDir folder;
  const std::string line = GENERATE("***", "YQ==,5", "YQ==,70000");
  Datasets sets;
  const auto wrong = sets.open(named("w", DatasetType::string, folder.write("w", "\n" + line)));
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().text.en.find("w:2") != std::string::npos);
  CHECK_FALSE(sets.open(named("n", DatasetType::string, folder / "none")));
  CHECK(sets.open(if_there(named("s", DatasetType::string, folder / "none"))));
  // Not missing: it cannot be looked for.
  CHECK_FALSE(sets.open(if_there(named("t", DatasetType::string, folder / std::string(300, 'x')))));
}

TEST_CASE("at its memory limit a set takes nothing more, and counts it") {
  Datasets sets;
  const auto set =
      made(sets, limited(named("small", DatasetType::string), 2 * (dataset_entry_bytes + 1)));
  CHECK(set->add(as_bytes("a")));
  CHECK(set->add(as_bytes("b")));
  CHECK_FALSE(set->add(as_bytes("c")));
  CHECK(set->refused() == 1);
  CHECK(set->remove(as_bytes("a")));
  CHECK(set->add(as_bytes("c")));
  const TempDir folder;
  CHECK_FALSE(
      sets.open(limited(named("file", DatasetType::string, folder.write("f", "YQ==\nYg==\n")),
                        dataset_entry_bytes + 1)));
  CHECK_FALSE(set->add(as_bytes(std::string(dataset_value_bytes_max + 1, 'x'))));
}

TEST_CASE("a name stands for one set; new rules keep what the old ones learned") {
  Datasets older;
  const auto before = made(older, named("seen", DatasetType::string));
  CHECK(before->add(as_bytes("a")));
  CHECK(made(older, named("seen")) == before);
  CHECK_FALSE(older.open(named("seen", DatasetType::md5)));
  CHECK_FALSE(older.open(named("unknown")));
  Datasets newer;
  const auto after = made(newer, named("seen", DatasetType::string));
  newer.take_from(older);
  CHECK(after->contains(as_bytes("a")));
}

TEST_CASE("rules name their sets' files beside their own") {
  const TempDir folder;
  folder.write("bad.lst", "YQ==\n");
  folder.write("bad.md5", "0cc175b9c0f1b6a831c399e269772661  a.bin\n");
  const std::string any = "alert http any any -> any any (";
  CHECK(rejected(folder.write(
            "good.rules", any + "http.uri; dataset:isset,bad,type string,load bad.lst; sid:1;)\n" +
                              any + "http.uri; dataset:isset,bad; sid:2;)\n" + any +
                              "filemd5:bad.md5; sid:3;)\n" + any + "filemd5:!bad.md5; sid:4;)\n" +
                              any +
                              "http.host; dataset:set,new,type string,memcap 1mb,hashsize "
                              "512; sid:5;)\n")) == 0);
  const std::string wrong =
      GENERATE("dataset:isset,bad,type string,load bad.lst;",              // no buffer
               "http.uri; dataset:isset,bad,type string,load other.lst;",  // no file
               "http.uri; dataset:isset,bad;",                             // no type
               "http.uri; dataset:has,bad,type string;",                   // no such operation
               "http.uri; dataset:set,bad,type string,save bad.lst;",      // not done
               "http.uri; datarep:bad,>,70000,type string;",               // beyond a reputation
               "filesha1:none;", "filesha256:bad.md5;");                   // digits of another hash
  CHECK(rejected(folder.write("wrong.rules", any + wrong + " sid:1;)\n")) == 1);
}
