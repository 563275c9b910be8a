#include "compliance/report/package.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "compliance/catalogue/digest.hpp"
#include "compliance/report/oscal.hpp"
#include "compliance/report/report.hpp"

namespace menshen::compliance {
namespace {

constexpr std::size_t block = 512;
constexpr std::string_view manifest_name = "MANIFEST";

tl::unexpected<Error> damaged(std::string zh, std::string en) {
  return fail(ErrorCode::corrupt, {"证据包：" + std::move(zh), "package: " + std::move(en)});
}

bool is_path(std::string_view path) {
  return !path.empty() && path.size() <= package_path_bytes_max && path[0] != '/' &&
         path.find("..") == std::string_view::npos &&
         std::all_of(path.begin(), path.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '/' || c == '.' || c == '-' || c == '_';
         });
}

void put(std::string& header, std::size_t at, std::string_view text) {
  std::copy(text.begin(), text.end(), header.begin() + static_cast<std::ptrdiff_t>(at));
}

// Field offsets of ustar.
std::string header_of(std::string_view path, std::size_t bytes, std::int64_t seconds) {
  std::string header(block, '\0');
  put(header, 0, path);
  put(header, 100, "0000644");
  put(header, 108, "0000000");
  put(header, 116, "0000000");
  put(header, 124, fmt::format("{:011o}", bytes));
  put(header, 136, fmt::format("{:011o}", seconds));
  put(header, 148, "        ");
  header[156] = '0';
  put(header, 257, std::string_view("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  put(header, 148, std::string_view(fmt::format("{:06o}", sum) + std::string("\0 ", 2)));
  return header;
}

bool octal(std::string_view field, std::uint64_t& value) {
  const auto [stop, code] = std::from_chars(field.data(), field.data() + field.size(), value, 8);
  return code == std::errc{} && stop == field.data() + field.size();
}

std::size_t padded(std::size_t bytes) { return (bytes + block - 1) / block * block; }

const PackageFile* find(const std::vector<PackageFile>& files, std::string_view path) {
  const auto found = std::find_if(files.begin(), files.end(),
                                  [&](const PackageFile& f) { return f.path == path; });
  return found == files.end() ? nullptr : &*found;
}

// Every fact with raw text has it in the package: findings can be followed to what was seen.
Result<void> check_references(const std::vector<PackageFile>& files) {
  const PackageFile* assessment = find(files, "assessment.json");
  if (assessment == nullptr) {
    return damaged("缺少 assessment.json", "assessment.json is missing");
  }
  std::set<std::string_view> paths;
  for (const PackageFile& file : files) paths.insert(file.path);
  const auto json = nlohmann::json::parse(assessment->content, nullptr, false);
  const auto facts = json.is_object() ? json.find("facts") : json.end();
  if (!json.is_object() || facts == json.end() || !facts->is_array()) {
    return damaged("assessment.json 无法识别", "assessment.json is not understood");
  }
  for (const auto& fact : *facts) {
    const std::string digest = fact.is_object() ? fact.value("sha256", "") : std::string();
    const std::string path = fmt::format("raw/{}.txt", digest);
    if (paths.count(path) == 0) return damaged("缺少 " + path, path + " is missing");
  }
  return {};
}

}  // namespace

std::vector<PackageFile> package_files(const Assessment& a) {
  std::vector<PackageFile> files;
  files.push_back({"assessment.json", to_json(a) + "\n"});
  files.push_back(
      {"report.zh.html", render_html(a, {.lang = Lang::zh, .file_name = "report.zh.html"})});
  files.push_back(
      {"report.en.html", render_html(a, {.lang = Lang::en, .file_name = "report.en.html"})});
  files.push_back({"oscal/catalog.json", oscal_catalog(*a.catalogue, a.assessed_at)});
  files.push_back({"oscal/assessment-results.json", oscal_results(a)});
  files.push_back({"oscal/poam.json", oscal_poam(a)});
  std::map<std::string, std::shared_ptr<const std::string>> raw;
  for (const AssessedObject& object : a.objects)
    for (const auto& [name, fact] : object.facts.all())
      raw.emplace(fact.provenance.sha256, fact.provenance.raw);
  for (const auto& [digest, text] : raw)
    files.push_back({fmt::format("raw/{}.txt", digest), text ? *text : std::string()});
  return files;
}

std::string manifest_of(const std::vector<PackageFile>& files) {
  std::string out;
  for (const PackageFile& file : files) {
    out += fmt::format("{} {} {} {}\n", sha256_hex(file.content), sm3_hex(file.content),
                       file.content.size(), file.path);
  }
  return out;
}

Result<std::string> to_tar(std::vector<PackageFile> files, WallTime time) {
  const auto by_path = [](const PackageFile& a, const PackageFile& b) { return a.path < b.path; };
  std::sort(files.begin(), files.end(), by_path);
  files.push_back({std::string(manifest_name), manifest_of(files)});
  std::sort(files.begin(), files.end(), by_path);
  std::size_t bytes = 2 * block;
  for (const PackageFile& file : files) {
    if (!is_path(file.path)) {
      return fail(ErrorCode::invalid,
                  {"证据包文件名无效：" + file.path, "not a path of a package: " + file.path});
    }
    bytes += block + padded(file.content.size());
  }
  if (bytes > package_bytes_max || files.size() > package_files_max) {
    return fail(ErrorCode::limit, {fmt::format("证据包超过 {} 字节或 {} 个文件", package_bytes_max,
                                               package_files_max),
                                   fmt::format("the package exceeds {} bytes or {} files",
                                               package_bytes_max, package_files_max)});
  }
  std::string tar;
  tar.reserve(bytes);
  for (const PackageFile& file : files) {
    tar += header_of(file.path, file.content.size(), time / 1'000'000'000);
    tar += file.content;
    tar.resize(tar.size() + padded(file.content.size()) - file.content.size(), '\0');
  }
  tar.resize(tar.size() + 2 * block, '\0');
  return tar;
}

Result<std::vector<PackageFile>> read_tar(std::string_view tar) {
  std::vector<PackageFile> files;
  std::uint64_t time = 0;
  while (tar.size() > 2 * block) {
    const std::string_view header = tar.substr(0, block);
    std::uint64_t bytes = 0;
    const std::string_view name = header.substr(0, std::min(header.find('\0'), std::size_t{100}));
    if (!is_path(name) || !octal(header.substr(124, 11), bytes) ||
        !octal(header.substr(136, 11), time) || bytes > tar.size() ||
        header != header_of(name, bytes, static_cast<std::int64_t>(time))) {
      return damaged("归档格式不符", "the archive is not of this form");
    }
    const std::size_t size = padded(bytes);
    if (tar.size() < block + size + 2 * block || files.size() >= package_files_max) {
      return damaged("归档不完整", "the archive is cut short");
    }
    if (!files.empty() && files.back().path >= name) {
      return damaged("归档中文件次序不符", "the archive's files are not in order");
    }
    const std::string_view content = tar.substr(block, bytes);
    const std::string_view rest = tar.substr(block + bytes, size - bytes);
    if (rest.find_first_not_of('\0') != std::string_view::npos) {
      return damaged("归档填充不为零", "padding of the archive is not zero");
    }
    files.push_back({std::string(name), std::string(content)});
    tar.remove_prefix(block + size);
  }
  if (tar != std::string(2 * block, '\0')) return damaged("归档不完整", "the archive is cut short");
  return files;
}

Result<void> check_package(const std::vector<PackageFile>& files) {
  const PackageFile* manifest = find(files, manifest_name);
  if (manifest == nullptr) return damaged("缺少 MANIFEST", "MANIFEST is missing");
  std::map<std::string, std::string> wanted;  // path -> line
  std::string_view rest = manifest->content;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    wanted[std::string(line.substr(line.rfind(' ') + 1))] = std::string(line) + "\n";
  }
  for (const PackageFile& file : files) {
    if (file.path == manifest_name) continue;
    const auto line = wanted.find(file.path);
    if (line == wanted.end() || manifest_of({file}) != line->second) {
      return damaged(file.path + " 与 MANIFEST 不符", file.path + " is not as MANIFEST says");
    }
    wanted.erase(line);
  }
  if (!wanted.empty()) {
    return damaged("缺少 " + wanted.begin()->first, wanted.begin()->first + " is missing");
  }
  return check_references(files);
}

}  // namespace menshen::compliance
