// What a flow of SMB has said so far, for both dialect families: smb.cpp frames the messages,
// smb1.cpp and smb2.cpp read them. Used by these alone.
//
// A transaction is one request with its response, one transfer of a file in one direction, or one
// call of DCE/RPC over a named pipe.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "sensor/proto/dcerpc.hpp"
#include "sensor/proto/endian_reader.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/field_transaction.hpp"
#include "sensor/proto/file.hpp"
#include "sensor/proto/parser.hpp"

namespace menshen::sensor {

inline constexpr std::size_t smb_held_max = 68U << 10U;  // bytes of one message read at once; what
                                                         // follows must be content of a file
inline constexpr std::size_t smb_open_max = 1024;  // requests, trees and handles remembered, each;
                                                   // beyond: the oldest is forgotten
inline constexpr std::size_t smb_chain_max = 64;   // messages in one frame; beyond: not read
// What one read or write may ask for or carry, beside what the server agreed to; beyond: an event.
inline constexpr std::uint32_t smb_transfer_max = 16U << 20U;
inline constexpr std::size_t smb_name_max = 4096;  // bytes of a name; the rest is cut off

using FileId = std::array<std::uint64_t, 2>;

// One request that waits for its response.
struct SmbExchange {
  FieldTransaction transaction{AppProto::smb};
  std::uint64_t key = 0;  // by which the response names it
  unsigned command = 0;
  FileId file{};
  std::uint64_t offset = 0;
  std::string name;  // of a create or a tree connect
  nlohmann::ordered_json json;
};

// A file or a pipe that is open.
struct SmbHandle {
  FileId id{};
  std::string name;
  std::unique_ptr<DceRpc> pipe;
  struct Transfer {
    FieldTransaction transaction{AppProto::smb};
    File* file = nullptr;
    std::uint64_t next = 0;  // offset that follows what was seen
  };
  std::array<std::unique_ptr<Transfer>, 2> transfers;
};

class SmbSession {
 public:
  explicit SmbSession(const ParserContext& context) : context_(context) {}

  // The packet at hand; each call below belongs to it.
  void at(Flow& flow, Direction direction, PacketMeta& packet) noexcept {
    flow_ = &flow;
    direction_ = direction;
    packet_ = &packet;
  }
  // One message, or its first smb_held_max bytes; `whole` is its length. The content of a file that
  // goes on behind them is left in content_left().
  void smb1(Bytes message, std::size_t whole);
  void smb2(Bytes message, std::size_t whole);
  [[nodiscard]] std::size_t content_left() const noexcept {
    return going_[static_cast<std::size_t>(direction_)].left;
  }
  void content(Bytes bytes);
  void content_gap(std::uint64_t length);
  void end();

 private:
  // smb.cpp
  SmbExchange& begin(std::uint64_t key, unsigned command);
  SmbExchange* waiting(std::uint64_t key);
  SmbExchange* offer1();  // SMB 1's negotiation, if it waits
  void frames(FieldTransaction& transaction, unsigned version, Bytes pdu, std::size_t head);
  void change(SmbExchange& exchange);
  void finish(SmbExchange& exchange);
  void event(SmbExchange& exchange, ProtoEvent what) { exchange.transaction.add_event(what); }
  SmbHandle& opened(FileId id, std::string_view name, bool pipe);
  SmbHandle* handle(FileId id);
  void closed(FileId id);
  void tree(std::uint32_t id, bool pipe);
  [[nodiscard]] bool is_pipe(std::uint32_t tree) const;
  void share(SmbExchange& exchange, std::string_view name);
  void credentials(SmbExchange& exchange, Bytes blob);
  // `count` bytes of a file, of which `bytes` are at hand.
  void transfer(FileId id, std::uint64_t offset, Bytes bytes, std::size_t count, bool pipe);
  void end_handle(SmbHandle& open);
  void end_transfer(std::unique_ptr<SmbHandle::Transfer>& transfer, File::State state);
  // One read or write of `count` bytes; `agreed`: what the server takes at most, 0 where not known.
  void judge_size(SmbExchange& exchange, std::uint64_t count, std::uint32_t agreed,
                  ProtoEvent too_large) {
    if (count > smb_transfer_max || (agreed != 0 && count > agreed)) event(exchange, too_large);
  }
  static std::string_view file_name(std::string_view path) noexcept;

  // smb1.cpp
  struct Smb1;
  void request1(Smb1& message, SmbExchange& exchange, unsigned command, EndianReader words,
                EndianReader bytes);
  void response1(Smb1& message, SmbExchange& exchange, unsigned command, EndianReader words);
  void setup1(Smb1& message, SmbExchange& exchange, std::size_t count, EndianReader words,
              EndianReader bytes);
  void trans1(Smb1& message, SmbExchange& exchange, EndianReader words);

  // smb2.cpp
  struct Smb2;
  void request2(Smb2& message, SmbExchange& exchange);
  void response2(Smb2& message, SmbExchange& exchange);

  ParserContext context_;
  Flow* flow_ = nullptr;
  Direction direction_ = Direction::to_server;
  PacketMeta* packet_ = nullptr;
  std::uint64_t next_id_ = 0;
  std::deque<std::unique_ptr<SmbExchange>> waiting_;
  std::deque<std::pair<std::uint32_t, bool>> trees_;  // id, named pipes
  std::deque<std::unique_ptr<SmbHandle>> handles_;
  std::string dialect_;
  std::uint32_t read_max_ = 0;  // SMB 2: what the server agreed to; 0: not known
  std::uint32_t write_max_ = 0;
  struct Content {
    SmbHandle::Transfer* transfer = nullptr;
    std::size_t left = 0;
  };
  std::array<Content, 2> going_;  // content that goes on, by direction
};

// UTF-16 without its zero bytes, as rules write names; or the bytes as they are.
[[nodiscard]] std::string smb_name(Bytes bytes, bool unicode);
// Up to its zero character, which is taken too.
[[nodiscard]] std::string smb_string(EndianReader& reader, bool unicode);

}  // namespace menshen::sensor
