// DNS messages that HTTP carries (RFC 8484): where they are in a request and its response.
//
// Cost: linear in the path. Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace menshen::sensor {

inline constexpr std::size_t doh_message_bytes_max = 65'535;  // RFC 8484 6; longer: not read

// Does a field's value (of Accept or Content-Type) name the media type of DNS messages?
[[nodiscard]] bool names_dns_message(std::string_view value) noexcept;

// Is it the path that servers of DNS over HTTP have by convention ("/dns-query")?
[[nodiscard]] bool is_dns_path(std::string_view target) noexcept;

// The message in the request's target: its parameter `dns`, in base64url with or without padding.
// Nothing: there is none, or what is there is not base64url.
[[nodiscard]] std::optional<std::string> dns_of_target(std::string_view target);

}  // namespace menshen::sensor
