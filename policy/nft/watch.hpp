// Who changes the kernel's rulesets: one notification for each transaction, from its own multicast
// group.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "base/result.hpp"

namespace menshen::policy::nft {

struct Transaction {
  std::uint32_t sender = 0;   // netlink address, as NftKernel::address()
  std::uint32_t process = 0;  // 0: the kernel did not say
  std::string process_name;   // as the kernel cut it
  std::uint32_t generation = 0;
};

// Not thread-safe.
class TransactionWatch {
 public:
  // In the caller's network namespace. Needs CAP_NET_ADMIN.
  [[nodiscard]] static Result<TransactionWatch> open();

  // Readable: read() has something. Never blocks.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  // What has come. `overrun` is set where the kernel had more than the socket could hold: then
  // anything may have happened.
  [[nodiscard]] Result<std::vector<Transaction>> read(bool& overrun);

 private:
  explicit TransactionWatch(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace menshen::policy::nft
