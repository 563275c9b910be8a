// Receives syslog from other systems and hands each message on as a record of kind `external`.
//
// UDP, TCP (octet counting and lines) and TLS. Everything that comes in is hostile: memory is
// bounded by connections_max and message_bytes_max, a source's rate by records_per_second_max (a
// sender that names many hosts is as many sources), and what is beyond is counted and told by
// records of kind `loss`. The message as it came stands in the record's detail ("raw", or
// "raw_base64" where it is not plain UTF-8), beside who sent it.
//
// One thread runs run(); status() and sources() may be called from others.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "audit/collect/sources.hpp"
#include "audit/collect/syslog.hpp"
#include "audit/record/record.hpp"
#include "audit/transport/endpoint.hpp"
#include "audit/transport/stream.hpp"

namespace menshen::audit {

struct CollectorOptions {
  std::vector<Endpoint> listen;
  TlsFiles files;  // for tls; with authorities, clients must show a certificate
  std::vector<SenderRule> rules;
  bool accept_unknown = true;  // senders without a rule: taken without a domain, or refused
  std::size_t connections_max = 512;
  std::size_t message_bytes_max = 8192;
  std::uint64_t records_per_second_max = 5'000;  // of one source
  std::chrono::seconds silence{3'600};           // then a source is told to be silent; 0: never
  std::chrono::seconds idle{7'200};              // a silent connection is closed after it
  std::filesystem::path state_file;              // of the sources; empty: not kept
  const Clock* clock = nullptr;                  // null: the system's
};

struct CollectorStatus {
  std::uint64_t received = 0;  // messages
  std::uint64_t lost = 0;      // that could not be handed on
  std::uint64_t dropped = 0;   // beyond a source's rate
  std::uint64_t cut = 0;       // longer than message_bytes_max
  std::uint64_t refused = 0;   // connections and datagrams of unknown senders, failed handshakes
  std::uint64_t connections = 0;
  std::uint64_t sources = 0;
  std::string last_error;  // English; of a connection
};

class Collector {
 public:
  // False: the record could not be taken and is lost.
  using Sink = std::function<bool(Record)>;

  // Binds, and reads certificates and state. Errors as listen_at's and TlsContext's.
  [[nodiscard]] static Result<std::unique_ptr<Collector>> open(CollectorOptions options);
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  // Until stop_fd is readable; then saves the state.
  [[nodiscard]] Result<void> run(const Sink& sink, int stop_fd);
  // One round; for tests.
  void turn(const Sink& sink, int stop_fd, std::chrono::milliseconds wait);
  // What is due once a second: silences, losses to be told, the state file once a minute.
  void tend(const Sink& sink);

  [[nodiscard]] CollectorStatus status() const;
  [[nodiscard]] std::vector<std::string> sources() const;  // JSON each, see sources.hpp
  [[nodiscard]] std::vector<std::uint16_t> ports() const;  // in the order of `listen`

 private:
  class Impl;
  explicit Collector(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// A message, and what parse_syslog made of it, as a record: without time of its own the record has
// `now`. `via`: "udp", "tcp", "tls".
[[nodiscard]] Record external_record(std::string_view message, const SyslogMessage& parsed,
                                     const Sender& sender, const std::string& domain,
                                     std::string_view via, WallTime now);

}  // namespace menshen::audit
