#include "sensor/proto/transaction.hpp"

#include <algorithm>
#include <optional>

#include "sensor/proto/file.hpp"

namespace menshen::sensor {
namespace {

// A field of files: of which direction, and what of them.
struct FileField {
  Direction direction = Direction::to_server;
  Buffer what = Buffer::count;  // as in requests
};

std::optional<FileField> file_field(Buffer buffer) noexcept {
  if (buffer < Buffer::file_data || buffer >= Buffer::count) return std::nullopt;
  const auto place = static_cast<unsigned>(buffer) - static_cast<unsigned>(Buffer::file_data);
  const auto what = static_cast<Buffer>(static_cast<unsigned>(buffer) - place % 2);
  return FileField{place % 2 == 0 ? Direction::to_server : Direction::to_client, what};
}

// HTTP's body where its parser made no file of it.
Buffer body_of(const FileField& field) noexcept {
  return field.direction == Direction::to_server ? Buffer::http_request_body
                                                 : Buffer::http_response_body;
}

std::string_view text_of(const File& file, Buffer what) noexcept {
  switch (what) {
    case Buffer::file_data:
      return file.data;
    case Buffer::file_name:
      return file.name;
    case Buffer::file_ext:
      return file.extension();
    case Buffer::file_magic:
      return file.magic;
    case Buffer::file_md5:
      return file.hashes[static_cast<std::size_t>(FileHash::md5)];
    case Buffer::file_sha1:
      return file.hashes[static_cast<std::size_t>(FileHash::sha1)];
    case Buffer::file_sha256:
      return file.hashes[static_cast<std::size_t>(FileHash::sha256)];
    default:
      return {};
  }
}

bool is_final(const File& file, Buffer what, std::string_view text) noexcept {
  if (file.state != File::State::open) return true;
  switch (what) {
    case Buffer::file_data:
      return !file.keep_whole;
    case Buffer::file_name:
    case Buffer::file_ext:
      return true;
    default:
      return !text.empty();
  }
}

std::optional<Direction> size_direction(Number number) noexcept {
  if (number == Number::file_size) return Direction::to_server;
  if (number == Number::file_size_response) return Direction::to_client;
  return std::nullopt;
}

}  // namespace

Transaction::Transaction() = default;
Transaction::~Transaction() = default;

std::size_t Transaction::field_count(Buffer buffer) const noexcept {
  const auto of_files = file_field(buffer);
  if (!of_files) return instances(buffer);
  const auto& row = files[static_cast<std::size_t>(of_files->direction)];
  if (row.empty() && of_files->what == Buffer::file_data) return instances(body_of(*of_files));
  return row.size();
}

Transaction::View Transaction::field(Buffer buffer, std::size_t instance) const noexcept {
  const auto of_files = file_field(buffer);
  if (!of_files) return view(buffer, instance);
  const auto& row = files[static_cast<std::size_t>(of_files->direction)];
  if (row.empty() && of_files->what == Buffer::file_data) return view(body_of(*of_files), instance);
  if (instance >= row.size()) return {};
  const std::string_view text = text_of(*row[instance], of_files->what);
  return {as_bytes(text), is_final(*row[instance], of_files->what, text)};
}

// A file has a size when it has ended.
std::size_t Transaction::field_count(Number number) const noexcept {
  const auto direction = size_direction(number);
  if (!direction) return numbers(number);
  return static_cast<std::size_t>(
      std::ranges::count_if(files[static_cast<std::size_t>(*direction)],
                            [](const auto& file) { return file->state != File::State::open; }));
}

std::uint64_t Transaction::field(Number of, std::size_t instance) const noexcept {
  const auto direction = size_direction(of);
  if (!direction) return number(of, instance);
  for (const auto& file : files[static_cast<std::size_t>(*direction)]) {
    if (file->state != File::State::open && instance-- == 0) return file->size;
  }
  return 0;
}

void Transaction::add_event(ProtoEvent event) {
  if (std::ranges::find(events, event) == events.end()) events.push_back(event);
}

}  // namespace menshen::sensor
