#include "apps/sensord/file_keeper.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <future>
#include <nlohmann/json.hpp>

#include "base/file.hpp"
#include "sensor/proto/file.hpp"
#include "tests/testkit/temp_dir.hpp"

namespace menshen::apps {
namespace {

using namespace std::chrono_literals;
using Verdict = ScanAnswer::Verdict;
using namespace std::string_literals;

// The harmless file that every scanner's test signature names; in two parts, so that none finds it
// in this source.
const std::string eicar =
    R"(X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-)"s + "ANTIVIRUS-TEST-FILE!$H+H*";

sockaddr_un address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.native().copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

// Answers each connection with the same bytes, after it has read a whole INSTREAM, and keeps what
// it was given. Without an answer it holds the connection until it ends.
class FakeClamd {
 public:
  FakeClamd(const std::filesystem::path& path, std::optional<std::string> answer)
      : answer_(std::move(answer)), listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_un address = address_of(path);
    const auto* where = reinterpret_cast<const sockaddr*>(&address);
    REQUIRE(::bind(listener_.get(), where, sizeof address) == 0);
    REQUIRE(::listen(listener_.get(), 16) == 0);
    thread_ = std::thread([this] { run(); });
  }
  ~FakeClamd() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::string given;          // after the answer has come
  std::atomic<int> asked{0};  // whole questions

 private:
  void run() {
    while (true) {
      UniqueFd peer(::accept(listener_.get(), nullptr, nullptr));
      if (!peer) return;
      serve(peer.get());
      if (!answer_) held_.push_back(std::move(peer));
    }
  }
  void serve(int peer) {
    std::string bytes;
    while (!bytes.ends_with("\0\0\0\0"s)) {
      std::array<char, 4096> buffer{};
      const ssize_t got = ::read(peer, buffer.data(), buffer.size());
      if (got <= 0) return;
      bytes.append(buffer.data(), static_cast<std::size_t>(got));
    }
    given = bytes;
    ++asked;
    if (answer_) static_cast<void>(write_all(peer, as_bytes(*answer_)));
  }

