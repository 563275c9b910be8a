// Every parser whose messages are parsed whole. The first byte says which one; then pieces as
// fuzz_stage.hpp has them: a byte for the direction and what to do, two for the length, bytes.
#include <array>
#include <cstdlib>
#include <vector>

#include "sensor/proto/file.hpp"
#include "sensor/proto/ftp_data.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/parser.hpp"
#include "sensor/proto/probe.hpp"

namespace {

using namespace menshen;          // NOLINT(google-build-using-namespace): the whole program
using namespace menshen::sensor;  // NOLINT(google-build-using-namespace)

struct Target {
  Guess (*probe)(Direction, Bytes) noexcept;
  std::unique_ptr<Parser> (*make)(const ParserContext&);
};
// In the corpus' order: new ones come last.
constexpr Target targets[] = {
    {&probe_sip, &make_sip_datagram_parser},
    {&probe_sip, &make_sip_stream_parser},
    {&probe_mqtt, &make_mqtt_parser},
    {&probe_snmp, &make_snmp_parser},
    {&probe_krb5_datagram, &make_krb5_datagram_parser},
    {&probe_krb5_stream, &make_krb5_stream_parser},
    {&probe_ldap_datagram, &make_ldap_datagram_parser},
    {&probe_ldap_stream, &make_ldap_stream_parser},
    {&probe_modbus, &make_modbus_parser},
    {&probe_dnp3, &make_dnp3_parser},
    {&probe_enip_datagram, &make_enip_datagram_parser},
    {&probe_enip_stream, &make_enip_stream_parser},
    {&probe_ike, &make_ike_parser},
    {&probe_rfb, &make_rfb_parser},
    {&probe_rdp, &make_rdp_parser},
    {&probe_ntp, &make_ntp_parser},
    {&probe_dhcp, &make_dhcp_parser},
    {&probe_pgsql, &make_pgsql_parser},
    {&probe_mysql, &make_mysql_parser},
    {&probe_redis, &make_redis_parser},
    {&probe_telnet, &make_telnet_parser},
    {&probe_bittorrent_dht, &make_bittorrent_dht_parser},
    {&probe_pop3, &make_pop3_parser},
    {&probe_imap, &make_imap_parser},
    {&probe_tftp, &make_tftp_parser},
};

// Looks at everything, as rules do.
class Looker final : public TransactionObserver {
 public:
  void on_change(Flow&, Transaction& transaction, Direction, PacketMeta&) override {
    look(transaction);
  }
  void on_end(Flow&, Transaction& transaction) override {
    look(transaction);
    if (!transaction.complete(Direction::to_server)) std::abort();
  }

 private:
  static void look(const Transaction& transaction) {
    std::size_t sum = transaction.eve().size();
    for (std::size_t b = 0; b < static_cast<std::size_t>(Buffer::count); ++b) {
      const auto buffer = static_cast<Buffer>(b);
      for (std::size_t i = 0; i < transaction.instances(buffer); ++i) {
        for (const std::byte byte : transaction.view(buffer, i).bytes) {
          sum += std::to_integer<std::size_t>(byte);
        }
      }
    }
    if (sum == 0) std::abort();
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Target& target = targets[*data % std::size(targets)];
  ++data;
  --size;
  ProtoLimits limits;
  limits.transactions = 8;
  ProtoCounters counters;
  Looker looker;
  Flow flow;
  Files files{FileLimits{}};
  ExpectedFlows expected;
  const auto parser = target.make({limits, counters, looker, files, expected});
  bool over = false;
  while (size >= 3 && !over) {
    const auto direction = (data[0] & 1U) != 0 ? Direction::to_client : Direction::to_server;
    const unsigned what = data[0] >> 1U & 0x0fU;
    const std::size_t length =
        std::min(std::size_t{data[1]} | std::size_t{data[2]} << 8U, size - 3);
    // A copy of its own size, so that reading past it is seen.
    const std::vector<std::uint8_t> piece(data + 3, data + 3 + length);
    data += 3 + length;
    size -= 3 + length;
    const Bytes bytes = std::as_bytes(std::span(piece));
    PacketMeta packet;
    packet.direction = direction;
    static_cast<void>(target.probe(direction, bytes));
    if (bytes.empty()) continue;
    const ParserStatus status = what == 1 ? parser->gap(flow, direction, length, packet)
                                          : parser->feed(flow, direction, bytes, packet);
    if (status == ParserStatus::tunnel && parser->consumed() > bytes.size()) std::abort();
    over = status != ParserStatus::more;
  }
  parser->end(flow);
  return 0;
}
