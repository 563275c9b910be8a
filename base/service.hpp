// What every daemon has in common: signals as events, readiness for systemd, log lines.
#pragma once

#include <chrono>
#include <string_view>

#include "base/file.hpp"
#include "base/lang.hpp"
#include "base/result.hpp"

namespace menshen {

enum class Signal : unsigned char { none, stop, reload };

// SIGTERM and SIGINT are stop, SIGHUP is reload; read from a descriptor so no handler ever runs.
// Make it before any thread starts (the signals are blocked for all of them).
class Signals {
 public:
  [[nodiscard]] static Result<Signals> make();
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] Signal take();  // none if nothing waits

 private:
  explicit Signals(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// sd_notify(3); without NOTIFY_SOCKET nothing happens.
void notify_ready(std::string_view status);
void notify_reloading();
void notify_stopping();
void notify_status(std::string_view status);

// One line on stderr: under systemd with the journal's priority prefix (<3>), on a terminal plain.
enum class LogLevel : unsigned char { error = 3, warning = 4, notice = 5, info = 6 };
void log(LogLevel level, const Text& text);
void set_log_language(Lang lang);

}  // namespace menshen
