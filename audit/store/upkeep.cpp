#include "audit/store/upkeep.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "audit/store/names.hpp"
#include "base/file.hpp"

namespace menshen::audit {
namespace {

constexpr std::size_t public_key_bytes_max = 16U << 10U;
constexpr std::size_t seal_pieces_at_once = 32;

std::filesystem::path retired_folder(const StorePaths& paths) {
  return paths.directory / "retired";
}

}  // namespace

Result<UniqueFd> take_lock(const std::filesystem::path& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno({"无法打开 " + path.string(), "cannot open " + path.string()});
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorCode::exists,
                {"另一进程正在使用审计库 " + path.parent_path().string(),
                 "another process uses the audit store " + path.parent_path().string()});
  }
  return fd;
}

Result<void> make_with_mode(const std::filesystem::path& path, mode_t mode) {
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd || ::fchmod(fd.get(), mode) != 0) {
    return fail_errno({"无法创建 " + path.string(), "cannot make " + path.string()});
  }
  return {};
}

std::uint64_t file_bytes(const std::filesystem::path& path) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  return error ? 0 : bytes;
}

std::uint64_t folder_bytes(const std::filesystem::path& directory) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    bytes += file_bytes(entry.path());
  }
  return bytes;
}

Result<void> sync_folder(const std::filesystem::path& directory) {
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) {
    return fail_errno(
        {"无法将目录落盘：" + directory.string(), "cannot make durable: " + directory.string()});
  }
  return {};
}

Result<void> make_next_segment(const StorePaths& paths, const Segment& from,
                               const SegmentHead& head, mode_t mode, const char* vfs) {
  const auto path = paths.segment(head.number);
  const std::filesystem::path made = path.string() + ".new";
  std::error_code error;
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    std::filesystem::remove(made.string() + suffix, error);
  }
  MENSHEN_CHECK(make_with_mode(made, mode));
  {
    const Database database = MENSHEN_TRY(Database::open(made, Database::Mode::write, vfs));
    MENSHEN_CHECK(database.execute("PRAGMA page_size = 8192; PRAGMA synchronous = FULL"));
    MENSHEN_CHECK(create_schema(database, head));
    MENSHEN_CHECK(database.execute("BEGIN IMMEDIATE"));
    MENSHEN_CHECK(Names::carry(from, database));
    MENSHEN_CHECK(database.execute("COMMIT"));
  }
  std::filesystem::rename(made, path, error);
  if (error) {
    return fail_errno({"无法改名 " + made.string(), "cannot rename " + made.string()},
                      error.value());
  }
  return sync_folder(paths.directory);
}

Result<bool> fold_segment(const std::filesystem::path& path, const char* vfs) {
  const Database database = MENSHEN_TRY(Database::open(path, Database::Mode::write, vfs));
  MENSHEN_CHECK(database.execute("PRAGMA busy_timeout = 0"));
  Statement fold = MENSHEN_TRY(database.prepare("PRAGMA journal_mode = DELETE"));
  const auto row = fold.step();
  if (!row) {
    if (row.error().code == ErrorCode::unavailable) return false;
    return tl::make_unexpected(row.error());
  }
  return fold.text(0) == "delete";
}

Result<Seal> examine_segment(const std::filesystem::path& path, const char* vfs) {
  Seal seal;
  {
    Segment segment = MENSHEN_TRY(Segment::open(path, Database::Mode::read, vfs));
    const SegmentHead& head = segment.head();
    seal.origin = head.origin;
    seal.profile = head.profile;
    seal.segment = head.number;
    seal.first = head.first;
    seal.last = MENSHEN_TRY(segment.end());
    const auto note = MENSHEN_TRY(segment.last_note());
    seal.time = note ? note->checkpoint.time : 0;
  }
  seal.bytes = file_bytes(path);
  seal.digest = MENSHEN_TRY(digest_pieces(seal.profile, path));
  return seal;
}

Result<Digest> digest_pieces(Profile profile, const std::filesystem::path& path) {
  const auto what = [&] {
    return Text{"无法读取 " + path.string(), "cannot read " + path.string()};
  };
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(what());
  TreeHasher hasher = MENSHEN_TRY(TreeHasher::make(profile));
  Frontier frontier;
  std::string buffer(seal_piece_bytes * seal_pieces_at_once, '\0');
  while (true) {
    std::size_t filled = 0;
    while (filled < buffer.size()) {
      const ssize_t n = ::read(fd.get(), buffer.data() + filled, buffer.size() - filled);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno(what());
      if (n == 0) break;
      filled += static_cast<std::size_t>(n);
    }
    std::vector<Bytes> pieces;
    for (std::size_t at = 0; at < filled; at += seal_piece_bytes) {
      pieces.push_back(
          as_bytes(std::string_view(buffer).substr(at, std::min(seal_piece_bytes, filled - at))));
    }
    std::vector<Digest> leaves(pieces.size());
    hasher.leaves(pieces, leaves);
    for (const Digest& leaf : leaves) frontier.append(leaf, hasher);
    if (filled < buffer.size()) return frontier.root(hasher);
  }
}

