#include "sensor/detect/dataset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <mutex>
#include <utility>

#include "base/ascii.hpp"
#include "base/file.hpp"
#include "base/ip.hpp"
#include "sensor/detect/keyword.hpp"
#include "sensor/detect/transform.hpp"

namespace menshen::sensor {
namespace {

constexpr std::pair<std::string_view, DatasetType> type_names[] = {
    {"string", DatasetType::string}, {"md5", DatasetType::md5}, {"sha256", DatasetType::sha256},
    {"ipv4", DatasetType::ipv4},     {"ip", DatasetType::ip},   {"hex", DatasetType::hex}};

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(high * 16 + low));
  }
  return bytes;
}

std::optional<std::string> lower_digits(std::string_view text) {
  if (std::ranges::any_of(text, [](char c) { return hex_digit(c) < 0; })) return std::nullopt;
  return ascii_lower(text);
}

std::optional<std::string> address_bytes(std::string_view text) {
  const auto address = IpAddr::parse(text);
  if (!address) return std::nullopt;
  return std::string(as_text(std::as_bytes(std::span(address->bytes()))));
}

// A line's value as a buffer would have it.
std::optional<std::string> value_of(const DatasetOptions& options, std::string_view text) {
  const DatasetType type = *options.type;
  switch (type) {
    case DatasetType::string: {
      std::string bytes;
      if (!decode_base64(as_bytes(text), Base64Mode::strict, dataset_value_bytes_max, bytes)) {
        return std::nullopt;
      }
      return bytes;
    }
    case DatasetType::md5:
    case DatasetType::sha256: {
      auto bytes = from_hex(text);
      const std::size_t wanted = type == DatasetType::md5 ? 16 : 32;
      if (bytes && bytes->size() != wanted) return std::nullopt;
      return bytes;
    }
    case DatasetType::ipv4:
    case DatasetType::ip:
      return address_bytes(text);
    case DatasetType::hex:
      if (options.digits != 0 && text.size() != options.digits) return std::nullopt;
      return lower_digits(text);
  }
  return std::nullopt;
}

}  // namespace

std::optional<DatasetType> dataset_type_of(std::string_view name) noexcept {
  for (const auto& [known, type] : type_names) {
    if (known == name && type != DatasetType::hex) return type;
  }
  return std::nullopt;
}

// ---- one set ------------------------------------------------------------------------------------

// Nothing: no value of the set's type.
std::optional<std::string_view> Dataset::key_of(Bytes value, Mapped& mapped) const {
  const DatasetType type = *options_.type;
  const bool address = type == DatasetType::ip || type == DatasetType::ipv4;
  if (address && value.size() == 4) {  // IPv4-mapped (RFC 4291 2.5.5.2)
    mapped = {};
    mapped[10] = mapped[11] = '\xff';
    std::copy(as_text(value).begin(), as_text(value).end(), mapped.begin() + 12);
    return std::string_view(mapped.data(), mapped.size());
  }
  const std::size_t wanted = address || type == DatasetType::md5 ? 16
                             : type == DatasetType::sha256       ? 32
                                                                 : value.size();
  if (value.empty() || value.size() != wanted || value.size() > dataset_value_bytes_max) {
    return std::nullopt;
  }
  return as_text(value);
}

bool Dataset::contains(Bytes value) const { return reputation(value).has_value(); }

