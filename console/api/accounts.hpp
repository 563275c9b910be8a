// The console's accounts: one file, made and changed here only. Thread-safe.
//
// An account is made with a first password and gets its second factor at its first sign-in
// (enrolment); until then it can do nothing else. The file (0600) holds Argon2id hashes and the
// secrets of the codes.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "console/api/roles.hpp"
#include "console/api/sign_in.hpp"

namespace menshen::console {

inline constexpr std::size_t accounts_max = 200;
inline constexpr std::size_t account_name_bytes_max = 32;
inline constexpr std::size_t account_domains_max = 64;
inline constexpr int failures_max = 5;  // then the name is locked
inline constexpr std::chrono::minutes lock_time{15};
inline constexpr std::size_t locked_names_max = 10'000;

struct Account {
  std::string name;  // [a-z][a-z0-9._-]*
  Role role = Role::inspector;
  std::vector<std::string> domains;  // a tenant's own
  std::string password_hash;
  std::string totp_secret;  // empty: not enrolled yet
  bool disabled = false;
  WallTime created_at = 0;
  std::string created_by;
};

// What an unenrolled account needs to finish.
struct Enrolment {
  std::string secret;
  std::string uri;
  std::string qr;  // SVG
};

class Accounts {
 public:
  // Reads the file; none is a console that was never set up.
  [[nodiscard]] static Result<std::unique_ptr<Accounts>> open(std::filesystem::path file,
                                                              std::string issuer,
                                                              const Clock& clock,
                                                              PasswordCost cost = {});

  // Administrators that have no enrolled account yet; empty: set up.
  [[nodiscard]] std::vector<Role> missing() const;
  [[nodiscard]] std::vector<Account> list() const;
  [[nodiscard]] std::optional<Account> find(const std::string& name) const;

  // First set-up, step one: nothing is stored before the code is confirmed. ErrorCode::exists where
  // the name, or an administrator of that role, is there.
  [[nodiscard]] Result<Enrolment> begin_setup(Role role, const std::string& name,
                                              const std::string& password);
  [[nodiscard]] Result<Account> finish_setup(Role role, const std::string& code);

  [[nodiscard]] Result<void> add(const std::string& name, Role role,
                                 std::vector<std::string> domains, const std::string& password,
                                 const std::string& by);
  // A new first password, and enrolment anew.
  [[nodiscard]] Result<void> reset(const std::string& name, const std::string& password);
  // The last account of an administrator's role that can sign in stays.
  [[nodiscard]] Result<void> set_disabled(const std::string& name, bool disabled);
  [[nodiscard]] Result<void> remove(const std::string& name);

  // ErrorCode::denied says nothing about what was wrong; ErrorCode::limit: the name is locked.
  // An account that must enrol first needs no code: look at its totp_secret.
  [[nodiscard]] Result<Account> sign_in(const std::string& name, const std::string& password,
                                        const std::string& code);
  [[nodiscard]] Result<Enrolment> begin_enrolment(const std::string& name);
  [[nodiscard]] Result<Account> enrol(const std::string& name, const std::string& password,
                                      const std::string& new_password, const std::string& code);
  [[nodiscard]] Result<void> change_password(const std::string& name, const std::string& password,
                                             const std::string& new_password,
                                             const std::string& code);

 private:
  struct Failures {
    int count = 0;
    MonotonicTime locked_until = 0;
  };
  struct Pending {
    std::string name;
    std::string password_hash;
    std::string secret;
  };

  Accounts(std::filesystem::path file, std::string issuer, const Clock& clock, PasswordCost cost);
  [[nodiscard]] Result<void> load();
  [[nodiscard]] Result<void> save(const std::map<std::string, Account, std::less<>>& accounts);
  [[nodiscard]] Result<void> change(const std::string& name,
                                    const std::function<Result<void>(Account&)>& edit);
  [[nodiscard]] Result<void> keeps_administrators(
      const std::map<std::string, Account, std::less<>>& next) const;
  [[nodiscard]] Result<Account> check_secrets(const std::string& name, const std::string& password,
                                              const std::string& code, bool needs_code);
  [[nodiscard]] tl::unexpected<Error> failed(const std::string& name);
  [[nodiscard]] Enrolment enrolment(const std::string& name, const std::string& secret) const;

  std::filesystem::path file_;
  std::string issuer_;
  const Clock& clock_;
  PasswordCost cost_;
  std::string nobodys_hash_;  // compared with where there is no such account

  std::mutex hashing_;  // one Argon2 at a time: its memory is the limit
  mutable std::mutex mutex_;
  std::map<std::string, Account, std::less<>> accounts_;
  std::map<Role, Pending> setups_;
  std::map<std::string, std::string, std::less<>> enrolments_;  // name -> secret
  std::map<std::string, std::uint64_t, std::less<>> last_steps_;
  std::map<std::string, Failures, std::less<>> failures_;
};

}  // namespace menshen::console
