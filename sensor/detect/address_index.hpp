// Which rules name an address? For rules that are about addresses alone: there are thousands, and
// one packet concerns a few.
//
// The address space is cut at every border of every set; each piece lists the rules whose set
// covers it. A set that covers many pieces would stand in many lists, so it is kept aside: its
// rules are always returned. Built once, then immutable. find() is a binary search.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sensor/detect/address_set.hpp"

namespace menshen::sensor {

inline constexpr std::size_t address_index_pieces_max = 1'024;  // of one rule; beyond: kept aside

class AddressIndex {
 public:
  struct Entry {
    const AddressSet* addresses = nullptr;
    std::uint32_t rule = 0;
  };
  AddressIndex() = default;
  explicit AddressIndex(std::span<const Entry> entries);

  [[nodiscard]] bool empty() const noexcept { return rules_.empty() && aside_.empty(); }
  // The rules whose set contains the address, and those kept aside.
  void find(const IpAddr& address, std::vector<std::uint32_t>& rules) const;

 private:
  struct Piece {
    IpAddr first;             // up to the next piece's
    std::uint32_t begin = 0;  // in rules_
    std::uint32_t end = 0;
  };
  std::vector<Piece> pieces_;
  std::vector<std::uint32_t> rules_;
  std::vector<std::uint32_t> aside_;
};

}  // namespace menshen::sensor
