// NTLM's authenticate message (MS-NLMP 2.2.1.3): who signs on.
#pragma once

#include <optional>
#include <string>

#include "base/byte_reader.hpp"

namespace menshen::sensor {

struct Ntlmssp {
  bool whole = false;  // false: its parts lie outside of it
  std::string domain;
  std::string user;
  std::string host;
};

// Wherever it stands in a security blob (SPNEGO). Nothing: no such message. Linear.
[[nodiscard]] std::optional<Ntlmssp> find_ntlmssp(Bytes blob);

}  // namespace menshen::sensor
