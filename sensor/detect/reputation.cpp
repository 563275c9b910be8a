#include "sensor/detect/reputation.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sensor/detect/keyword.hpp"

namespace menshen::sensor {

namespace {

constexpr unsigned v4_begins = 96;  // an IPv4 network's length among mapped addresses

IpAddr masked(const IpAddr& address, unsigned length) noexcept {
  std::array<std::uint8_t, 16> bytes = address.bytes();
  for (unsigned i = 0; i < bytes.size(); ++i) {
    const unsigned kept = length > i * 8 ? std::min(8U, length - i * 8) : 0U;
    bytes[i] = static_cast<std::uint8_t>(bytes[i] & (0xff00U >> kept));
  }
  return IpAddr::v6(bytes);
}

struct Network {
  IpAddr address;
  unsigned length = 128;
};

// Bits beyond the length are ignored, as in feeds of addresses with a length behind them.
std::optional<Network> parse_network(std::string_view text) {
  const std::size_t slash = std::min(text.find('/'), text.size());
  const auto address = IpAddr::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  Network network{*address, 128};
  if (slash != text.size()) {
    const auto length = parse_number(text.substr(slash + 1));
    const unsigned most = address->is_v4() ? 32 : 128;
    if (!length || *length > most) return std::nullopt;
    network.length = static_cast<unsigned>(*length) + (address->is_v4() ? v4_begins : 0);
  }
  network.address = masked(network.address, network.length);
  return network;
}

std::optional<unsigned> parse_up_to(std::string_view text, unsigned most) {
  const auto number = parse_number(text);
  if (!number || *number > most) return std::nullopt;
  return static_cast<unsigned>(*number);
}

// Calls `take(line)` for each line that is not empty or a comment; where it says no, an error.
template <class Take>
void each_line(std::string_view source, Diagnostics& diagnostics, const Text& wrong, Take take) {
  std::size_t number = 0;
  while (!source.empty()) {
    const std::size_t end = std::min(source.find('\n'), source.size());
    const std::string_view line = trim(source.substr(0, end));
    source.remove_prefix(std::min(end + 1, source.size()));
    ++number;
    if (line.empty() || line.starts_with('#') || take(line)) continue;
    diagnostics.error("reputation", {{number, 1}, {number, line.size() + 1}}, wrong);
  }
}

}  // namespace

void Reputation::add_categories(std::string_view source, Diagnostics& diagnostics) {
  const Text wrong{fmt::format("应为 编号,短名,说明，编号 1 至 {}", reputation_categories_max),
                   fmt::format("should be id,short name,description with an id from 1 to {}",
                               reputation_categories_max)};
  each_line(source, diagnostics, wrong, [this](std::string_view line) {
    const auto parts = split(line, ',');
    if (parts.size() < 2 || parts[1].empty()) return false;
    const auto id = parse_up_to(parts[0], reputation_categories_max);
    if (!id || *id == 0) return false;
    known_[*id] = true;
    names_.insert_or_assign(std::string(parts[1]), *id);
    return true;
  });
}

bool Reputation::add_entry(std::string_view line) {
  const auto parts = split(line, ',');
  if (parts.size() != 3 || entries_ == reputation_entries_max) return false;
  const auto network = parse_network(parts[0]);
  const auto category = parse_up_to(parts[1], reputation_categories_max);
  const auto score = parse_up_to(parts[2], reputation_score_max);
  if (!network || !category || !known_[*category] || !score) return false;
  auto& levels = levels_[*category];
  auto level = std::ranges::find(levels, network->length, &Level::length);
  if (level == levels.end()) {
    level = levels.insert(levels.end(), Level{static_cast<std::uint8_t>(network->length), {}});
  }
  level->entries.push_back({network->address, static_cast<std::uint8_t>(*score)});
  ++entries_;
  return true;
}

void Reputation::add_entries(std::string_view source, Diagnostics& diagnostics) {
  const Text wrong{
      fmt::format("应为 地址或网段,已知的分类编号,0 至 {} 的分值；条目不超过 {}",
                  reputation_score_max, reputation_entries_max),
      fmt::format("should be address or network,id of a known category,score from 0 to {}; at most "
                  "{} entries",
                  reputation_score_max, reputation_entries_max)};
  each_line(source, diagnostics, wrong, [this](std::string_view line) { return add_entry(line); });
}

void Reputation::finish() {
  entries_ = 0;
  for (auto& levels : levels_) {
    std::ranges::sort(levels, std::greater<>{}, &Level::length);
    for (Level& level : levels) {
      auto& entries = level.entries;
      // Of the same network the last line stays.
      std::ranges::reverse(entries);
      std::ranges::stable_sort(entries, {}, &Entry::network);
      const auto same = [](const Entry& a, const Entry& b) { return a.network == b.network; };
      entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
      entries.shrink_to_fit();
      entries_ += entries.size();
    }
  }
}

std::optional<unsigned> Reputation::category(std::string_view name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<unsigned> Reputation::find(const IpAddr& address, unsigned category) const noexcept {
  const bool v4 = address.is_v4();
  for (const Level& level : levels_[category]) {
    // An IPv6 network around the mapped addresses does not hold IPv4 ones; shorter ones follow.
    if (v4 && level.length < v4_begins) break;
    const IpAddr network = masked(address, level.length);
    const auto found = std::ranges::lower_bound(level.entries, network, {}, &Entry::network);
    if (found != level.entries.end() && found->network == network) return found->score;
  }
  return std::nullopt;
}

}  // namespace menshen::sensor
