#include "audit/export/export.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "audit/store/store.hpp"
#include "audit/testing/samples.hpp"
#include "tests/testkit/temp_dir.hpp"

using namespace menshen;
using namespace menshen::audit;

namespace {
// A CSV reader of the test's own (RFC 4180), to see that what is written can be read.
std::vector<std::string> cells(std::string_view row) {
  REQUIRE(row.ends_with("\r\n"));
  row.remove_suffix(2);
  std::vector<std::string> out(1);
  bool quoted = false;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (quoted && row[i] == '"' && i + 1 < row.size() && row[i + 1] == '"') {
      out.back().push_back(row[++i]);
    } else if (row[i] == '"') {
      quoted = !quoted;
    } else if (row[i] == ',' && !quoted) {
      out.emplace_back();
    } else {
      out.back().push_back(row[i]);
    }
  }
  REQUIRE_FALSE(quoted);
  return out;
}
}  // namespace

TEST_CASE("a CSV row has the header's columns") {
  Found found{12, sample_alert(3)};
  found.record.stamp = Stamp{0, 990, 1};
  const auto header = cells(csv_header());
  const auto row = cells(csv_row(found));
  REQUIRE(row.size() == header.size());
  CHECK(header.front() == "\xef\xbb\xbfnumber");
  const auto at = [&](std::string_view column) {
    return row[static_cast<std::size_t>(std::ranges::find(header, column) - header.begin())];
  };
  CHECK(row.front() == "12");
  CHECK(at("kind") == "alert");
  CHECK(at("src") == "10.10.0.5");
  CHECK(at("dport") == "80");
  CHECK(at("sid") == "2034647");
  CHECK(at("detail") == found.record.detail);
  CHECK(at("peer_uid") == "990");
}

TEST_CASE("no cell is a formula or breaks its row") {
  for (const std::string hostile :
       {"=HYPERLINK(\"http://203.0.113.9\")", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1"}) {
    Found found{1, sample_alert(1)};
    found.record.message = hostile;
    found.record.object = "a,\"b\"\r\nc";
    const auto row = cells(csv_row(found));
    REQUIRE(row.size() == cells(csv_header()).size());
    CHECK(std::ranges::count(row, "'" + hostile) == 1);
    CHECK(std::ranges::count(row, "a,\"b\"\r\nc") == 1);
  }
}

TEST_CASE("an export is the filter's records, until the sink refuses") {
  const testkit::TempDir folder;
  StoreOptions options;
  options.directory = folder / "store";
  auto store = Store::open(options);
  REQUIRE(store);
  std::vector<Record> records;
  for (std::uint64_t i = 1; i <= 20; ++i) records.push_back(sample_alert(i));
  REQUIRE(store->append(records));
  REQUIRE(store->close());
  const auto reader = Reader::open(options.directory);
  REQUIRE(reader);
  Filter filter;
  filter.source = "sensord";
  std::vector<std::string> pieces;
  const Sink keep = [&](std::string_view piece) -> Result<void> {
    pieces.emplace_back(piece);
    return {};
  };
  CHECK(export_records(*reader, filter, ExportFormat::json_lines, keep).value() == 20);
  REQUIRE(pieces.size() == 20);
  for (const std::string& line : pieces) {
    CHECK(line.find('\n') == line.size() - 1);
    CHECK(nlohmann::json::parse(line)["source"] == "sensord");
  }
  pieces.clear();
  CHECK(export_records(*reader, filter, ExportFormat::csv, keep).value() == 20);
  CHECK(pieces.size() == 21);

  int calls = 0;
  const Sink full = [&](std::string_view) -> Result<void> {
    if (++calls < 5) return {};
    return fail(ErrorCode::io, {"磁盘已满", "disk full"});
  };
  CHECK(export_records(*reader, filter, ExportFormat::csv, full).error().text.en == "disk full");
  CHECK(calls == 5);
}

TEST_CASE("a hostile record stays one message in every form") {
  Found found{12, sample_alert(3)};
  found.record.message = "a|b=c\\d\r\ne]\"f";
  found.record.object = "x\"]\nCEF:0|";
  found.record.subject = "li wei";
  found.record.stamp = Stamp{0, 990, 7};
  for (const std::string& line : {eve_line(found), cef_line(found), syslog_line(found)}) {
    INFO(line);
    CHECK(line.ends_with('\n'));
    CHECK(line.find('\n') == line.size() - 1);
    CHECK(line.find('\r') == std::string::npos);
  }
  const auto eve = nlohmann::json::parse(eve_line(found));
  CHECK(eve["event_type"] == "alert");
  CHECK(eve["src_ip"] == "10.10.0.5");
  CHECK(eve["dest_port"] == 80);
  CHECK(eve["alert"]["signature_id"] == 2'034'647);
  CHECK(eve["alert"]["action"] == "blocked");
  CHECK(eve["alert"]["severity"] == 1);
  CHECK(eve["menshen"]["number"] == 12);

  const std::string cef = cef_line(found);
  CHECK(cef.starts_with("CEF:0|Menshen|audit|"));
  CHECK(cef.find("|1:2034647|a\\|b=c\\\\d  e]\"f|8|") != std::string::npos);
  CHECK(cef.find(" src=10.10.0.5 ") != std::string::npos);
  CHECK(cef.find(" externalId=12 ") != std::string::npos);

  const std::string syslog = syslog_line(found);
  // Facility 13, error; version 1.
  CHECK(syslog.starts_with("<107>1 2026-"));
  CHECK(syslog.find(" sensord menshen 7 alert [menshen@32473 number=\"12\"") != std::string::npos);
  CHECK(syslog.find("object=\"x\\\"\\] CEF:0|\"") != std::string::npos);
  CHECK(syslog.find("] \xef\xbb\xbf"
                    "a|b") != std::string::npos);
}

TEST_CASE("an export with proofs can be checked line by line, without the store") {
  const testkit::TempDir folder;
  StoreOptions options;
  options.directory = folder / "store";
  options.profile = Profile::intl;
  auto store = Store::open(options).value();
  std::vector<Record> records;
  for (std::uint64_t i = 1; i <= 40; ++i) records.push_back(sample_alert(i));
  REQUIRE(store.append(records));
  REQUIRE(store.close());
  const auto reader = Reader::open(options.directory).value();
  Filter filter;
  filter.source = "sensord";
  std::size_t lines = 0;
  const auto written =
      export_records(reader, filter, ExportFormat::proof, [&](std::string_view line) {
        ++lines;
        CHECK(verify_proof(line).has_value());
        return Result<void>();
      });
  CHECK(written.value() == 40);
  CHECK(lines == 40);
}
