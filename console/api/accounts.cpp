#include "console/api/accounts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.hpp"

namespace menshen::console {
namespace {

using Json = nlohmann::json;

constexpr std::size_t file_bytes_max = 1U << 20U;

tl::unexpected<Error> denied() {
  return fail(ErrorCode::denied,
              {"账号、口令或动态口令不正确", "name, password or code is not right"});
}
tl::unexpected<Error> not_found(const std::string& name) {
  return fail(ErrorCode::not_found, {"没有此账号：" + name, "there is no account " + name});
}

Result<void> check_name(const std::string& name) {
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const bool good =
      !name.empty() && name.size() <= account_name_bytes_max && letter(name.front()) &&
      std::ranges::all_of(name, [&](char c) {
        return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
      });
  if (good) return {};
  return fail(ErrorCode::invalid,
              {fmt::format("账号名须以小写字母开头，由小写字母、数字、. _ - 组成，不超过 {} 个字符",
                           account_name_bytes_max),
               fmt::format("an account's name begins with a small letter and has small letters, "
                           "digits, . _ - only, at most {}",
                           account_name_bytes_max)});
}

Json to_json(const Account& account) {
  return {{"name", account.name},
          {"role", name_of(account.role)},
          {"domains", account.domains},
          {"password", account.password_hash},
          {"totp", account.totp_secret},
          {"disabled", account.disabled},
          {"created_at", format_utc(account.created_at)},
          {"created_by", account.created_by}};
}

std::optional<Account> from_json(const Json& json) {
  Account account;
  account.name = json.at("name").get<std::string>();
  const auto role = parse_role(json.at("role").get<std::string>());
  if (!role || !check_name(account.name)) return std::nullopt;
  account.role = *role;
  account.domains = json.at("domains").get<std::vector<std::string>>();
  account.password_hash = json.at("password").get<std::string>();
  account.totp_secret = json.at("totp").get<std::string>();
  account.disabled = json.at("disabled").get<bool>();
  account.created_at = parse_time(json.at("created_at").get<std::string>()).value_or(0);
  account.created_by = json.at("created_by").get<std::string>();
  return account;
}

// Hashing takes long: meanwhile somebody else may have reset, disabled or replaced the account.
bool same_secrets(const Account& now, const Account& seen) {
  return !now.disabled && now.password_hash == seen.password_hash &&
         now.totp_secret == seen.totp_secret;
}

bool usable(const Account& account) { return !account.disabled && !account.totp_secret.empty(); }

}  // namespace

Accounts::Accounts(std::filesystem::path file, std::string issuer, const Clock& clock,
                   PasswordCost cost)
    : file_(std::move(file)), issuer_(std::move(issuer)), clock_(clock), cost_(cost) {}

Result<std::unique_ptr<Accounts>> Accounts::open(std::filesystem::path file, std::string issuer,
                                                 const Clock& clock, PasswordCost cost) {
  std::unique_ptr<Accounts> accounts(new Accounts(std::move(file), std::move(issuer), clock, cost));
  accounts->nobodys_hash_ = MENSHEN_TRY(hash_password("nobody has this password", cost));
  MENSHEN_CHECK(accounts->load());
  return accounts;
}

Result<void> Accounts::load() {
  const auto text = read_file(file_, file_bytes_max);
  if (!text && text.error().code == ErrorCode::not_found) return {};
  if (!text) return tl::make_unexpected(text.error());
  try {
    const Json json = Json::parse(*text);
    if (json.at("version") != 1) throw std::runtime_error("version");
    for (const Json& each : json.at("accounts")) {
      auto account = from_json(each);
      if (!account) throw std::runtime_error("account");
      accounts_.insert_or_assign(account->name, std::move(*account));
    }
  } catch (const std::exception& reason) {
    return fail(
        ErrorCode::corrupt,
        {fmt::format("账号文件 {} 已损坏：{}", file_.string(), reason.what()),
         fmt::format("the file of accounts {} is damaged: {}", file_.string(), reason.what())});
  }
  return {};
}

Result<void> Accounts::save(const std::map<std::string, Account, std::less<>>& accounts) {
  Json json = {{"version", 1}, {"accounts", Json::array()}};
  for (const auto& [name, account] : accounts) json["accounts"].push_back(to_json(account));
  const std::string text = json.dump(1) + "\n";
  if (text.size() > file_bytes_max) {  // it could not be read again
    return fail(ErrorCode::limit, {"账号资料过多", "the accounts hold too much"});
  }
  return write_file_atomic(file_, text, 0600);
}

std::vector<Role> Accounts::missing() const {
  const std::lock_guard lock(mutex_);
  std::vector<Role> out;
  for (const Role role : administrators) {
    const bool there =
        std::ranges::any_of(accounts_, [&](const auto& each) { return each.second.role == role; });
    if (!there) out.push_back(role);
  }
  return out;
}

std::vector<Account> Accounts::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<Account> out;
  for (const auto& [name, account] : accounts_) out.push_back(account);
  return out;
}

