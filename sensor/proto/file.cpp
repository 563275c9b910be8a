#include "sensor/proto/file.hpp"

#include <fmt/format.h>
#include <magic.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/handle.hpp"

namespace menshen::sensor {
namespace {

// libmagic tells most types from so many bytes, and few more from the rest.
constexpr std::size_t magic_bytes_min = 512;
constexpr std::size_t magic_bytes_max = 64U << 10U;

using DigestHandle = Handle<EVP_MD_CTX, &EVP_MD_CTX_free>;

const EVP_MD* algorithm_of(FileHash hash) noexcept {
  switch (hash) {
    case FileHash::md5:
      return EVP_md5();
    case FileHash::sha1:
      return EVP_sha1();
    case FileHash::sha256:
      return EVP_sha256();
    case FileHash::sm3:
      return EVP_sm3();
    case FileHash::count:
      break;
  }
  return nullptr;
}

std::string hex(std::span<const unsigned char> bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const unsigned char byte : bytes) fmt::format_to(std::back_inserter(text), "{:02x}", byte);
  return text;
}

}  // namespace

std::string_view file_hash_name(FileHash hash) noexcept {
  static constexpr std::string_view names[] = {"md5", "sha1", "sha256", "sm3"};
  return hash < FileHash::count ? names[static_cast<std::size_t>(hash)] : std::string_view();
}

std::string hash_hex(FileHash hash, Bytes bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned length = 0;
  EVP_Digest(bytes.data(), bytes.size(), out.data(), &length, algorithm_of(hash), nullptr);
  return hex(std::span(out).first(length));
}

class FileDigests {
 public:
  explicit FileDigests(const FileWants& wants) {
    for (std::size_t i = 0; i < file_hashes; ++i) {
      if (!wants.hashes[i]) continue;
      contexts_[i].reset(EVP_MD_CTX_new());
      EVP_DigestInit_ex(contexts_[i].get(), algorithm_of(static_cast<FileHash>(i)), nullptr);
    }
  }

  void add(Bytes bytes) noexcept {
    for (const DigestHandle& context : contexts_) {
      if (context != nullptr) EVP_DigestUpdate(context.get(), bytes.data(), bytes.size());
    }
  }

  void finish(std::array<std::string, file_hashes>& hashes) {
    for (std::size_t i = 0; i < file_hashes; ++i) {
      if (contexts_[i] == nullptr) continue;
      std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
      unsigned length = 0;
      EVP_DigestFinal_ex(contexts_[i].get(), out.data(), &length);
      hashes[i] = hex(std::span(out).first(length));
    }
  }

 private:
  std::array<DigestHandle, file_hashes> contexts_;
};

// ---- File ---------------------------------------------------------------------------------------

File::File() = default;
File::~File() {
  if (counters_ != nullptr) counters_->memory -= data.size();
}

std::string_view File::extension() const noexcept {
  const auto dot = name.rfind('.');
  return dot == std::string::npos ? std::string_view() : std::string_view(name).substr(dot + 1);
}

std::string File::take() {
  if (counters_ != nullptr) counters_->memory -= data.size();
  return std::exchange(data, {});
}

// ---- Files --------------------------------------------------------------------------------------

struct Files::Magic {
  Handle<magic_set, &magic_close> cookie{magic_open(MAGIC_NONE)};
  bool loaded = cookie != nullptr && magic_load(cookie.get(), nullptr) == 0;
};

Files::Files(const FileLimits& limits)
    : limits_(limits), counters_(std::make_shared<FileCounters>()) {}
Files::~Files() = default;

void Files::want(const FileWants& wants) {
  wants_ = wants;
  if (wants_.magic && magic_ == nullptr) magic_ = std::make_unique<Magic>();
}

File* Files::open(Transaction& transaction, Direction direction, std::string_view name) {
  auto& files = transaction.files[static_cast<std::size_t>(direction)];
  if (files.size() >= limits_.per_transaction) {
    ++counters_->limits_reached;
    return nullptr;
  }
  auto file = std::make_unique<File>();
  file->name = name.substr(0, limits_.name);
  file->counters_ = counters_;
  const bool hashed = std::ranges::find(wants_.hashes, true) != wants_.hashes.end();
  if (hashed) file->digests_ = std::make_unique<FileDigests>(wants_);
  ++counters_->files;
  files.push_back(std::move(file));
  return files.back().get();
}

void Files::append(File& file, Bytes bytes) {
  if (file.state != File::State::open || bytes.empty()) return;
  file.size += bytes.size();
  counters_->bytes += bytes.size();
  if (file.digests_ != nullptr) file.digests_->add(bytes);
  // After a gap the kept bytes no longer join.
  if (file.keep_whole) {
    const std::uint64_t in_file =
        limits_.kept - std::min<std::size_t>(limits_.kept, file.data.size());
    const std::uint64_t in_all = limits_.memory - std::min(limits_.memory, counters_->memory);
    const std::size_t room = std::min<std::uint64_t>({in_file, in_all, bytes.size()});
    file.data += as_text(bytes.first(room));
    counters_->memory += room;
    if (room < bytes.size()) {
      file.keep_whole = false;
      ++counters_->limits_reached;
    }
  }
  if (wants_.magic && file.magic.empty() && file.data.size() >= magic_bytes_min) find_magic(file);
}

void Files::gap(File& file, std::uint64_t length) {
  if (file.state != File::State::open || length == 0) return;
  file.size += length;
  file.has_gaps = true;
  file.keep_whole = false;
  file.digests_.reset();
}

void Files::close(File& file, File::State state) {
  if (file.state != File::State::open) return;
  file.state = file.has_gaps ? File::State::truncated : state;
  if (file.digests_ != nullptr) {
    if (file.state == File::State::closed) file.digests_->finish(file.hashes);
    file.digests_.reset();
  }
  if (wants_.magic && file.magic.empty() && !file.data.empty()) find_magic(file);
}

void Files::close_all(Transaction& transaction, Direction direction, File::State state) {
  for (const auto& file : transaction.files[static_cast<std::size_t>(direction)]) {
    close(*file, state);
  }
}

void Files::find_magic(File& file) {
  if (!magic_->loaded) return;
  const char* text = magic_buffer(magic_->cookie.get(), file.data.data(),
                                  std::min(file.data.size(), magic_bytes_max));
  if (text != nullptr) file.magic = text;
}

// ---- events -------------------------------------------------------------------------------------

std::string file_eve(const File& file, std::uint64_t tx_id) {
  nlohmann::ordered_json json;
  json["filename"] = file.name;
  if (!file.magic.empty()) json["magic"] = file.magic;
  json["gaps"] = file.has_gaps;
  static constexpr std::string_view states[] = {"UNKNOWN", "CLOSED", "TRUNCATED"};
  json["state"] = states[static_cast<std::size_t>(file.state)];
  for (std::size_t i = 0; i < file_hashes; ++i) {
    if (!file.hashes[i].empty()) {
      json[std::string(file_hash_name(static_cast<FileHash>(i)))] = file.hashes[i];
    }
  }
  json["stored"] = false;
  json["size"] = file.size;
  if (file.start != 0) {
    json["start"] = file.start;
    json["end"] = file.start + file.size;
  }
  json["tx_id"] = tx_id;
  // Names come from the peers: what is no UTF-8 is replaced.
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace menshen::sensor
