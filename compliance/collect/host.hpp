// Facts of a Linux host: files, /proc and a fixed list of read-only commands. Nothing is changed,
// nothing runs through a shell, and no password hash leaves the parser.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "compliance/catalogue/sources.hpp"
#include "compliance/collect/facts.hpp"

namespace menshen::compliance {

struct CommandOutput {
  int status = 0;
  std::string out;  // stdout, at most command_bytes_max
};
inline constexpr std::size_t command_bytes_max = 8U << 20U;
inline constexpr std::size_t host_file_bytes_max = 4U << 20U;

struct FileStatus {
  mode_t mode = 0;  // permission bits
  bool directory = false;
  std::string owner;  // name, or the number where it has none
  std::string group;
  WallTime modified = 0;
};

// The seam to the host: the real one below, an in-memory one in tests.
class HostAccess {
 public:
  virtual ~HostAccess() = default;
  // ErrorCode::not_found where it is not there; any other error means that collecting failed.
  [[nodiscard]] virtual Result<std::string> read(const std::string& path) const = 0;
  [[nodiscard]] virtual Result<FileStatus> status(const std::string& path) const = 0;
  // Names in a folder, sorted.
  [[nodiscard]] virtual Result<std::vector<std::string>> list(const std::string& path) const = 0;
  // ErrorCode::not_found where the program is not installed, ErrorCode::unavailable on timeout.
  [[nodiscard]] virtual Result<CommandOutput> run(const HostCommand& command) const = 0;
};

// This machine. `root` is put before every path that is read ("/" for the real host).
class LocalHost final : public HostAccess {
 public:
  explicit LocalHost(std::filesystem::path root = "/") : root_(std::move(root)) {}
  [[nodiscard]] Result<std::string> read(const std::string& path) const override;
  [[nodiscard]] Result<FileStatus> status(const std::string& path) const override;
  [[nodiscard]] Result<std::vector<std::string>> list(const std::string& path) const override;
  [[nodiscard]] Result<CommandOutput> run(const HostCommand& command) const override;

 private:
  std::filesystem::path root_;
};

// Everything under "host.": one fact a subject; a subject that cannot be read is a failed fact, the
// rest goes on. `object` names the host in the provenance. Takes as long as the slowest command, at
// most their timeouts' sum.
[[nodiscard]] Facts collect_host(const HostAccess& host, const Sources& sources, const Clock& clock,
                                 const std::string& object);

}  // namespace menshen::compliance
