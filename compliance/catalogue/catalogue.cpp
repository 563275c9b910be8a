#include "compliance/catalogue/catalogue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <system_error>
#include <utility>

#include "base/file.hpp"
#include "compliance/catalogue/digest.hpp"

namespace menshen::compliance {
namespace {

constexpr std::size_t file_bytes_max = 4U << 20U;
constexpr std::string_view meta_file = "meta.yaml";
constexpr std::string_view sources_file = "sources.yaml";
constexpr std::string_view classes_file = "classes.yaml";

void unique_checks(std::vector<Check>&& found, Catalogue& catalogue, Diagnostics& diagnostics) {
  for (Check& check : found) {
    const std::string id = check.id;
    if (catalogue.checks.size() >= catalogue_checks_max) {
      diagnostics.error("limit", {},
                        {fmt::format("检查超过 {} 个", catalogue_checks_max),
                         fmt::format("more than {} checks", catalogue_checks_max)});
      return;
    }
    if (!catalogue.checks.emplace(id, std::move(check)).second) {
      diagnostics.error(
          "duplicate-check", {},
          {fmt::format("检查 {} 重复定义", id), fmt::format("check {} is defined twice", id)});
    }
  }
}

// Both sides name each other: an item its checks, a check its items. They must agree.
void cross_check(const Catalogue& catalogue, Diagnostics& diagnostics) {
  std::set<std::string, std::less<>> ids;
  std::set<std::pair<std::string, std::string>> from_items;
  for (const Layer& layer : catalogue.layers) {
    for (const Item& item : layer.items) {
      if (!ids.insert(item.id).second) {
        diagnostics.error(
            "duplicate-item", {},
            {fmt::format("测评项 {} 重复", item.id), fmt::format("item {} occurs twice", item.id)});
      }
      for (const std::string& check : item.checks) {
        from_items.emplace(item.id, check);
        if (catalogue.checks.find(check) == catalogue.checks.end()) {
          diagnostics.error("unknown-check", {},
                            {fmt::format("测评项 {} 引用了不存在的检查 {}", item.id, check),
                             fmt::format("item {} names the unknown check {}", item.id, check)});
        }
      }
    }
  }
  std::set<std::pair<std::string, std::string>> from_checks;
  for (const auto& [id, check] : catalogue.checks)
    for (const std::string& item : check.items) from_checks.emplace(item, id);
  std::vector<std::pair<std::string, std::string>> apart;
  std::set_symmetric_difference(from_items.begin(), from_items.end(), from_checks.begin(),
                                from_checks.end(), std::back_inserter(apart));
  for (const auto& [item, check] : apart) {
    diagnostics.error("one-sided", {},
                      {fmt::format("测评项 {} 与检查 {} 只有一方引用另一方", item, check),
                       fmt::format("item {} and check {} do not name each other", item, check)});
  }
}

// Files by name, so that the order on disk does not matter.
std::vector<std::filesystem::path> yaml_files(const std::filesystem::path& directory,
                                              Diagnostics& diagnostics) {
  std::vector<std::filesystem::path> files;
  std::error_code code;
  for (std::filesystem::directory_iterator it(directory, code), end; !code && it != end;
       it.increment(code)) {
    if (it->path().extension() == ".yaml") files.push_back(it->path());
    if (files.size() > catalogue_files_max) {
      diagnostics.error("limit", {},
                        {fmt::format("文件超过 {} 个", catalogue_files_max),
                         fmt::format("more than {} files", catalogue_files_max)});
      return {};
    }
  }
  if (code) {
    diagnostics.error(
        "unreadable", {},
        {fmt::format("无法读取目录 {}：{}", directory.string(), code.message()),
         fmt::format("cannot read folder {}: {}", directory.string(), code.message())});
  }
  std::sort(files.begin(), files.end());
  return files;
}

struct Source {
  std::filesystem::path path;
  bool check = false;
};

// Clause numbers in their own order: 8.1.10 after 8.1.9.
bool clause_less(const std::string& a, const std::string& b) {
  const auto parts = [](const std::string& text) {
    std::vector<int> numbers;
    int current = 0;
    for (const char c : text) {
      if (c == '.') {
        numbers.push_back(std::exchange(current, 0));
      } else if (c >= '0' && c <= '9' && current < 100000) {
        current = current * 10 + (c - '0');
      }
    }
    numbers.push_back(current);
    return numbers;
  };
  return parts(a) < parts(b);
}

void take_file(const Source& source, const std::string& text, Catalogue& catalogue, bool& has_meta,
               Diagnostics& diagnostics) {
  if (source.check) {
    if (auto checks = parse_checks(text, catalogue.sources, diagnostics))
      unique_checks(*std::move(checks), catalogue, diagnostics);
  } else if (source.path.filename() == meta_file) {
    if (auto meta = parse_meta(text, diagnostics)) catalogue.meta = *std::move(meta);
    has_meta = true;
  } else if (source.path.filename() == sources_file) {
    if (auto sources = parse_sources(text, diagnostics)) catalogue.sources = *std::move(sources);
  } else if (source.path.filename() == classes_file) {
    if (auto classes = parse_classes(text, diagnostics)) catalogue.classes = *std::move(classes);
  } else if (auto layer = parse_layer(text, diagnostics)) {
    catalogue.layers.push_back(*std::move(layer));
  }
}

}  // namespace

const Item* Catalogue::find_item(std::string_view id) const {
  for (const Layer& layer : layers)
    for (const Item& item : layer.items)
      if (item.id == id) return &item;
  return nullptr;
}

const ObjectClass* Catalogue::find_class(std::string_view id) const {
  for (const ObjectClass& object_class : classes)
    if (object_class.id == id) return &object_class;
  return nullptr;
}

std::size_t Catalogue::item_count() const {
  std::size_t n = 0;
  for (const Layer& layer : layers) n += layer.items.size();
  return n;
}

LoadedCatalogue load_catalogue(const std::filesystem::path& directory) {
  LoadedCatalogue result;
  Catalogue catalogue;
  Diagnostics whole(directory.string(), "");
  std::vector<Source> sources;
  for (auto& path : yaml_files(directory, whole)) sources.push_back({std::move(path), false});
  for (auto& path : yaml_files(directory / "checks", whole))
    sources.push_back({std::move(path), true});

  std::string manifest;
  bool has_meta = false;
  for (const Source& source : sources) {
    const auto text = read_file(source.path, file_bytes_max);
    if (!text) {
      whole.error("unreadable", {}, text.error().text);
      continue;
    }
    manifest += fmt::format("{} {}\n", sha256_hex(*text), source.path.filename().string());
    Diagnostics diagnostics(source.path.string(), *text);
    take_file(source, *text, catalogue, has_meta, diagnostics);
    if (!diagnostics.all().empty()) result.diagnostics.push_back(std::move(diagnostics));
  }
  if (!has_meta && !whole.has_errors()) {
    whole.error("missing-file", {}, {"缺少 meta.yaml", "meta.yaml is missing"});
  }
  std::sort(catalogue.layers.begin(), catalogue.layers.end(),
            [](const Layer& a, const Layer& b) { return clause_less(a.id, b.id); });
  const bool parsed = std::none_of(result.diagnostics.begin(), result.diagnostics.end(),
                                   [](const Diagnostics& d) { return d.has_errors(); });
  if (parsed && !whole.has_errors()) cross_check(catalogue, whole);
  const bool good = parsed && !whole.has_errors();
  if (!whole.all().empty()) result.diagnostics.push_back(std::move(whole));
  if (good) {
    catalogue.digest_sha256 = sha256_hex(manifest);
    result.catalogue = std::move(catalogue);
  }
  return result;
}

}  // namespace menshen::compliance
