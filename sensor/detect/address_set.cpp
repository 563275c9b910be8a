#include "sensor/detect/address_set.hpp"

#include <endian.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include <fmt/format.h>

namespace menshen::sensor {
namespace {

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

constexpr std::array<std::uint8_t, 16> all_ones() {
  std::array<std::uint8_t, 16> bytes{};
  bytes.fill(0xff);
  return bytes;
}

struct AddressSpace {
  using Point = IpAddr;
  using Range = AddressSet::Range;
  static Range whole() { return {IpAddr{}, IpAddr::v6(all_ones())}; }
  // What a negation leaves is of the family that it names: "!10.0.0.0/8" is no IPv6 address.
  static std::vector<Range> around(const std::vector<Range>& holes) {
    const Range v4{IpAddr::v4(0), IpAddr::v4(0xffffffff)};
    const bool of_v4 = std::ranges::any_of(holes, [&](const Range& hole) {
      return hole.first <= v4.second && v4.first <= hole.second;
    });
    const bool of_v6 = std::ranges::any_of(
        holes, [&](const Range& hole) { return hole.first < v4.first || v4.second < hole.second; });
    std::vector<Range> ranges;
    if (of_v6) ranges.emplace_back(whole().first, *previous(v4.first));
    if (of_v4) ranges.push_back(v4);
    if (of_v6) ranges.emplace_back(*next(v4.second), whole().second);
    return ranges;
  }
  static std::optional<Point> next(const Point& point) { return step(point, 0xff, 0x00, 1); }
  static std::optional<Point> previous(const Point& point) { return step(point, 0x00, 0xff, -1); }
  static std::optional<Range> parse(std::string_view text) {
    if (const auto dash = text.find('-'); dash != std::string_view::npos) {
      const auto first = IpAddr::parse(trim(text.substr(0, dash)));
      const auto last = IpAddr::parse(trim(text.substr(dash + 1)));
      if (!first || !last || *last < *first || first->is_v4() != last->is_v4()) return std::nullopt;
      return Range{*first, *last};
    }
    return parse_network(text);
  }

 private:
  static std::optional<Point> step(const Point& point, std::uint8_t carry, std::uint8_t wrap,
                                   int by) {
    auto bytes = point.bytes();
    for (std::size_t i = bytes.size(); i-- > 0;) {
      if (bytes[i] != carry) {
        bytes[i] = static_cast<std::uint8_t>(bytes[i] + by);
        return IpAddr::v6(bytes);
      }
      bytes[i] = wrap;
    }
    return std::nullopt;
  }

  // Host bits are allowed here, as rules in the wild have them: 10.1.2.3/8 is 10.0.0.0/8.
  static std::optional<Range> parse_network(std::string_view text) {
    const auto slash = text.find('/');
    const auto address = IpAddr::parse(trim(text.substr(0, slash)));
    if (!address) return std::nullopt;
    const unsigned width = address->is_v4() ? 32 : 128;
    unsigned length = width;
    if (slash != std::string_view::npos) {
      const auto mask = parse_length(trim(text.substr(slash + 1)), width);
      if (!mask) return std::nullopt;
      length = *mask;
    }
    auto first = address->bytes();
    auto last = first;
    for (unsigned bit = 128 - width + length; bit < 128; ++bit) {
      const auto mask = static_cast<std::uint8_t>(0x80U >> (bit % 8));
      first[bit / 8] = static_cast<std::uint8_t>(first[bit / 8] & ~mask);
      last[bit / 8] = static_cast<std::uint8_t>(last[bit / 8] | mask);
    }
    return Range{IpAddr::v6(first), IpAddr::v6(last)};
  }

  static std::optional<unsigned> parse_length(std::string_view text, unsigned width) {
    if (text.find('.') != std::string_view::npos) {  // 10.0.0.0/255.0.0.0
      const auto mask = IpAddr::parse(text);
      if (!mask || !mask->is_v4() || width != 32) return std::nullopt;
      const std::uint32_t inverse = ~mask->v4_value();
      if ((inverse & (inverse + 1)) != 0) return std::nullopt;
      return static_cast<unsigned>(std::popcount(mask->v4_value()));
    }
    unsigned length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    if (error != std::errc{} || end != text.data() + text.size() || length > width)
      return std::nullopt;
    return length;
  }
};

struct PortSpace {
  using Point = std::uint16_t;
  using Range = PortSet::Range;
  static Range whole() { return {0, 65535}; }
  static std::vector<Range> around(const std::vector<Range>&) { return {whole()}; }
  static std::optional<Point> next(Point p) {
    return p == 65535 ? std::nullopt : std::optional<Point>(static_cast<Point>(p + 1));
  }
  static std::optional<Point> previous(Point p) {
    return p == 0 ? std::nullopt : std::optional<Point>(static_cast<Point>(p - 1));
  }
  static std::optional<Range> parse(std::string_view text) {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) {
      const auto port = number(text, 0);
      return port && !text.empty() ? std::optional<Range>(Range{*port, *port}) : std::nullopt;
    }
    const auto first = number(trim(text.substr(0, colon)), 0);
    const auto last = number(trim(text.substr(colon + 1)), 65535);
    if (!first || !last || *last < *first || text.size() == 1) return std::nullopt;
    return Range{*first, *last};
  }

