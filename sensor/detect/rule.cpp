#include "sensor/detect/rule.hpp"

#include <algorithm>

#include "base/overloaded.hpp"

namespace menshen::sensor {
namespace {

bool reads(const BitTest& test) {
  return test.operation == BitOperation::is_set || test.operation == BitOperation::is_not_set;
}

}  // namespace

AppProtoSet BufferRef::protos() const noexcept {
  if (proto != AppProto::unknown) return std::span(&proto, 1);
  return carriers(to_server != Buffer::count ? to_server : to_client);
}

bool NumberRange::contains(std::uint64_t value) const noexcept {
  switch (kind) {
    case Kind::equal:
      return value == first;
    case Kind::not_equal:
      return value != first;
    case Kind::less:
      return value < first;
    case Kind::less_equal:
      return value <= first;
    case Kind::greater:
      return value > first;
    case Kind::greater_equal:
      return value >= first;
    case Kind::between:
      return value > first && value < second;
    case Kind::not_between:
      return value <= first || value >= second;
    case Kind::masked:
      return (value & first) == second;
    case Kind::not_masked:
      return (value & first) != second;
  }
  return false;
}

bool Test::relative() const {
  return std::visit(
      Overloaded{
          [](const Content& c) { return c.distance.has_value() || c.within.has_value(); },
          [](const RegexTest& r) { return r.relative; },
          [](const IsDataAt& i) { return i.relative; },
          [](const ByteTest& b) { return b.number.relative; },
          [](const ByteJump& b) { return b.number.relative; },
          [](const ByteExtract& b) { return b.number.relative; },
          [](const ByteMath& b) { return b.number.relative; },
          [](const Base64Decode& b) { return b.relative; },
          [](const Asn1Test& a) { return a.relative; },
          [](const auto&) { return false; },
      },
      what);
}

bool Rule::reads_bits() const noexcept { return std::any_of(bits.begin(), bits.end(), reads); }
bool Rule::writes_bits() const noexcept {
  return std::any_of(bits.begin(), bits.end(), [](const BitTest& test) { return !reads(test); });
}
bool Rule::has_payload_tests() const noexcept {
  return std::any_of(lists.begin(), lists.end(),
                     [](const TestList& list) { return list.buffer.kind == BufferKind::payload; });
}
bool Rule::has_transaction_tests() const noexcept {
  return !asks.empty() || std::any_of(lists.begin(), lists.end(), [](const TestList& list) {
    return list.buffer.kind == BufferKind::transaction;
  });
}

}  // namespace menshen::sensor
