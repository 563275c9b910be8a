// What is odd about a TCP segment, given the connection so far: the stream events that rules ask
// for (names as in anomaly.hpp). It only notes; reassembly and verdicts are StreamStage's.
//
// Follows both ends through the states of RFC 9293 by what they say: handshake, sequence numbers
// against what was acknowledged and offered, timestamps (RFC 7323 5), the end. A segment that the
// receiver would not take changes nothing here.
//
// Suspected injection: a side that has reset the connection goes on (Anomaly names as in the rule
// language: suspected_rst_inject). A one-way flow's odd beginning (3whs_async_wrong_seq) is told
// where one-way flows are expected (`one_way`: StreamOptions::midstream).
//
// About 100 bytes a connection, no allocation, constant work a segment. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>

#include "sensor/packet/decode.hpp"

namespace menshen::sensor {

// SYNs, and SYN/ACKs, that differ from the first within one handshake; more: a flood is noted.
inline constexpr unsigned handshake_resends_max = 10;
inline constexpr unsigned handshake_answers_max = 5;

class TcpTracker {
 public:
  void see(PacketMeta& packet, const TcpHeader& tcp, bool inline_mode,
           bool one_way = false) noexcept;

 private:
  enum class State : std::uint8_t {
    none,
    syn_sent,
    syn_received,
    established,
    close_wait,  // the client has ended its side
    last_ack,
    fin_wait1,  // the server has ended its side
    fin_wait2,
    closing,
    time_wait,
    closed,
  };
  // What one end has sent, and what the other said of it.
  struct End {
    std::uint32_t first = 0;  // its SYN's number
    std::uint32_t next = 0;   // the number after all it sent
    std::uint32_t acked = 0;  // acknowledged below
    std::uint32_t edge = 0;   // the other end has never offered to take bytes from here on
    std::uint32_t stamp = 0;
    std::uint32_t window = 0;  // that it offered last
    std::uint8_t shift = 0;    // of the windows that it offers
    bool scales = false;
    bool stamps = false;
    bool probed = false;  // sent one byte into a closed window
    bool reset = false;   // its reset has ended the connection
  };
  struct Segment;

  void handshake(const Segment& segment) noexcept;
  void answered(const Segment& segment) noexcept;
  void open(const Segment& segment) noexcept;
  void repeated_syn(const Segment& segment) noexcept;
  void reset(const Segment& segment) noexcept;
  void ending(const Segment& segment) noexcept;
  void confirm(const Segment& segment) noexcept;
  bool stamp_fits(const Segment& segment) noexcept;
  [[nodiscard]] bool ack_fits(const Segment& segment) noexcept;
  [[nodiscard]] bool shrinks_window(const Segment& segment) noexcept;
  [[nodiscard]] bool probes(const Segment& segment) noexcept;
  void advance(const Segment& segment) noexcept;
  void finish(const Segment& segment) noexcept;
  End& end_of(Direction d) noexcept { return ends_[static_cast<std::size_t>(d)]; }

  std::array<End, 2> ends_;
  State state_ = State::none;
  std::uint16_t offered_ = 0;  // window of the SYN
  std::uint8_t resends_ = 0;
  std::uint8_t answers_ = 0;
  bool both_syn_ = false;  // a simultaneous open
  bool confirmed_ = false;
};

}  // namespace menshen::sensor
