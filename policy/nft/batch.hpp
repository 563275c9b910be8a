// Ruleset -> the netlink messages of one transaction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "policy/nft/expression.hpp"
#include "policy/nft/ruleset.hpp"

struct nlmsghdr;

namespace menshen::policy::nft {

// Numbered messages, each with a word on what it does, so that the kernel's answer can be told to a
// person.
class Batch {
 public:
  // Sequence numbers begin at `sequence`.
  explicit Batch(std::uint32_t sequence);

  void add_table(const std::string& table);
  void delete_table(const std::string& table);
  // False: libnftnl had no memory.
  [[nodiscard]] bool add_ruleset(const Ruleset& ruleset, QueueKind queue);
  // What turns `live` into `want`: elements one by one, chains whose rules differ as a whole. False
  // also where that cannot be (a set of another type, a full one, another hook): replace the table.
  [[nodiscard]] bool add_change(const Ruleset& live, const Ruleset& want, QueueKind queue);
  // The kernel refuses the transaction (ERESTART) unless its rulesets are of this generation.
  void require_generation(std::uint32_t generation);
  // A chain with this one rule, to learn whether the kernel knows it.
  [[nodiscard]] bool add_trial(const std::string& table, const Expression& expression,
                               QueueKind queue);
  // The last message asks for an answer. Without the end mark the kernel checks all and changes
  // nothing.
  enum class End : std::uint8_t { commit, try_only };
  void finish(End end);

  [[nodiscard]] std::span<const std::byte> bytes() const;
  [[nodiscard]] std::uint32_t first() const { return first_; }
  [[nodiscard]] std::uint32_t last() const { return last_; }     // the message that is answered
  [[nodiscard]] std::string step(std::uint32_t sequence) const;  // English, nft's own words

 private:
  nlmsghdr* begin(std::uint16_t type, std::uint16_t flags, std::string step);
  void end(const nlmsghdr* message);
  void add_counter(const std::string& table, const Counter& counter);
  [[nodiscard]] bool add_chain(const std::string& table, const Chain& chain);
  [[nodiscard]] bool add_set(const std::string& table, const Set& set, std::uint32_t id);
  void elements(std::uint16_t type, const std::string& table, const Set& set,
                std::span<const Element> some);
  [[nodiscard]] bool change_set(const std::string& table, const Set& live, const Set& want);
  [[nodiscard]] bool add_rules(const std::string& table, const Chain& chain, QueueKind queue);
  void remove(std::uint16_t type, std::uint16_t table_attribute, const std::string& table,
              std::uint16_t name_attribute, const std::string& name, std::string step);
  [[nodiscard]] bool add_rule(const std::string& table, const std::string& chain, const Rule& rule,
                              std::size_t number, QueueKind queue);

  std::vector<char> scratch_;
  std::vector<char> bytes_;
  std::vector<std::string> steps_;
  std::uint32_t first_;
  std::uint32_t sequence_;
  std::uint32_t last_ = 0;
  std::size_t last_offset_ = 0;
};

// The kernel's numbers for a set's types, and its key's length as the kernel counts it.
[[nodiscard]] std::uint32_t kernel_key_type(const std::vector<FieldType>& key);
[[nodiscard]] std::vector<FieldType> read_key_type(std::uint32_t type);
[[nodiscard]] std::size_t key_bytes(const std::vector<FieldType>& key);

}  // namespace menshen::policy::nft
