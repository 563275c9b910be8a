// For tests and developers' programs: what a hostile peer says at length, in each protocol. Two
// sources: the exchanges of the fuzz targets' corpora, said again and again in one flow; and
// messages that grow (headers, nesting, pieces, frames).
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sensor/proto/file.hpp"
#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/parser.hpp"
#include "sensor/proto/proto.hpp"

namespace menshen::sensor::testing {

// One of a corpus' inputs, as fuzz_stage.hpp reads them.
struct Said {
  Direction direction = Direction::to_server;
  bool close = false;
  std::string bytes;
};
struct Exchange {
  std::string name;  // "http_fuzz/gzip"
  bool datagrams = false;
  std::uint16_t port = 8000;  // of the server
  std::vector<Said> said;
};

inline std::vector<Said> pieces_of(std::string_view input) {
  std::vector<Said> said;
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(input[i]); };
  while (input.size() >= 3) {
    Said piece;
    piece.direction = (at(0) & 1U) != 0 ? Direction::to_client : Direction::to_server;
    const unsigned what = at(0) >> 1U & 0x0fU;
    const std::size_t length =
        std::min<std::size_t>(at(1) | static_cast<unsigned>(at(2)) << 8U, input.size() - 3);
    piece.close = what == 2;
    piece.bytes = input.substr(3, length);
    input.remove_prefix(3 + length);
    if (what != 1) said.push_back(std::move(piece));
  }
  return said;
}

// The inputs of message_parser_fuzz: which parser, by their first byte.
struct MessageTarget {
  bool datagrams;
  std::uint16_t port;
};
inline constexpr MessageTarget message_targets[] = {
    {true, 5060},  {false, 5060},  {false, 1883}, {true, 161},   {true, 88},
    {false, 88},   {true, 389},    {false, 389},  {false, 502},  {false, 20000},
    {true, 44818}, {false, 44818}, {true, 500},   {false, 5900}, {false, 3389},
    {true, 123},   {true, 67},     {false, 5432}, {false, 3306}, {false, 6379},
    {false, 23},   {true, 6881},   {false, 110},  {false, 143},  {true, 69},
};

inline std::vector<Exchange> corpus_exchanges(const std::filesystem::path& corpus) {
  struct Folder {
    std::string_view name;
    bool choice;  // the first byte says which: odd for datagrams
    bool datagrams;
  };
  static constexpr Folder folders[] = {
      {"dcerpc_fuzz", false, false},    {"dns_fuzz", true, false},
      {"ftp_fuzz", false, false},       {"http_fuzz", false, false},
      {"http2_fuzz", false, false},     {"nfs_fuzz", false, false},
      {"quic_fuzz", false, true},       {"smb_fuzz", false, false},
      {"smtp_fuzz", false, false},      {"message_parser_fuzz", true, false},
      {"ssh_fuzz", false, false},       {"tls_fuzz", false, false},
      {"websocket_fuzz", false, false},
  };
  std::vector<Exchange> found;
  for (const Folder& folder : folders) {
    for (const auto& entry : std::filesystem::directory_iterator(corpus / folder.name)) {
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string input{std::istreambuf_iterator<char>(file), {}};
      if (input.empty()) continue;
      Exchange exchange;
      exchange.name = std::string(folder.name) + "/" + entry.path().filename().string();
      exchange.datagrams =
          folder.choice ? (input[0] & 1) != 0
                        : folder.datagrams || exchange.name.find("datagram") != std::string::npos;
      if (folder.name == "message_parser_fuzz") {
        const auto target = static_cast<unsigned char>(input[0]) % std::size(message_targets);
        exchange.datagrams = message_targets[target].datagrams;
        exchange.port = message_targets[target].port;
      }
      exchange.said = pieces_of(std::string_view(input).substr(folder.choice ? 1 : 0));
      found.push_back(std::move(exchange));
    }
  }
  std::ranges::sort(found, {}, &Exchange::name);
  return found;
}

// A message that grows with n; told by the client unless `server`.
struct Growing {
  std::string_view name;
  std::function<std::string(std::size_t)> text;
  bool server = false;
  std::string_view first = {};  // what the other side says before
  std::size_t begin = 150;      // the first n to measure; beyond tables that fill up before
};

inline std::string repeated(std::string_view unit, std::size_t n) {
  std::string text;
  text.reserve(unit.size() * n);
  for (std::size_t i = 0; i < n; ++i) text += unit;
  return text;
}

