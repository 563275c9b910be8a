#include "base/ip.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <tuple>

namespace menshen {
namespace {

// `length` counts in the mapped 128-bit form here.
std::array<std::uint8_t, 16> with_tail(std::array<std::uint8_t, 16> bytes, unsigned length,
                                       bool ones) {
  for (unsigned i = length / 8; i < 16; ++i) {
    const unsigned kept = i == length / 8 ? length % 8 : 0;
    const auto tail = static_cast<std::uint8_t>(0xffU >> kept);
    bytes[i] = static_cast<std::uint8_t>(ones ? bytes[i] | tail : bytes[i] & ~tail);
  }
  return bytes;
}

constexpr unsigned mapped_length(bool v4, unsigned length) { return v4 ? length + 96 : length; }

tl::unexpected<Error> bad_prefix(std::string_view text) {
  return fail(ErrorCode::invalid, {fmt::format("“{}”不是地址或网段", text),
                                   fmt::format("\"{}\" is not an address or a prefix", text)});
}

}  // namespace

std::optional<IpAddr> IpAddr::parse(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.size() >= terminated.size()) return std::nullopt;
  std::copy(text.begin(), text.end(), terminated.begin());
  if (std::memchr(terminated.data(), '\0', text.size()) != nullptr) return std::nullopt;

  in_addr four{};
  if (::inet_pton(AF_INET, terminated.data(), &four) == 1) return v4(ntohl(four.s_addr));
  std::array<std::uint8_t, 16> six{};
  if (::inet_pton(AF_INET6, terminated.data(), six.data()) == 1) return v6(six);
  return std::nullopt;
}

std::string IpAddr::to_string() const {
  if (is_v4()) return fmt::format("{}.{}.{}.{}", bytes_[12], bytes_[13], bytes_[14], bytes_[15]);

  // inet_ntop writes ::1.2.3.4 for ::102:304; RFC 5952 wants that only for prefixes known to embed
  // IPv4.
  std::array<unsigned, 8> groups{};
  for (std::size_t i = 0; i < 8; ++i) groups[i] = unsigned{bytes_[2 * i]} << 8U | bytes_[2 * i + 1];
  std::size_t gap_begin = 8;
  std::size_t gap_size = 1;  // a single zero group is not shortened
  for (std::size_t i = 0; i < 8;) {
    std::size_t end = i;
    while (end < 8 && groups[end] == 0) ++end;
    if (end - i > gap_size) {
      gap_begin = i;
      gap_size = end - i;
    }
    i = std::max(end, i + 1);
  }
  std::string text;
  for (std::size_t i = 0; i < 8;) {
    if (i == gap_begin) {
      text += "::";
      i += gap_size;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    fmt::format_to(std::back_inserter(text), "{:x}", groups[i]);
    ++i;
  }
  return text;
}

Result<Prefix> Prefix::make(IpAddr address, unsigned length) {
  Prefix prefix;
  prefix.v4_ = address.is_v4();
  const unsigned length_max = prefix.v4_ ? 32 : 128;
  if (length > length_max) {
    return fail(ErrorCode::invalid,
                {fmt::format("{}/{}：前缀长度最大为 {}", address.to_string(), length, length_max),
                 fmt::format("{}/{}: a prefix length is at most {}", address.to_string(), length,
                             length_max)});
  }
  const auto first = with_tail(address.bytes(), mapped_length(prefix.v4_, length), false);
  if (first != address.bytes()) {
    const std::string right = IpAddr::v6(first).to_string();
    return fail(ErrorCode::invalid, {fmt::format("{}/{} 含有主机位，网段应写作 {}/{}",
                                                 address.to_string(), length, right, length),
                                     fmt::format("{}/{} has host bits; the prefix is {}/{}",
                                                 address.to_string(), length, right, length)});
  }
  prefix.address_ = address;
  prefix.length_ = static_cast<std::uint8_t>(length);
  return prefix;
}

Result<Prefix> Prefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = IpAddr::parse(text.substr(0, slash));
  if (!address) return bad_prefix(text);
  if (slash == std::string_view::npos) return make(*address, address->is_v4() ? 32 : 128);

  const std::string_view digits = text.substr(slash + 1);
  unsigned length = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), length);
  const bool leading_zero = digits.size() > 1 && digits.front() == '0';
  if (error != std::errc() || end != digits.end() || leading_zero) return bad_prefix(text);
  return make(*address, length);
}

IpAddr Prefix::last() const {
  return IpAddr::v6(with_tail(address_.bytes(), mapped_length(v4_, length_), true));
}

bool Prefix::contains(const IpAddr& address) const {
  return address.is_v4() == v4_ &&
         with_tail(address.bytes(), mapped_length(v4_, length_), false) == address_.bytes();
}

bool Prefix::overlaps(const Prefix& other) const {
  return v4_ == other.v4_ &&
         (length_ <= other.length_ ? contains(other.address_) : other.contains(address_));
}

std::string Prefix::to_string() const {
  return fmt::format("{}/{}", address_.to_string(), length_);
}

FlowKey FlowKey::of(const FiveTuple& tuple) {
  const bool swapped = std::tie(tuple.dst, tuple.dport) < std::tie(tuple.src, tuple.sport);
  return {swapped ? tuple.reversed() : tuple, swapped};
}

namespace {

struct SipState {
  std::uint64_t v0, v1, v2, v3;

  void round() noexcept {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
};

}  // namespace

// SipHash-1-3 over the tuple's 40 bytes, the key being (seed, seed * odd constant): a keyed
// function with no known way to make collisions without the key, at nine rounds per packet.
std::uint64_t hash_flow(const FiveTuple& normalised, std::uint64_t seed) noexcept {
  const std::uint64_t k0 = seed;
  const std::uint64_t k1 = seed * 0x9e3779b97f4a7c15U;
  SipState state{k0 ^ 0x736f6d6570736575U, k1 ^ 0x646f72616e646f6dU, k0 ^ 0x6c7967656e657261U,
                 k1 ^ 0x7465646279746573U};
  const auto words = std::bit_cast<std::array<std::uint64_t, sizeof(FiveTuple) / 8>>(normalised);
  for (const std::uint64_t word : words) {
    state.v3 ^= word;
    state.round();
    state.v0 ^= word;
  }
  constexpr std::uint64_t length_block = std::uint64_t{sizeof(FiveTuple)} << 56U;
  state.v3 ^= length_block;
  state.round();
  state.v0 ^= length_block;
  state.v2 ^= 0xff;
  for (int i = 0; i < 3; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace menshen
