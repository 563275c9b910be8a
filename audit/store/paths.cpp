#include "audit/store/paths.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>

namespace menshen::audit {
namespace {

constexpr std::string_view prefix = "segment-";
constexpr std::string_view suffix = ".db";

std::filesystem::path file_of(const std::filesystem::path& directory, std::uint64_t number,
                              std::string_view extension) {
  return directory / fmt::format("{}{:06}{}", prefix, number, extension);
}

}  // namespace

StorePaths StorePaths::in(const std::filesystem::path& directory) {
  return {directory, directory / "signing.key", directory / "signing.pub",
          directory / "fingerprint", directory / "lock"};
}
std::filesystem::path StorePaths::segment(std::uint64_t number) const {
  return file_of(directory, number, suffix);
}
std::filesystem::path StorePaths::notes(std::uint64_t number) const {
  return file_of(directory, number, ".notes");
}
std::filesystem::path StorePaths::seal(std::uint64_t number) const {
  return file_of(directory, number, ".seal");
}
std::filesystem::path StorePaths::index(std::uint64_t number) const {
  return file_of(directory, number, ".index");
}

std::vector<std::uint64_t> StorePaths::segments() const {
  std::vector<std::uint64_t> numbers;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(prefix) || !name.ends_with(suffix)) continue;
    const std::string_view digits =
        std::string_view(name).substr(prefix.size(), name.size() - prefix.size() - suffix.size());
    std::uint64_t number = 0;
    const auto [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (bad == std::errc{} && end == digits.data() + digits.size() && number != 0 &&
        segment(number) == entry.path()) {
      numbers.push_back(number);
    }
  }
  std::ranges::sort(numbers);
  return numbers;
}

std::filesystem::path StorePaths::newest_segment() const {
  const auto numbers = segments();
  return segment(numbers.empty() ? 1 : numbers.back());
}

}  // namespace menshen::audit