inline std::string be(std::size_t bytes, std::size_t value) {
  std::string out;
  for (std::size_t i = bytes; i-- > 0;) out += static_cast<char>(value >> (8 * i) & 0xffU);
  return out;
}

// n elements within each other (X.690), each with a length of four octets.
inline std::string nested_asn1(char tag, std::size_t n) {
  std::string text;
  for (std::size_t i = 0; i < n; ++i) text += std::string{tag, '\x84'} + be(4, (n - i - 1) * 6);
  return text;
}

inline std::string http2_frames(const std::string& frame, std::size_t n) {
  return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + repeated(frame, n);
}

inline const std::vector<Growing>& growing_messages() {
  using namespace std::string_literals;
  using std::size_t;
  static constexpr std::string_view get = "GET / HTTP/1.1\r\nHost: a\r\n";
  static constexpr std::string_view asked = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  static const std::string mail = "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
  static const std::vector<Growing> table = {
      {"http1 header lines", [](size_t n) { return get.data() + repeated("A: b\r\n", n); }},
      {"http1 folded header",
       [](size_t n) { return get.data() + "A: b\r\n"s + repeated(" c\r\n", n); }},
      {"http1 one header of n",
       [](size_t n) { return get.data() + "A: "s + repeated("bcdefg", n); }},
      {"http1 equal headers", [](size_t n) { return get.data() + repeated("Cookie: b=c\r\n", n); }},
      {"http1 requests", [](size_t n) { return repeated(asked, n); }},
      {"http1 empty lines", [](size_t n) { return repeated("\r\n", n) + std::string(asked); }},
      {"http1 uri",
       [](size_t n) { return "GET /" + repeated("%41/../", n) + " HTTP/1.1\r\n\r\n"; }},
      {"http1 chunks",
       [](size_t n) {
         return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + repeated("1\r\nx\r\n", n);
       },
       true, asked},
      {"http1 multipart",
       [](size_t n) {
         return "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
                "Content-Length: 99999999\r\n\r\n" +
                repeated(
                    "--b\r\nContent-Disposition: form-data; name=\"a\"; "
                    "filename=\"f\"\r\n\r\nx\r\n",
                    n);
       }},
      {"http1 boundaries almost",
       [](size_t n) {
         return "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=" +
                std::string(60, '-') + "b\r\nContent-Length: 99999999\r\n\r\n--" +
                std::string(60, '-') + "b\r\n\r\n" + repeated("\r\n-------", n);
       }},
      {"http2 pings",
       [](size_t n) { return http2_frames(be(3, 8) + "\x06\0\0\0\0\0"s + be(8, 1), n); }},
      {"http2 settings",
       [](size_t n) { return http2_frames(be(3, 6) + "\x04\0\0\0\0\0\0\x03\0\0\0\x64"s, n); }},
      {"http2 continuations",
       [](size_t n) {
         return http2_frames("", 0) + be(3, 1) + "\x01\0\0\0\0\x01\x82"s +
                repeated(be(3, 1) + "\x09\0\0\0\0\x01\x84"s, n);
       }},
      {"http2 empty data", [](size_t n) { return http2_frames(be(3, 0) + "\0\0\0\0\0\x01"s, n); }},
      {"smtp recipients",
       [](size_t n) { return "EHLO a\r\nMAIL FROM:<a@b>\r\n" + repeated("RCPT TO:<c@d>\r\n", n); },
       false, "220 smtp\r\n"},
      {"smtp line", [](size_t n) { return "EHLO " + repeated("abcdefgh", n); }, false,
       "220 smtp\r\n"},
      {"mime header lines", [](size_t n) { return mail + repeated("X-A: b\r\n", n); }, false,
       "220 smtp\r\n"},
      {"mime folded header",
       [](size_t n) { return mail + "Subject: a\r\n" + repeated(" b\r\n", n); }, false,
       "220 smtp\r\n"},
      {"mime nesting",
       [](size_t n) {
         return mail + repeated("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", n);
       },
       false, "220 smtp\r\n"},
      {"mime parts",
       [](size_t n) {
         return mail + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
                repeated("--b\r\nContent-Disposition: attachment; filename=f\r\n\r\nx\r\n", n);
       },
       false, "220 smtp\r\n"},
      {"mime links", [](size_t n) { return mail + "\r\n" + repeated("http://a.b/c ", n) + "\r\n"; },
       false, "220 smtp\r\n"},
      {"mime base64",
       [](size_t n) {
         return mail + "Content-Type: a/b; name=f\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
                repeated("QUFB\r\n", n);
       },
       false, "220 smtp\r\n"},
      {"ftp commands", [](size_t n) { return "USER a\r\n" + repeated("NOOP\r\n", n); }, false,
       "220 ftp\r\n"},
      {"ftp line", [](size_t n) { return "USER " + repeated("abcdefgh", n); }, false,
       "220 ftp\r\n"},
      {"ftp announced ports",
       [](size_t n) { return "USER a\r\n" + repeated("PORT 10,0,0,1,4,5\r\n", n); }, false,
       "220 ftp\r\n"},
      {"ssh banner", [](size_t n) { return "SSH-2.0-" + repeated("abcdefgh", n); }},
      {"ssh lines before", [](size_t n) { return repeated("hello\r\n", n) + "SSH-2.0-a\r\n"; },
       true, "SSH-2.0-x\r\n"},
      {"tls records of a byte",
       [](size_t n) {
         return "\x16\x03\x01"s + be(2, 1) + "\x01" + repeated("\x16\x03\x01\0\x01\0"s, n);
       }},
      {"tls extensions",
       [](size_t n) {
         const size_t count = std::min<size_t>(n, 3000);
         const std::string list = repeated("\x12\x34\0\0"s, count);
         const std::string body = "\x03\x03"s + std::string(32, 'r') + "\0\0\x02\xc0\x2f\x01\0"s +
                                  be(2, list.size()) + list;
         const std::string hello = "\x01" + be(3, body.size()) + body;
         return "\x16\x03\x01" + be(2, hello.size()) + hello;
       }},
      {"sip header lines",
       [](size_t n) { return "INVITE sip:a SIP/2.0\r\n" + repeated("Via: a\r\n", n) + "\r\n"; }},
      {"sip messages",
       [](size_t n) {
         return repeated("OPTIONS sip:a SIP/2.0\r\nVia: a\r\nContent-Length: 0\r\n\r\n", n);
       }},
      {"redis arrays", [](size_t n) { return repeated("*1\r\n", n); }},
      {"redis commands", [](size_t n) { return repeated("*1\r\n$4\r\nPING\r\n", n); }},
      {"telnet options", [](size_t n) { return repeated("\xff\xfd\x18"s, n); }},
      {"mqtt pings",
       [](size_t n) {
         return "\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01"s + "a" + repeated("\xc0\0"s, n);
       }},
      {"ldap nesting", [](size_t n) { return nested_asn1('\x30', n); }},
      {"ldap filter nesting",
       [](size_t n) {
         const std::string filter = nested_asn1('\xa0', n);
         const std::string search =
             "\x04\0\x0a\x01\0\x0a\x01\0\x02\x01\0\x02\x01\0\x01\x01\0"s + filter;
         const std::string body = "\x02\x01\x01\x63\x84"s + be(4, search.size()) + search;
         return "\x30\x84" + be(4, body.size()) + body;
       }},
      {"krb5 nesting",
       [](size_t n) {
         const std::string body = nested_asn1('\x6a', n);
         return be(4, body.size()) + body;
       }},
      {"pgsql queries",
       [](size_t n) { return be(4, 8) + be(4, 196608) + repeated("Q" + be(4, 6) + "x\0"s, n); }},
      {"pop3 commands", [](size_t n) { return repeated("NOOP\r\n", n); }, false, "+OK POP3\r\n"},
      {"imap commands", [](size_t n) { return repeated("a NOOP\r\n", n); }, false,
       "* OK IMAP4rev1\r\n"},
      {"smb1 messages",
       [](size_t n) {
         return repeated(be(4, 35) + "\xffSMB\x72"s + std::string(27, '\0') + "\0\0\0"s, n);
       }},
      {"smb2 messages",
       [](size_t n) { return repeated(be(4, 64) + "\xfeSMB\x40\0"s + std::string(58, '\0'), n); }},
      {"smb2 chains",
       [](size_t n) {
         const size_t count = std::min<size_t>(n, 1000);
         const std::string one =
             "\xfeSMB\x40\0"s + std::string(14, '\0') + "\x40\0\0\0"s + std::string(40, '\0');
         return be(4, one.size() * count) + repeated(one, count);
       }},
      {"dcerpc fragments",
       [](size_t n) {
         return repeated("\x05\0\0\0\x10\0\0\0\x20\0\0\0\x01\0\0\0\x08\0\0\0\0\0\0\0"s + "abcdefgh",
                         n);
       }},
      {"nfs calls",
       [](size_t n) {
         return repeated(be(4, 0x80000028) + be(4, 1) + be(4, 0) + be(4, 2) + be(4, 100003) +
                             be(4, 3) + be(4, 0) + std::string(16, '\0'),
                         n);
       }},
      {"dns messages",
       [](size_t n) {
         return repeated(be(2, 17) + "\x12\x34\x01\0\0\x01\0\0\0\0\0\0\0\0\x01\0\x01"s, n);
       }},
      {"dns records",
       [](size_t n) {
         const size_t count = std::min<size_t>(n, 5000);
         const std::string body = "\x12\x34\x81\x80\0\x01"s + be(2, count) + "\0\0\0\0\x01"s + "a" +
                                  "\0\0\x01\0\x01"s +
                                  repeated("\xc0\x0c\0\x05\0\x01\0\0\0\0\0\x02\xc0\x0c"s, count);
         return be(2, body.size()) + body;
       }},
      {"bytes of nothing",
       [](size_t n) { return repeated("\x01\x02\x03\x04\x05\x06\x07\x08"s, n); }},
  };
  return table;
}

