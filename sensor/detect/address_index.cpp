#include "sensor/detect/address_index.hpp"

#include <algorithm>
#include <optional>

namespace menshen::sensor {
namespace {

// The address after this one; nothing after the last.
std::optional<IpAddr> next(const IpAddr& address) {
  auto bytes = address.bytes();
  for (std::size_t i = bytes.size(); i-- > 0;) {
    if (++bytes[i] != 0) return IpAddr::v6(bytes);
  }
  return std::nullopt;
}

}  // namespace

AddressIndex::AddressIndex(std::span<const Entry> entries) {
  std::vector<IpAddr> borders{IpAddr{}};
  for (const Entry& entry : entries) {
    for (const auto& [first, last] : entry.addresses->ranges()) {
      borders.push_back(first);
      if (const auto after = next(last)) borders.push_back(*after);
    }
  }
  std::ranges::sort(borders);
  borders.erase(std::ranges::unique(borders).begin(), borders.end());

  const auto piece_of = [&](const IpAddr& address) {
    return static_cast<std::size_t>(std::ranges::upper_bound(borders, address) - borders.begin()) -
           1;
  };
  std::vector<std::vector<std::uint32_t>> lists(borders.size());
  for (const Entry& entry : entries) {
    std::size_t covered = 0;
    for (const auto& [first, last] : entry.addresses->ranges()) {
      covered += piece_of(last) - piece_of(first) + 1;
    }
    if (covered > address_index_pieces_max) {
      aside_.push_back(entry.rule);
      continue;
    }
    for (const auto& [first, last] : entry.addresses->ranges()) {
      for (std::size_t i = piece_of(first); i <= piece_of(last); ++i) {
        lists[i].push_back(entry.rule);
      }
    }
  }
  for (std::size_t i = 0; i < borders.size(); ++i) {
    const auto begin = static_cast<std::uint32_t>(rules_.size());
    rules_.insert(rules_.end(), lists[i].begin(), lists[i].end());
    pieces_.push_back({borders[i], begin, static_cast<std::uint32_t>(rules_.size())});
  }
}

void AddressIndex::find(const IpAddr& address, std::vector<std::uint32_t>& rules) const {
  rules.insert(rules.end(), aside_.begin(), aside_.end());
  const auto after = std::ranges::upper_bound(pieces_, address, {}, &Piece::first);
  if (after == pieces_.begin()) return;
  const Piece& piece = *std::prev(after);
  rules.insert(rules.end(), rules_.begin() + piece.begin, rules_.begin() + piece.end);
}

}  // namespace menshen::sensor
