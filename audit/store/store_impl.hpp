// The store's inside: store.cpp opens, signs, keeps and closes; append.cpp takes records in.
// Internal to the store.
#pragma once

#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audit/store/indexer.hpp"
#include "audit/store/names.hpp"
#include "audit/store/store.hpp"
#include "audit/store/tail.hpp"
#include "audit/store/upkeep.hpp"

namespace menshen::audit {

inline constexpr WallTime day_ns = 86'400LL * 1'000'000'000;

class Store::Impl {
 public:
  Impl(StoreOptions options, UniqueFd lock, SigningKey key, BootId boot, TreeHasher hasher)
      : options_(std::move(options)),
        paths_(StorePaths::in(options_.directory)),
        clock_(options_.clock != nullptr ? *options_.clock : system_clock()),
        lock_(std::move(lock)),
        key_(std::move(key)),
        boot_(boot),
        hasher_(std::move(hasher)) {}

  static Result<std::unique_ptr<Impl>> open(StoreOptions options);

  Result<std::vector<Appended>> append(std::span<const Record> records);
  Result<std::vector<Appended>> append(std::span<const Incoming> records);
  Result<void> append_own(Record record);
  Result<SignedNote> checkpoint();
  Result<void> tend();
  Result<std::string> attest(const Attestation& attestation);
  Result<void> rotate_key(std::string_view subject);
  Result<void> close();
  [[nodiscard]] bool checkpoint_due() const;
  [[nodiscard]] StoreStatus status() const;
  [[nodiscard]] std::uint64_t disk_free() const;
  [[nodiscard]] const PublicKey& public_key() const { return key_.public_key(); }
  [[nodiscard]] const StoreOptions& options() const { return options_; }

 private:
  // A record of one call that is to be stored, if its name is new.
  struct Item {
    Bytes bytes;
    RecordView view;
  };
  struct Connection {
    Segment segment;
    CheckpointLog log;
    Names names;
    Statement insert_block;
    Statement insert_pending;
    Statement fold_pending;
    Statement insert_node;
    Statement insert_note;
  };

  Result<void> connect();
  Result<void> open_segment();
  Result<void> prepare_statements(Segment segment, CheckpointLog log);
  Result<void> begin_own_epoch();
  Result<Record> own(Record record);
  Result<std::vector<Appended>> store(std::span<const Item> items);
  // Stores items up to where a new segment is to begin. Returns how many it has taken.
  Result<std::size_t> store_some(std::span<const Item> items, std::vector<Appended>& answers);
  Result<Appended> compare(const Item& item, std::uint64_t n, std::span<const Bytes> fresh);
  Result<void> place(std::span<const Bytes> fresh);
  Result<void> place_block(std::span<const Bytes> records, std::span<const Digest> leaves);
  Result<void> place_pending(std::span<const Bytes> records, std::span<const Digest> leaves);
  Result<void> insert_block(std::span<const Bytes> records, std::span<const Digest> leaves);
  Result<void> insert_nodes(const std::vector<TreeNode>& nodes);
  [[nodiscard]] std::uint64_t roll_at() const;
  Result<void> roll();
  Result<void> sign_and_store();
  Result<void> note_at_end();
  Result<void> record_conflicts(std::span<const Item> items, const std::vector<Appended>& answers);
  Result<void> seal_finished();
  Result<void> prune();
  [[nodiscard]] std::vector<const PublicKey*> keys() const;
  // After a write failed: what the disk holds is known only after opening it afresh.
  template <class T>
  Result<T> broken(Result<T> result) {
    connection_.reset();
    healthy_ = false;
    return result;
  }

  StoreOptions options_;
  StorePaths paths_;
  const Clock& clock_;
  UniqueFd lock_;
  SigningKey key_;
  std::vector<PublicKey> retired_;
  BootId boot_;
  TreeHasher hasher_;
  std::optional<Connection> connection_;
  Tail tail_;
  std::uint64_t acknowledged_ = 0;  // records that a caller knows to be stored
  std::int64_t segment_day_ = 0;    // UTC day in which the live segment began
  std::uint64_t own_epoch_ = 0;
  std::uint64_t own_sequence_ = 0;
  MonotonicTime waiting_since_ = 0;  // of the oldest record without a checkpoint; 0: none
  bool healthy_ = true;
  std::future<Result<Seal>> sealing_;
  std::unique_ptr<Indexer> indexer_;
};

}  // namespace menshen::audit
