#include "base/file.hpp"

#include <fcntl.h>
#include <seccomp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>

#include "base/handle.hpp"
#include "tests/testkit/temp_dir.hpp"

namespace menshen {
namespace {

using testkit::TempDir;

mode_t mode_of(const std::filesystem::path& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

std::size_t files_in(const TempDir& folder) {
  const std::filesystem::directory_iterator files(folder.path());
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST_CASE("a descriptor is closed once, by its last owner") {
  const int raw = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  UniqueFd first(raw);
  UniqueFd second(std::move(first));
  CHECK_FALSE(first);  // NOLINT(bugprone-use-after-move): what is left is the point
  CHECK(second.get() == raw);
  first = std::move(second);
  CHECK(is_open(raw));
  first.reset();
  CHECK_FALSE(is_open(raw));
  CHECK_FALSE(UniqueFd());
}

TEST_CASE("a file is read whole, up to the limit") {
  const TempDir folder;
  const auto path = folder.write("x", "12345");
  CHECK(read_file(path).value() == "12345");
  CHECK(read_file(path, 5).value() == "12345");
  CHECK(read_file(path, 4).error().code == ErrorCode::limit);
  CHECK(read_file(folder / "none").error().code == ErrorCode::not_found);
  CHECK(read_file(folder.path()).error().code == ErrorCode::invalid);
  CHECK(read_file(folder.write("empty", "")).value().empty());
  CHECK(read_file(folder.write("empty", ""), 0).value().empty());
  // Told as empty by stat, and yet there is text in it.
  CHECK_FALSE(read_file("/proc/self/status").value().empty());
  const std::string large(300'000, 'x');
  CHECK(read_file(folder.write("large", large)).value() == large);
}

TEST_CASE("a file is replaced as a whole, with its mode") {
  const TempDir folder;
  const auto path = folder.write("x", "old");
  const mode_t umask_before = ::umask(077);
  REQUIRE(write_file_atomic(path, "new", 0644));
  ::umask(umask_before);
  CHECK(folder.read("x") == "new");
  CHECK(mode_of(path) == 0644);
  CHECK(files_in(folder) == 1);
  REQUIRE(write_file_atomic(folder / "y", ""));
  CHECK(mode_of(folder / "y") == 0640);

  CHECK(write_file_atomic(folder / "none" / "x", "").error().code == ErrorCode::not_found);
  std::filesystem::create_directory(folder / "z");
  folder.write("z/file", "");
  CHECK_FALSE(write_file_atomic(folder / "z", "x"));
  CHECK(files_in(folder) == 3);
}

// In a process of its own every call named `call` fails; tells how the write ended and leaves the
// folder for a look.
enum class Outcome : int { written = 0, failed = 1, broken = 2 };
Outcome write_with_failing(const char* call, int error, const std::filesystem::path& path) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const Handle<void, &seccomp_release> filter(seccomp_init(SCMP_ACT_ALLOW));
    const int number = seccomp_syscall_resolve_name(call);
    const bool ready =
        filter && number != __NR_SCMP_ERROR &&
        seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(static_cast<std::uint32_t>(error)), number,
                         0) == 0 &&
        seccomp_load(filter.get()) == 0;
    if (!ready) ::_exit(static_cast<int>(Outcome::broken));
    const auto written = write_file_atomic(path, "new");
    ::_exit(static_cast<int>(written ? Outcome::written : Outcome::failed));
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return static_cast<Outcome>(WEXITSTATUS(status));
}

TEST_CASE("whichever call fails, the old content is there and no remains are") {
  for (const char* call : {"openat", "fchmod", "write", "fsync", "rename"}) {
    CAPTURE(call);
    const TempDir folder;
    folder.write("x", "old");
    CHECK(write_with_failing(call, ENOSPC, folder / "x") == Outcome::failed);
    CHECK(folder.read("x") == "old");
    CHECK(files_in(folder) == 1);
  }
  const TempDir folder;
  folder.write("x", "old");
  CHECK(write_with_failing("mkdir", ENOSPC, folder / "x") == Outcome::written);
  CHECK(folder.read("x") == "new");
}

TEST_CASE("a pipe without a reader is an error") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0);
  const UniqueFd reader(ends[0]);
  const UniqueFd writer(ends[1]);
  CHECK(write_all(writer.get(), as_bytes("abc")));
  CHECK(write_all(writer.get(), {}));
  const auto full = write_all(writer.get(), as_bytes(std::string(1U << 20U, 'x')));
  REQUIRE_FALSE(full);
  CHECK(full.error().code == ErrorCode::unavailable);
}

TEST_CASE("folders are made down to the last one; those there keep their mode") {
  const TempDir folder;
  std::filesystem::create_directory(folder / "a");
  std::filesystem::permissions(folder / "a", std::filesystem::perms(0711));
  const mode_t umask_before = ::umask(077);
  REQUIRE(make_directories(folder / "a" / "b" / "c"));
  ::umask(umask_before);
  CHECK(mode_of(folder / "a") == 0711);
  CHECK(mode_of(folder / "a" / "b") == 0750);
  CHECK(mode_of(folder / "a" / "b" / "c") == 0750);
  CHECK(make_directories(folder / "a" / "b" / "c"));
  CHECK(make_directories(folder / "a" / "d" / ""));
  folder.write("file", "");
  CHECK_FALSE(make_directories(folder / "file"));
  CHECK_FALSE(make_directories(folder / "file" / "x"));
}

}  // namespace
}  // namespace menshen