std::optional<Seal> read_seal(const StorePaths& paths, std::uint64_t number,
                              const std::vector<const PublicKey*>& keys) {
  const auto text = read_file(paths.seal(number), note_bytes_max);
  if (!text) return std::nullopt;
  const auto seal = parse_seal(*text);
  if (!seal || seal->seal.segment != number) return std::nullopt;
  const bool good =
      std::ranges::any_of(keys, [&](const PublicKey* key) { return verify_seal(*seal, *key); });
  return good ? std::optional(seal->seal) : std::nullopt;
}

std::optional<WallTime> forecast_full(const Growth& growth, WallTime now) {
  constexpr double hour = 3'600e9;
  constexpr double ten_years = 87'600 * hour;
  if (static_cast<double>(growth.span) < hour || growth.bytes == 0) return std::nullopt;
  const double rate = static_cast<double>(growth.bytes) / static_cast<double>(growth.span);
  const double room = static_cast<double>(growth.bytes) + static_cast<double>(growth.free);
  const bool kept_up = growth.retention != 0 && rate * static_cast<double>(growth.retention) < room;
  const double left = static_cast<double>(growth.free) / rate;
  if (kept_up || left > ten_years) return std::nullopt;
  return now + static_cast<WallTime>(left);
}

void remove_segment(const StorePaths& paths, std::uint64_t number) {
  // The records last: what is left after a crash is still seen, and removed with the next start.
  std::error_code error;
  for (const auto& path : {paths.index(number), paths.notes(number), paths.seal(number)}) {
    for (const char* suffix : {"-wal", "-shm", ""}) {
      std::filesystem::remove(path.string() + suffix, error);
    }
  }
  for (const char* suffix : {"-wal", "-shm", ""}) {
    std::filesystem::remove(paths.segment(number).string() + suffix, error);
  }
}

std::vector<PublicKey> retired_keys(const StorePaths& paths) {
  std::vector<PublicKey> keys;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(retired_folder(paths), error)) {
    const auto text = read_file(entry.path(), public_key_bytes_max);
    auto key =
        text ? PublicKey::parse(*text) : Result<PublicKey>(tl::make_unexpected(text.error()));
    if (key) keys.push_back(*std::move(key));
  }
  return keys;
}

Result<void> retire_key(const StorePaths& paths, const PublicKey& key, mode_t mode) {
  MENSHEN_CHECK(make_directories(retired_folder(paths), 0750));
  return write_file_atomic(retired_folder(paths) / (to_hex(key.fingerprint()) + ".pub"), key.pem(),
                           mode);
}

Result<SigningKey> load_key(const StorePaths& paths, Profile profile) {
  if (!std::filesystem::exists(paths.signing_key)) {
    if (file_bytes(paths.newest_segment()) != 0 || file_bytes(paths.notes(1)) != 0) {
      return fail(
          ErrorCode::corrupt,
          {"审计库有记录，但签名密钥缺失：" + paths.signing_key.string(),
           "the store has records but its signing key is missing: " + paths.signing_key.string()});
    }
    const SigningKey made = MENSHEN_TRY(SigningKey::generate(profile));
    MENSHEN_CHECK(made.save(paths.signing_key));
  }
  SigningKey key = MENSHEN_TRY(SigningKey::load(paths.signing_key));
  if (key.public_key().profile() != profile) {
    return fail(ErrorCode::invalid,
                {fmt::format("签名密钥属于密码套件 {}，设置为 {}", name(key.public_key().profile()),
                             name(profile)),
                 fmt::format("the signing key is of profile {}, the setting says {}",
                             name(key.public_key().profile()), name(profile))});
  }
  return key;
}

Result<void> publish_key(const PublicKey& key, const StorePaths& paths, mode_t mode) {
  const std::string fingerprint = format_fingerprint(key.profile(), key.fingerprint()) + "\n";
  const auto current = read_file(paths.public_key, public_key_bytes_max);
  if (!current || *current != key.pem()) {
    MENSHEN_CHECK(write_file_atomic(paths.public_key, key.pem(), mode));
  }
  const auto current_fingerprint = read_file(paths.fingerprint, public_key_bytes_max);
  if (!current_fingerprint || *current_fingerprint != fingerprint) {
    MENSHEN_CHECK(write_file_atomic(paths.fingerprint, fingerprint, mode));
  }
  return {};
}

}  // namespace menshen::audit
