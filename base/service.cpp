#include "base/service.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <cstdlib>

#include "base/text.hpp"

namespace menshen {
namespace {

std::atomic<Lang>& log_language() {
  static std::atomic<Lang> lang = lang_from_environment();
  return lang;
}

// journald takes "<3>" for the priority; systemd says by JOURNAL_STREAM which stream is connected
// to it.
bool stderr_is_journal() {
  const char* stream = ::secure_getenv("JOURNAL_STREAM");
  struct stat status {};
  if (stream == nullptr || ::fstat(STDERR_FILENO, &status) != 0) return false;
  return fmt::format("{}:{}", status.st_dev, status.st_ino) == stream;
}

std::string_view level_word(LogLevel level, Lang lang) {
  const bool zh = lang == Lang::zh;
  switch (level) {
    case LogLevel::error:
      return zh ? "错误" : "error";
    case LogLevel::warning:
      return zh ? "警告" : "warning";
    case LogLevel::notice:
      return zh ? "注意" : "notice";
    case LogLevel::info:
      break;
  }
  return zh ? "信息" : "info";
}

// Escaped, so that a status holding a line break cannot add a field of its own to the message.
void notify(std::string_view state, std::string_view status) {
  std::string message(state);
  if (!status.empty()) {
    if (!message.empty()) message += '\n';
    message += "STATUS=" + escape_controls(status);
  }
  static_cast<void>(::sd_notify(0, message.c_str()));
}

}  // namespace

Result<Signals> Signals::make() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&set, signal);
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) {
    return fail_errno({"无法屏蔽信号", "cannot block signals"}, error);
  }
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno({"无法接收信号", "cannot receive signals"});
  // A peer that goes away is an error of that write, not the end of the daemon.
  ::signal(SIGPIPE, SIG_IGN);
  return Signals(std::move(fd));
}

Signal Signals::take() {
  signalfd_siginfo info{};
  ssize_t n = 0;
  do {
    n = ::read(fd_.get(), &info, sizeof(info));
  } while (n < 0 && errno == EINTR);
  if (n != static_cast<ssize_t>(sizeof(info))) return Signal::none;
  return info.ssi_signo == static_cast<std::uint32_t>(SIGHUP) ? Signal::reload : Signal::stop;
}

void notify_ready(std::string_view status) { notify("READY=1", status); }

void notify_reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);  // systemd wants it to tell this reload from the last one
  notify(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1'000'000 + now.tv_nsec / 1000),
         {});
}

void notify_stopping() { notify("STOPPING=1", {}); }

void notify_status(std::string_view status) { notify({}, status); }

void log(LogLevel level, const Text& text) {
  const Lang lang = log_language().load(std::memory_order_relaxed);
  const std::string message = escape_controls(text.in(lang));
  const std::string line = stderr_is_journal()
                               ? fmt::format("<{}>{}\n", static_cast<int>(level), message)
                               : fmt::format("{}: {}\n", level_word(level, lang), message);
  // One write, so that lines of several threads do not mix. There is nobody to tell of a failure.
  static_cast<void>(write_all(STDERR_FILENO, as_bytes(line)));
}

void set_log_language(Lang lang) { log_language().store(lang, std::memory_order_relaxed); }

}  // namespace menshen