// Feeds a proto stage flow after flow: a new one begins where a parser has ended. Every transaction
// is looked at as output does.
class Feeder final : public TransactionObserver {
 public:
  explicit Feeder(bool datagrams, std::uint16_t port = 8000)
      : datagrams_(datagrams), port_(port), stage_(ProtoLimits{}, *this) {
    begin();
  }
  ~Feeder() override { end(); }
  Feeder(const Feeder&) = delete;
  Feeder& operator=(const Feeder&) = delete;

  void on_change(Flow&, Transaction&, Direction, PacketMeta&) override { ++changes_; }
  void on_end(Flow&, Transaction& transaction) override { logged_ += transaction.eve().size(); }

  // `piece`: bytes of each segment.
  void say(Direction direction, std::string_view bytes, std::size_t piece) {
    while (!bytes.empty()) {
      const std::string_view part = bytes.substr(0, datagrams_ ? bytes.size() : piece);
      PacketMeta packet;
      packet.direction = direction;
      packet.data = as_bytes(part).data();
      packet.payload_length = static_cast<std::uint32_t>(part.size());
      packet.flow = flow_.get();
      if (datagrams_) {
        stage_.on_udp(*flow_, packet);
      } else {
        stage_.on_stream_data(*flow_, direction, packet.payload(), packet);
      }
      bytes.remove_prefix(part.size());
    }
  }
  void say(const Exchange& exchange, std::size_t piece) {
    for (const Said& said : exchange.said) {
      if (said.close) {
        stage_.on_stream_close(*flow_, said.direction, nullptr);
      } else {
        say(said.direction, said.bytes, piece);
      }
    }
    if (over()) {
      end();
      begin();
    }
  }
  [[nodiscard]] std::uint64_t seen() const { return logged_ + changes_; }
  [[nodiscard]] const ProtoCounters& counters() const { return stage_.counters(); }

 private:
  [[nodiscard]] std::uint64_t ends() const {
    const ProtoCounters& c = stage_.counters();
    return c.parser_errors + c.limits_reached + c.failed_flows;
  }
  [[nodiscard]] bool over() const { return flow_->encrypted || ends() != ended_before_; }
  void begin() {
    flow_ = std::make_unique<Flow>();
    flow_->tuple.proto = datagrams_ ? IpProto::udp : IpProto::tcp;
    flow_->tuple.sport = 40'000;
    flow_->tuple.dport = port_;
    ended_before_ = ends();
  }
  void end() {
    stage_.on_stream_close(*flow_, Direction::to_server, nullptr);
    stage_.on_stream_close(*flow_, Direction::to_client, nullptr);
    stage_.on_close(*flow_);
  }

  bool datagrams_;
  std::uint16_t port_;
  ProtoStage stage_;
  std::unique_ptr<Flow> flow_;
  std::uint64_t ended_before_ = 0;
  std::uint64_t changes_ = 0;
  std::uint64_t logged_ = 0;
};

}  // namespace menshen::sensor::testing
