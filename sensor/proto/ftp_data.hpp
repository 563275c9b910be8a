// FTP's data connections: what the control connection announces, and which later connection it is.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "base/ip.hpp"
#include "sensor/flow/flow.hpp"
#include "sensor/proto/parser.hpp"

namespace menshen::sensor {

inline constexpr std::size_t expected_flows_max = 4096;          // beyond: the oldest is forgotten
inline constexpr WallTime expected_flow_lasts = 60'000'000'000;  // ns

struct ExpectedFlow {
  IpAddr initiator;
  IpAddr responder;
  std::uint16_t port = 0;        // the responder's
  std::uint16_t attachment = 0;  // of the control connection: tenants' addresses may overlap
  std::string command;           // "RETR"
  std::string file;
  Direction carries = Direction::to_client;  // where the file goes in the expected flow
  WallTime until = 0;
};

// A look-up passes over all entries; it is made once for a flow, and only while there are any.
// Not thread-safe.
class ExpectedFlows {
 public:
  void add(ExpectedFlow flow);
  // Takes the entry that this flow is.
  [[nodiscard]] std::optional<ExpectedFlow> take(const Flow& flow);
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

 private:
  std::deque<ExpectedFlow> entries_;
};

[[nodiscard]] std::unique_ptr<Parser> make_ftp_data_parser(const ParserContext& context,
                                                           const ExpectedFlow& expected);

}  // namespace menshen::sensor
