// The protocols that have a parser: how each is recognised and what parses it. One row a protocol
// and transport; a new protocol is a new row and its files.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/ip.hpp"
#include "sensor/proto/parser.hpp"

namespace menshen::sensor {

enum class Guess : std::uint8_t { more, no, yes };

struct Dissector {
  AppProto proto = AppProto::unknown;
  // Do these first bytes of a direction (or this datagram) speak it? A pure function of the bytes,
  // linear in them. Monotonic: once it says yes or no for a prefix, it says the same for what
  // begins with it. `more`: a longer prefix may still be it.
  Guess (*probe)(Direction direction, Bytes bytes) noexcept = nullptr;
  std::unique_ptr<Parser> (*make)(const ParserContext& context) = nullptr;
  // Asked only where one side uses one of these ports; empty: anywhere. For protocols whose first
  // bytes say too little.
  std::span<const std::uint16_t> ports = {};
};

// In order of precedence: the first that says yes has it.
[[nodiscard]] std::span<const Dissector> stream_dissectors() noexcept;
[[nodiscard]] std::span<const Dissector> datagram_dissectors() noexcept;

// Whose first bytes are these? Null with `more` set: a longer prefix may tell; null without it:
// nobody's.
struct Recognised {
  const Dissector* dissector = nullptr;
  bool more = false;
};
[[nodiscard]] Recognised recognise(std::span<const Dissector> dissectors, const FiveTuple& tuple,
                                   Direction direction, Bytes bytes) noexcept;

// Over what it is parsed. Rules may ask for what is parsed somewhere.
struct ParsedOver {
  bool streams = false;
  bool datagrams = false;
};
[[nodiscard]] ParsedOver parsed_over(AppProto proto) noexcept;
[[nodiscard]] bool is_parsed(AppProto proto) noexcept;

}  // namespace menshen::sensor
