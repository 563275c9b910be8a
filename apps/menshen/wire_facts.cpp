#include "apps/menshen/wire_facts.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <set>

#include "base/file.hpp"

namespace menshen::apps {
namespace {

constexpr std::size_t names_max = 200;
constexpr std::size_t addresses_max = 100'000;

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::int64_t number_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

// Ports whose protocols carry passwords in the clear, by what people call them.
std::string_view cleartext_service(std::int64_t port) {
  switch (port) {
    case 21:
      return "ftp";
    case 23:
      return "telnet";
    case 69:
      return "tftp";
    case 161:
      return "snmp";
    case 512:
    case 513:
    case 514:
      return "rsh";
    case 5900:
      return "vnc";
    default:
      return "";
  }
}

bool is_weak_tls(std::string_view version) {
  for (const std::string_view weak : {"SSLv2", "SSLv3", "TLSv1", "TLS 1.0", "TLSv1.1", "TLS 1.1"})
    if (version == weak) return true;
  return false;
}

class Wire {
 public:
  explicit Wire(const compliance::Inventory& inventory)
      : listed_(inventory), has_inventory_(!inventory.objects.empty()) {}

  void line(std::string_view text) {
    const Json event = Json::parse(text, nullptr, false);
    if (!event.is_object()) {
      ++not_understood_;
      return;
    }
    ++events_;
    const auto label = event.find("menshen");
    const Json labels = label != event.end() && label->is_object() ? *label : Json::object();
    address(text_of(event, "src_ip"), text_of(labels, "domain_src"));
    address(text_of(event, "dest_ip"), text_of(labels, "domain_dst"));
    const std::string_view clear = cleartext_service(number_of(event, "dest_port"));
    if (!clear.empty()) {
      note(cleartext_,
           fmt::format("{} {} -> {}", clear, text_of(event, "src_ip"), text_of(event, "dest_ip")));
    }
    if (text_of(event, "event_type") == "tls") tls(event);
  }

  [[nodiscard]] Json facts() const {
    Json facts = {{"events", events_},
                  {"not_understood", not_understood_},
                  {"addresses", seen_.size()},
                  {"cleartext_management", list(cleartext_)},
                  {"tls_sessions", tls_sessions_},
                  {"weak_tls", list(weak_tls_)},
                  {"certificates_expired", list(expired_)}};
    // Without an inventory every address would be unknown; that is a finding about the inventory.
    if (has_inventory_) facts["unlisted_addresses"] = list(unlisted_);
    return facts;
  }

 private:
  static void note(std::set<std::string>& into, std::string text) {
    if (into.size() < names_max) into.insert(std::move(text));
  }
  static Json list(const std::set<std::string>& names) { return Json(names); }

  // Addresses of a domain are ours; those without one lie outside.
  void address(const std::string& text, const std::string& domain) {
    if (text.empty() || domain.empty() || seen_.size() >= addresses_max) return;
    if (!seen_.insert(text).second) return;
    const auto parsed = IpAddr::parse(text);
    if (parsed && !listed_.contains(*parsed)) note(unlisted_, text + " (" + domain + ")");
  }

  void tls(const Json& event) {
    const auto found = event.find("tls");
    if (found == event.end() || !found->is_object()) return;
    ++tls_sessions_;
    const std::string version = text_of(*found, "version");
    const std::string where = text_of(event, "dest_ip");
    if (is_weak_tls(version)) note(weak_tls_, where + " " + version);
    const auto until = parse_time(text_of(*found, "notafter") + "Z");
    const auto at = parse_time(text_of(event, "timestamp"));
    if (until && at && *until < *at) note(expired_, where + " " + text_of(*found, "subject"));
  }

  compliance::ListedAddresses listed_;
  bool has_inventory_;
  std::uint64_t events_ = 0;
  std::uint64_t not_understood_ = 0;
  std::uint64_t tls_sessions_ = 0;
  std::set<std::string> seen_, unlisted_, cleartext_, weak_tls_, expired_;
};

// The end of the file, from the first whole line on.
Result<std::string> read_end(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const Text what{"读取 " + path, "reading " + path};
  if (!fd) return fail_errno(what);
  const off_t size = ::lseek(fd.get(), 0, SEEK_END);
  if (size < 0) return fail_errno(what);
  const auto bytes = std::min<std::uint64_t>(static_cast<std::uint64_t>(size), wire_bytes_max);
  std::string text(bytes, '\0');
  std::size_t got = 0;
  const off_t begin = size - static_cast<off_t>(bytes);
  while (got < text.size()) {
    const ssize_t n =
        ::pread(fd.get(), text.data() + got, text.size() - got, begin + static_cast<off_t>(got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(what);
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  text.resize(got);
  if (begin > 0) text.erase(0, std::min(text.size(), text.find('\n') + 1));
  return text;
}

}  // namespace

Json wire_facts(std::string_view lines, const compliance::Inventory& inventory) {
  Wire wire(inventory);
  while (!lines.empty()) {
    const std::size_t end = lines.find('\n');
    // What a writer is just putting there has no end yet.
    if (end == std::string_view::npos) break;
    if (end > 0) wire.line(lines.substr(0, end));
    lines.remove_prefix(end + 1);
  }
  return wire.facts();
}

void add_wire_facts(compliance::Facts& facts, const Settings& settings,
                    const compliance::Inventory& inventory, const std::string& host, WallTime now) {
  const std::string& path = settings.text("sensor.events_file");
  if (path.empty()) return;
  const std::string source = "events " + path;
  const auto text = read_end(path);
  if (text) {
    compliance::add_product_facts(facts, "wire", wire_facts(*text, inventory), host, source, now);
  } else if (text.error().code != ErrorCode::not_found) {
    compliance::fail_product_facts(facts, "wire", text.error().text, host, source, now);
  }
}

}  // namespace menshen::apps
