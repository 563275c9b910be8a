#include "policy/nft/fake_kernel.hpp"

#include <catch2/catch.hpp>

#include "policy/nft/lower.hpp"

namespace menshen::policy::nft {

TEST_CASE("the kernel in memory keeps, counts and fails as told") {
  FakeKernel kernel;
  CHECK_FALSE(kernel.read_back("menshen")->present);
  CHECK(kernel.counters("menshen").error().code == ErrorCode::not_found);

  const Ruleset one = lower(Policy(), {.generation = 1});
  const Ruleset two = lower(Policy(), {.generation = 2});
  REQUIRE(kernel.commit(one));
  CHECK(compare(one, *kernel.read_back("menshen")).empty());

  kernel.fail_call(1);
  CHECK(kernel.commit(two).error().code == ErrorCode::io);
  CHECK(kernel.read_back("menshen")->ruleset.generation == 1);
  kernel.fail_call(1, FakeKernel::Fault::answer_lost);
  CHECK(kernel.commit(two).error().code == ErrorCode::unavailable);
  CHECK(kernel.read_back("menshen")->ruleset.generation == 2);

  kernel.count(Reason::spoofed, {3, 300});
  CHECK((*kernel.counters("menshen"))[static_cast<std::size_t>(Reason::spoofed)] ==
        CounterValue{3, 300});
  kernel.tamper()->chains.clear();
  CHECK_FALSE(compare(two, *kernel.read_back("menshen")).empty());
  REQUIRE(kernel.remove("menshen"));
  CHECK_FALSE(kernel.read_back("menshen")->present);
}

}  // namespace menshen::policy::nft
