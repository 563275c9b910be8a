// The kernel's table `inet menshen`, behind one interface. Other tables are neither read nor
// touched.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "policy/nft/drift.hpp"
#include "policy/nft/ruleset.hpp"

namespace menshen::policy::nft {

using Counters = std::array<CounterValue, reasons>;  // by Reason

class Kernel {
 public:
  virtual ~Kernel() = default;
  // Replaces the whole table in one transaction: afterwards the kernel holds the old or the new
  // one, never a mixture. Counters go on from their live values. On failure nothing has changed,
  // unless the code is `unavailable` (the answer was lost): then read back.
  [[nodiscard]] virtual Result<void> commit(const Ruleset& ruleset) = 0;
  // The same, from what was read back, sending only what differs. ErrorCode::exists: somebody
  // changed the kernel's ruleset since; nothing was done, so read back and try again.
  [[nodiscard]] virtual Result<void> change(const LiveRuleset& live, const Ruleset& ruleset) = 0;
  // Removes the table. Not an error where there is none.
  [[nodiscard]] virtual Result<void> remove(const std::string& table = "menshen") = 0;
  [[nodiscard]] virtual Result<LiveRuleset> read_back(const std::string& table = "menshen") = 0;
  // ErrorCode::not_found where there is no table.
  [[nodiscard]] virtual Result<Counters> counters(const std::string& table = "menshen") = 0;
  // What else in the kernel takes part in forwarding, beside this table: other tables' hooks and
  // flowtables. One line each.
  [[nodiscard]] virtual Result<std::vector<Text>> others(const std::string& table = "menshen") = 0;
};

// One netlink socket: what NftKernel needs of it, so that tests can fail each call.
class NetlinkPort {
 public:
  virtual ~NetlinkPort() = default;
  [[nodiscard]] virtual Result<void> send(std::span<const std::byte> message) = 0;
  // One datagram; 0: nothing came within timeout_ms.
  [[nodiscard]] virtual Result<std::size_t> receive(std::span<std::byte> buffer,
                                                    int timeout_ms) = 0;
  [[nodiscard]] virtual std::uint32_t address() const { return 0; }
};

// NETLINK_NETFILTER in the caller's network namespace. Needs CAP_NET_ADMIN there.
[[nodiscard]] Result<std::unique_ptr<NetlinkPort>> open_netlink();

// The real one, by libnftnl and libmnl. Not thread-safe: one per thread. Blocks for the kernel's
// answer, at most answer_timeout_ms.
class NftKernel final : public Kernel {
 public:
  static constexpr int answer_timeout_ms = 30'000;

  // Opens its socket and finds out how this kernel queues packets (native expression or xt target);
  // ErrorCode::unavailable where it can do neither, ErrorCode::denied without CAP_NET_ADMIN.
  [[nodiscard]] static Result<std::unique_ptr<NftKernel>> open();
  [[nodiscard]] static Result<std::unique_ptr<NftKernel>> open(std::unique_ptr<NetlinkPort> port);
  ~NftKernel() override;

  [[nodiscard]] Result<void> commit(const Ruleset& ruleset) override;
  [[nodiscard]] Result<void> change(const LiveRuleset& live, const Ruleset& ruleset) override;
  [[nodiscard]] Result<void> remove(const std::string& table) override;
  [[nodiscard]] Result<LiveRuleset> read_back(const std::string& table) override;
  [[nodiscard]] Result<Counters> counters(const std::string& table) override;
  [[nodiscard]] Result<std::vector<Text>> others(const std::string& table) override;
  [[nodiscard]] bool native_queue() const;
  // The address of its socket: the sender of its changes, as notifications name it (watch.hpp).
  [[nodiscard]] std::uint32_t address() const;

 private:
  struct State;
  explicit NftKernel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace menshen::policy::nft
