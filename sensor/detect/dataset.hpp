// Sets of values that rules look a buffer up in (dataset, datarep, lists of file hashes), and that
// they may add to.
//
//   auto set = MENSHEN_TRY(sets.open({.name = "seen", .type = DatasetType::string}));
//   set->add(as_bytes("a")); set->contains(as_bytes("a"));
//
// File format: one value a line, of a list with reputations followed by a comma and 0 to 65535.
// Strings stand in base64, hashes in hexadecimal digits, addresses as usual. Blank lines and lines
// that begin with # say nothing; a line that cannot be read is an error with its number. Source of
// the format: https://docs.suricata.io/en/latest/rules/datasets.html
//
// Memory: at most DatasetOptions::memory_max of values a set, dataset_sets_max sets. What does not
// fit is not added, and counted; a file that does not fit is an error. Lookup costs one hash and
// allocates nothing.
// Thread safety: the sets of one Datasets may be asked and changed by any number of workers.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/byte_reader.hpp"
#include "base/result.hpp"

namespace menshen::sensor {

inline constexpr std::uint64_t dataset_memory_default = 100U << 20U;
inline constexpr std::uint64_t dataset_memory_max = std::uint64_t{1} << 30U;
inline constexpr std::size_t dataset_sets_max = 1024;
inline constexpr std::size_t dataset_value_bytes_max = 16U << 10U;  // longer ones are in no set
inline constexpr std::size_t dataset_entry_bytes = 64;              // of each value beside its own

// md5, sha256: the hash's bytes, as the transforms give them. ipv4, ip: an address's bytes; an IPv4
// address is the same as an IPv4-mapped IPv6 one.
enum class DatasetType : std::uint8_t { string, md5, sha256, ipv4, ip, hex };
// "string", "md5" ...; hex is for lists of file hashes: the digits themselves in lower case.
[[nodiscard]] std::optional<DatasetType> dataset_type_of(std::string_view name) noexcept;

struct DatasetOptions {
  std::string name;
  std::optional<DatasetType> type;  // nothing: that of the set with this name
  std::filesystem::path load;       // empty: it begins empty
  bool load_if_there = false;       // a file that is missing is no error
  bool reputations = false;         // the file's lines have a second field
  std::size_t digits = 0;           // of each value of type hex; 0: any number
  std::uint64_t memory_max = dataset_memory_default;
};

class Dataset {
 public:
  explicit Dataset(DatasetOptions options) : options_(std::move(options)) {}

  [[nodiscard]] const DatasetOptions& options() const noexcept { return options_; }
  [[nodiscard]] bool contains(Bytes value) const;
  // Nothing: not in the set.
  [[nodiscard]] std::optional<std::uint16_t> reputation(Bytes value) const;
  // True: it was not there, and now is. At the memory limit nothing is added.
  bool add(Bytes value, std::uint16_t reputation = 0);
  // True: it was there.
  bool remove(Bytes value);
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }

  // The values in `text`, from `file`.
  [[nodiscard]] Result<void> read(std::string_view text, const std::filesystem::path& file);
  // What another set of the same name and type learned: for new rules beside the old ones.
  void take_from(const Dataset& other);

 private:
  // An IPv4 address is looked up as the IPv6 address that maps it, which `mapped` then holds.
  using Mapped = std::array<char, 16>;
  [[nodiscard]] std::optional<std::string_view> key_of(Bytes value, Mapped& mapped) const;
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const noexcept {
      return std::hash<std::string_view>{}(key);
    }
  };

  DatasetOptions options_;
  mutable std::shared_mutex lock_;
  std::unordered_map<std::string, std::uint16_t, Hash, std::equal_to<>> values_;
  std::uint64_t memory_ = 0;
  std::atomic<std::uint64_t> refused_ = 0;
};

// The sets of one rule set, by name.
class Datasets {
 public:
  // The set of this name; made, and its file read, where it is the first use of the name. A later
  // use may not say another type or file.
  [[nodiscard]] Result<std::shared_ptr<Dataset>> open(const DatasetOptions& options);
  // Values that found no room, in all sets.
  [[nodiscard]] std::uint64_t refused() const noexcept;
  // Sets that no file fills keep what `older` learned.
  void take_from(const Datasets& older);

 private:
  std::map<std::string, std::shared_ptr<Dataset>, std::less<>> sets_;
};

}  // namespace menshen::sensor
