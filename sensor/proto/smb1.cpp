// The messages of SMB 1 (MS-CIFS, MS-SMB), with those that are chained behind them (AndX).
#include <fmt/format.h>

#include <algorithm>

#include "sensor/proto/smb_session.hpp"

namespace menshen::sensor {
namespace {

constexpr std::size_t head_bytes = 32;
constexpr unsigned no_command = 0xff;

enum Command : unsigned {
  cmd_close = 0x04,
  cmd_read = 0x0a,
  cmd_write = 0x0b,
  cmd_write_close = 0x2c,
  cmd_trans = 0x25,
  cmd_open_andx = 0x2d,
  cmd_read_andx = 0x2e,
  cmd_write_andx = 0x2f,
  cmd_tree_disconnect = 0x71,
  cmd_negotiate = 0x72,
  cmd_session_setup = 0x73,
  cmd_logoff = 0x74,
  cmd_tree_connect = 0x75,
  cmd_nt_create = 0xa2,
};

std::string command_name(unsigned command) {
  switch (command) {
    case cmd_close:
      return "SMB1_COMMAND_CLOSE";
    case cmd_trans:
      return "SMB1_COMMAND_TRANS";
    case cmd_open_andx:
      return "SMB1_COMMAND_OPEN_ANDX";
    case cmd_read_andx:
      return "SMB1_COMMAND_READ_ANDX";
    case cmd_write_andx:
      return "SMB1_COMMAND_WRITE_ANDX";
    case cmd_tree_disconnect:
      return "SMB1_COMMAND_TREE_DISCONNECT";
    case cmd_negotiate:
      return "SMB1_COMMAND_NEGOTIATE_PROTOCOL";
    case cmd_session_setup:
      return "SMB1_COMMAND_SESSION_SETUP_ANDX";
    case cmd_logoff:
      return "SMB1_COMMAND_LOGOFF_ANDX";
    case cmd_tree_connect:
      return "SMB1_COMMAND_TREE_CONNECT_ANDX";
    case cmd_nt_create:
      return "SMB1_COMMAND_NT_CREATE_ANDX";
    default:
      return fmt::format("SMB1_COMMAND_{:02X}", command);
  }
}

bool is_chained(unsigned command) noexcept {
  return command == cmd_open_andx || command == cmd_read_andx || command == cmd_write_andx ||
         command == cmd_session_setup || command == cmd_logoff || command == cmd_tree_connect ||
         command == cmd_nt_create || command == 0x24;
}

// MS-CIFS 2.2.4.52.1: each dialect is a name that ends with zero, behind a byte of its own.
bool are_dialects(Bytes bytes) noexcept {
  constexpr std::byte dialect{2};
  while (!bytes.empty()) {
    const auto end = std::ranges::find(bytes, std::byte{});
    if (bytes.front() != dialect || end == bytes.end()) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(end - bytes.begin()) + 1);
  }
  return true;
}

}  // namespace

struct SmbSession::Smb1 {
  Bytes bytes;  // the message, as far as it is at hand
  std::size_t whole = 0;
  bool response = false;
  bool unicode = false;
  std::uint32_t status = 0;
  std::uint32_t tree = 0;
  std::uint32_t user = 0;
  std::uint64_t key = 0;

  // Content at `offset` of the message, as far as it is at hand.
  [[nodiscard]] Bytes at(std::size_t offset, std::size_t count) const noexcept {
    if (offset > bytes.size()) return {};
    return bytes.subspan(offset, std::min(count, bytes.size() - offset));
  }
};

SmbExchange* SmbSession::offer1() {
  const auto found = std::ranges::find_if(waiting_, [](const auto& one) {
    return one->key >> 63U != 0 && one->command == cmd_negotiate;
  });
  return found == waiting_.end() ? nullptr : found->get();
}

