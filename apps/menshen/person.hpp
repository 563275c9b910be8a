// Who is at the keyboard.
#pragma once

#include <string>

namespace menshen::apps {

// The user who logged in, where the kernel knows (its login uid outlives sudo and su); else the one
// whose rights the program has. "uid 1234" where the number has no name.
[[nodiscard]] std::string acting_person();

}  // namespace menshen::apps
