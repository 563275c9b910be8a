// For the fuzz targets of the parsers. The input is a list of pieces: a byte for the direction and
// what to do, two for the length, then bytes. Every transaction is looked at after every change, as
// rules do.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "sensor/proto/proto.hpp"

namespace menshen::sensor::testing {

class FuzzStage final : public TransactionObserver {
 public:
  FuzzStage() {
    limits_.transactions = 16;
    limits_.http_request_body = 4096;
    limits_.http_response_body = 4096;
    limits_.dns_records = 64;
  }

  void on_change(Flow&, Transaction& transaction, Direction, PacketMeta&) override {
    look(transaction);
  }
  void on_end(Flow&, Transaction& transaction) override {
    look(transaction);
    if (!transaction.complete(Direction::to_server) && transaction.eve().empty()) std::abort();
  }

  void run(const std::uint8_t* data, std::size_t size, bool datagrams) {
    ProtoStage proto(limits_, *this);
    Flow flow;
    flow.tuple.proto = datagrams ? IpProto::udp : IpProto::tcp;
    while (size >= 3) {
      const auto direction = (data[0] & 1U) != 0 ? Direction::to_client : Direction::to_server;
      const unsigned what = data[0] >> 1U & 0x0fU;
      const std::size_t length = std::min<std::size_t>(data[1] | data[2] << 8U, size - 3);
      // A copy of its own size, so that reading past it is seen.
      const std::vector<std::uint8_t> piece(data + 3, data + 3 + length);
      data += 3 + length;
      size -= 3 + length;
      PacketMeta packet;
      packet.direction = direction;
      packet.data = reinterpret_cast<const std::byte*>(piece.data());
      packet.payload_length = static_cast<std::uint32_t>(piece.size());
      if (datagrams) {
        proto.on_udp(flow, packet);
      } else if (what == 1) {
        proto.on_stream_gap(flow, direction, length + 1, packet);
      } else if (what == 2) {
        proto.on_stream_close(flow, direction, &packet);
      } else {
        proto.on_stream_data(flow, direction, packet.payload(), packet);
      }
    }
    proto.on_stream_close(flow, Direction::to_server, nullptr);
    proto.on_stream_close(flow, Direction::to_client, nullptr);
    proto.on_close(flow);
  }

 private:
  static void look(const Transaction& transaction) {
    std::size_t sum = 0;
    for (std::size_t b = 0; b < static_cast<std::size_t>(Buffer::count); ++b) {
      const auto buffer = static_cast<Buffer>(b);
      for (std::size_t i = 0; i < transaction.field_count(buffer); ++i) {
        for (const std::byte byte : transaction.field(buffer, i).bytes) {
          sum += std::to_integer<std::size_t>(byte);
        }
      }
    }
    if (transaction.eve().size() + sum == 0) std::abort();
  }

  ProtoLimits limits_;
};

}  // namespace menshen::sensor::testing
