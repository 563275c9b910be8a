// What is known of addresses before they come: for each of up to 60 categories, a score from 0 to
// 127 of addresses and networks. The longest network that holds an address speaks.
//
// Two kinds of CSV files; # begins a comment line:
//   categories   id,short name,description     1,CnC,command and control
//   reputation   address or network,id,score   1.1.1.0/24,1,88
// A later line replaces an earlier one of the same network and category. Formats:
// https://docs.suricata.io/en/latest/reputation/ipreputation/ip-reputation-format.html
//
// Filled once, then shared between threads. find(): a binary search for each prefix length that the
// category has. Limit: reputation_entries_max, an error of the line beyond it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.hpp"
#include "base/ip.hpp"

namespace menshen::sensor {

inline constexpr unsigned reputation_categories_max = 60;
inline constexpr unsigned reputation_score_max = 127;
inline constexpr std::size_t reputation_entries_max = 4'000'000;

class Reputation {
 public:
  // Lines that cannot be read are errors of `diagnostics`, code "reputation"; the others count.
  void add_categories(std::string_view source, Diagnostics& diagnostics);
  void add_entries(std::string_view source, Diagnostics& diagnostics);
  // After the last add_entries(): makes find() possible.
  void finish();

  // The id of a category by its short name.
  [[nodiscard]] std::optional<unsigned> category(std::string_view name) const;
  // The score of the address in the category; nothing: none is known.
  [[nodiscard]] std::optional<unsigned> find(const IpAddr& address,
                                             unsigned category) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return entries_; }

 private:
  struct Entry {
    IpAddr network;
    std::uint8_t score = 0;
  };
  struct Level {  // the networks of one length; IPv4 lengths count from 96
    std::uint8_t length = 0;
    std::vector<Entry> entries;
  };
  [[nodiscard]] bool add_entry(std::string_view line);

  std::map<std::string, unsigned, std::less<>> names_;
  std::array<bool, reputation_categories_max + 1> known_{};
  std::array<std::vector<Level>, reputation_categories_max + 1> levels_;  // longest first
  std::size_t entries_ = 0;
};

}  // namespace menshen::sensor