void SmbSession::smb1(Bytes message, std::size_t whole) {
  EndianReader head(message);
  Smb1 one;
  one.bytes = message;
  one.whole = whole;
  head.skip(4);
  unsigned command = head.u8();
  one.status = head.u32();
  one.response = (head.u8() & 0x80U) != 0;
  one.unicode = (head.u16() & 0x8000U) != 0;
  head.skip(12);
  one.tree = head.u16();
  const std::uint16_t process = head.u16();
  one.user = head.u16();
  const std::uint16_t multiplex = head.u16();
  one.key = std::uint64_t{1} << 63U | std::uint64_t{process} << 16U | multiplex;
  if (!head.ok()) return;
  const bool to_server = direction_ == Direction::to_server;
  SmbExchange* known = one.response ? waiting(one.key) : nullptr;
  SmbExchange& exchange = known != nullptr ? *known : begin(one.key, command);
  exchange.json["id"] = exchange.transaction.id + 1;
  exchange.json["command"] = command_name(command);
  exchange.json["session_id"] = one.user;
  exchange.json["tree_id"] = one.tree;
  if (one.response) exchange.json["status_code"] = fmt::format("0x{:x}", one.status);
  if (known == nullptr) exchange.transaction.add(Number::smb_version, 1);
  if (one.response == to_server) {
    event(exchange,
          one.response ? ProtoEvent::smb_response_to_server : ProtoEvent::smb_request_to_client);
  }
  frames(exchange.transaction, 1, message, head_bytes);
  std::size_t at = head_bytes;
  for (std::size_t i = 0; i < smb_chain_max && command != no_command; ++i) {
    EndianReader block(message);
    block.seek(at);
    const std::size_t word_count = block.u8();
    const Bytes words = block.take(word_count * 2);
    const std::size_t byte_count = block.u16();
    if (!block.ok()) {
      event(exchange, ProtoEvent::smb_malformed_data);
      break;
    }
    // Names in UTF-16 stand at even places of the message: the reader begins there.
    EndianReader bytes(message);
    bytes.seek(block.position());
    const bool offers = command == cmd_negotiate && !one.response;
    if (offers && !are_dialects(one.at(block.position(), byte_count))) {
      event(exchange, ProtoEvent::smb_negotiate_malformed_dialects);
    }
    if (one.response) {
      response1(one, exchange, command, EndianReader(words));
    } else {
      request1(one, exchange, command, EndianReader(words), bytes);
    }
    if (!is_chained(command) || word_count < 2) break;
    EndianReader chain(words);
    command = chain.u8();
    chain.skip(1);
    const std::size_t next = chain.u16();
    if (next <= at) break;
    at = next;
  }
  if (one.response || !to_server) exchange.transaction.finish();
  change(exchange);
  if (one.response) finish(exchange);
}

void SmbSession::request1(Smb1& message, SmbExchange& exchange, unsigned command,
                          EndianReader words, EndianReader bytes) {
  constexpr std::size_t andx = 4;
  const bool pipe = is_pipe(message.tree);
  switch (command) {
    case cmd_session_setup:
      return setup1(message, exchange, words.remaining() / 2, words, bytes);
    case cmd_tree_connect: {
      words.skip(andx + 2);
      bytes.skip(words.u16());  // the password
      if (message.unicode) bytes.align(2);
      return share(exchange, smb_string(bytes, message.unicode));
    }
    case cmd_nt_create:
    case cmd_open_andx: {
      if (message.unicode) bytes.align(2);
      exchange.name = smb_string(bytes, message.unicode);
      exchange.json["filename"] = exchange.name;
      return;
    }
    case cmd_write_andx: {
      words.skip(andx);
      const std::uint64_t file = words.u16();
      std::uint64_t offset = words.u32();
      words.skip(8);
      std::size_t count = std::size_t{words.u16()} << 16U;
      count |= words.u16();
      const std::size_t place = words.u16();
      if (!words.ok()) return event(exchange, ProtoEvent::smb_malformed_data);
      if (words.remaining() >= 4) offset |= std::uint64_t{words.u32()} << 32U;
      judge_size(exchange, count, 0, ProtoEvent::smb_write_request_too_large);
      count = std::min(count, message.whole - std::min(message.whole, place));
      return transfer({file, 1}, offset, message.at(place, count), count, pipe);
    }
    case cmd_write:
    case cmd_write_close: {
      const std::uint64_t file = words.u16();
      words.skip(2);
      const std::uint64_t offset = words.u32();
      const std::size_t length_place = command == cmd_write ? 1 : 0;
      bytes.skip(length_place);
      const std::size_t length = command == cmd_write ? bytes.u16() : bytes.remaining();
      const std::size_t place = bytes.position() + (command == cmd_write ? 0 : 1);
      const std::size_t count = std::min(length, message.whole - std::min(message.whole, place));
      return transfer({file, 1}, offset, message.at(place, count), count, pipe);
    }
    case cmd_read_andx:
      words.skip(andx);
      exchange.file = {words.u16(), 1};
      exchange.offset = words.u32();
      return;
    case cmd_close:
      exchange.file = {words.u16(), 1};
      return closed(exchange.file);
    case cmd_trans:
      return trans1(message, exchange, words);
    default:
      return;
  }
}

