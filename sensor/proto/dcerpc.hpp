// DCE/RPC (C706), connection-oriented: over TCP, and over the named pipes of SMB.
//
// A transaction is one call: the fragments of its request and of its response, joined. A bind is a
// call too. What was bound is remembered, so that a request knows its interface.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sensor/proto/field_transaction.hpp"
#include "sensor/proto/parser.hpp"

namespace menshen::sensor {

inline constexpr std::size_t dcerpc_stub_max = 1U << 20U;  // bytes of one call; the rest is cut off
inline constexpr std::size_t dcerpc_interfaces_max = 256;  // bound; beyond: not remembered
inline constexpr std::size_t dcerpc_calls_max = 64;        // open; beyond: the oldest ends

class DceRpc {
 public:
  // `proto`: whose transactions they are (dcerpc, smb). `next_id` counts the flow's transactions;
  // it must outlive this.
  DceRpc(const ParserContext& context, AppProto proto, std::uint64_t& next_id);
  ~DceRpc();

  // Any piece of a direction. False: it does not speak DCE/RPC.
  bool add(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet);
  void end(Flow& flow);

 private:
  struct Interface {
    std::uint16_t context = 0;
    std::array<std::uint8_t, 16> uuid{};  // as it is written
    std::uint16_t version = 0;
    std::uint16_t minor = 0;
    bool rejected = false;
  };
  struct Call;
  struct Pdu;

  bool pdu(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet);
  static void frames(Call& call, std::size_t direction, Bytes bytes);
  void bind(class EndianReader& reader, Call& call);
  void bind_ack(class EndianReader& reader);
  void request(class EndianReader& reader, const Pdu& head, Call& call);
  Call& call_of(Flow& flow, std::uint32_t id, bool fresh);
  void change(Flow& flow, Call& call, Direction direction, bool last, PacketMeta& packet);
  void retire(Flow& flow, std::size_t place);
  void write_eve(Call& call);

  ParserContext context_;
  AppProto proto_;
  std::uint64_t* next_id_;
  std::array<std::string, 2> held_;
  std::vector<Interface> interfaces_;
  std::vector<std::uint16_t> asked_;  // contexts of the last bind, in order
  std::vector<std::unique_ptr<Call>> calls_;
};

}  // namespace menshen::sensor
