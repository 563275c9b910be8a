// An HTTP request with its response, as rules and events see it: of HTTP/1, and of one stream of
// HTTP/2 (or of the connection itself, which has no request), with the DNS messages that it carries
// (doh.hpp). Knows nothing of the parsers.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "sensor/proto/buffer_set.hpp"
#include "sensor/proto/dns_message.hpp"

namespace menshen::sensor {

class HttpTransaction final : public KnownTransaction {
 public:
  explicit HttpTransaction(AppProto proto) : proto_(proto) {}

  [[nodiscard]] AppProto proto() const noexcept override { return proto_; }
  [[nodiscard]] std::size_t instances(Buffer buffer) const noexcept override;
  [[nodiscard]] View view(Buffer buffer, std::size_t instance) const noexcept override;
  [[nodiscard]] bool complete(Direction direction) const noexcept override {
    return done[static_cast<std::size_t>(direction)];
  }
  [[nodiscard]] std::string eve() const override;
  [[nodiscard]] std::string carried_eve() const override;

  // What a direction's message carries: the transaction is one of DNS over HTTP from now on. Once
  // for each direction.
  void carry(Direction direction, DnsMessage message);

  // One header field of a head: where "name: value" stands in the head's text, which is
  // http_*_start in HTTP/1 and http_*_header in HTTP/2.
  struct Line {
    std::uint32_t start = 0;
    std::uint32_t length = 0;
    std::uint32_t name_length = 0;
  };

  std::array<std::vector<Line>, 2> lines;  // by Direction
  // What only events name.
  std::string hostname;
  std::string forwarded_for;
  int port = -1;
  int status = 0;
  std::uint32_t stream_id = 0;       // HTTP/2; 0: the connection
  std::uint64_t response_bytes = 0;  // of the message body as sent

  // By Direction.
  std::array<bool, 2> done{};
  std::array<bool, 2> body_cut{};  // the body is longer than what is kept
  std::array<bool, 2> changed{};   // since the observer was told
  bool closed = false;             // both ends were reported

 private:
  [[nodiscard]] std::string_view line(Direction direction, const Line& at) const noexcept;
  // HTTP/1: the message as it stood on the wire, as far as it is known and kept. Put together when
  // a rule asks for it.
  [[nodiscard]] std::string_view message(Direction direction) const;

  mutable std::array<std::string, 2> messages_;         // by Direction
  std::array<std::unique_ptr<DnsMessage>, 2> carried_;  // the same; null: none

  AppProto proto_;
};

}  // namespace menshen::sensor
