// Which names (source, epoch, sequence) the store has, so that a second delivery is known for what
// it is. Sources count without gaps, so runs of names that stand one behind another are kept as one
// row (table span). Internal to the store.
//
// A record with the next sequence of its source costs a look-up in memory; one out of order or
// delivered again a query. Memory: at most sources_max open runs.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "audit/store/segment.hpp"

namespace menshen::audit {

class Names {
 public:
  static constexpr std::size_t sources_max = 4'096;

  [[nodiscard]] static Result<Names> make(const Segment& live, StorePaths paths);
  // The number of the record with that name; 0: there is none.
  [[nodiscard]] Result<std::uint64_t> find(Segment& live, std::string_view source,
                                           std::uint64_t epoch, std::uint64_t sequence);
  // The segments before the live one, opened when they are first needed; forgotten when one goes.
  [[nodiscard]] Result<Tree*> older();
  void forget_older() { older_.reset(); }
  // The record `n` that is being stored has this name, which find() did not know.
  [[nodiscard]] Result<void> add(std::string_view source, std::uint64_t epoch,
                                 std::uint64_t sequence, std::uint64_t n);
  // Writes what add() was told. Within the transaction of the records.
  [[nodiscard]] Result<void> flush();
  // The greatest epoch of a source that the live segment knows; 0: none.
  [[nodiscard]] Result<std::uint64_t> newest_epoch(std::string_view source);
  // The last run of each source and epoch goes with the store into its next segment.
  [[nodiscard]] static Result<void> carry(const Segment& from, const Database& to);

 private:
  struct Run {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::uint64_t n = 0;  // of `first`
    bool in_segment = false;
    bool changed = false;
  };
  using Key = std::pair<std::string, std::uint64_t>;

  explicit Names(StorePaths paths) : paths_(std::move(paths)) {}
  [[nodiscard]] Result<Run*> run_of(std::string_view source, std::uint64_t epoch);
  [[nodiscard]] Result<void> write(const Key& key, Run& run);

  StorePaths paths_;
  Statement insert_;
  Statement extend_;
  Statement last_run_;
  Statement newest_;
  std::uint64_t live_number_ = 0;
  Profile profile_ = Profile::sm;
  std::optional<Tree> older_;
  std::map<Key, Run> runs_;
  Key last_key_;  // of last_run_found_: records of one source come in runs
  Run* last_found_ = nullptr;
};

}  // namespace menshen::audit
