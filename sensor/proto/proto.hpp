// From bytes to transactions: finds out what a flow speaks by what it says, then parses it.
//
// HTTP/1 (libhtp, IDS personality), DNS over UDP and TCP, TLS handshakes. Neither port decides; a
// flow whose first bytes in both directions are none of ours becomes AppProto::failed and is looked
// at no more. TLS ends with the handshake: Flow::encrypted is set and the parser is let go.
//
// Each call tells the TransactionObserver of every change before it returns, with the packet at
// hand. Behaviour at each limit stands beside it; reaching one is counted. One stage per worker;
// not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "sensor/flow/exceptions.hpp"
#include "sensor/proto/file.hpp"
#include "sensor/proto/transaction.hpp"

namespace menshen::sensor {

struct ProtoLimits {
  // Where a parser gives up at one of its limits (app_limit) or the peer broke the protocol
  // (app_error); ignored: the rest of the flow goes on without its parser.
  ExceptionPolicies exceptions = ExceptionPolicies().resolved(false);
  std::uint32_t probe_bytes = 4096;  // of one direction, kept while the protocol is not known
  std::uint32_t http_request_body =
      100U << 10U;  // bytes of a body kept for rules; the rest is parsed, not kept
  std::uint32_t http_response_body = 100U << 10U;
  std::uint32_t http_headers = 64U
                               << 10U;  // bytes of one message's head; beyond: the parser gives up
  std::uint32_t http_header_count =
      1024;  // lines of one message's head; beyond: the parser gives up
  std::uint32_t http_decompressed = 1U << 20U;  // bytes out of one compressed body at a high ratio;
                                                // beyond: decompression ends
  std::uint32_t http_layers = 2;                // content encodings on top of each other
  std::uint32_t transactions = 512;  // open at once in one flow; beyond: the parser gives up
  std::uint32_t dns_records = 512;   // of one message that are kept
  std::uint32_t tls_handshake =
      64U << 10U;  // bytes of one handshake message; beyond: the parser gives up
  FileLimits files;
};

struct ProtoCounters {
  std::array<std::uint64_t, static_cast<std::size_t>(AppProto::count)> flows{};  // recognised
  std::uint64_t failed_flows = 0;                                                // none of ours
  std::uint64_t transactions = 0;
  std::uint64_t parser_errors = 0;   // the peer broke the protocol; parsing of the flow ended
  std::uint64_t limits_reached = 0;  // a limit above ended parsing, keeping or decompression
};

class ProtoStage {
 public:
  // `observer` must outlive the stage.
  ProtoStage(const ProtoLimits& limits, TransactionObserver& observer);
  ~ProtoStage();
  ProtoStage(ProtoStage&&) = delete;

  // From StreamObserver::on_data, on_gap, on_close. A gap ends DNS and TLS parsing; HTTP goes on
  // within a body.
  void on_stream_data(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet);
  void on_stream_gap(Flow& flow, Direction direction, std::uint64_t length, PacketMeta& packet);
  void on_stream_close(Flow& flow, Direction direction, PacketMeta* packet);
  // A UDP packet with a flow.
  void on_udp(Flow& flow, PacketMeta& packet);
  // The flow ends: on_end for what is still open.
  void on_close(Flow& flow);

  // What rules and output want of files that begin from now on.
  void want_files(const FileWants& wants);

  [[nodiscard]] const ProtoCounters& counters() const noexcept;
  [[nodiscard]] const ExceptionCounts& exceptions() const noexcept;
  [[nodiscard]] const FileCounters& file_counters() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace menshen::sensor
