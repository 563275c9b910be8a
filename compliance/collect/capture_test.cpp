#include "compliance/collect/capture.hpp"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.hpp"
#include "compliance/catalogue/catalogue.hpp"
#include "compliance/catalogue/digest.hpp"
#include "compliance/collect/process.hpp"
#include "compliance/testing/fake_host.hpp"
#include "tests/testkit/temp_dir.hpp"

namespace menshen::compliance {
namespace {

const std::string key(64, 'a');
constexpr WallTime now = 1'790'000'000LL * 1'000'000'000;

const Catalogue& catalogue() {
  static const LoadedCatalogue loaded = load_catalogue(MENSHEN_MLPS_DIR);
  REQUIRE(loaded.catalogue);
  return *loaded.catalogue;
}

std::string sealed(const std::string& body) {
  const std::string digest = sha256_hex(body);
  return body + "seal " + digest + " " + sha256_hex(key + digest) + "\n";
}

std::string run_script(const std::string& root) {
  const std::string script = collection_script(catalogue().sources, {"t-1", key, root});
  const auto done = run_process({.program = "/bin/sh",
                                 .arguments = {"sh", "-s"},
                                 .input = script,
                                 .timeout = std::chrono::minutes(2),
                                 .out_bytes_max = capture_bytes_max});
  REQUIRE(done);
  INFO(done->err);
  REQUIRE(done->status == 0);
  return done->out;
}

// A tree with what is easily read wrongly: names with blanks, no final line feed, NULs, links.
void write_tree(const testkit::TempDir& tree) {
  tree.write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nli:x:1000:1000::/home/li:/bin/sh");
  tree.write("etc/group", "root:x:0:\nsudo:x:27:li\n");
  tree.write("etc/shadow",
             "root:!:20000:0:90:7:::\nli:$6$salt$HASHHASH:20000:0:90:7:::\nwu::20000:0:90:7:::\n");
  tree.write("etc/os-release", "PRETTY_NAME=\"openEuler 22.03\"\nID=\"openEuler\"\n");
  tree.write("etc/login.defs", "PASS_MAX_DAYS 90\n");
  tree.write("etc/redis/redis.conf",
             "bind 0.0.0.0\nrequirepass hunter2\n# masterauth old-secret\n");
  tree.write("etc/my.cnf.d/client.cnf", "[client]\npassword = hunter3\n[mysqld]\nssl_ca = /x\n");
  tree.write("etc/sudoers", "root ALL=(ALL) ALL\n");
  tree.write("etc/sudoers.d/two words", "li ALL=(ALL) NOPASSWD: ALL\n");
  tree.write("etc/profile.d/tmout.sh", "TMOUT=300\n");
  tree.write("etc/postgresql/15/main/postgresql.conf", "ssl = on # yes\nlog_connections = 'on'\n");
  tree.write("etc/postgresql/15/main/pg_hba.conf", "# c\nhost all all 0.0.0.0/0 md5\n");
  tree.write("etc/docker/daemon.json", R"({"icc": false, "userns-remap": "default"})");
  tree.write("proc/7/comm", "sshd\n");
  tree.write("proc/net/tcp", "  sl\n   0: 00000000:0016 00000000:0000 0A x\n");
  tree.write("proc/net/udp", "  sl\n");
  tree.write("proc/sys/kernel/hostname", "db-01\n");
}

TEST_CASE("the script's capture shows what reading directly shows") {
  const testkit::TempDir tree;
  write_tree(tree);
  const std::string text = run_script(tree.path().string());
  const auto capture = Capture::parse(text, key);
  INFO((capture ? "" : capture.error().text.en));
  REQUIRE(capture);
  CHECK(capture->collection() == "t-1");
  CHECK(collection_of(text) == "t-1");
  const Facts direct =
      collect_host(LocalHost(tree.path()), catalogue().sources, testing::FixedClock(now), "h");
  const Facts captured = collect_host(*capture, catalogue().sources, testing::FixedClock(now), "h");
  REQUIRE(direct.all().size() == captured.all().size());
  for (const auto& [name, fact] : direct.all()) {
    INFO(name);
    const Fact& other = captured.all().find(name)->second;
    // Commands are run by the script alone: an offline tree is only read.
    if (fact.failure || fact.provenance.source.find("command ") != std::string::npos) continue;
    CHECK(fact.value == other.value);
    CHECK(fact.provenance.sha256 == other.provenance.sha256);
  }
  for (const auto& [name, fact] : captured.all()) {
    INFO(name);
    for (const char* secret : {"HASHHASH", "hunter2", "hunter3", "old-secret"})
      CHECK(fact.provenance.raw->find(secret) == std::string::npos);
  }
  const auto value = [&](std::string_view path) {
    const Facts::Found found = captured.find(path);
    return found.value == nullptr ? nlohmann::json() : *found.value;
  };
  CHECK(value("host.sudo.without_password").size() == 1);
  CHECK(value("host.accounts.empty_passwords").empty());
  CHECK(value("host.accounts.password_users") == nlohmann::json({"li"}));
  CHECK(value("host.file.postgresql.settings.ssl") == "on");
  CHECK(value("host.file.postgresql.settings.log_connections") == "on");
  CHECK(value("host.text.pg_hba.lines") == nlohmann::json({"host all all 0.0.0.0/0 md5"}));
  CHECK(value("host.file.docker.settings.icc") == false);
  CHECK(value("host.file.redis.settings.requirepass") == "<set>");
  CHECK(value("host.file.mysql.present") == true);
  CHECK(value("host.file.nginx.present") == false);
  CHECK(value("host.identity.family") == "rpm");
  CHECK(value("host.processes") == nlohmann::json({{"sshd", 1}}));
}

TEST_CASE("every changed byte of a capture breaks its seal") {
  const std::string text =
      sealed("menshen-capture/1\ncollection c\nhost h\ntime 1\nuid 0\nabsent /etc/passwd\nend 1\n");
  REQUIRE(Capture::parse(text, key));
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    INFO(i);
    CHECK(!Capture::parse(changed, key));
  }
  CHECK(!Capture::parse(text.substr(0, text.size() / 2), key));
  CHECK(!Capture::parse(text, std::string(64, 'b')));
}

TEST_CASE("what a capture could not read is an error, what it does not cover too") {
  const auto capture = Capture::parse(
      sealed("menshen-capture/1\nhost h\ntime 5\nuid 1000\ndenied /etc/shadow\nlist /etc/a\n"
             "file 81a4 root root 1 /etc/a/x\naGk=\n.\nfile 81a4 root root 1 /etc/b\naG!\n.\n"
             "denied /root\nabsent /opt\nmissing rpm\ncommand slow 124\n.\nend 8\n"),
      key);
  REQUIRE(capture);
  CHECK(!capture->as_root());
  CHECK(capture->read("/etc/a/x").value() == "hi");
  CHECK(capture->list("/etc/a").value() == std::vector<std::string>{"x"});
  CHECK(capture->read("/etc/a/y").error().code == ErrorCode::not_found);
  CHECK(capture->read("/etc/shadow").error().code == ErrorCode::denied);
  CHECK(capture->read("/etc/b").error().code == ErrorCode::denied);
  CHECK(capture->read("/root/x").error().code == ErrorCode::denied);
  CHECK(capture->list("/root").error().code == ErrorCode::denied);
  CHECK(capture->read("/opt/x").error().code == ErrorCode::not_found);
  CHECK(capture->read("/srv/x").error().code == ErrorCode::corrupt);
  CHECK(capture->run({"rpm", {"rpm"}}).error().code == ErrorCode::not_found);
  CHECK(capture->run({"slow", {"slow"}}).error().code == ErrorCode::unavailable);
  CHECK(capture->run({"other", {"other"}}).error().code == ErrorCode::corrupt);
}

TEST_CASE("a malformed capture is refused with its line") {
  const auto refused = [](const std::string& body) {
    const auto capture = Capture::parse(sealed("menshen-capture/1\n" + body), key);
    return capture ? std::string() : capture.error().text.en;
  };
  CHECK_THAT(refused("surprise /x\nend 1\n"), Catch::Contains("line 2"));
  CHECK_THAT(refused("absent /x\nend 2\n"), Catch::Contains("number of entries"));
  CHECK_THAT(refused("absent /x\n"), Catch::Contains("no end line"));
  CHECK_THAT(refused("file zz root root 1 /x\n.\nend 1\n"), Catch::Contains("file entry"));
  CHECK_THAT(refused("file 81a4 root root 1 /x\nAAA\n.\nend 1\n"), Catch::Contains("not base64"));
  CHECK_THAT(refused("file 81a4 root root 1 /x\nAAAA\n"), Catch::Contains("cut short"));
  CHECK_THAT(refused("absent x\nend 1\n"), Catch::Contains("not understood"));
}

}  // namespace
}  // namespace menshen::compliance
