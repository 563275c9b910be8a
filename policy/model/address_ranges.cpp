#include "policy/model/address_ranges.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

namespace menshen::policy {
namespace {

constexpr IpAddr highest = [] {
  std::array<std::uint8_t, 16> bytes{};
  bytes.fill(0xff);
  return IpAddr::v6(bytes);
}();

class Sweep {
 public:
  // Prefixes arrive by first address, the wider before the narrower.
  void add(const OwnedPrefix& next) {
    while (!open_.empty() && open_.back().prefix.last() < next.prefix.first()) close();
    if (!open_.empty() && position_ && *position_ < next.prefix.first()) {
      emit(*position_, address_before(next.prefix.first()), open_.back().domain);
    }
    position_ = next.prefix.first();
    open_.push_back(next);
  }
  std::vector<AddressRange> finish() && {
    while (!open_.empty()) close();
    return std::move(out_);
  }

 private:
  // The innermost open prefix ends; the one around it goes on behind it.
  void close() {
    const OwnedPrefix done = open_.back();
    open_.pop_back();
    const IpAddr last = done.prefix.last();
    if (!position_ || last < *position_) return;
    emit(*position_, last, done.domain);
    position_ = last == highest ? std::nullopt : std::optional(address_after(last));
  }
  void emit(const IpAddr& first, const IpAddr& last, DomainId domain) {
    if (domain == domain_any) return;
    if (!out_.empty() && out_.back().domain == domain && address_after(out_.back().last) == first) {
      out_.back().last = last;
    } else {
      out_.push_back({first, last, domain});
    }
  }

  std::vector<OwnedPrefix> open_;
  std::vector<AddressRange> out_;
  std::optional<IpAddr> position_;  // the first address not yet given out; nothing: all are
};

}  // namespace

std::vector<AddressRange> disjoint_ranges(std::vector<OwnedPrefix> prefixes) {
  std::sort(prefixes.begin(), prefixes.end(), [](const OwnedPrefix& a, const OwnedPrefix& b) {
    return std::pair(a.prefix.first(), b.prefix.last()) <
           std::pair(b.prefix.first(), a.prefix.last());
  });
  Sweep sweep;
  for (const OwnedPrefix& prefix : prefixes) sweep.add(prefix);
  return std::move(sweep).finish();
}

IpAddr address_before(const IpAddr& address) {
  auto bytes = address.bytes();
  for (std::size_t i = bytes.size(); i-- > 0;) {
    if (bytes[i]-- != 0) break;
  }
  return IpAddr::v6(bytes);
}

IpAddr address_after(const IpAddr& address) {
  auto bytes = address.bytes();
  for (std::size_t i = bytes.size(); i-- > 0;) {
    if (++bytes[i] != 0) break;
  }
  return IpAddr::v6(bytes);
}

}  // namespace menshen::policy
