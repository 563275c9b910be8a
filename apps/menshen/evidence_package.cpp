#include "apps/menshen/evidence_package.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.hpp"

namespace menshen::apps {
namespace {

constexpr std::string_view marker = "\nmenshen-package/1 ";

tl::unexpected<Error> damaged(std::string zh, std::string en) {
  return fail(ErrorCode::corrupt, {"证据包：" + std::move(zh), "package: " + std::move(en)});
}

struct Parts {
  std::string_view tar;
  std::string evidence;
};

Result<Parts> split(std::string_view package) {
  const std::size_t at = package.rfind(marker);
  if (at == std::string_view::npos || package.back() != '\n') {
    return damaged("末行缺失或不完整", "the last line is missing or cut short");
  }
  std::string_view line = package.substr(at + marker.size());
  line.remove_suffix(1);
  const std::size_t blank = line.find(' ');
  Parts parts;
  parts.tar = package.substr(0, at);
  const auto evidence = audit::from_base64(
      blank == std::string_view::npos ? std::string_view() : line.substr(blank + 1));
  // One form only: what was read, written again, is what stands there.
  if (!evidence || seal_package(std::string(parts.tar), *evidence) != package) {
    return damaged("末行格式不符", "the last line is not of this form");
  }
  parts.evidence = *evidence;
  return parts;
}

// Members that the verification does not use must agree with those that it does.
Result<void> check_form(const std::string& evidence, const audit::EvidenceReport& report) {
  const auto json = nlohmann::ordered_json::parse(evidence, nullptr, false);
  const auto text = [&](const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto key = audit::PublicKey::parse(text("public_key"));
  if (!json.is_object() || json.dump() != evidence || text("origin") != report.checkpoint.origin ||
      text("profile") != audit::name(report.checkpoint.profile) ||
      text("fingerprint") != report.fingerprint || !key || key->pem() != text("public_key")) {
    return damaged("审计证据格式不符", "the audit's evidence is not of its one form");
  }
  return {};
}

// The evidence is of a file: the archive without the last line, for as long as it is checked.
class TarFile {
 public:
  [[nodiscard]] static Result<TarFile> write(std::string_view tar) {
    std::string name = (std::filesystem::temp_directory_path() / "menshen-package-XXXXXX").string();
    TarFile file;
    const UniqueFd fd(::mkstemp(name.data()));
    if (!fd) return fail_errno({"建立临时文件", "making a temporary file"});
    file.path_ = name;
    MENSHEN_CHECK(write_all(fd.get(), as_bytes(tar)));
    return file;
  }
  TarFile(TarFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TarFile(const TarFile&) = delete;
  ~TarFile() {
    std::error_code error;
    if (!path_.empty()) std::filesystem::remove(path_, error);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  TarFile() = default;
  std::filesystem::path path_;
};

}  // namespace

std::string seal_package(std::string tar, std::string_view evidence_json) {
  const std::size_t bytes = tar.size();
  return std::move(tar) +
         fmt::format("{}{} {}\n", marker, bytes, audit::to_base64(as_bytes(evidence_json)));
}

Result<PackageReport> verify_package(std::string_view package, std::string_view fingerprint) {
  const Parts parts = MENSHEN_TRY(split(package));
  PackageReport report;
  {
    const TarFile file = MENSHEN_TRY(TarFile::write(parts.tar));
    report.evidence = MENSHEN_TRY(audit::verify_evidence(file.path(), parts.evidence, fingerprint));
  }
  MENSHEN_CHECK(check_form(parts.evidence, report.evidence));
  report.files = MENSHEN_TRY(compliance::read_tar(parts.tar));
  MENSHEN_CHECK(compliance::check_package(report.files));
  return report;
}

}  // namespace menshen::apps
