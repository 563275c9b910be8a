// Finding records, read-only, while auditd writes.
//
// The newest segment is asked first, and in each its index (store/index.hpp) for the blocks that
// may hold what is wanted; what the index has not reached yet is read. Without an index everything
// is read, more slowly, and found all the same.
//
// Permissions: the reader's user must be able to read the segments with their -wal and -shm files
// and to search the folder (group of auditd, files 0640, folder 0750). It never writes. Each find
// reads one snapshot a segment; while it runs, the WAL cannot shrink, so do not pause inside the
// callback. Memory is bounded: one block at a time. One thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "audit/record/record.hpp"
#include "audit/store/evidence.hpp"
#include "audit/store/index.hpp"
#include "audit/store/note.hpp"

namespace menshen::audit {

struct Filter {
  std::optional<WallTime> since;  // inclusive, of the event
  std::optional<WallTime> until;  // exclusive
  std::vector<Kind> kinds;        // empty: all
  Severity severity_min = Severity::info;
  std::string source;             // exact; empty: all (so for the following)
  std::string domain;             // exact, on either side
  std::optional<Prefix> address;  // contains either side's address
  std::optional<std::uint32_t> sid;
  std::string subject;      // exact
  std::string action;       // exact
  std::string policy_line;  // exact
  std::optional<Outcome> outcome;
  // Stands in message, object or detail, beginning where a word begins (Chinese: anywhere); ASCII
  // letters in either case.
  std::string text;
  std::uint64_t before = 0;   // only records with a smaller number, for the next page; 0: all
  std::uint64_t limit = 100;  // 0: none
  bool scan = false;          // read every record and trust no index
};

struct Found {
  std::uint64_t number = 0;  // place in the store, from 1
  Record record;
};

// Proofs by one checkpoint: the newest at the time it was made. One thread at a time.
class Prover {
 public:
  [[nodiscard]] const SignedNote& checkpoint() const;
  // Errors as prove_record's and prove_consistency's.
  [[nodiscard]] Result<Proof> prove(std::uint64_t number) const;
  [[nodiscard]] Result<Consistency> prove_since(const SignedNote& earlier) const;
  Prover(Prover&&) noexcept;
  Prover& operator=(Prover&&) noexcept;
  ~Prover();

 private:
  friend class Reader;
  class Impl;
  explicit Prover(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class Reader {
 public:
  // ErrorCode::not_found without a store there; ErrorCode::denied where this user may not read it.
  [[nodiscard]] static Result<Reader> open(const std::filesystem::path& directory);
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  // Last stored first. `each` returns false to stop. The number of records given.
  [[nodiscard]] Result<std::uint64_t> find(const Filter& filter,
                                           const std::function<bool(const Found&)>& each) const;
  [[nodiscard]] Result<std::vector<Found>> find(const Filter& filter) const;
  // Ignores the limit.
  [[nodiscard]] Result<std::uint64_t> count(const Filter& filter) const;
  // How many records of each kind and severity every hour from `since` to `until` has, by the time
  // of the event; hours in order, whole hours. Answered by the indices.
  [[nodiscard]] Result<std::vector<HourCount>> hours(WallTime since, WallTime until) const;

  // The number of the last record.
  [[nodiscard]] Result<std::uint64_t> records() const;
  // With the public key in the folder. ErrorCode::unavailable: there is no checkpoint yet.
  [[nodiscard]] Result<Prover> prover() const;
  [[nodiscard]] Result<std::optional<SignedNote>> last_checkpoint() const;

 private:
  class Impl;
  explicit Reader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace menshen::audit
