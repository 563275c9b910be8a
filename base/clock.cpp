#include "base/clock.hpp"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <ctime>
#include <optional>

namespace menshen {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t day_seconds = 86'400;

class SystemClock final : public Clock {
 public:
  [[nodiscard]] WallTime wall() const noexcept override { return read(CLOCK_REALTIME); }
  [[nodiscard]] MonotonicTime monotonic() const noexcept override { return read(CLOCK_BOOTTIME); }

 private:
  static std::int64_t read(clockid_t id) noexcept {
    timespec now{};
    static_cast<void>(::clock_gettime(id, &now));  // cannot fail for these two
    return now.tv_sec * second_ns + now.tv_nsec;
  }
};

struct Split {
  std::int64_t seconds;  // since 1970, rounded down
  std::int64_t nanoseconds;
};

Split split(WallTime time) {
  Split parts{time / second_ns, time % second_ns};
  if (parts.nanoseconds < 0) {
    --parts.seconds;
    parts.nanoseconds += second_ns;
  }
  return parts;
}

std::string date_and_time(std::int64_t seconds, std::int64_t nanoseconds) {
  using namespace std::chrono;
  const sys_seconds moment{std::chrono::seconds(seconds)};
  const auto midnight = floor<days>(moment);
  const year_month_day date{midnight};
  const hh_mm_ss clock{moment - midnight};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     nanoseconds / 1000);
}

// Takes what it recognises from the front of a text; a failure stays.
class TimeReader {
 public:
  explicit TimeReader(std::string_view text) : text_(text) {}

  int digits(std::size_t count) {
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const char c = i < text_.size() ? text_[i] : '\0';
      if (c < '0' || c > '9') {
        ok_ = false;
        return 0;
      }
      value = value * 10 + (c - '0');
    }
    text_.remove_prefix(count);
    return value;
  }
  bool accept(std::string_view any_of) {
    if (text_.empty() || any_of.find(text_.front()) == std::string_view::npos) return false;
    last_ = text_.front();
    text_.remove_prefix(1);
    return true;
  }
  void expect(std::string_view any_of) {
    if (!accept(any_of)) ok_ = false;
  }
  // Digits beyond nanoseconds are read and dropped.
  std::int64_t fraction_ns() {
    std::int64_t value = 0;
    std::int64_t unit = second_ns / 10;
    if (text_.empty() || text_.front() < '0' || text_.front() > '9') ok_ = false;
    while (!text_.empty() && text_.front() >= '0' && text_.front() <= '9') {
      value += (text_.front() - '0') * unit;
      unit /= 10;
      text_.remove_prefix(1);
    }
    return value;
  }
  [[nodiscard]] char last() const { return last_; }
  [[nodiscard]] bool done() const { return text_.empty(); }
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  std::string_view text_;
  char last_ = '\0';
  bool ok_ = true;
};

std::optional<std::int64_t> read_offset_seconds(TimeReader& reader) {
  if (reader.accept("Zz")) return 0;
  reader.expect("+-");
  const int sign = reader.last() == '-' ? -1 : 1;
  const int hours = reader.digits(2);
  reader.accept(":");  // EVE writes +0800
  const int minutes = reader.digits(2);
  if (!reader.ok() || hours > 23 || minutes > 59) return std::nullopt;
  return sign * (hours * 3600 + minutes * 60);
}

std::optional<WallTime> read_time(std::string_view text) {
  using namespace std::chrono;
  TimeReader reader(text);
  const int y = reader.digits(4);
  reader.expect("-");
  const int m = reader.digits(2);
  reader.expect("-");
  const int d = reader.digits(2);
  const year_month_day date{year(y), month(static_cast<unsigned>(m)),
                            day(static_cast<unsigned>(d))};
  // The years that 64 bits of nanoseconds hold as a whole.
  if (!reader.ok() || !date.ok() || y < 1678 || y > 2261) return std::nullopt;
  std::int64_t seconds = sys_days(date).time_since_epoch().count() * day_seconds;
  if (reader.done()) return seconds * second_ns;

  reader.expect("Tt ");
  const int hour = reader.digits(2);
  reader.expect(":");
  const int minute = reader.digits(2);
  reader.expect(":");
  const int second = reader.digits(2);
  const std::int64_t fraction = reader.accept(".") ? reader.fraction_ns() : 0;
  const auto offset = read_offset_seconds(reader);
  if (!offset || !reader.ok() || !reader.done()) return std::nullopt;
  // 60: a leap second, which POSIX time counts as the first second of the next minute.
  if (hour > 23 || minute > 59 || second > 60) return std::nullopt;
  seconds += hour * 3600 + minute * 60 + second - *offset;
  if (second == 60 && seconds % day_seconds != 0) return std::nullopt;
  return seconds * second_ns + fraction;
}

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

std::string format_utc(WallTime time) {
  const Split parts = split(time);
  return date_and_time(parts.seconds, parts.nanoseconds) + 'Z';
}

std::string format_local(WallTime time) {
  const Split parts = split(time);
  std::tm local{};
  ::localtime_r(&parts.seconds, &local);
  const long offset_minutes = local.tm_gmtoff / 60;
  const long distance = offset_minutes < 0 ? -offset_minutes : offset_minutes;
  return fmt::format("{}{}{:02}{:02}",
                     date_and_time(parts.seconds + local.tm_gmtoff, parts.nanoseconds),
                     offset_minutes < 0 ? '-' : '+', distance / 60, distance % 60);
}

Result<WallTime> parse_time(std::string_view text) {
  if (const auto time = read_time(text)) return *time;
  return fail(
      ErrorCode::invalid,
      {fmt::format("“{}”不是时间，应如 2026-11-23T08:15:30Z 或 2026-11-23", text),
       fmt::format("\"{}\" is not a time such as 2026-11-23T08:15:30Z or 2026-11-23", text)});
}

}  // namespace menshen
