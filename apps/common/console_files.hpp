// Where the console keeps what: `menshen console` reads what menshen-consoled writes.
#pragma once

#include <filesystem>

#include "base/settings.hpp"

namespace menshen::apps {

struct ConsoleFiles {
  std::filesystem::path folder;
  std::filesystem::path accounts;
  std::filesystem::path certificate;  // with its key, 0600
  std::filesystem::path setup_code;   // there while administrators are missing

  [[nodiscard]] static ConsoleFiles of(const Settings& settings) {
    const std::filesystem::path folder = settings.text("console.state_directory");
    return {folder, folder / "accounts.json", folder / "server.pem", folder / "setup-code"};
  }
};

}  // namespace menshen::apps
