#include "base/sandbox.hpp"

#include <cap-ng.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <utility>

#include "base/file.hpp"
#include "base/handle.hpp"
#include "base/users.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define MENSHEN_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MENSHEN_ADDRESS_SANITIZER 1
#endif
#endif
#ifdef MENSHEN_ADDRESS_SANITIZER
#include <sanitizer/lsan_interface.h>
#endif

namespace menshen {
namespace {

using SeccompFilter = Handle<void, &seccomp_release>;

// Newer than the kernel headers of Debian 12; masked by what the running kernel's ABI version
// knows.
constexpr std::uint64_t access_truncate = 1ULL << 14U;   // ABI 3
constexpr std::uint64_t access_ioctl_dev = 1ULL << 15U;  // ABI 5

constexpr std::uint64_t access_abi_1 =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
    LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
    LANDLOCK_ACCESS_FS_MAKE_SYM;
// The rights that mean something for what is not a folder; others on it are EINVAL.
constexpr std::uint64_t access_of_files =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
    access_truncate | access_ioctl_dev;
constexpr std::uint64_t access_read = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t access_never =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;

constexpr int abi_truncate = 3;

std::uint64_t access_known_to(int abi) {
  std::uint64_t access = access_abi_1;
  if (abi >= 2) access |= LANDLOCK_ACCESS_FS_REFER;
  if (abi >= abi_truncate) access |= access_truncate;
  if (abi >= 5) access |= access_ioctl_dev;
  return access;
}

// Calls that no daemon of ours makes once it is set up: one of them is an intruder's.
constexpr std::array killing_calls = {
    // other programs, other processes
    "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise",
    "pidfd_getfd", "kcmp",
    // another view of the system
    "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen",
    "fsconfig", "fsmount", "fspick", "mount_setattr", "setns", "unshare", "open_by_handle_at",
    "swapon", "swapoff", "quotactl", "acct",
    // the kernel itself
    "bpf", "init_module", "finit_module", "delete_module", "create_module", "kexec_load",
    "kexec_file_load", "perf_event_open", "userfaultfd", "iopl", "ioperm", "modify_ldt", "uselib",
    "reboot", "syslog", "lookup_dcookie", "nfsservctl", "vhangup",
    // keys, clock, names
    "keyctl", "add_key", "request_key", "settimeofday", "clock_settime", "clock_adjtime",
    "adjtimex", "stime", "sethostname", "setdomainname",
    // io_uring makes calls that this filter never sees
    "io_uring_setup", "io_uring_enter", "io_uring_register"};

constexpr std::array<std::uint64_t, 8> namespace_flags = {
    CLONE_NEWNS,  CLONE_NEWUTS, CLONE_NEWIPC,    CLONE_NEWUSER,
    CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP, 0x00000080 /* CLONE_NEWTIME */};

// Landlock and capabilities apply to the calling thread: a second thread would keep all rights.
Result<void> require_one_thread() {
#ifndef __SANITIZE_THREAD__  // ThreadSanitizer has a thread of its own
  std::error_code error;
  std::size_t threads = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", error)) {
    static_cast<void>(task);
    ++threads;
  }
  if (threads > 1) {
    return fail(ErrorCode::invalid, {"沙箱须在启动其他线程之前进入",
                                     "the sandbox must be entered before other threads start"});
  }
#endif
  return {};
}

// All paths are opened while the daemon may still reach them; the rules take effect on restrict().
class Landlock {
 public:
  [[nodiscard]] static Result<Landlock> make(const SandboxPlan& plan) {
    const long abi =
        ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1) {
      return fail(ErrorCode::unavailable,
                  {"内核没有启用 Landlock（需要 Linux 5.13 或更新，且 lsm= 中含 landlock）",
                   "the kernel has no Landlock (Linux 5.13 or later, landlock named in lsm=)"});
    }
    Landlock landlock;
    landlock.abi_ = static_cast<int>(abi);
    landlock_ruleset_attr attributes{};
    attributes.handled_access_fs = access_known_to(landlock.abi_);
    landlock.ruleset_.reset(static_cast<int>(
        ::syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0)));
    if (!landlock.ruleset_) {
      return fail_errno({"无法创建 Landlock 规则集", "cannot make a Landlock ruleset"});
    }
    for (const auto& path : plan.read_only) MENSHEN_CHECK(landlock.allow(path, access_read));
    for (const auto& path : plan.read_write) MENSHEN_CHECK(landlock.allow(path, ~access_never));
    return landlock;
  }

  [[nodiscard]] Result<void> restrict() const {
    if (::syscall(SYS_landlock_restrict_self, ruleset_.get(), 0) != 0) {
      return fail_errno({"无法启用 Landlock", "cannot enter the Landlock ruleset"});
    }
    return {};
  }
  [[nodiscard]] int abi() const { return abi_; }

 private:
  Result<void> allow(const std::filesystem::path& path, std::uint64_t access) {
    const Text cannot = {"无法放行路径 " + path.string(), "cannot allow the path " + path.string()};
    const UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
    if (!fd) return fail_errno(cannot);
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return fail_errno(cannot);
    access &= access_known_to(abi_);
    if (!S_ISDIR(status.st_mode)) access &= access_of_files;
    landlock_path_beneath_attr rule{};
    rule.allowed_access = access;
    rule.parent_fd = fd.get();
    if (::syscall(SYS_landlock_add_rule, ruleset_.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) !=
        0) {
      return fail_errno(cannot);
    }
    return {};
  }

  UniqueFd ruleset_;
  int abi_ = 0;
};

