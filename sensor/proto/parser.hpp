// What the proto stage asks of a protocol's parser. One parser a flow, made when the protocol is
// known.
#pragma once

#include <cstdint>
#include <memory>

#include "sensor/proto/proto.hpp"
#include "sensor/proto/transaction.hpp"

namespace menshen::sensor {

class ExpectedFlows;
class Files;

// Shared by the parsers of one stage.
struct ParserContext {
  const ProtoLimits& limits;
  ProtoCounters& counters;
  TransactionObserver& observer;
  Files& files;
  ExpectedFlows& expected;  // connections that others announced
};

enum class ParserStatus : std::uint8_t {
  more,    // goes on
  done,    // nothing more can be read: encrypted
  tunnel,  // the peers change to another protocol; consumed() says where it begins
  broken,  // the peer broke the protocol
  limit,   // gave up at a limit
};

class Parser {
 public:
  virtual ~Parser() = default;
  // The next bytes of a direction, any number of them. Tells the observer of all changes.
  virtual ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) = 0;
  // Bytes are missing here.
  virtual ParserStatus gap(Flow& flow, Direction direction, std::uint64_t length,
                           PacketMeta& packet) = 0;
  // No more bytes in this direction.
  virtual void close(Flow& flow, Direction direction, PacketMeta& packet) = 0;
  // on_end for what is still open; the last call.
  virtual void end(Flow& flow) = 0;
  // Of the bytes last fed, when feed() returned tunnel.
  [[nodiscard]] virtual std::size_t consumed() const noexcept { return 0; }
  // What the peers agreed to change to; unknown: what they then say tells.
  [[nodiscard]] virtual AppProto next() const noexcept { return AppProto::unknown; }
};

[[nodiscard]] std::unique_ptr<Parser> make_http1_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_http2_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_websocket_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_dns_stream_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_dns_datagram_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_mdns_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_llmnr_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_quic_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_tls_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_ssh_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_smtp_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_ftp_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_pop3_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_imap_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_tftp_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_nfs_stream_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_nfs_datagram_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_smb_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_dcerpc_stream_parser(const ParserContext& context);
[[nodiscard]] std::unique_ptr<Parser> make_dcerpc_datagram_parser(const ParserContext& context);

}  // namespace menshen::sensor
