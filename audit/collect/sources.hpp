// Who sends logs: of each source when it was first and last heard, how much, what is missing, and
// whether it has fallen silent. Kept in a file over restarts.
//
// A source is a sender and the host its messages name: relays speak for many hosts. Where the table
// is full, further hosts of a sender count as the sender's "*". Not thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/ip.hpp"
#include "base/result.hpp"

namespace menshen::audit {

inline constexpr std::size_t sources_max = 4096;
inline constexpr std::size_t source_host_bytes_max = 255;
inline constexpr std::size_t sources_file_bytes_max = 16U << 20U;

// Who may send, and whose records these are: "PREFIX DOMAIN" or "cn:NAME DOMAIN".
struct SenderRule {
  std::optional<Prefix> prefix;
  std::string certificate;  // the client certificate's common name
  std::string domain;       // the tenant's, or the provider's own

  // ErrorCode::invalid.
  [[nodiscard]] static Result<SenderRule> parse(std::string_view text);
};

struct Sender {
  IpAddr address;
  std::string certificate;  // empty: none was shown
};

// The first rule that fits; a certificate counts before the address.
[[nodiscard]] const SenderRule* rule_of(const std::vector<SenderRule>& rules, const Sender& sender);

struct SourceKey {
  std::string sender;  // the certificate's name or the address
  std::string host;    // as the messages say; "*": hosts beyond sources_max
  auto operator<=>(const SourceKey&) const = default;
};

struct SourceState {
  std::string domain;
  WallTime first_seen = 0;
  WallTime last_seen = 0;
  std::uint64_t messages = 0;
  std::uint64_t dropped = 0;  // beyond the rate
  std::uint64_t missing = 0;  // by gaps in RFC 5424's sequenceId
  std::uint64_t gaps = 0;
  std::uint64_t silences = 0;  // how often it fell silent
  bool silent = false;         // now
  double per_minute = 0;       // over the last minutes

  // Not kept:
  std::uint64_t sequence = 0;     // the last sequenceId; 0: none yet
  std::uint64_t this_minute = 0;  // messages since the last minute began
  std::uint64_t this_second = 0;
  std::uint64_t dropped_untold = 0;
  std::uint64_t missing_untold = 0;
};

class SourceTable {
 public:
  // The state for a message that came just now. `sequence`: its sequenceId; 0: none.
  SourceState& heard(const SourceKey& key, const std::string& domain, WallTime now,
                     std::uint64_t sequence);
  [[nodiscard]] const std::map<SourceKey, SourceState>& all() const { return sources_; }
  [[nodiscard]] std::map<SourceKey, SourceState>& all() { return sources_; }

  // ErrorCode::corrupt where the file is not ours; nothing where there is none.
  [[nodiscard]] Result<void> load(const std::filesystem::path& file);
  [[nodiscard]] Result<void> save(const std::filesystem::path& file) const;

 private:
  std::map<SourceKey, SourceState> sources_;
};

// One source as JSON text, for status and file.
[[nodiscard]] std::string to_json(const SourceKey& key, const SourceState& state);

}  // namespace menshen::audit
