#include "sensor/proto/ntlmssp.hpp"

#include <algorithm>

#include "sensor/proto/endian_reader.hpp"

namespace menshen::sensor {

std::optional<Ntlmssp> find_ntlmssp(Bytes blob) {
  using namespace std::string_view_literals;
  constexpr std::string_view start = "NTLMSSP\0"sv;
  constexpr std::uint32_t authenticate = 3;
  constexpr std::uint32_t unicode = 1;
  constexpr std::size_t parts_at = 28;  // behind the two responses' places
  const auto at = as_text(blob).find(start);
  if (at == std::string_view::npos) return std::nullopt;
  const Bytes message = blob.subspan(at);
  EndianReader reader(message);
  reader.skip(start.size());
  if (reader.u32() != authenticate) return std::nullopt;
  reader.seek(parts_at);
  struct Place {
    std::size_t length;
    std::size_t offset;
  };
  const auto place = [&] {
    const std::size_t length = reader.u16();
    reader.skip(2);
    return Place{length, reader.u32()};
  };
  const Place domain = place();
  const Place user = place();
  const Place host = place();
  place();  // the session key
  Ntlmssp found;
  found.whole = reader.ok();
  const std::uint32_t flags = reader.u32();
  const bool wide = !reader.ok() || (flags & unicode) != 0;
  const auto text = [&](const Place& part) {
    std::string out;
    if (part.offset > message.size() || part.length > message.size() - part.offset) {
      found.whole = false;
      return out;
    }
    out = as_text(message.subspan(part.offset, part.length));
    if (wide) std::erase(out, '\0');
    return out;
  };
  found.domain = text(domain);
  found.user = text(user);
  found.host = text(host);
  return found;
}

}  // namespace menshen::sensor
