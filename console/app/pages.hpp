// The built pages, read once into memory: what is asked for later is looked up by name, so no path
// can lead out of them.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "base/result.hpp"

namespace menshen::console {

inline constexpr std::size_t page_files_max = 500;
inline constexpr std::size_t page_bytes_max = 32U << 20U;  // of all files

class Pages {
 public:
  struct Page {
    std::string type;
    std::shared_ptr<const std::string> plain;
    std::shared_ptr<const std::string> gzip;  // null: not worth it
    bool immutable = false;                   // its name changes with its content
  };

  // Every file below the folder. ErrorCode::not_found where there is no index.html.
  [[nodiscard]] static Result<Pages> load(const std::filesystem::path& folder);
  // nullptr where there is none. "/" is index.html.
  [[nodiscard]] const Page* find(const std::string& path) const;

 private:
  std::map<std::string, Page> pages_;
};

}  // namespace menshen::console
