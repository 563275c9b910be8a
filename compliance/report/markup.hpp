// Text to HTML: the only place where a text from outside enters a page.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/lang.hpp"

namespace menshen::compliance {

// Escaped for element content and quoted attributes; what cannot be shown is replaced.
[[nodiscard]] std::string escape_html(std::string_view text);

// 72.4%; a dash for -1.
[[nodiscard]] std::string percent(int tenths);
// 72.4; a dash for -1.
[[nodiscard]] std::string decimal(int tenths);
// Chinese standard time, wherever the page is made: 2026-11-23 19:30:05 (UTC+08:00).
[[nodiscard]] std::string china_time(WallTime time);

// The style sheet of every page.
[[nodiscard]] std::string_view style_sheet();

}  // namespace menshen::compliance
