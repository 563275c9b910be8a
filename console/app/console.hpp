// The console as one Service: pages, API, and the headers that every answer carries.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "console/api/api.hpp"
#include "console/app/pages.hpp"
#include "console/http/message.hpp"

namespace menshen::console {

struct ConsoleOptions {
  std::filesystem::path accounts;  // the file
  std::string name = "menshen";    // of the appliance, as authenticator apps show it
  SessionLimits sessions;
  PasswordCost password_cost;
  std::chrono::milliseconds live_interval{1'000};
};

class Console : public Service {
 public:
  // Starts a thread (Live). Where administrators are missing, the set-up code's file is made.
  [[nodiscard]] static Result<std::unique_ptr<Console>> open(const ConsoleOptions& options,
                                                             Backend backend, Pages pages);
  [[nodiscard]] std::size_t body_bytes_max(const RequestHead& head) override;
  [[nodiscard]] Response answer(const Request& request) override;
  [[nodiscard]] bool needs_setup() const { return !accounts_->missing().empty(); }
  void end_streams() { live_.end(); }

 private:
  Console(const ConsoleOptions& options, Backend backend, Pages pages,
          std::unique_ptr<Accounts> accounts);
  [[nodiscard]] Response page(const Request& request) const;

  Pages pages_;
  std::unique_ptr<Accounts> accounts_;
  Sessions sessions_;
  Live live_;
  Api api_;
};

}  // namespace menshen::console
