#include "base/sandbox.hpp"

#include <cap-ng.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <thread>

#include "base/file.hpp"
#include "tests/testkit/temp_dir.hpp"

namespace menshen {
namespace {

using testkit::TempDir;

// How a process ended that entered the sandbox and then did `work`: its exit status, or minus the
// signal.
constexpr int not_entered = 99;
int in_sandbox(const SandboxPlan& plan, auto work) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (const auto entered = enter_sandbox(plan); !entered) {
      static_cast<void>(write_all(STDERR_FILENO, as_bytes(entered.error().text.en + "\n")));
      ::_exit(not_entered);
    }
    ::_exit(work());
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

bool can_open(const std::filesystem::path& path, int flags) {
  return static_cast<bool>(UniqueFd(::open(path.c_str(), flags | O_CLOEXEC, 0600)));
}

bool landlock_is_there() { return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1U) >= 1; }

// Where the kernel has no Landlock, entering must fail loudly; the rest cannot be shown there.
bool sandbox_is_possible() {
  if (landlock_is_there()) return true;
  CHECK(enter_sandbox({}).error().code == ErrorCode::unavailable);
  WARN("this kernel has no Landlock");
  return false;
}

TEST_CASE("files outside of the plan are out of reach") {
  if (!sandbox_is_possible()) return;
  const TempDir folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  folder.write("read/a", "x");
  folder.write("write/b", "x");
  folder.write("other/c", "x");
  folder.write("one", "x");
  SandboxPlan plan;
  plan.read_only = {folder / "read", folder / "one"};
  plan.read_write = {folder / "write"};
  CHECK(in_sandbox(plan, [&folder] {
          int failed = 0;
          int step = 0;
          const auto expect = [&](bool good) {
            ++step;
            if (!good && failed == 0) failed = step;
          };
          expect(can_open(folder / "read/a", O_RDONLY));
          expect(!can_open(folder / "read/a", O_WRONLY));
          expect(!can_open(folder / "read/new", O_WRONLY | O_CREAT));
          expect(can_open(folder / "one", O_RDONLY));
          expect(!can_open(folder / "one", O_RDWR));
          expect(can_open(folder / "write/b", O_RDWR | O_TRUNC));
          expect(can_open(folder / "write/new", O_WRONLY | O_CREAT));
          expect(write_file_atomic(folder / "write/b", "atomic").has_value());
          expect(::unlink((folder / "write/new").c_str()) == 0);
          expect(!can_open(folder / "other/c", O_RDONLY));
          expect(!can_open("/etc/passwd", O_RDONLY));
          expect(::truncate((folder / "other/c").c_str(), 0) != 0);
          expect(::mkdir((folder / "new").c_str(), 0700) != 0);
          expect(::unlink((folder / "other/c").c_str()) != 0);
          expect(::rename((folder / "write/b").c_str(), (folder / "other/b").c_str()) != 0);
          return failed;
        }) == 0);
  CHECK(folder.read("other/c") == "x");
}

TEST_CASE("a path that is not there is an error, not a hole") {
  if (!sandbox_is_possible()) return;
  SandboxPlan plan;
  plan.read_only = {"/no/such/folder"};
  CHECK(in_sandbox(plan, [] { return 0; }) == not_entered);
}

TEST_CASE("capabilities are gone, and do not come back") {
  if (!sandbox_is_possible()) return;
  const bool root = ::geteuid() == 0;
  SandboxPlan plan;
  plan.read_only = {"/proc"};
  if (root) plan.user = "nobody";
  CHECK(in_sandbox(plan, [root] {
          if (capng_get_caps_process() != 0) return 1;
          if (capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE) return 2;
          if (root && capng_have_capabilities(CAPNG_SELECT_BOUNDS) != CAPNG_NONE) return 3;
          if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 4;
          if (root && (::getuid() == 0 || ::geteuid() == 0 || ::getgid() == 0)) return 5;
          if (root && (::setuid(0) == 0 || ::setgid(0) == 0)) return 6;
          if (root && ::getgroups(0, nullptr) > 1) return 7;
          return 0;
        }) == 0);
}

TEST_CASE("a kept capability is there, alone") {
  if (!sandbox_is_possible()) return;
  SandboxPlan plan;
  plan.keep_capabilities = {CAP_NET_ADMIN};
  if (::geteuid() != 0) {
    CHECK(in_sandbox(plan, [] { return 0; }) == not_entered);
    return;
  }
  for (const char* user : {"nobody", ""}) {
    CAPTURE(user);
    plan.user = user;
    CHECK(in_sandbox(plan, [] {
            capng_get_caps_process();
            if (capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN) != 1) return 1;
            for (unsigned i = 0; i <= CAP_LAST_CAP; ++i) {
              if (i != CAP_NET_ADMIN && capng_have_capability(CAPNG_PERMITTED, i) == 1) return 2;
              if (capng_have_capability(CAPNG_INHERITABLE, i) == 1) return 3;
            }
            return 0;
          }) == 0);
  }
  plan.user = "no-such-user";
  CHECK(in_sandbox(plan, [] { return 0; }) == not_entered);
}

