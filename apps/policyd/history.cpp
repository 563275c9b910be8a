#include "apps/policyd/history.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/file.hpp"

namespace menshen::apps {

std::filesystem::path PolicyHistory::file(std::uint32_t number) const {
  return directory_ / fmt::format("{:08}.json", number);
}

std::vector<std::uint32_t> PolicyHistory::numbers() const {
  std::vector<std::uint32_t> out;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
    const std::string name = entry.path().stem().string();
    std::uint32_t number = 0;
    const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (bad == std::errc{} && end == name.data() + name.size() && entry.path() == file(number))
      out.push_back(number);
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::uint32_t PolicyHistory::newest() const {
  const auto all = numbers();
  return all.empty() ? 0 : all.back();
}

Result<std::uint32_t> PolicyHistory::add(const ActivePolicy& policy) {
  MENSHEN_CHECK(make_directories(directory_));
  const auto all = numbers();
  const std::uint32_t number = all.empty() ? 1 : all.back() + 1;
  MENSHEN_CHECK(save_active_policy(file(number), policy));
  for (std::size_t i = 0; i + entries_max < all.size() + 1; ++i) {
    std::error_code error;
    std::filesystem::remove(file(all[i]), error);
  }
  return number;
}

Result<ActivePolicy> PolicyHistory::get(std::uint32_t number) const {
  auto policy = MENSHEN_TRY(load_active_policy(file(number)));
  if (!policy) {
    return fail(ErrorCode::not_found, {fmt::format("没有第 {} 号历史策略", number),
                                       fmt::format("there is no policy number {}", number)});
  }
  return *std::move(policy);
}

Result<std::vector<PolicyHistory::Entry>> PolicyHistory::list() const {
  std::vector<Entry> out;
  for (const std::uint32_t number : numbers()) {
    auto policy = get(number);
    if (policy) out.push_back({number, std::move(*policy)});
  }
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace menshen::apps
