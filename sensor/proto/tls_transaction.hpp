// A TLS handshake as rules and events see it.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "sensor/proto/buffer_set.hpp"
#include "sensor/proto/certificate.hpp"

namespace menshen::sensor {

// Values of Number::ssl_state; each that was reached is an instance.
enum class SslState : std::uint8_t {
  client_hello = 1,
  server_hello = 2,
  client_keyx = 4,
  server_keyx = 8,
  unknown = 16,  // another message of the handshake
};

class TlsTransaction final : public KnownTransaction {
 public:
  [[nodiscard]] AppProto proto() const noexcept override { return AppProto::tls; }
  [[nodiscard]] bool complete(Direction direction) const noexcept override {
    return done[static_cast<std::size_t>(direction)];
  }
  [[nodiscard]] std::string eve() const override;

  std::array<std::optional<Certificate>, 2> certificates;  // by the Direction that showed it
  std::uint16_t version = 0;  // the server's choice; before it, the client's offer
  std::array<bool, 2> done{};
};

}  // namespace menshen::sensor
