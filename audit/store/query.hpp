// Finding records, read-only, while auditd writes.
//
// Permissions: the reader's user must be able to read audit.db, audit.db-wal and audit.db-shm and
// to search the folder (group of auditd, files 0640, folder 0750). It never writes. Each find reads
// one snapshot; while it runs, the WAL cannot shrink, so do not pause inside the callback. Memory
// is bounded: one record at a time. One thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "audit/record/record.hpp"
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
  std::string text;  // substring of message, object or detail; ASCII letters in either case
  std::uint64_t limit = 100;  // 0: none
};

struct Found {
  std::uint64_t number = 0;  // place in the store, from 1
  Record record;
};

class Reader {
 public:
  // ErrorCode::not_found without a store there; ErrorCode::denied where this user may not read it.
  [[nodiscard]] static Result<Reader> open(const std::filesystem::path& directory);
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  // Newest event first. `each` returns false to stop. The number of records given.
  [[nodiscard]] Result<std::uint64_t> find(const Filter& filter,
                                           const std::function<bool(const Found&)>& each) const;
  [[nodiscard]] Result<std::vector<Found>> find(const Filter& filter) const;
  // Counts without decoding more than the filter needs; ignores the limit.
  [[nodiscard]] Result<std::uint64_t> count(const Filter& filter) const;

  [[nodiscard]] Result<std::uint64_t> records() const;
  [[nodiscard]] Result<std::optional<SignedNote>> last_checkpoint() const;

 private:
  class Impl;
  explicit Reader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace menshen::audit
