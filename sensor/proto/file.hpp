// The files that a transaction carries, as they arrive: a parser opens a file on its transaction,
// gives it bytes in order and closes it; rules, events and a store look at it.
//
//   File* file = files.open(transaction, direction, name);   // null: at a limit, counted
//   if (file != nullptr) files.append(*file, bytes);
//   files.close(*file);
//
// Only its first bytes stay in memory (FileLimits::kept); hashes run over all of it, and only
// those that rules or output want. One Files per proto stage; not thread-safe. A File lives with
// its transaction. Cost of append: one copy up to the limit, and the hashes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/byte_reader.hpp"
#include "sensor/proto/transaction.hpp"

namespace menshen::sensor {

enum class FileHash : std::uint8_t { md5, sha1, sha256, sm3, count };
inline constexpr auto file_hashes = static_cast<std::size_t>(FileHash::count);
// "md5": EVE's field names.
[[nodiscard]] std::string_view file_hash_name(FileHash hash) noexcept;

// In lower case.
[[nodiscard]] std::string hash_hex(FileHash hash, Bytes bytes);

// What rules and output want to know of every file.
struct FileWants {
  std::array<bool, file_hashes> hashes{};
  bool magic = false;  // the type, by libmagic
  bool operator==(const FileWants&) const = default;
};

struct FileLimits {
  std::uint32_t kept = 1U << 20U;       // bytes of one file for rules and the store; the rest is
                                        // hashed and counted, not kept
  std::uint64_t memory = 256U << 20U;   // bytes of all open files; beyond: not kept
  std::uint32_t per_transaction = 512;  // files of one transaction; beyond: not opened
  std::uint32_t name = 1024;            // bytes of a name; the rest is cut off
};

struct FileCounters {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t memory = 0;          // kept now
  std::uint64_t limits_reached = 0;  // not opened, or not kept whole
};

class FileDigests;  // running hashes

struct File {
  enum class State : std::uint8_t {
    open,
    closed,     // seen whole
    truncated,  // it ended before its end was seen, or has gaps
  };

  File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File();

  State state = State::open;
  std::string name;         // as the protocol gave it; may be empty
  std::string data;         // its first bytes, kept for rules
  std::uint64_t size = 0;   // bytes seen, gaps included
  std::uint64_t start = 0;  // a range of a larger file: where it begins
  bool has_gaps = false;
  bool keep_whole = true;  // false: a limit was reached, `data` ends before `size`
  bool store = false;      // a rule wants it stored (filestore)
  std::string magic;       // libmagic's description; empty: not known or not wanted
  std::array<std::string, file_hashes> hashes;  // hex in lower case, when closed without gaps

  // The name's part after its last dot, "" without one.
  [[nodiscard]] std::string_view extension() const noexcept;
  // The kept bytes, which are the caller's from now on; for a file of which nothing more comes.
  [[nodiscard]] std::string take();

 private:
  friend class Files;
  std::unique_ptr<FileDigests> digests_;
  std::shared_ptr<FileCounters> counters_;
};

class Files {
 public:
  explicit Files(const FileLimits& limits);
  ~Files();
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  // For files opened from now on. Loads libmagic's database when types are wanted (a few
  // milliseconds, reads /usr/share/misc/magic.mgc); without it no file has a type.
  void want(const FileWants& wants);

  // Null at FileLimits::per_transaction.
  [[nodiscard]] File* open(Transaction& transaction, Direction direction, std::string_view name);
  void append(File& file, Bytes bytes);
  // Bytes are missing here.
  void gap(File& file, std::uint64_t length);
  // Nothing for a file that is closed already.
  void close(File& file, File::State state = File::State::closed);
  // What is still open of a transaction's direction.
  void close_all(Transaction& transaction, Direction direction, File::State state);

  [[nodiscard]] const FileCounters& counters() const noexcept { return *counters_; }

 private:
  struct Magic;
  void find_magic(File& file);

  FileLimits limits_;
  FileWants wants_;
  std::shared_ptr<FileCounters> counters_;  // shared with files, which may outlive this
  std::unique_ptr<Magic> magic_;            // null: types are not wanted yet
};

// EVE's `fileinfo` object. Its `stored` is false: whoever stores the file knows when it is.
[[nodiscard]] std::string file_eve(const File& file, std::uint64_t tx_id);

}  // namespace menshen::sensor
