#include "console/app/pages.hpp"

#include <zlib.h>

#include "base/file.hpp"

namespace menshen::console {
namespace {

std::string type_of(const std::filesystem::path& file) {
  const std::string ending = file.extension().string();
  if (ending == ".html") return "text/html; charset=utf-8";
  if (ending == ".js") return "text/javascript; charset=utf-8";
  if (ending == ".css") return "text/css; charset=utf-8";
  if (ending == ".svg") return "image/svg+xml";
  if (ending == ".json") return "application/json";
  return "application/octet-stream";
}

std::shared_ptr<const std::string> compress(const std::string& text) {
  constexpr int gzip_window = 15 + 16;
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, gzip_window, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return nullptr;
  }
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int code = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (code != Z_STREAM_END || out.size() >= text.size()) return nullptr;
  return std::make_shared<const std::string>(std::move(out));
}

}  // namespace

Result<Pages> Pages::load(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  Pages pages;
  std::size_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    if (!at->is_regular_file(error)) continue;
    Page page;
    page.type = type_of(at->path());
    auto text = MENSHEN_TRY(read_file(at->path(), page_bytes_max));
    bytes += text.size();
    if (bytes > page_bytes_max || pages.pages_.size() >= page_files_max) {
      return fail(ErrorCode::limit, {"控制台页面过多或过大：" + folder.string(),
                                     "too many or too large pages in " + folder.string()});
    }
    const std::string name = "/" + at->path().lexically_relative(folder).generic_string();
    page.immutable = name.starts_with("/assets/");
    page.gzip = compress(text);
    page.plain = std::make_shared<const std::string>(std::move(text));
    pages.pages_.emplace(name, std::move(page));
  }
  if (!pages.pages_.contains("/index.html")) {
    return fail(ErrorCode::not_found, {"没有控制台页面：" + folder.string(),
                                       "there are no pages of the console in " + folder.string()});
  }
  return pages;
}

const Pages::Page* Pages::find(const std::string& path) const {
  const auto at = pages_.find(path == "/" ? "/index.html" : path);
  return at == pages_.end() ? nullptr : &at->second;
}

}  // namespace menshen::console