std::optional<Account> Accounts::find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto at = accounts_.find(name);
  return at == accounts_.end() ? std::nullopt : std::optional(at->second);
}

Enrolment Accounts::enrolment(const std::string& name, const std::string& secret) const {
  Enrolment out{secret, totp_uri(secret, name, issuer_), {}};
  out.qr = qr_svg(out.uri).value_or("");
  return out;
}

Result<Enrolment> Accounts::begin_setup(Role role, const std::string& name,
                                        const std::string& password) {
  MENSHEN_CHECK(check_name(name));
  MENSHEN_CHECK(check_new_password(password, name));
  const auto wanted = missing();
  if (std::ranges::find(wanted, role) == wanted.end()) {
    return fail(ErrorCode::exists, {"该角色的管理员已设置", "that administrator is there already"});
  }
  Pending pending{name, {}, new_totp_secret()};
  {
    const std::lock_guard hashing(hashing_);
    pending.password_hash = MENSHEN_TRY(hash_password(password, cost_));
  }
  const std::lock_guard lock(mutex_);
  if (accounts_.contains(name)) {
    return fail(ErrorCode::exists, {"账号名已被使用", "the name is taken"});
  }
  const Enrolment out = enrolment(name, pending.secret);
  setups_[role] = std::move(pending);
  return out;
}

Result<Account> Accounts::finish_setup(Role role, const std::string& code) {
  const std::lock_guard lock(mutex_);
  const auto at = setups_.find(role);
  if (at == setups_.end()) {
    return fail(ErrorCode::not_found, {"请先填写账号与口令", "give name and password first"});
  }
  const auto step = totp_step(at->second.secret, code, clock_.wall(), 0);
  if (!step) {
    return fail(ErrorCode::denied, {"动态口令不正确", "the code is not right"});
  }
  Account account{at->second.name, role,   {}, at->second.password_hash, at->second.secret, false,
                  clock_.wall(),   "setup"};
  auto next = accounts_;
  if (!next.emplace(account.name, account).second) {
    return fail(ErrorCode::exists, {"账号名已被使用", "the name is taken"});
  }
  MENSHEN_CHECK(save(next));
  accounts_ = std::move(next);
  last_steps_[account.name] = *step;
  setups_.erase(at);
  return account;
}

Result<void> Accounts::add(const std::string& name, Role role, std::vector<std::string> domains,
                           const std::string& password, const std::string& by) {
  MENSHEN_CHECK(check_name(name));
  MENSHEN_CHECK(check_new_password(password, name));
  if ((role == Role::tenant) == domains.empty() || domains.size() > account_domains_max) {
    return fail(ErrorCode::invalid, {"租户账号须指定安全域，其他角色不得指定",
                                     "a tenant's account names its domains, no other does"});
  }
  Account account{name, role, std::move(domains), {}, {}, false, clock_.wall(), by};
  {
    const std::lock_guard hashing(hashing_);
    account.password_hash = MENSHEN_TRY(hash_password(password, cost_));
  }
  const std::lock_guard lock(mutex_);
  if (accounts_.size() >= accounts_max) {
    return fail(ErrorCode::limit, {"账号数已达上限", "there are as many accounts as can be"});
  }
  auto next = accounts_;
  if (!next.emplace(name, std::move(account)).second) {
    return fail(ErrorCode::exists, {"账号名已被使用", "the name is taken"});
  }
  MENSHEN_CHECK(save(next));
  accounts_ = std::move(next);
  return {};
}

Result<void> Accounts::keeps_administrators(
    const std::map<std::string, Account, std::less<>>& next) const {
  for (const Role role : administrators) {
    const auto able = [&](const auto& each) {
      return each.second.role == role && usable(each.second);
    };
    if (std::ranges::any_of(accounts_, able) && !std::ranges::any_of(next, able)) {
      return fail(ErrorCode::denied,
                  {fmt::format("至少须保留一名可登录的{}", title_of(role).zh),
                   fmt::format("at least one {} who can sign in must stay", title_of(role).en)});
    }
  }
  return {};
}

Result<void> Accounts::change(const std::string& name,
                              const std::function<Result<void>(Account&)>& edit) {
  const std::lock_guard lock(mutex_);
  auto next = accounts_;
  const auto at = next.find(name);
  if (at == next.end()) return not_found(name);
  MENSHEN_CHECK(edit(at->second));
  MENSHEN_CHECK(keeps_administrators(next));
  MENSHEN_CHECK(save(next));
  accounts_ = std::move(next);
  return {};
}

Result<void> Accounts::reset(const std::string& name, const std::string& password) {
  MENSHEN_CHECK(check_new_password(password, name));
  std::string hash;
  {
    const std::lock_guard hashing(hashing_);
    hash = MENSHEN_TRY(hash_password(password, cost_));
  }
  MENSHEN_CHECK(change(name, [&](Account& account) -> Result<void> {
    account.password_hash = hash;
    account.totp_secret.clear();
    return {};
  }));
  const std::lock_guard lock(mutex_);
  failures_.erase(name);
  enrolments_.erase(name);
  return {};
}