void SmbSession::setup1(Smb1& message, SmbExchange& exchange, std::size_t count, EndianReader words,
                        EndianReader bytes) {
  constexpr unsigned extended_security = 12;
  constexpr unsigned plain = 13;
  words.skip(14);
  if (count == extended_security) {
    const std::size_t length = words.u16();
    const Bytes blob = message.at(bytes.position(), length);
    return credentials(exchange, blob);
  }
  if (count != plain) return;
  const std::size_t ansi = words.u16();
  const std::size_t unicode = words.u16();
  bytes.skip(ansi + unicode);
  if (message.unicode) bytes.align(2);
  const std::string user = smb_string(bytes, message.unicode);
  const std::string domain = smb_string(bytes, message.unicode);
  exchange.transaction.add(Buffer::smb_ntlmssp_user, user);
  exchange.transaction.add(Buffer::smb_ntlmssp_domain, domain);
  exchange.json["ntlmssp"] = {{"domain", domain}, {"user", user}};
}

// A call through a named pipe: what is written, and what comes back, in one exchange.
void SmbSession::trans1(Smb1& message, SmbExchange& exchange, EndianReader words) {
  constexpr unsigned transact_pipe = 0x26;
  words.skip(22);
  const std::size_t count = words.u16();
  const std::size_t place = words.u16();
  const unsigned setups = words.u8();
  words.skip(1);
  if (!words.ok()) return event(exchange, ProtoEvent::smb_malformed_data);
  if (setups < 2 || words.u16() != transact_pipe) return;
  exchange.file = {words.u16(), 1};
  transfer(exchange.file, 0, message.at(place, count), count, true);
}

void SmbSession::response1(Smb1& message, SmbExchange& exchange, unsigned command,
                           EndianReader words) {
  constexpr std::size_t andx = 4;
  switch (command) {
    case cmd_negotiate:
      dialect_ = "NT LM 0.12";
      return;
    case cmd_tree_connect:
      if (!exchange.name.empty()) tree(message.tree, exchange.name.ends_with("IPC$"));
      return;
    case cmd_nt_create: {
      words.skip(andx + 1);
      const std::uint64_t file = words.u16();
      if (words.ok()) opened({file, 1}, exchange.name, is_pipe(message.tree));
      return;
    }
    case cmd_open_andx: {
      words.skip(andx);
      const std::uint64_t file = words.u16();
      if (words.ok()) opened({file, 1}, exchange.name, is_pipe(message.tree));
      return;
    }
    case cmd_read_andx: {
      words.skip(andx + 6);
      std::size_t count = words.u16();
      const std::size_t place = words.u16();
      count |= std::size_t{words.u16()} << 16U;
      judge_size(exchange, count, 0, ProtoEvent::smb_read_response_too_large);
      count = std::min(count, message.whole - std::min(message.whole, place));
      if (!words.ok() || count == 0) return;
      return transfer(exchange.file, exchange.offset, message.at(place, count), count,
                      is_pipe(message.tree));
    }
    case cmd_trans: {
      words.skip(12);
      const std::size_t count = words.u16();
      const std::size_t place = words.u16();
      if (!words.ok() || count == 0 || exchange.file[1] == 0) return;
      return transfer(exchange.file, 0, message.at(place, count), count, true);
    }
    default:
      return;
  }
}

}  // namespace menshen::sensor
