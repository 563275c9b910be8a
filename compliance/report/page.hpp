// Pieces of the report that more than one section needs. Internal to report/.
#pragma once

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "compliance/report/markup.hpp"
#include "compliance/report/report.hpp"

namespace menshen::compliance {

inline constexpr std::array<Verdict, 6> verdicts{Verdict::conforming,     Verdict::partial,
                                                 Verdict::failing,        Verdict::error,
                                                 Verdict::not_applicable, Verdict::not_checked};

// One source that facts came from; several facts may share it.
struct EvidenceSource {
  const Provenance* provenance = nullptr;
  std::vector<std::string> facts;
  Text failure;
};

class Page {
 public:
  Page(const Assessment& assessment, const ReportOptions& options);

  [[nodiscard]] std::string render();

 private:
  // Escaped text in the page's language.
  [[nodiscard]] std::string t(const Text& text) const {
    return escape_html(text.in(options_.lang));
  }
  [[nodiscard]] std::string t(std::string_view zh, std::string_view en) const {
    return std::string(options_.lang == Lang::zh ? zh : en);
  }
  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }
  [[nodiscard]] std::string badge(Verdict verdict) const;
  [[nodiscard]] std::string object_name(const CheckResult& result) const;
  [[nodiscard]] std::string item_link(const ItemResult& result) const;

  void header();
  void summary();
  void donut(const Tally& tally);
  void legend(const Tally& tally);
  void bounds();
  void editions();
  void layers();
  void layer_row(std::string_view id, const std::string& title, const Tally& tally);
  void objects();
  void comparison();
  void changed_items(const Comparison& comparison);
  void task(const TaskRecord& record);
  void findings();
  void finding_row(const ItemResult& result);
  void items();
  void item(const ItemResult& result);
  void item_facts(const ItemResult& result);
  void check(const CheckResult& result);
  void item_checks(const ItemResult& result);
  void observations(const CheckResult& result);
  void remediation(const Remediation& remediation);
  void evidence();
  void basis();
  void verification();

  const Assessment& a_;
  const ReportOptions& options_;
  std::vector<EvidenceSource> sources_;
  std::map<std::pair<std::size_t, std::string>, std::size_t> source_of_;  // object, fact -> index
  std::string out_;
};

}  // namespace menshen::compliance