 private:
  static std::optional<Point> number(std::string_view text, Point fallback) {
    if (text.empty()) return fallback;
    Point value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
  }
};

template <class Space>
using Ranges = std::vector<typename Space::Range>;

template <class Space>
void normalise(Ranges<Space>& ranges) {
  std::sort(ranges.begin(), ranges.end());
  Ranges<Space> merged;
  for (const auto& range : ranges) {
    const auto after = merged.empty() ? std::nullopt : Space::next(merged.back().second);
    const bool touches = !merged.empty() && (!after || range.first <= *after);
    if (touches) {
      merged.back().second = std::max(merged.back().second, range.second);
    } else {
      merged.push_back(range);
    }
  }
  ranges = std::move(merged);
}

// What of `from` is not in `minus`; both normalised.
template <class Space>
Ranges<Space> subtract(const Ranges<Space>& from, const Ranges<Space>& minus) {
  Ranges<Space> result;
  auto hole = minus.begin();
  for (auto range : from) {
    while (hole != minus.end() && hole->second < range.first) ++hole;
    bool left = true;
    for (auto h = hole; left && h != minus.end() && h->first <= range.second; ++h) {
      if (range.first < h->first) result.push_back({range.first, *Space::previous(h->first)});
      const auto after = Space::next(h->second);
      left = after && *after <= range.second;
      if (left) range.first = *after;
    }
    if (left) result.push_back(range);
  }
  return result;
}

template <class Space>
class SetParser {
 public:
  explicit SetParser(const Variables& variables) : variables_(variables) {}

  Result<Ranges<Space>> parse(std::string_view text, std::size_t depth = 0) {
    text = trim(text);
    if (depth > set_nesting_max) return problem("nested too deeply", "嵌套过深", text);
    if (text.empty()) return problem("empty list element", "列表元素为空", text);
    if (text.front() == '!') {
      negated_ = true;
      auto inner = MENSHEN_TRY(parse(text.substr(1), depth + 1));
      return subtract<Space>(Space::around(inner), inner);
    }
    if (text.front() == '$') return variable(text.substr(1), depth);
    if (text.front() == '[') {
      if (text.back() != ']') return problem("missing ]", "缺少 ]", text);
      return list(text.substr(1, text.size() - 2), depth);
    }
    if (text == "any") return Ranges<Space>{Space::whole()};
    if (text.find(',') != std::string_view::npos) return list(text, depth);
    const auto range = Space::parse(text);
    if (!range) return problem("not an address, port or range", "不是有效的地址、端口或范围", text);
    return Ranges<Space>{*range};
  }
  [[nodiscard]] bool negated() const { return negated_; }

 private:
  static tl::unexpected<Error> problem(std::string_view en, std::string_view zh,
                                       std::string_view text) {
    return fail(ErrorCode::invalid,
                {fmt::format("{}：\"{}\"", zh, text), fmt::format("{}: \"{}\"", en, text)});
  }

  Result<Ranges<Space>> variable(std::string_view name, std::size_t depth) {
    const auto found = variables_.find(name);
    if (found == variables_.end()) return problem("unknown variable", "未定义的变量", name);
    return parse(found->second, depth + 1);
  }

  Result<Ranges<Space>> list(std::string_view text, std::size_t depth) {
    Ranges<Space> wanted;
    Ranges<Space> unwanted;
    bool any_wanted = false;
    std::size_t level = 0;
    std::size_t begin = 0;
    for (std::size_t i = 0; i <= text.size(); ++i) {
      if (i < text.size() && text[i] == '[') ++level;
      if (i < text.size() && text[i] == ']' && level-- == 0)
        return problem("stray ]", "多余的 ]", text);
      if (i < text.size() && (text[i] != ',' || level != 0)) continue;
      std::string_view element = trim(text.substr(begin, i - begin));
      begin = i + 1;
      const bool negative = !element.empty() && element.front() == '!';
      if (negative) negated_ = true;
      auto part = MENSHEN_TRY(parse(negative ? element.substr(1) : element, depth + 1));
      auto& side = negative ? unwanted : wanted;
      side.insert(side.end(), part.begin(), part.end());
      any_wanted = any_wanted || !negative;
      if (wanted.size() + unwanted.size() > set_ranges_max)
        return problem("too many ranges", "范围过多", "...");
    }
    if (level != 0) return problem("missing ]", "缺少 ]", text);
    normalise<Space>(unwanted);
    if (!any_wanted) wanted = Space::around(unwanted);
    normalise<Space>(wanted);
    return subtract<Space>(wanted, unwanted);
  }