Result<void> Accounts::set_disabled(const std::string& name, bool disabled) {
  return change(name, [&](Account& account) -> Result<void> {
    account.disabled = disabled;
    return {};
  });
}

Result<void> Accounts::remove(const std::string& name) {
  const std::lock_guard lock(mutex_);
  auto next = accounts_;
  if (next.erase(name) == 0) return not_found(name);
  MENSHEN_CHECK(keeps_administrators(next));
  MENSHEN_CHECK(save(next));
  accounts_ = std::move(next);
  // Of an account that is made under the same name again, nothing of this one counts.
  failures_.erase(name);
  enrolments_.erase(name);
  last_steps_.erase(name);
  return {};
}

tl::unexpected<Error> Accounts::failed(const std::string& name) {
  const std::lock_guard lock(mutex_);
  // An attacker may try any number of names; only so many are remembered.
  if (failures_.size() >= locked_names_max && !failures_.contains(name)) failures_.clear();
  Failures& failures = failures_[name];
  if (++failures.count >= failures_max) {
    failures.count = 0;
    failures.locked_until = clock_.monotonic() +
                            std::chrono::duration_cast<std::chrono::nanoseconds>(lock_time).count();
  }
  return denied();
}

// The same work and the same answer whether the name, the password or the code was wrong.
Result<Account> Accounts::check_secrets(const std::string& name, const std::string& password,
                                        const std::string& code, bool needs_code) {
  if (name.size() > account_name_bytes_max || password.size() > password_bytes_max) {
    return denied();
  }
  std::optional<Account> account;
  {
    const std::lock_guard lock(mutex_);
    const auto locked = failures_.find(name);
    if (locked != failures_.end() && locked->second.locked_until > clock_.monotonic()) {
      return fail(ErrorCode::limit,
                  {fmt::format("失败次数过多，请 {} 分钟后再试", lock_time.count()),
                   fmt::format("too many failures; try again in {} minutes", lock_time.count())});
    }
    if (const auto at = accounts_.find(name); at != accounts_.end()) account = at->second;
  }
  bool good = false;
  {
    const std::lock_guard hashing(hashing_);
    good = password_matches(account ? account->password_hash : nobodys_hash_, password);
  }
  if (!good || !account || account->disabled) return failed(name);
  if (!needs_code || account->totp_secret.empty()) return *account;
  {
    const std::lock_guard lock(mutex_);
    std::uint64_t& last = last_steps_[name];
    const auto step = totp_step(account->totp_secret, code, clock_.wall(), last);
    if (step) {
      last = *step;
      failures_.erase(name);
      return *account;
    }
  }
  return failed(name);
}

Result<Account> Accounts::sign_in(const std::string& name, const std::string& password,
                                  const std::string& code) {
  return check_secrets(name, password, code, true);
}

Result<Enrolment> Accounts::begin_enrolment(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto at = accounts_.find(name);
  if (at == accounts_.end() || !at->second.totp_secret.empty()) return denied();
  auto& secret = enrolments_[name];
  if (secret.empty()) secret = new_totp_secret();
  return enrolment(name, secret);
}

Result<Account> Accounts::enrol(const std::string& name, const std::string& password,
                                const std::string& new_password, const std::string& code) {
  const Account account = MENSHEN_TRY(check_secrets(name, password, {}, false));
  if (!account.totp_secret.empty()) return denied();
  MENSHEN_CHECK(check_new_password(new_password, name));
  if (new_password == password) {
    return fail(ErrorCode::invalid, {"新口令不得与初始口令相同", "the password must be a new one"});
  }
  std::string secret;
  std::optional<std::uint64_t> step;
  {
    const std::lock_guard lock(mutex_);
    secret = enrolments_[name];
    if (!secret.empty()) step = totp_step(secret, code, clock_.wall(), 0);
  }
  if (!step) return failed(name);
  std::string hash;
  {
    const std::lock_guard hashing(hashing_);
    hash = MENSHEN_TRY(hash_password(new_password, cost_));
  }
  Account enrolled;
  MENSHEN_CHECK(change(name, [&](Account& each) -> Result<void> {
    if (!same_secrets(each, account)) return denied();
    each.password_hash = hash;
    each.totp_secret = secret;
    enrolled = each;
    return {};
  }));
  const std::lock_guard lock(mutex_);
  enrolments_.erase(name);
  failures_.erase(name);
  last_steps_[name] = *step;
  return enrolled;
}

Result<void> Accounts::change_password(const std::string& name, const std::string& password,
                                       const std::string& new_password, const std::string& code) {
  const Account seen = MENSHEN_TRY(check_secrets(name, password, code, true));
  MENSHEN_CHECK(check_new_password(new_password, name));
  std::string hash;
  {
    const std::lock_guard hashing(hashing_);
    hash = MENSHEN_TRY(hash_password(new_password, cost_));
  }
  return change(name, [&](Account& account) -> Result<void> {
    if (!same_secrets(account, seen)) return denied();
    account.password_hash = hash;
    return {};
  });
}

}  // namespace menshen::console
