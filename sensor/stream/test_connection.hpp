// For tests: one TCP connection through flow table and stream stage, segment by segment, each a
// batch of its own.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "sensor/flow/flow_table.hpp"
#include "sensor/packet/test_batch.hpp"
#include "sensor/stream/stream.hpp"

namespace menshen::sensor::testing {

class Connection : public FlowEndObserver {
 public:
  Connection(const StreamOptions& options, StreamObserver& observer)
      : table_(FlowTableOptions{}, *this, nullptr), stream_(options, observer) {}
  ~Connection() override { finish(); }

  void on_flow_end(Flow& ending, FlowEnd) override {
    stream_.end(ending);
    if (ended) ended(ending);
  }
  void finish() { table_.finish(); }

  PacketMeta run(testkit::Packet frame) {
    batch_ = std::make_unique<TestBatch>();
    batch_->add(std::move(frame), LinkType::ethernet, ++time_);
    batch_->decode();
    table_.prepare(**batch_);
    PacketMeta& meta = (**batch_).packets()[0];
    if (!meta.dropped()) table_.assign(meta, 0);
    stream_.process(meta);
    if (meta.flow != nullptr) flow = meta.flow;
    return meta;
  }

  // Offsets count from the byte after the SYN. The acknowledgement is of everything said so far by
  // the other side, unless told.
  PacketMeta client(std::uint64_t offset, std::string_view text, std::string_view flags = "PA",
                    std::optional<std::uint64_t> acks = std::nullopt) {
    return send(true, offset, text, flags, acks);
  }
  PacketMeta server(std::uint64_t offset, std::string_view text, std::string_view flags = "PA",
                    std::optional<std::uint64_t> acks = std::nullopt) {
    return send(false, offset, text, flags, acks);
  }

  void handshake() {
    run(builder(true).seq(client_isn).ack(0).flags("S"));
    run(builder(false).seq(server_isn).ack(client_isn + 1).flags("SA"));
    run(builder(true).seq(client_isn + 1).ack(server_isn + 1).flags("A"));
  }

  static testkit::PacketBuilder builder(bool from_client) {
    auto made = testkit::packet().ethernet();
    if (from_client) {
      made.ipv4("10.0.0.1", "10.0.0.2").tcp(4000, 80);
    } else {
      made.ipv4("10.0.0.2", "10.0.0.1").tcp(80, 4000);
    }
    made.window(0xffff);
    return made;
  }

  [[nodiscard]] const StreamCounters& counters() const { return stream_.counters(); }

  // Near the end of the number space, so that most tests wrap around.
  std::uint32_t client_isn = 0xffff'fff0;
  std::uint32_t server_isn = 0xffff'fffa;
  Flow* flow = nullptr;
  std::function<void(Flow&)> ended;

 private:
  PacketMeta send(bool from_client, std::uint64_t offset, std::string_view text,
                  std::string_view flags, std::optional<std::uint64_t> acks) {
    std::uint64_t& said = said_[from_client ? 0 : 1];
    const std::uint32_t mine = from_client ? client_isn : server_isn;
    const std::uint32_t other = from_client ? server_isn : client_isn;
    const std::uint64_t acked = acks.value_or(said_[from_client ? 1 : 0]);
    said = std::max(said, offset + text.size());
    return run(builder(from_client)
                   .seq(mine + 1 + static_cast<std::uint32_t>(offset))
                   .ack(other + 1 + static_cast<std::uint32_t>(acked))
                   .flags(flags)
                   .payload(text));
  }

  FlowTable table_;
  StreamStage stream_;
  std::unique_ptr<TestBatch> batch_;
  WallTime time_ = 0;
  std::array<std::uint64_t, 2> said_{};
};

}  // namespace menshen::sensor::testing
