#include "policy/import/regions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <span>
#include <tuple>

#include "policy/import/import.hpp"

namespace menshen::policy::imports {
namespace {

unsigned bits_of(bool v4) { return v4 ? 32 : 128; }

IpAddr cut(const IpAddr& address, bool v4, unsigned length) {
  auto bytes = address.bytes();
  const unsigned skip = v4 ? 96 : 0;
  for (unsigned bit = skip + length; bit < 128; ++bit)
    bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> bit % 8));
  return IpAddr::v6(bytes);
}

Prefix half(const Prefix& whole, bool upper) {
  auto bytes = whole.first().bytes();
  const unsigned bit = (whole.is_v4() ? 96 : 0) + whole.length();
  if (upper) bytes[bit / 8] |= static_cast<std::uint8_t>(0x80U >> bit % 8);
  return *Prefix::make(IpAddr::v6(bytes), whole.length() + 1);
}

// `whole` without the prefixes inside it, which are sorted. False: too many.
bool subtract(const Prefix& whole, std::span<const Prefix> inside, std::vector<Prefix>& out,
              std::size_t max) {
  if (inside.empty()) {
    out.push_back(whole);
    return out.size() <= max;
  }
  if (inside.front() == whole) return true;
  const Prefix lower = half(whole, false);
  const Prefix upper = half(whole, true);
  const auto middle = std::partition_point(
      inside.begin(), inside.end(), [&](const Prefix& p) { return p.first() < upper.first(); });
  return subtract(lower, {inside.begin(), middle}, out, max) &&
         subtract(upper, {middle, inside.end()}, out, max);
}

bool by_address(const Prefix& a, const Prefix& b) {
  return std::tuple(!a.is_v4(), a.first(), a.length()) <
         std::tuple(!b.is_v4(), b.first(), b.length());
}

}  // namespace

bool contains(const Prefix& outer, const Prefix& inner) {
  return outer.is_v4() == inner.is_v4() && outer.length() <= inner.length() &&
         cut(inner.first(), outer.is_v4(), outer.length()) == outer.first();
}

Prefix all_addresses(bool v6) { return *Prefix::parse(v6 ? "::/0" : "0.0.0.0/0"); }

Result<std::vector<Region>> regions_of(std::vector<Prefix> prefixes) {
  std::sort(prefixes.begin(), prefixes.end(), by_address);
  prefixes.erase(std::unique(prefixes.begin(), prefixes.end()), prefixes.end());
  std::vector<Region> out;
  std::size_t made = 0;
  for (std::size_t i = 0; i < prefixes.size(); ++i) {
    // Only the next ones inside: what they hold lies in them.
    std::vector<Prefix> inside;
    for (std::size_t j = i + 1; j < prefixes.size() && contains(prefixes[i], prefixes[j]); ++j)
      if (inside.empty() || !contains(inside.back(), prefixes[j])) inside.push_back(prefixes[j]);
    Region region{prefixes[i], {}};
    if (!subtract(prefixes[i], inside, region.networks, networks_made_max - made)) {
      return fail(ErrorCode::limit, {fmt::format("地址划分后超过 {} 个网段", networks_made_max),
                                     fmt::format("the addresses fall into more than {} networks",
                                                 networks_made_max)});
    }
    made += region.networks.size();
    if (!region.networks.empty()) out.push_back(std::move(region));
  }
  return out;
}

std::vector<Prefix> prefixes_of_range(const IpAddr& first, const IpAddr& last) {
  std::vector<Prefix> out;
  if (first.is_v4() != last.is_v4() || last < first) return out;
  const bool v4 = first.is_v4();
  IpAddr at = first;
  while (true) {
    unsigned length = bits_of(v4);
    while (length > 0 && cut(at, v4, length - 1) == at &&
           Prefix::make(at, length - 1)->last() <= last)
      --length;
    const Prefix prefix = *Prefix::make(at, length);
    out.push_back(prefix);
    if (prefix.last() >= last) return out;
    auto bytes = prefix.last().bytes();
    for (std::size_t b = bytes.size(); b-- > 0;)
      if (++bytes[b] != 0) break;
    at = IpAddr::v6(bytes);
  }
}

std::optional<Prefix> parse_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = IpAddr::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  unsigned length = bits_of(address->is_v4());
  if (slash != std::string_view::npos) {
    const std::string_view rest = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), length);
    if (const auto mask = IpAddr::parse(rest); mask && mask->is_v4() && address->is_v4()) {
      // iptables writes a mask that is no prefix length as an address: only those that are one.
      const std::uint32_t value = mask->v4_value();
      length = static_cast<unsigned>(__builtin_popcount(value));
      if (length < 32 && value != ~(0xffff'ffffU >> length)) return std::nullopt;
    } else if (error != std::errc{} || end != rest.data() + rest.size()) {
      return std::nullopt;
    }
  }
  if (length > bits_of(address->is_v4())) return std::nullopt;
  const auto prefix = Prefix::make(cut(*address, address->is_v4(), length), length);
  if (!prefix) return std::nullopt;
  return *prefix;
}

}  // namespace menshen::policy::imports
