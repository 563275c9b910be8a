// What was seen, and how: every fact carries its source, time and digests, so that a person can
// look again.
//
// A fact is absent (nobody collected it: what needs it is not checked), failed (collection was
// tried and did not work: error) or present. Nothing is ever judged conforming without a present
// fact.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/lang.hpp"

namespace menshen::compliance {

inline constexpr std::size_t excerpt_bytes_max = 2048;
inline constexpr std::size_t fact_name_bytes_max = 128;

struct Provenance {
  std::string object;  // what was looked at: the appliance's host name
  std::string
      source;  // "file /etc/login.defs", "command sshd -T", "menshen-policyd: table read back"
  WallTime collected_at = 0;
  std::string sha256;  // lower-case hex, over the raw bytes
  std::string sm3;
  std::size_t raw_bytes = 0;
  std::shared_ptr<const std::string> raw;  // what the digests are of
  std::string excerpt;  // the beginning of the raw text, valid UTF-8, at most excerpt_bytes_max
};

// Digests and excerpt of `raw`. Cost: linear in raw.
[[nodiscard]] Provenance make_provenance(std::string object, std::string source,
                                         WallTime collected_at, std::string_view raw);

struct Fact {
  nlohmann::json value;
  std::optional<Text> failure;  // set: collection failed, value is null
  Provenance provenance;
};

class Facts {
 public:
  // A later fact of the same name replaces the earlier one.
  void add(std::string name, nlohmann::json value, Provenance provenance);
  void fail(std::string name, Text reason, Provenance provenance);
  // Facts of `other` replace ours of the same name.
  void merge(Facts other);
  void remove(const std::string& name) { facts_.erase(name); }

  struct Found {
    const Fact* fact = nullptr;             // nullptr: absent
    std::string name;                       // of the fact
    const nlohmann::json* value = nullptr;  // nullptr: the fact has no such key (or failed)
  };
  // The longest fact name that `path` begins with (at a dot), then object keys; a key may itself
  // hold dots.
  [[nodiscard]] Found find(std::string_view path) const;
  [[nodiscard]] const std::map<std::string, Fact, std::less<>>& all() const { return facts_; }

 private:
  std::map<std::string, Fact, std::less<>> facts_;
};

// Product facts, as a daemon or the CLI reports them: one fact per key of `values`, named
// "space.key", all with the provenance of the whole object's JSON text. See product_facts.md for
// the agreed names.
void add_product_facts(Facts& facts, std::string_view space, const nlohmann::json& values,
                       std::string object, std::string source, WallTime collected_at);
// The same where the daemon could not be asked: `space` as a whole is a failed fact.
void fail_product_facts(Facts& facts, std::string_view space, Text reason, std::string object,
                        std::string source, WallTime collected_at);

}  // namespace menshen::compliance
