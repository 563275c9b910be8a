// The messages of SMB 2 and 3 (MS-SMB2), one behind another in a frame. What is encrypted (SMB 3)
// is passed over.
#include <fmt/format.h>

#include <algorithm>

#include "sensor/proto/smb_session.hpp"

namespace menshen::sensor {
namespace {

constexpr std::size_t head_bytes = 64;
constexpr std::uint32_t flag_response = 0x01;
constexpr std::uint32_t flag_async = 0x02;
constexpr std::uint32_t status_pending = 0x103;
constexpr std::uint64_t interim_key = UINT64_MAX >> 1U;
constexpr std::uint32_t fsctl_pipe_transceive = 0x0011c017;

enum Command : unsigned {
  cmd_negotiate,
  cmd_session_setup,
  cmd_logoff,
  cmd_tree_connect,
  cmd_tree_disconnect,
  cmd_create,
  cmd_close,
  cmd_flush,
  cmd_read,
  cmd_write,
  cmd_lock,
  cmd_ioctl,
};

std::string command_name(unsigned command) {
  static constexpr std::string_view names[] = {"NEGOTIATE_PROTOCOL",
                                               "SESSION_SETUP",
                                               "SESSION_LOGOFF",
                                               "TREE_CONNECT",
                                               "TREE_DISCONNECT",
                                               "CREATE",
                                               "CLOSE",
                                               "FLUSH",
                                               "READ",
                                               "WRITE",
                                               "LOCK",
                                               "IOCTL",
                                               "CANCEL",
                                               "KEEPALIVE",
                                               "FIND",
                                               "CHANGE_NOTIFY",
                                               "GET_INFO",
                                               "SET_INFO",
                                               "OPLOCK_BREAK"};
  if (command < std::size(names)) return fmt::format("SMB2_COMMAND_{}", names[command]);
  return fmt::format("SMB2_COMMAND_{}", command);
}

std::string_view dialect_name(unsigned dialect) {
  switch (dialect) {
    case 0x0202:
      return "2.02";
    case 0x0210:
      return "2.10";
    case 0x0300:
      return "3.00";
    case 0x0302:
      return "3.02";
    case 0x0311:
      return "3.11";
    case 0x02ff:
      return "2.??";
    default:
      return "unknown";
  }
}

FileId file_id(EndianReader& reader) noexcept {
  const std::uint64_t persistent = reader.u64();
  return {persistent, reader.u64()};
}

}  // namespace

struct SmbSession::Smb2 {
  Bytes bytes;            // from its head on, as far as it is at hand
  std::size_t whole = 0;  // its length
  unsigned command = 0;
  std::uint32_t status = 0;
  bool response = false;
  std::uint32_t tree = 0;
  FileId last{};  // of the message before it in the chain

