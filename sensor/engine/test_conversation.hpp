// For tests: a TCP conversation or a datagram as the engine sees it, and what came of it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "sensor/engine/engine.hpp"
#include "tests/testkit/packet_builder.hpp"

namespace menshen::sensor::testing {

class EventList final : public EventSink {
 public:
  struct Entry {
    Event event;
    std::uint32_t sid = 0;
  };
  void on_events(std::span<const Event> events) override {
    for (const Event& event : events)
      entries.push_back({event, event.rule != nullptr ? event.rule->sid : 0});
  }
  [[nodiscard]] std::multiset<std::uint32_t> alerts() const {
    std::multiset<std::uint32_t> sids;
    for (const Entry& entry : entries) {
      if (entry.event.kind == EventKind::alert) sids.insert(entry.sid);
    }
    return sids;
  }
  [[nodiscard]] std::size_t count(EventKind kind) const {
    std::size_t n = 0;
    for (const Entry& entry : entries) n += entry.event.kind == kind ? 1U : 0U;
    return n;
  }
  std::vector<Entry> entries;
};

// Client 203.0.113.9:40000, server 10.30.0.10.
class Conversation {
 public:
  Conversation(Engine& engine, std::uint16_t port) : engine_(&engine), port_(port) {
    send(true, "S", "");
    send(false, "SA", "");
    send(true, "A", "");
  }

  // The verdict of the segment.
  Verdict client(std::string_view bytes) { return send(true, "PA", bytes); }
  Verdict server(std::string_view bytes) { return send(false, "PA", bytes); }
  void close() {
    send(true, "FA", "");
    send(false, "FA", "");
    send(true, "A", "");
  }

 private:
  Verdict send(bool from_client, std::string_view flags, std::string_view bytes) {
    std::uint32_t& own = from_client ? client_seq_ : server_seq_;
    const std::uint32_t other = from_client ? server_seq_ : client_seq_;
    auto builder = testkit::packet().ethernet();
    if (from_client) {
      builder.ipv4("203.0.113.9", "10.30.0.10").tcp(40000, port_);
    } else {
      builder.ipv4("10.30.0.10", "203.0.113.9").tcp(port_, 40000);
    }
    builder.seq(own).flags(flags).window(65535);
    if (flags != "S") builder.ack(other);
    if (!bytes.empty()) builder.payload(bytes);
    const bool counts =
        flags.find('S') != std::string_view::npos || flags.find('F') != std::string_view::npos;
    const testkit::Packet frame = builder.build();
    const auto batch = std::make_unique<PacketBatch>();
    PacketMeta& meta = batch->push();
    meta.data = frame.data();
    meta.length = static_cast<std::uint32_t>(frame.size());
    meta.time = time_ += 1'000'000;
    engine_->process(*batch);
    if (!meta.dropped()) own += static_cast<std::uint32_t>(bytes.size()) + (counts ? 1U : 0U);
    return meta.verdict;
  }

  Engine* engine_;
  std::uint16_t port_;
  std::uint32_t client_seq_ = 1000;
  std::uint32_t server_seq_ = 5000;
  WallTime time_ = 1'700'000'000'000'000'000;
};

inline Verdict send_datagram(Engine& engine, std::string_view payload, std::uint16_t port,
                             WallTime time) {
  const testkit::Packet frame = testkit::packet()
                                    .ethernet()
                                    .ipv4("10.20.0.5", "10.30.0.53")
                                    .udp(5555, port)
                                    .payload(payload)
                                    .build();
  const auto batch = std::make_unique<PacketBatch>();
  PacketMeta& meta = batch->push();
  meta.data = frame.data();
  meta.length = static_cast<std::uint32_t>(frame.size());
  meta.time = time;
  engine.process(*batch);
  return meta.verdict;
}

// A query of class IN (RFC 1035).
inline std::string dns_query(std::string_view name, std::uint16_t type = 1) {
  std::string message("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
  while (!name.empty()) {
    const auto dot = std::min(name.find('.'), name.size());
    message.push_back(static_cast<char>(dot));
    message += name.substr(0, dot);
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  message.push_back('\0');
  message.push_back(static_cast<char>(type >> 8));
  message.push_back(static_cast<char>(type));
  message += std::string_view("\0\x01", 2);
  return message;
}

// A TLS 1.2 ClientHello with a server name (RFC 8446 4.1.2, RFC 6066 3).
inline std::string tls_client_hello(std::string_view name) {
  const auto be16 = [](std::size_t n) {
    return std::string{static_cast<char>(n >> 8U), static_cast<char>(n & 0xFFU)};
  };
  const auto be24 = [&](std::size_t n) {
    return std::string(1, static_cast<char>(n >> 16U)) + be16(n & 0xFFFFU);
  };
  std::string entry = std::string(1, '\0') + be16(name.size()) + std::string(name);
  std::string list = be16(entry.size()) + entry;
  std::string extensions = be16(0) + be16(list.size()) + list;
  std::string body = std::string("\x03\x03", 2) + std::string(32, 'r') + std::string(1, '\0') +
                     be16(2) + std::string("\xc0\x2f", 2) + std::string("\x01\x00", 2) +
                     be16(extensions.size()) + extensions;
  std::string handshake = std::string(1, '\x01') + be24(body.size()) + body;
  return std::string("\x16\x03\x01", 3) + be16(handshake.size()) + handshake;
}

// ServerHello that chooses `version`.
inline std::string tls_server_hello(std::uint16_t version) {
  const std::string v{static_cast<char>(version >> 8U), static_cast<char>(version & 0xFFU)};
  const std::string body =
      v + std::string(32, 's') + std::string(1, '\0') + std::string("\xc0\x2f\x00", 3);
  const std::string handshake =
      std::string("\x02\x00\x00", 3) + static_cast<char>(body.size()) + body;
  return "\x16" + v + std::string(1, '\0') + static_cast<char>(handshake.size()) + handshake;
}

}  // namespace menshen::sensor::testing
