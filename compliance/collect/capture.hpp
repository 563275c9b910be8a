// A host as one script saw it: what `menshen` runs over SSH, and what a person runs on a host that
// no network reaches. Both give the same text; here it becomes a HostAccess again.
//
//   menshen-capture/1            one header line each: collection, host, time, uid
//   list FOLDER                  the folder's entries follow wherever they are listed
//   file MODE OWNER GROUP TIME PATH      base64 lines, then "."; "!" among them: reading failed
//   stat MODE OWNER GROUP TIME PATH
//   line PATH TEXT               a short text (a kernel setting, a process's name)
//   absent PATH | denied PATH
//   command NAME STATUS          base64 lines, then "." | missing NAME
//   end COUNT
//   seal DIGEST SEAL             SHA-256 of all lines before; SHA-256 of key and digest, in hex
//
// MODE is st_mode in hex, TIME whole seconds. Who knows the key can seal: it shows that a file was
// not changed on its way, not that the host told the truth. Hostile input: bounded and linear.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "compliance/collect/host.hpp"

namespace menshen::compliance {

inline constexpr std::size_t capture_bytes_max = 64U << 20U;
inline constexpr std::size_t capture_entries_max = 100'000;
inline constexpr std::size_t seal_key_bytes = 32;  // as 64 hex digits

class Capture final : public HostAccess {
 public:
  // ErrorCode::corrupt where the seal does not fit, ErrorCode::invalid where it is no capture.
  [[nodiscard]] static Result<Capture> parse(std::string_view text, std::string_view seal_key);

  [[nodiscard]] const std::string& collection() const { return collection_; }
  [[nodiscard]] const std::string& host() const { return host_; }
  [[nodiscard]] WallTime time() const { return time_; }  // by the host's clock
  [[nodiscard]] bool as_root() const { return uid_ == 0; }

  // A path that the script was not told to look at is ErrorCode::corrupt, never "not there".
  [[nodiscard]] Result<std::string> read(const std::string& path) const override;
  [[nodiscard]] Result<FileStatus> status(const std::string& path) const override;
  [[nodiscard]] Result<std::vector<std::string>> list(const std::string& path) const override;
  [[nodiscard]] Result<CommandOutput> run(const HostCommand& command) const override;

 private:
  struct Entry {
    enum class Kind : unsigned char { file, stat, absent, denied };
    Kind kind = Kind::absent;
    FileStatus status;
    std::string content;
  };
  struct Output {
    bool missing = false;
    int status = 0;
    std::string out;
  };
  class Reader;

  [[nodiscard]] Result<const Entry*> find(const std::string& path) const;
  // What is known of the nearest folder above.
  [[nodiscard]] tl::unexpected<Error> unknown(const std::string& path) const;

  std::string collection_, host_;
  WallTime time_ = 0;
  long uid_ = -1;
  std::map<std::string, Entry, std::less<>> entries_;
  std::map<std::string, Output, std::less<>> outputs_;
  std::set<std::string, std::less<>> listed_;
};

// The file name of a capture only tells which key to look for: its collection line, not verified.
[[nodiscard]] std::string collection_of(std::string_view capture);

struct ScriptOptions {
  std::string collection;  // letters, digits, - and .
  std::string seal_key;    // 64 hex digits
  std::string root;        // put before every path; empty for the real host
};

// A POSIX shell script that prints the capture on its stdout, or into the file it is given. It
// needs coreutils, awk and base64 or openssl; it writes nothing else and changes nothing.
[[nodiscard]] std::string collection_script(const Sources& sources, const ScriptOptions& options);

}  // namespace menshen::compliance