  const Variables& variables_;
  bool negated_ = false;
};

template <class Ranges, class Point>
bool in_ranges(const Ranges& ranges, const Point& point) noexcept {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), point,
                       [](const Point& p, const auto& range) { return p < range.first; });
  return after != ranges.begin() && !(std::prev(after)->second < point);
}

tl::unexpected<Error> empty_set(std::string_view text) {
  return fail(ErrorCode::invalid, {fmt::format("该集合不含任何值：\"{}\"", text),
                                   fmt::format("the set is empty: \"{}\"", text)});
}

}  // namespace

const Variables& default_variables() {
  static const Variables variables = {
      {"HOME_NET", "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]"},
      {"EXTERNAL_NET", "[any,!$HOME_NET]"},
      {"HTTP_SERVERS", "$HOME_NET"},
      {"SMTP_SERVERS", "$HOME_NET"},
      {"SQL_SERVERS", "$HOME_NET"},
      {"DNS_SERVERS", "$HOME_NET"},
      {"TELNET_SERVERS", "$HOME_NET"},
      {"AIM_SERVERS", "$EXTERNAL_NET"},
      {"DC_SERVERS", "$HOME_NET"},
      {"DNP3_SERVER", "$HOME_NET"},
      {"DNP3_CLIENT", "$HOME_NET"},
      {"MODBUS_CLIENT", "$HOME_NET"},
      {"MODBUS_SERVER", "$HOME_NET"},
      {"ENIP_CLIENT", "$HOME_NET"},
      {"ENIP_SERVER", "$HOME_NET"},
      {"HTTP_PORTS", "80"},
      {"SHELLCODE_PORTS", "!80"},
      {"ORACLE_PORTS", "1521"},
      {"SSH_PORTS", "22"},
      {"DNP3_PORTS", "20000"},
      {"MODBUS_PORTS", "502"},
      {"FILE_DATA_PORTS", "[$HTTP_PORTS,110,143]"},
      {"FTP_PORTS", "21"},
      {"GENEVE_PORTS", "6081"},
      {"VXLAN_PORTS", "4789"},
      {"TEREDO_PORTS", "3544"},
      {"SIP_PORTS", "[5060,5061]"},
  };
  return variables;
}

Result<AddressSet> AddressSet::parse(std::string_view text, const Variables& variables) {
  SetParser<AddressSpace> parser(variables);
  AddressSet set;
  set.ranges_ = MENSHEN_TRY(parser.parse(text));
  normalise<AddressSpace>(set.ranges_);
  if (set.ranges_.empty()) return empty_set(text);
  set.any_ = set.ranges_.size() == 1 && set.ranges_.front() == AddressSpace::whole();
  set.negated_ = parser.negated();
  for (const auto& [first, last] : set.ranges_) {
    set.keys_.emplace_back(key_of(first), key_of(last));
  }
  return set;
}

AddressSet::Key AddressSet::key_of(const IpAddr& address) noexcept {
  std::uint64_t halves[2];
  std::memcpy(halves, address.bytes().data(), sizeof halves);
  return {be64toh(halves[0]), be64toh(halves[1])};
}

AddressSet AddressSet::any() {
  AddressSet set;
  set.ranges_ = {AddressSpace::whole()};
  set.any_ = true;
  return set;
}

bool AddressSet::contains(const IpAddr& address) const noexcept {
  return any_ || in_ranges(keys_, key_of(address));
}

Result<PortSet> PortSet::parse(std::string_view text, const Variables& variables) {
  SetParser<PortSpace> parser(variables);
  PortSet set;
  set.ranges_ = MENSHEN_TRY(parser.parse(text));
  normalise<PortSpace>(set.ranges_);
  if (set.ranges_.empty()) return empty_set(text);
  set.any_ = set.ranges_.size() == 1 && set.ranges_.front() == PortSpace::whole();
  return set;
}

PortSet PortSet::any() {
  PortSet set;
  set.ranges_ = {PortSpace::whole()};
  set.any_ = true;
  return set;
}

bool PortSet::contains(std::uint16_t port) const noexcept {
  return any_ || in_ranges(ranges_, port);
}

}  // namespace menshen::sensor
