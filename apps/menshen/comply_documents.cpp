#include "apps/menshen/comply_documents.hpp"

#include <array>

#include "base/file.hpp"
#include "compliance/collect/process.hpp"
#include "compliance/report/document.hpp"
#include "compliance/report/workbook.hpp"

namespace menshen::apps {
namespace fs = std::filesystem;
namespace {

using compliance::DocumentKind;

struct Converter {
  Format format;
  const char* program;
  const char* package;
};
constexpr std::array<Converter, 2> converters{
    {{Format::pdf, "weasyprint", "weasyprint"}, {Format::docx, "pandoc", "pandoc"}}};
// A report of many hosts has hundreds of pages.
constexpr std::chrono::minutes conversion_time_max{30};

Result<void> convert(const char* program, std::vector<std::string> arguments, const fs::path& out) {
  compliance::ProcessRequest request;
  request.program = compliance::find_program(program);
  arguments.insert(arguments.begin(), program);
  const fs::path fresh = out.string() + ".new" + out.extension().string();
  arguments.push_back(fresh.string());
  request.arguments = std::move(arguments);
  request.timeout = conversion_time_max;
  request.environment = {"HOME=/nonexistent", "XDG_CACHE_HOME=/nonexistent"};
  const auto done = MENSHEN_TRY(compliance::run_process(request));
  std::error_code error;
  if (done.status == 0) fs::rename(fresh, out, error);
  if (done.status == 0 && !error) return {};
  fs::remove(fresh, error);
  return fail(ErrorCode::io, {fmt::format("{} 转换失败（{}）：{}", program, done.status, done.err),
                              fmt::format("{} could not convert (status {}): {}", program,
                                          done.status, done.err)});
}

}  // namespace

Result<std::set<Format>> parse_formats(const std::string& text) {
  std::set<Format> formats;
  std::size_t begin = 0;
  while (begin <= text.size() && !text.empty()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string name = text.substr(begin, end - begin);
    begin = end + 1;
    if (name == "html")
      formats.insert(Format::html);
    else if (name == "pdf")
      formats.insert(Format::pdf);
    else if (name == "docx")
      formats.insert(Format::docx);
    else if (name == "xlsx")
      formats.insert(Format::xlsx);
    else if (name == "all")
      formats.insert({Format::html, Format::pdf, Format::docx, Format::xlsx});
    else {
      return fail(ErrorCode::invalid,
                  {"未知的文档格式：" + name + "（html、pdf、docx、xlsx、all）",
                   "no such format: " + name + " (html, pdf, docx, xlsx, all)"});
    }
  }
  return formats;
}

Result<void> check_converters(const std::set<Format>& formats) {
  for (const Converter& each : converters) {
    if (formats.count(each.format) == 0 || !compliance::find_program(each.program).empty())
      continue;
    return fail(ErrorCode::unavailable,
                {fmt::format("未安装 {}：请执行 apt-get install {} fonts-noto-cjk", each.program,
                             each.package),
                 fmt::format("{} is not installed: apt-get install {} fonts-noto-cjk", each.program,
                             each.package)});
  }
  return {};
}

Result<std::vector<fs::path>> write_documents(const Settings& settings, Lang lang,
                                              const compliance::Assessment& assessment,
                                              const compliance::Comparison* comparison,
                                              const fs::path& folder,
                                              const std::set<Format>& formats) {
  std::vector<fs::path> files;
  if (formats.empty()) return files;
  MENSHEN_CHECK(make_directories(folder));
  const std::string suffix = lang == Lang::zh ? ".zh" : ".en";
  const auto named = [&](const char* name, const char* extension) {
    files.push_back(folder / (name + suffix + extension));
    return files.back();
  };
  const fs::path reference = fs::path(settings.text("compliance.catalogue")) / "reference.docx";
  compliance::DocumentOptions options;
  options.lang = lang;
  options.comparison = comparison;
  for (const auto& [kind, name] : {std::pair{DocumentKind::assessment, "self-assessment"},
                                   std::pair{DocumentKind::gap, "gap"}}) {
    const fs::path html = named(name, ".html");
    MENSHEN_CHECK(write_file_atomic(html, compliance::render_document(assessment, kind, options)));
    if (formats.count(Format::pdf) != 0) {
      MENSHEN_CHECK(convert("weasyprint", {"--quiet", html.string()}, named(name, ".pdf")));
    }
    if (formats.count(Format::docx) != 0) {
      MENSHEN_CHECK(convert("pandoc",
                            {"--from=html", "--to=docx", "--metadata=title:",
                             "--reference-doc=" + reference.string(), html.string(), "--output"},
                            named(name, ".docx")));
    }
  }
  if (formats.count(Format::xlsx) == 0) return files;
  const fs::path book = named("items", ".xlsx");
  const fs::path fresh = book.string() + ".new";
  MENSHEN_CHECK(compliance::write_workbook(assessment, lang, fresh));
  std::error_code error;
  fs::rename(fresh, book, error);
  if (!error) return files;
  return fail(ErrorCode::io,
              {"保存工作簿：" + error.message(), "storing the workbook: " + error.message()});
}

}  // namespace menshen::apps