TEST_CASE("calls that no daemon makes kill it") {
  if (!sandbox_is_possible()) return;
  const auto killed_by = [](auto call) {
    SandboxPlan plan;
    plan.read_only = {"/"};
    return in_sandbox(plan, [&call] {
             static_cast<void>(call());
             return 0;
           }) == -SIGSYS;
  };
  CHECK(killed_by([] { return ::execl("/bin/true", "true", nullptr); }));
  CHECK(killed_by([] { return ::syscall(SYS_execveat, -1, "/bin/true", nullptr, nullptr, 0); }));
  CHECK(killed_by([] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }));
  CHECK(killed_by([] { return ::mount("none", "/mnt", "tmpfs", 0, nullptr); }));
  CHECK(killed_by([] { return ::umount2("/mnt", 0); }));
  CHECK(killed_by([] { return ::unshare(CLONE_NEWUSER); }));
  CHECK(killed_by([] { return ::setns(-1, 0); }));
  CHECK(killed_by(
      [] { return ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, 0); }));
  CHECK(killed_by(
      [] { return ::syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, nullptr, nullptr, nullptr, 0); }));
  for (const long call : {SYS_pivot_root,
                          SYS_chroot,
                          SYS_bpf,
                          SYS_init_module,
                          SYS_finit_module,
                          SYS_delete_module,
                          SYS_kexec_load,
                          SYS_keyctl,
                          SYS_add_key,
                          SYS_request_key,
                          SYS_perf_event_open,
                          SYS_process_vm_readv,
                          SYS_process_vm_writev,
                          SYS_swapon,
                          SYS_swapoff,
                          SYS_reboot,
                          SYS_clock_settime,
                          SYS_settimeofday,
                          SYS_open_by_handle_at,
                          SYS_userfaultfd,
                          SYS_io_uring_setup,
                          SYS_move_mount,
                          SYS_fsopen,
                          SYS_pidfd_getfd}) {
    CAPTURE(call);
    CHECK(killed_by([call] { return ::syscall(call, -1L, 0L, 0L, 0L, 0L, 0L); }));
  }
}

TEST_CASE("sockets other than Unix ones only by permission") {
  if (!sandbox_is_possible()) return;
  const auto sockets = [] {
    const auto possible = [](int family) {
      return static_cast<bool>(UniqueFd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
    };
    return (possible(AF_UNIX) ? 1 : 0) + (possible(AF_INET) ? 2 : 0) +
           (possible(AF_INET6) ? 4 : 0) + (possible(AF_NETLINK) ? 8 : 0);
  };
  SandboxPlan plan;
  CHECK(in_sandbox(plan, sockets) == 1);
  plan.network = true;
  CHECK((in_sandbox(plan, sockets) & 3) == 3);
}

TEST_CASE("a daemon's ordinary work goes on: threads, memory, descriptors it holds") {
  if (!sandbox_is_possible()) return;
  const UniqueFd held(::open("/etc/passwd", O_RDONLY | O_CLOEXEC));
  CHECK(in_sandbox({}, [&held] {
          int sum = 0;
          std::thread thread([&sum] {
            const std::string large(8U << 20U, 'x');
            sum = static_cast<int>(large.size() >> 20U);
          });
          thread.join();
          char c = 0;
          if (::pread(held.get(), &c, 1, 0) != 1) return 1;
          return sum == 8 ? 0 : 2;
        }) == 0);
}

TEST_CASE("with a second thread the sandbox would have a hole") {
  if (!sandbox_is_possible()) return;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) ::_exit(2);
    std::thread other([&ends] {
      char c = 0;
      if (::read(ends[0], &c, 1) != 1) ::_exit(3);
    });
    const auto entered = enter_sandbox({});
    if (!write_all(ends[1], as_bytes("x"))) ::_exit(4);
    other.join();
    ::_exit(!entered && entered.error().code == ErrorCode::invalid ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
#ifndef __SANITIZE_THREAD__
  CHECK(WEXITSTATUS(status) == 0);
#endif
}

}  // namespace
}  // namespace menshen
