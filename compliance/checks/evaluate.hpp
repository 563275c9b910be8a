// One check against the facts.
//
// Three-valued: a predicate whose fact is absent is unknown, one whose collection failed is an
// error, and neither can make a check pass. all_of: a false part decides, then error, then unknown.
// any_of: a true part decides.
#pragma once

#include <string>
#include <vector>

#include "compliance/catalogue/catalogue.hpp"
#include "compliance/collect/facts.hpp"

namespace menshen::compliance {

enum class Outcome : unsigned char { yes, no, unknown, error };

// 符合 部分符合 不符合 不适用 未检 错误
enum class Verdict : unsigned char {
  conforming,
  partial,
  failing,
  not_applicable,
  not_checked,
  error
};
[[nodiscard]] Text verdict_text(Verdict verdict);
[[nodiscard]] std::string_view verdict_name(Verdict verdict);  // "conforming", for JSON

struct Observation {
  std::string path;  // what was asked
  Text expected;     // "at least 8"
  std::string
      observed;  // JSON text of the value, cut after observed_bytes_max; empty: nothing seen
  Outcome outcome = Outcome::unknown;
  std::string fact;  // key into Facts; empty: absent
};
inline constexpr std::size_t observed_bytes_max = 400;

// Reads: facts. Adds one observation per predicate, in order; every predicate is evaluated.
[[nodiscard]] Outcome evaluate(const Expression& expression, const Facts& facts,
                               std::vector<Observation>& observations);

struct CheckResult {
  const Check* check = nullptr;
  std::size_t object = 0;  // index into Assessment::objects
  Verdict verdict = Verdict::not_checked;
  Text reason;
  std::vector<Observation> observations;
};

// Whether the check asks for nothing but facts of a host, so that it can be run on any of them.
[[nodiscard]] bool is_host_check(const Check& check);
[[nodiscard]] CheckResult run_check(const Check& check, const Facts& facts);

}  // namespace menshen::compliance
