#include "apps/control/parts.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/byte_reader.hpp"

namespace menshen::apps {
namespace {

constexpr unsigned char flag_more = 1;

std::string header(std::size_t total, bool more) {
  std::string bytes{'M', 'C', static_cast<char>(control_parts_version),
                    static_cast<char>(more ? flag_more : 0)};
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<char>(total >> static_cast<unsigned>(shift) & 0xffU));
  }
  return bytes;
}

tl::unexpected<Error> malformed() {
  return fail(ErrorCode::invalid, {"控制消息格式错误", "malformed control message"});
}

tl::unexpected<Error> too_long(std::size_t bytes_max) {
  return fail(ErrorCode::limit,
              {fmt::format("控制消息超过上限 {} 字节", bytes_max),
               fmt::format("control message above the limit of {} bytes", bytes_max)});
}

}  // namespace

Result<std::vector<std::string>> split_parts(std::string_view message) {
  if (message.size() > control_message_bytes_max) return too_long(control_message_bytes_max);
  const std::size_t total = message.size();
  std::vector<std::string> parts;
  do {
    const std::string_view piece = message.substr(0, control_part_bytes_max);
    message.remove_prefix(piece.size());
    parts.push_back(header(total, !message.empty()).append(piece));
  } while (!message.empty());
  return parts;
}

Result<std::optional<std::string>> PartAssembler::add(std::string_view part) {
  ByteReader reader(as_bytes(part));
  const bool known =
      reader.u8() == 'M' && reader.u8() == 'C' && reader.u8() == control_parts_version;
  const unsigned flags = reader.u8();
  const std::size_t total = reader.be32();
  if (!known || !reader.ok() || flags > flag_more) return malformed();
  if (total > bytes_max_) return too_long(bytes_max_);
  if (started_ && total != expected_) return malformed();
  const std::string_view piece = as_text(reader.rest());
  const bool more = (flags & flag_more) != 0;
  // A part without bytes that is not the last would let a peer keep us busy for ever.
  if (piece.size() > total - message_.size() || (more && piece.empty())) return malformed();
  started_ = true;
  expected_ = total;
  message_.append(piece);
  if (more) return std::optional<std::string>{};
  if (message_.size() != expected_) return malformed();
  started_ = false;
  std::string whole;
  whole.swap(message_);
  return std::optional<std::string>{std::move(whole)};
}

}  // namespace menshen::apps