  std::optional<std::string> answer_;
  UniqueFd listener_;
  std::vector<UniqueFd> held_;
  std::thread thread_;
};

FileJob job(std::string bytes, bool store, bool whole = true) {
  auto content = std::make_shared<sensor::FileContent>();
  content->bytes = std::move(bytes);
  content->store = store;
  content->whole = whole;
  return {R"({"event_type":"fileinfo","fileinfo":{"filename":"f","stored":false},"z":1})",
          std::move(content),
          {},
          {}};
}

// What a keeper told, of threads.
class Told {
 public:
  FileKeeper::Outputs outputs() {
    return {.event =
                [this](std::string line) {
                  const std::lock_guard lock(mutex_);
                  lines_.push_back(std::move(line));
                },
            .record =
                [this](audit::Record record) {
                  const std::lock_guard lock(mutex_);
                  records_.push_back(std::move(record));
                }};
  }
  std::vector<nlohmann::json> files() {
    const std::lock_guard lock(mutex_);
    std::vector<nlohmann::json> all;
    for (const auto& line : lines_) all.push_back(nlohmann::json::parse(line).at("fileinfo"));
    return all;
  }
  std::vector<audit::Record> records() {
    const std::lock_guard lock(mutex_);
    return records_;
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return lines_.size();
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> lines_;
  std::vector<audit::Record> records_;
};

FileKeeperOptions storing(const testkit::TempDir& folder) {
  FileKeeperOptions options;
  options.store.emplace();
  options.store->directory = folder / "files";
  options.store->free_bytes_min = 0;
  return options;
}

std::unique_ptr<FileKeeper> started(const FileKeeperOptions& options, Told& told) {
  auto keeper = FileKeeper::start(options, told.outputs());
  REQUIRE(keeper);
  return std::move(*keeper);
}

void take(FileKeeper& keeper, FileJob wanted) { REQUIRE(keeper.take(wanted)); }

// Until the keeper has told of so many files. The deadline is the test's (ctest).
void wait_for(Told& told, std::size_t files) {
  while (told.count() < files) std::this_thread::yield();
}

}  // namespace

TEST_CASE("clamd's answers, and those that are none") {
  const auto [answer, verdict, text] = GENERATE(table<std::string, Verdict, std::string>({
      {"stream: OK\0"s, Verdict::clean, ""},
      {"stream: Win.Test.A FOUND\0"s, Verdict::infected, "Win.Test.A"},
      {"stream: OK", Verdict::clean, ""},  // the connection ends it
      {"INSTREAM size limit exceeded. ERROR\0"s, Verdict::failed,
       "clamd: INSTREAM size limit exceeded. ERROR"},
      {"stream:  FOUND\0"s, Verdict::failed, "clamd:  FOUND"},
      {"", Verdict::failed, "clamd closed the connection without an answer"},
  }));
  CAPTURE(answer);
  const testkit::TempDir folder;
  const std::string bytes(100'000, 'x');
  FakeClamd fake(folder / "s", answer);
  const ScanAnswer got = Clamd(folder / "s", 60s).scan(bytes);
  CHECK(got.verdict == verdict);
  CHECK(got.text == text);
  // In pieces of 64 KiB, each behind its length.
  const std::string sent = "zINSTREAM\0"s + "\x00\x01\x00\x00"s + std::string(65'536, 'x') +
                           "\x00\x00\x86\xa0"s + std::string(34'464, 'x') + "\0\0\0\0"s;
  CHECK((fake.given == sent));
}

TEST_CASE("a clamd that is not there, that says too much, that never answers") {
  const testkit::TempDir folder;
  CHECK(Clamd(folder / "none", 60s).scan("x").verdict == Verdict::failed);
  CHECK(Clamd(std::string(200, 'x'), 60s).scan("x").verdict == Verdict::failed);
  {
    const FakeClamd fake(folder / "long", std::string(5000, 'a'));
    CHECK(Clamd(folder / "long", 60s).scan("x").verdict == Verdict::failed);
  }
  const FakeClamd fake(folder / "mute", std::nullopt);
  const ScanAnswer late = Clamd(folder / "mute", 50ms).scan("x");
  CHECK(late.verdict == Verdict::failed);
  CHECK(late.text.ends_with(std::generic_category().message(ETIMEDOUT)));
}

TEST_CASE("a file that a rule wants is stored, and its event says so") {
  const testkit::TempDir folder;
  Told told;
  const auto keeper = started(storing(folder), told);
  take(*keeper, job("content", true));
  take(*keeper, job("content", true));
  take(*keeper, job("not wanted", false));
  take(*keeper, job("the beginni", true, false));
  keeper->stop();
  const auto files = told.files();
  REQUIRE(files.size() == 4);
  const std::string digest = sensor::hash_hex(sensor::FileHash::sha256, as_bytes("content"));
  CHECK(files[0].at("stored") == true);
  CHECK(files[0].at("sha256") == digest);
  CHECK_FALSE(files[0].contains("stored_size"));
  CHECK(files[1].at("stored") == true);
  CHECK(files[2].at("stored") == false);
  CHECK(files[3].at("stored") == true);
  CHECK(files[3].at("stored_size") == 11);
  CHECK_FALSE(files[3].contains("sha256"));
  CHECK(folder.read("files/" + digest.substr(0, 2) + "/" + digest) == "content");
  const auto beside =
      nlohmann::json::parse(folder.read("files/" + digest.substr(0, 2) + "/" + digest + ".json"));
  CHECK(beside.at("fileinfo").at("stored") == true);
  const FileKeeperStats stats = keeper->stats();
  CHECK(stats.stored == 2);
  CHECK(stats.known == 1);
  CHECK(stats.unscanned == 0);
  CHECK(told.records().empty());
}

TEST_CASE("a file that has no place in the store: its event says that it is not stored") {
  const testkit::TempDir folder;
  FileKeeperOptions options = storing(folder);
  options.store->bytes_max = 3;
  Told told;
  const auto keeper = started(options, told);
  take(*keeper, job("content", true, false));
  keeper->stop();
  CHECK(told.files().at(0).at("stored") == false);
  CHECK_FALSE(told.files().at(0).contains("stored_size"));
  CHECK(keeper->stats().full == 1);
}

TEST_CASE("a queue of files takes what fits, and gives it in order") {
  FileQueue queue(10, 3);
  const auto push = [&](std::string bytes) {
    FileJob one = job(std::move(bytes), false);
    const bool taken = queue.push(one);
    CHECK((one.content == nullptr) == taken);
    return taken;
  };
  CHECK(push("1234567"));
  CHECK_FALSE(push("1234"));
  CHECK(push("abc"));
  CHECK(push(""));
  CHECK_FALSE(push(""));  // as many files as may wait
  CHECK(queue.pop()->content->bytes == "1234567");
  CHECK(push("1234567"));
  queue.close();
  CHECK_FALSE(push(""));
  CHECK(queue.pop()->content->bytes == "abc");
  CHECK(queue.pop());
  CHECK(queue.pop());
  CHECK_FALSE(queue.pop());
}

TEST_CASE("while clamd does not answer, files are stored, and what waits too long is counted") {
  const testkit::TempDir folder;
  std::optional<FakeClamd> mute(std::in_place, folder / "s", std::nullopt);
  FileKeeperOptions options = storing(folder);
  options.clamd_socket = folder / "s";
  options.clamd_timeout = 3600s;
  options.waiting_files_max = 2;
  Told told;
  auto keeper = started(options, told);
  // One is asked about, two wait; the others are stored all the same.
  take(*keeper, job("0", true));
  while (mute->asked == 0) std::this_thread::yield();
  for (int i = 1; i < 8; ++i) {
    FileJob next = job(std::to_string(i), true);
    while (!keeper->take(next)) std::this_thread::yield();
  }
  wait_for(told, 5);
  CHECK(keeper->stats().unscanned == 5);
  for (const auto& file : told.files()) {
    CHECK(file.at("stored") == true);
    CHECK(file.at("scan").at("verdict") == "skipped");
  }
  CHECK(keeper->stats().stored == 8);
  // The keeper's end waits for the question that is under way: let clamd go away.
  auto stopped = std::async(std::launch::async, [&] { keeper->stop(); });
  mute.reset();
  stopped.get();
  CHECK(told.count() == 8);
  CHECK(keeper->stats().unscanned == 8);
}

// ---- a real clamd -------------------------------------------------------------------------------

namespace {

constexpr const char* clamd_program = "/usr/sbin/clamd";

// With a database of one signature, the test's own.
class RealClamd {
 public:
  explicit RealClamd(const testkit::TempDir& folder) : socket_(folder / "clamd.sock") {
    std::string hex;
    for (const char c : eicar) hex += fmt(c);
    folder.write("db/test.ndb", "Eicar-Test-Signature:0:*:" + hex + "\n");
    const auto config =
        folder.write("clamd.conf", "Foreground yes\nLocalSocket " + socket_.string() +
                                       "\nDatabaseDirectory " + (folder / "db").string() + "\n");
    pid_ = ::fork();
    if (pid_ == 0) {
      const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
      ::dup2(null, STDOUT_FILENO);
      ::dup2(null, STDERR_FILENO);
      ::execl(clamd_program, clamd_program, "-c", config.c_str(), nullptr);
      ::_exit(127);
    }
    REQUIRE(pid_ > 0);
    while (!answers()) {
      REQUIRE(::waitpid(pid_, nullptr, WNOHANG) == 0);  // it has ended
      std::this_thread::yield();
    }
  }
  ~RealClamd() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] const std::filesystem::path& socket() const { return socket_; }

 private:
  static std::string fmt(char c) {
    constexpr std::string_view digits = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    return {digits[byte >> 4U], digits[byte & 15U]};
  }
  [[nodiscard]] bool answers() const {
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = address_of(socket_);
    return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }

  std::filesystem::path socket_;
  pid_t pid_ = -1;
};

}  // namespace

TEST_CASE("a real clamd finds the test signature: event and audit record say so") {
  if (::access(clamd_program, X_OK) != 0) {
    WARN("skipped: " << clamd_program << " is not installed (packaging/test-dependencies)");
    return;
  }
  const testkit::TempDir folder;
  const RealClamd clamd(folder);
  FileKeeperOptions options = storing(folder);
  options.clamd_socket = clamd.socket();
  options.clamd_timeout = 60s;
  Told told;
  const auto keeper = started(options, told);
  FileJob bad = job(eicar, true);
  bad.record.action = "file.virus";
  bad.record.detail = R"({"file":{"filename":"f"}})";
  take(*keeper, std::move(bad));
  take(*keeper, job("harmless", false));
  wait_for(told, 2);
  keeper->stop();
  const auto files = told.files();
  CHECK(files[0].at("scan").at("verdict") == "infected");
  CHECK(files[0].at("virus") == "Eicar-Test-Signature.UNOFFICIAL");
  CHECK(files[0].at("stored") == true);
  CHECK(files[1].at("scan").at("verdict") == "clean");
  CHECK_FALSE(files[1].contains("virus"));
  const auto records = told.records();
  REQUIRE(records.size() == 1);
  CHECK(records[0].action == "file.virus");
  CHECK(records[0].object == "Eicar-Test-Signature.UNOFFICIAL");
  const auto detail = nlohmann::json::parse(records[0].detail);
  CHECK(detail.at("file").at("filename") == "f");
  CHECK(detail.at("sha256") == sensor::hash_hex(sensor::FileHash::sha256, as_bytes(eicar)));
  const FileKeeperStats stats = keeper->stats();
  CHECK(stats.scanned == 2);
  CHECK(stats.infected == 1);
  CHECK(stats.unscanned == 0);
}

}  // namespace menshen::apps
