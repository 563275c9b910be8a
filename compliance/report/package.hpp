// The files of an evidence package and the one archive that they make (docs/formats/
// evidence-package.md). What signs it stands in apps: the archive is bytes here.
//
// The archive is ustar (POSIX.1-1988) in exactly one form: regular files in order of their paths,
// mode 0644, no owner, one time. read_tar takes nothing else, so no bit of it is without meaning.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "compliance/assess/assess.hpp"

namespace menshen::compliance {

inline constexpr std::size_t package_bytes_max = std::size_t{1} << 30U;
inline constexpr std::size_t package_files_max = 100'000;
inline constexpr std::size_t package_path_bytes_max = 99;

struct PackageFile {
  std::string path;  // relative: letters, digits, / . - _
  std::string content;
};

// assessment.json, both pages, raw/SHA256.txt for every fact's raw text, and the OSCAL documents.
[[nodiscard]] std::vector<PackageFile> package_files(const Assessment& assessment);

// One line a file, in order: SHA-256, SM3, bytes, path. Goes in as MANIFEST.
[[nodiscard]] std::string manifest_of(const std::vector<PackageFile>& files);

// Sorts, adds MANIFEST, archives. ErrorCode::limit beyond the limits above.
[[nodiscard]] Result<std::string> to_tar(std::vector<PackageFile> files, WallTime time);
// ErrorCode::corrupt where it is not what to_tar writes.
[[nodiscard]] Result<std::vector<PackageFile>> read_tar(std::string_view tar);

// MANIFEST names every file with its digests and no other, and every raw text that assessment.json
// refers to is there. ErrorCode::corrupt names the first file that is not so.
[[nodiscard]] Result<void> check_package(const std::vector<PackageFile>& files);

}  // namespace menshen::compliance
