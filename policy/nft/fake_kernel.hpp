// A kernel in memory, for tests of what stands above nft::Kernel. Can fail the N-th call, before or
// after it took effect: a commit whose answer is lost may have been done.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "policy/nft/kernel.hpp"
#include "policy/nft/reason.hpp"

namespace menshen::policy::nft {

class FakeKernel final : public Kernel {
 public:
  enum class Fault : std::uint8_t { refused, answer_lost };

  // The n-th call from now (1: the next) fails; those after it work again.
  void fail_call(std::size_t n, Fault fault = Fault::refused) {
    fail_in_ = n;
    fault_ = fault;
  }
  [[nodiscard]] std::size_t calls() const { return calls_; }
  [[nodiscard]] const std::optional<Ruleset>& table() const { return table_; }
  // As somebody else might change it.
  [[nodiscard]] std::optional<Ruleset>& tamper() { return table_; }
  void count(Reason reason, CounterValue value) {
    counters_[static_cast<std::size_t>(reason)] = value;
  }

  [[nodiscard]] Result<void> commit(const Ruleset& ruleset) override {
    return change_to([&] { table_ = ruleset; });
  }
  [[nodiscard]] Result<void> change(const LiveRuleset&, const Ruleset& ruleset) override {
    return change_to([&] { table_ = ruleset; });
  }
  [[nodiscard]] Result<std::vector<Text>> others(const std::string&) override { return others_; }
  void set_others(std::vector<Text> others) { others_ = std::move(others); }
  [[nodiscard]] Result<void> remove(const std::string&) override {
    return change_to([&] { table_.reset(); });
  }
  [[nodiscard]] Result<LiveRuleset> read_back(const std::string& name) override {
    if (fails()) return error();
    LiveRuleset live;
    live.present = table_ && table_->table == name;
    if (live.present) live.ruleset = *table_;
    for (Counter& counter : live.ruleset.counters)
      if (const auto reason = parse_reason(counter.name))
        counter.value = counters_[static_cast<std::size_t>(*reason)];
    return live;
  }
  [[nodiscard]] Result<Counters> counters(const std::string& name) override {
    if (fails()) return error();
    if (!table_ || table_->table != name)
      return fail(ErrorCode::not_found, {"没有该表", "there is no such table"});
    return counters_;
  }

 private:
  template <class Effect>
  Result<void> change_to(Effect effect) {
    const bool failing = fails();
    if (!failing || fault_ == Fault::answer_lost) effect();
    if (failing) return error();
    return {};
  }
  bool fails() {
    ++calls_;
    return fail_in_ != 0 && --fail_in_ == 0;
  }
  [[nodiscard]] tl::unexpected<Error> error() const {
    return fault_ == Fault::refused
               ? fail(ErrorCode::io, {"内核拒绝（故障注入）", "refused (injected fault)"})
               : fail(ErrorCode::unavailable,
                      {"应答丢失（故障注入）", "answer lost (injected fault)"});
  }

  std::optional<Ruleset> table_;
  std::vector<Text> others_;
  Counters counters_{};
  std::size_t calls_ = 0;
  std::size_t fail_in_ = 0;
  Fault fault_ = Fault::refused;
};

}  // namespace menshen::policy::nft
