// One signed archive: the files of a package as ustar, and behind it one line that holds the audit
// store's evidence for exactly those bytes. `tar -xf` reads it; no bit of it can change unnoticed.
//
//   TAR "\n" "menshen-package/1 " BYTES " " BASE64(evidence JSON) "\n"
#pragma once

#include <string>
#include <string_view>

#include "audit/store/evidence.hpp"
#include "compliance/report/package.hpp"

namespace menshen::apps {

[[nodiscard]] std::string seal_package(std::string tar, std::string_view evidence_json);

struct PackageReport {
  audit::EvidenceReport evidence;
  std::vector<compliance::PackageFile> files;
};
// Everything: the line's one form, signature, record, digest, archive, manifest, references.
// ErrorCode::corrupt says what does not hold. `fingerprint` as in audit::verify_evidence.
[[nodiscard]] Result<PackageReport> verify_package(std::string_view package,
                                                   std::string_view fingerprint);

}  // namespace menshen::apps