std::optional<std::uint16_t> Dataset::reputation(Bytes value) const {
  Mapped mapped;
  const auto key = key_of(value, mapped);
  if (!key) return std::nullopt;
  const std::shared_lock hold(lock_);
  const auto found = values_.find(*key);
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

bool Dataset::add(Bytes value, std::uint16_t reputation) {
  Mapped mapped;
  const auto key = key_of(value, mapped);
  if (!key) return false;
  const std::unique_lock hold(lock_);
  if (values_.contains(*key)) return false;
  const std::uint64_t cost = key->size() + dataset_entry_bytes;
  if (memory_ + cost > options_.memory_max) {
    ++refused_;
    return false;
  }
  memory_ += cost;
  values_.emplace(*key, reputation);
  return true;
}

bool Dataset::remove(Bytes value) {
  Mapped mapped;
  const auto key = key_of(value, mapped);
  if (!key) return false;
  const std::unique_lock hold(lock_);
  const auto found = values_.find(*key);
  if (found == values_.end()) return false;
  values_.erase(found);
  memory_ -= key->size() + dataset_entry_bytes;
  return true;
}

std::size_t Dataset::size() const {
  const std::shared_lock hold(lock_);
  return values_.size();
}

Result<void> Dataset::read(std::string_view text, const std::filesystem::path& file) {
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t newline = std::min(text.find('\n'), text.size());
    std::string_view line = trim(text.substr(0, newline));
    text.remove_prefix(std::min(newline + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    std::uint16_t reputation = 0;
    const std::size_t comma = line.find(',');
    bool sound = options_.reputations == (comma != std::string_view::npos);
    if (sound && options_.reputations) {
      const std::string_view digits = trim(line.substr(comma + 1));
      const auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), reputation);
      sound = error == std::errc{} && end == digits.data() + digits.size();
      line = trim(line.substr(0, comma));
    }
    // Lists of hashes as md5sum writes them: the file's name stands behind the hash.
    if (*options_.type == DatasetType::hex) line = line.substr(0, line.find_first_of(" \t"));
    const auto value = sound ? value_of(options_, line) : std::nullopt;
    if (!value) {
      return fail(ErrorCode::invalid,
                  {fmt::format("{}:{}：不是有效的条目", file.string(), number),
                   fmt::format("{}:{}: no valid entry", file.string(), number)});
    }
    if (!add(as_bytes(*value), reputation) && refused_ != 0) {
      return fail(ErrorCode::limit, {fmt::format("{}:{}：超过数据集的内存上限 {} 字节",
                                                 file.string(), number, options_.memory_max),
                                     fmt::format("{}:{}: beyond the set's memory limit of {} bytes",
                                                 file.string(), number, options_.memory_max)});
    }
  }
  return {};
}

void Dataset::take_from(const Dataset& other) {
  if (&other == this || other.options_.type != options_.type) return;
  const std::shared_lock from(other.lock_);
  const std::unique_lock hold(lock_);
  for (const auto& [key, reputation] : other.values_) {
    const std::uint64_t cost = key.size() + dataset_entry_bytes;
    if (memory_ + cost > options_.memory_max) return;
    if (values_.emplace(key, reputation).second) memory_ += cost;
  }
}

// ---- by name ------------------------------------------------------------------------------------

Result<std::shared_ptr<Dataset>> Datasets::open(const DatasetOptions& options) {
  if (const auto found = sets_.find(options.name); found != sets_.end()) {
    const DatasetOptions& known = found->second->options();
    const bool same = (!options.type || options.type == known.type) &&
                      (options.load.empty() || options.load == known.load) &&
                      options.reputations == known.reputations;
    if (same) return found->second;
    return fail(ErrorCode::invalid,
                {fmt::format("数据集 {} 已以不同的定义使用", options.name),
                 fmt::format("set {} is used with another definition before", options.name)});
  }
  if (!options.type) {
    return fail(ErrorCode::invalid,
                {fmt::format("数据集 {} 尚未定义，须给出 type", options.name),
                 fmt::format("set {} is not known yet: its type is missing", options.name)});
  }
  if (sets_.size() == dataset_sets_max) {
    return fail(ErrorCode::limit, {fmt::format("数据集超过 {} 个", dataset_sets_max),
                                   fmt::format("more than {} sets", dataset_sets_max)});
  }
  auto set = std::make_shared<Dataset>(options);
  std::error_code error;  // any but "not found" is read_file's to tell
  const bool missing =
      options.load_if_there &&
      std::filesystem::status(options.load, error).type() == std::filesystem::file_type::not_found;
  if (!options.load.empty() && !missing) {
    const std::string text = MENSHEN_TRY(read_file(options.load));
    MENSHEN_CHECK(set->read(text, options.load));
  }
  sets_.emplace(options.name, set);
  return set;
}

std::uint64_t Datasets::refused() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& [name, set] : sets_) sum += set->refused();
  return sum;
}

void Datasets::take_from(const Datasets& older) {
  for (const auto& [name, set] : sets_) {
    const auto found = older.sets_.find(name);
    const bool learned = set->options().load.empty() || set->options().load_if_there;
    if (learned && found != older.sets_.end()) set->take_from(*found->second);
  }
}

}  // namespace menshen::sensor
