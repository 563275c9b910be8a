// Addresses, prefixes and flows as values that cannot hold nonsense.
//
// IPv4 is kept in its v4-mapped IPv6 form (RFC 4291 2.5.5.2), so that one code path serves both
// families; a native ::ffff:a.b.c.d is therefore the same value as a.b.c.d.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/result.hpp"

namespace menshen {

class IpAddr {
 public:
  constexpr IpAddr() = default;  // ::
  [[nodiscard]] static constexpr IpAddr v4(std::uint32_t host_order) {
    IpAddr a;
    a.bytes_[10] = a.bytes_[11] = 0xff;
    for (std::size_t i = 0; i < 4; ++i) {
      a.bytes_[12 + i] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
    }
    return a;
  }
  [[nodiscard]] static constexpr IpAddr v6(const std::array<std::uint8_t, 16>& network_order) {
    IpAddr a;
    a.bytes_ = network_order;
    return a;
  }
  // Text without prefix length, zone or surrounding space.
  [[nodiscard]] static std::optional<IpAddr> parse(std::string_view text);

  [[nodiscard]] constexpr bool is_v4() const {
    for (std::size_t i = 0; i < 10; ++i)
      if (bytes_[i] != 0) return false;
    return bytes_[10] == 0xff && bytes_[11] == 0xff;
  }
  // Host order. Only for is_v4().
  [[nodiscard]] constexpr std::uint32_t v4_value() const {
    return static_cast<std::uint32_t>(bytes_[12]) << 24 |
           static_cast<std::uint32_t>(bytes_[13]) << 16 |
           static_cast<std::uint32_t>(bytes_[14]) << 8 | bytes_[15];
  }
  // 16 bytes, network order, v4 mapped.
  [[nodiscard]] constexpr const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  // RFC 5952; IPv4 dotted.
  [[nodiscard]] std::string to_string() const;

  constexpr auto operator<=>(const IpAddr&) const = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
};

class Prefix {
 public:
  constexpr Prefix() = default;  // ::/0
  // Refuses host bits: 10.0.0.1/8 is a mistake, not 10.0.0.0/8. `length` counts in the address's
  // own family.
  [[nodiscard]] static Result<Prefix> make(IpAddr address, unsigned length);
  // "10.0.0.0/8", "fd00::/8", or an address alone (/32 or /128).
  [[nodiscard]] static Result<Prefix> parse(std::string_view text);

  [[nodiscard]] bool is_v4() const { return v4_; }
  [[nodiscard]] unsigned length() const { return length_; }  // of its own family: 0-32 or 0-128
  [[nodiscard]] const IpAddr& first() const { return address_; }
  // By its bytes. The families are apart: an IPv6 prefix around ::ffff:0:0/96 does not contain IPv4
  // addresses, and the last address of one that ends there (::/80) is told as an IPv4 one.
  [[nodiscard]] IpAddr last() const;
  [[nodiscard]] bool contains(const IpAddr& address) const;  // false for the other family
  [[nodiscard]] bool overlaps(const Prefix& other) const;
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const Prefix&) const = default;

 private:
  IpAddr address_;
  std::uint8_t length_ = 0;
  bool v4_ = false;
};

// IANA protocol numbers that the product names.
enum class IpProto : std::uint8_t {
  icmp = 1,
  igmp = 2,
  tcp = 6,
  udp = 17,
  gre = 47,
  icmpv6 = 58,
  sctp = 132
};

// One direction of a conversation within one tenant domain. ICMP puts type and code into the ports.
// All bytes count (no padding), so hashing and comparing the bytes is legal.
struct FiveTuple {
  IpAddr src;
  IpAddr dst;
  std::uint16_t sport = 0;  // host order
  std::uint16_t dport = 0;
  std::uint16_t attachment =
      0;  // where it entered: tenants' addresses may overlap (0: not told apart)
  IpProto proto{};
  std::uint8_t zero = 0;

  [[nodiscard]] FiveTuple reversed() const {
    return {dst, src, dport, sport, attachment, proto, 0};
  }
  bool operator==(const FiveTuple&) const = default;
};
static_assert(sizeof(FiveTuple) == 40);
static_assert(std::has_unique_object_representations_v<FiveTuple>);

// The same key for both directions: the lower (address, port) end first.
struct FlowKey {
  FiveTuple tuple;
  bool swapped = false;  // the given tuple ran from the higher end to the lower

  [[nodiscard]] static FlowKey of(const FiveTuple& tuple);
  bool operator==(const FlowKey& other) const { return tuple == other.tuple; }
};

// Keyed, so that an attacker cannot choose colliding flows. The seed is drawn at start.
[[nodiscard]] std::uint64_t hash_flow(const FiveTuple& normalised, std::uint64_t seed) noexcept;

}  // namespace menshen
