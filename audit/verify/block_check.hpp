// One block of records, checked by itself: what the verifier's threads do. Internal to verify.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/store/segment.hpp"
#include "audit/verify/verify.hpp"

namespace menshen::audit {

// Consecutive sequences of one source at consecutive places.
struct NameRun {
  std::string source;
  std::uint64_t epoch = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t n = 0;
};

// What the store itself told in a record that verification depends on.
struct OwnAct {
  std::uint64_t n = 0;
  std::string action;  // key.rotate, segment.prune
  std::string object;
  std::string detail;
};

struct ReceivedBack {
  std::uint64_t n = 0;
  WallTime received = 0;
};

// What a run of records says, in order.
struct RecordsSeen {
  std::vector<NameRun> runs;
  std::vector<OwnAct> acts;
  std::vector<ReceivedBack> back;  // received before the one ahead: at most a few
  WallTime first_received = 0;     // 0: none has a stamp
  WallTime last_received = 0;
  WallTime last_time = 0;

  void add(std::uint64_t n, const RecordView& record);
};

// The peaks of the tree at a place inside of a block: those behind the last whole block.
struct Cut {
  std::uint64_t size = 0;
  std::vector<Digest> peaks;
};

struct BlockResult {
  Digest root{};
  std::vector<Cut> cuts;
  RecordsSeen seen;
  std::optional<Break> broken;
};

class BlockChecker {
 public:
  // `cuts`: sizes at which the root is wanted, ascending; must outlive the checker.
  BlockChecker(Segment segment, TreeHasher hasher, const std::vector<std::uint64_t>& cuts)
      : segment_(std::move(segment)), hasher_(std::move(hasher)), cuts_(cuts) {}

  [[nodiscard]] BlockResult check(std::uint64_t first);

 private:
  [[nodiscard]] std::optional<Break> compare(const Block& block, std::uint64_t first);
  [[nodiscard]] std::optional<Break> check_names(const std::vector<NameRun>& runs);
  void cut(std::uint64_t first, BlockResult& result);

  Segment segment_;
  TreeHasher hasher_;
  const std::vector<std::uint64_t>& cuts_;
  std::vector<Digest> leaves_;
};

[[nodiscard]] Break break_at(BreakKind kind, std::uint64_t first, std::uint64_t last, WallTime time,
                             Text text);

}  // namespace menshen::audit