  [[nodiscard]] Bytes at(std::size_t offset, std::size_t count) const noexcept {
    if (offset > bytes.size()) return {};
    return bytes.subspan(offset, std::min(count, bytes.size() - offset));
  }
  [[nodiscard]] EndianReader body() const noexcept {
    EndianReader reader(bytes);
    reader.seek(head_bytes);
    return reader;
  }
};

void SmbSession::smb2(Bytes bytes, std::size_t whole) {
  for (std::size_t i = 0; i < smb_chain_max; ++i) {
    EndianReader head(bytes);
    Smb2 one;
    head.skip(8);
    one.status = head.u32();
    one.command = head.u16();
    head.skip(2);
    const std::uint32_t flags = head.u32();
    const std::size_t next = head.u32();
    const std::uint64_t key = head.u64();
    head.skip(4);
    one.tree = head.u32();
    const std::uint64_t session = head.u64();
    head.skip(16);
    if (!head.ok()) return;
    one.response = (flags & flag_response) != 0;
    if ((flags & flag_async) != 0) one.tree = 0;
    const bool last = next < head_bytes || next > bytes.size();
    one.whole = last ? whole : next;
    one.bytes = last ? bytes : bytes.first(next);
    // "Pending" answers nothing yet: a record of its own.
    const bool interim = one.response && one.status == status_pending;
    SmbExchange* known = one.response && !interim ? waiting(key) : nullptr;
    // A client that offered both families in SMB 1's words.
    if (known == nullptr && one.response && one.command == cmd_negotiate) known = offer1();
    SmbExchange& exchange =
        known != nullptr ? *known : begin(interim ? interim_key : key, one.command);
    if (known == nullptr && !interim) exchange.transaction.add(Number::smb_version, 2);
    exchange.json["id"] = exchange.transaction.id + 1;
    exchange.json["command"] = command_name(one.command);
    exchange.json["session_id"] = session;
    exchange.json["tree_id"] = one.tree;
    if (one.response) exchange.json["status_code"] = fmt::format("0x{:x}", one.status);
    if (one.response == (direction_ == Direction::to_server)) {
      event(exchange,
            one.response ? ProtoEvent::smb_response_to_server : ProtoEvent::smb_request_to_client);
    }
    frames(exchange.transaction, 2, one.bytes, head_bytes);
    if (one.response && !interim) {
      response2(one, exchange);
    } else if (!one.response) {
      request2(one, exchange);
    }
    const bool over = one.response;
    if (over) exchange.transaction.finish();
    change(exchange);
    if (over) finish(exchange);
    if (last) return;
    bytes = bytes.subspan(next);
    whole -= std::min(whole, next);
  }
}

void SmbSession::request2(Smb2& message, SmbExchange& exchange) {
  EndianReader body = message.body();
  switch (message.command) {
    case cmd_session_setup: {
      body.skip(12);
      const std::size_t place = body.u16();
      const std::size_t length = body.u16();
      return credentials(exchange, message.at(place, length));
    }
    case cmd_tree_connect: {
      body.skip(4);
      const std::size_t place = body.u16();
      const std::size_t length = body.u16();
      return share(exchange, smb_name(message.at(place, length), true));
    }
    case cmd_create: {
      body.skip(44);
      const std::size_t place = body.u16();
      const std::size_t length = body.u16();
      exchange.name = smb_name(message.at(place, length), true);
      exchange.json["filename"] = exchange.name;
      return;
    }
    case cmd_close:
      body.skip(8);
      exchange.file = file_id(body);
      return closed(exchange.file);
    case cmd_read:
      body.skip(4);
      judge_size(exchange, body.u32(), read_max_, ProtoEvent::smb_read_request_too_large);
      exchange.offset = body.u64();
      exchange.file = file_id(body);
      return;
    case cmd_write: {
      body.skip(2);
      const std::size_t place = body.u16();
      std::size_t count = body.u32();
      const std::uint64_t offset = body.u64();
      const FileId file = file_id(body);
      if (!body.ok()) return event(exchange, ProtoEvent::smb_malformed_data);
      judge_size(exchange, count, write_max_, ProtoEvent::smb_write_request_too_large);
      count = std::min(count, message.whole - std::min(message.whole, place));
      return transfer(file, offset, message.at(place, count), count, is_pipe(message.tree));
    }
    case cmd_ioctl: {
      body.skip(4);
      const std::uint32_t function = body.u32();
      exchange.file = file_id(body);
      const std::size_t place = body.u32();
      const std::size_t count = body.u32();
      if (!body.ok()) return event(exchange, ProtoEvent::smb_malformed_data);
      if (function != fsctl_pipe_transceive) {
        exchange.file = {};
        return;
      }
      return transfer(exchange.file, 0, message.at(place, count), count, true);
    }
    default:
      return;
  }
}

void SmbSession::response2(Smb2& message, SmbExchange& exchange) {
  EndianReader body = message.body();
  constexpr unsigned share_pipe = 2;
  switch (message.command) {
    case cmd_negotiate:
      body.skip(4);
      dialect_ = dialect_name(body.u16());
      body.skip(2 + 16 + 4 + 4);
      read_max_ = body.u32();
      write_max_ = body.u32();
      return;
    case cmd_tree_connect: {
      body.skip(2);
      const bool pipe = body.u8() == share_pipe;
      if (message.status == 0 && body.ok()) tree(message.tree, pipe);
      return;
    }
    case cmd_create: {
      body.skip(64);
      const FileId file = file_id(body);
      if (message.status == 0 && body.ok()) opened(file, exchange.name, is_pipe(message.tree));
      return;
    }
    case cmd_read: {
      body.skip(2);
      const std::size_t place = body.u8();
      body.skip(1);
      std::size_t count = body.u32();
      if (!body.ok() || message.status != 0) return;
      judge_size(exchange, count, read_max_, ProtoEvent::smb_read_response_too_large);
      count = std::min(count, message.whole - std::min(message.whole, place));
      return transfer(exchange.file, exchange.offset, message.at(place, count), count,
                      is_pipe(message.tree));
    }
    case cmd_ioctl: {
      body.skip(4 + 4 + 16 + 8);
      const std::size_t place = body.u32();
      const std::size_t count = body.u32();
      if (!body.ok() || exchange.file == FileId{} || count == 0) return;
      return transfer(exchange.file, 0, message.at(place, count), count, true);
    }
    default:
      return;
  }
}

}  // namespace menshen::sensor
