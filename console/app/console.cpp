#include "console/app/console.hpp"

#include <array>

#include "base/file.hpp"
#include "console/http/secret.hpp"

namespace menshen::console {
namespace {

constexpr std::size_t setup_code_random_bytes = 15;

// Nothing from outside, nothing inline; frames of nobody.
constexpr std::array<std::pair<const char*, const char*>, 8> security_headers{{
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
     "font-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; "
     "frame-ancestors 'none'"},
    {"Strict-Transport-Security", "max-age=31536000"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"},
}};

// Of a code that was made before, or a new one; none once the administrators are there.
Result<void> keep_setup_code(const std::filesystem::path& file, bool needed) {
  std::error_code error;
  if (!needed) {
    std::filesystem::remove(file, error);
    return {};
  }
  if (std::filesystem::exists(file, error)) return {};
  return write_file_atomic(file, random_token(setup_code_random_bytes) + "\n", 0600);
}

bool has_header(const Response& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return true;
  }
  return false;
}

}  // namespace

Console::Console(const ConsoleOptions& options, Backend backend, Pages pages,
                 std::unique_ptr<Accounts> accounts)
    : pages_(std::move(pages)),
      accounts_(std::move(accounts)),
      sessions_(options.sessions, *backend.clock),
      live_(backend.audit_directory, options.live_interval),
      api_(std::move(backend), *accounts_, sessions_, live_) {}

Result<std::unique_ptr<Console>> Console::open(const ConsoleOptions& options, Backend backend,
                                               Pages pages) {
  auto accounts = MENSHEN_TRY(
      Accounts::open(options.accounts, options.name, *backend.clock, options.password_cost));
  MENSHEN_CHECK(keep_setup_code(backend.setup_code, !accounts->missing().empty()));
  return std::unique_ptr<Console>(
      new Console(options, std::move(backend), std::move(pages), std::move(accounts)));
}

std::size_t Console::body_bytes_max(const RequestHead& head) { return api_.body_bytes_max(head); }

Response Console::answer(const Request& request) {
  Response response = request.path.starts_with("/api/") ? api_.answer(request) : page(request);
  if (!has_header(response, "Cache-Control")) {
    response.headers.emplace_back("Cache-Control", "no-store");
  }
  for (const auto& [key, value] : security_headers) response.headers.emplace_back(key, value);
  return response;
}

Response Console::page(const Request& request) const {
  Response response;
  if (request.method != "GET") {
    response.status = 405;
    response.type = "text/plain";
    return response;
  }
  const Pages::Page* found = pages_.find(request.path);
  // Addresses of the pages' own router have no dot; what has one is a file, or nothing.
  const bool file = request.path.find('.') != std::string::npos;
  if (found == nullptr && !file) found = pages_.find("/");
  if (found == nullptr) {
    response.status = 404;
    response.type = "text/plain";
    response.body = "not found\n";
    return response;
  }
  response.type = found->type;
  response.headers.emplace_back("Vary", "Accept-Encoding");
  response.headers.emplace_back(
      "Cache-Control", found->immutable ? "public, max-age=31536000, immutable" : "no-cache");
  response.page = found->plain;
  if (request.accepts_gzip && found->gzip) {
    response.page = found->gzip;
    response.headers.emplace_back("Content-Encoding", "gzip");
  }
  return response;
}

}  // namespace menshen::console