Result<void> keep_only(const std::vector<int>& capabilities) {
  for (const int capability : capabilities) {
    const auto number = static_cast<unsigned>(capability);
    if (capng_have_capability(CAPNG_PERMITTED, number) != 1) {
      const char* name = capng_capability_to_name(number);
      const std::string shown = name != nullptr ? name : std::to_string(capability);
      return fail(ErrorCode::denied, {"本进程没有要保留的能力 " + shown,
                                      "this process does not have the capability " + shown});
    }
  }
  capng_clear(CAPNG_SELECT_BOTH);
  for (const int capability : capabilities) {
    constexpr auto sets = static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED);
    capng_update(CAPNG_ADD, sets, static_cast<unsigned>(capability));
  }
  return {};
}

Result<void> drop_privileges(const SandboxPlan& plan) {
  const bool switch_user = !plan.user.empty() && ::geteuid() == 0;
  const User user = switch_user ? MENSHEN_TRY(find_user(plan.user)) : User{};
  if (capng_get_caps_process() != 0) {
    return fail_errno({"无法读取能力", "cannot read the capabilities"});
  }
  const bool may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) == 1;
  MENSHEN_CHECK(keep_only(plan.keep_capabilities));
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
    return fail_errno({"无法清除环境能力", "cannot clear the ambient capabilities"});
  }
  int result = 0;
  if (switch_user) {
    constexpr auto flags = static_cast<capng_flags_t>(CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
    result = capng_change_id(static_cast<int>(user.uid), static_cast<int>(user.gid), flags);
  } else {
    // Without CAP_SETPCAP the bounding set cannot be lowered; no_new_privs already makes it void.
    result = capng_apply(may_bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS);
  }
  if (result != 0) {
    return fail(ErrorCode::denied, {fmt::format("无法放弃特权（libcap-ng {}）", result),
                                    fmt::format("cannot drop privileges (libcap-ng {})", result)});
  }
  return {};
}

tl::unexpected<Error> seccomp_failed(int result) {
  return fail_errno({"无法设置系统调用过滤", "cannot set up the system call filter"}, -result);
}

// What SCMP_A0 stands for, which is no C++.
scmp_arg_cmp first_argument(scmp_compare compare, std::uint64_t a, std::uint64_t b = 0) {
  return {0, compare, a, b};
}

Result<void> add_rule(const SeccompFilter& filter, std::uint32_t action, const char* name,
                      std::vector<scmp_arg_cmp> arguments = {}) {
  const int call = seccomp_syscall_resolve_name(name);
  if (call == __NR_SCMP_ERROR) {
    return fail(ErrorCode::unavailable,
                {fmt::format("libseccomp 不认识系统调用 {}", name),
                 fmt::format("libseccomp does not know the call {}", name)});
  }
  const int result = seccomp_rule_add_array(
      filter.get(), action, call, static_cast<unsigned>(arguments.size()), arguments.data());
  if (result != 0) return seccomp_failed(result);
  return {};
}

Result<void> filter_calls(const SandboxPlan& plan, int landlock_abi) {
  const SeccompFilter filter(seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) return seccomp_failed(-ENOMEM);
  // Calls of another architecture (32-bit, x32) would slip past the numbers below.
  int result = seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  if (result != 0) return seccomp_failed(result);
  for (const char* name : killing_calls) {
    MENSHEN_CHECK(add_rule(filter, SCMP_ACT_KILL_PROCESS, name));
  }
  for (const std::uint64_t flag : namespace_flags) {
    MENSHEN_CHECK(add_rule(filter, SCMP_ACT_KILL_PROCESS, "clone",
                           {first_argument(SCMP_CMP_MASKED_EQ, flag, flag)}));
  }
  // clone3 has its flags in memory, out of a filter's sight; glibc takes clone where it is missing.
  MENSHEN_CHECK(add_rule(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3"));
  if (!plan.network) {
    MENSHEN_CHECK(
        add_rule(filter, SCMP_ACT_ERRNO(EACCES), "socket", {first_argument(SCMP_CMP_NE, AF_UNIX)}));
  }
  // Before Linux 6.2 Landlock does not cover truncate(2) by path; ours shorten files by descriptor.
  if (landlock_abi < abi_truncate) {
    MENSHEN_CHECK(add_rule(filter, SCMP_ACT_ERRNO(EACCES), "truncate"));
  }
  result = seccomp_load(filter.get());
  if (result != 0) return seccomp_failed(result);
  return {};
}

}  // namespace

Result<void> enter_sandbox(const SandboxPlan& plan) {
  MENSHEN_CHECK(require_one_thread());
#ifdef MENSHEN_ADDRESS_SANITIZER
  // The check for leaks at exit traces the process, which the filter forbids. What has leaked so
  // far is told here.
  __lsan_do_leak_check();
#endif
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return fail_errno({"无法禁止提升权限", "cannot set no_new_privs"});
  }
  const Landlock landlock = MENSHEN_TRY(Landlock::make(plan));
  MENSHEN_CHECK(drop_privileges(plan));
  MENSHEN_CHECK(landlock.restrict());
  return filter_calls(plan, landlock.abi());
}

}  // namespace menshen
