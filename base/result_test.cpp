#include "base/result.hpp"

#include <catch2/catch.hpp>
#include <memory>

namespace menshen {
namespace {

Result<int> half(int x) {
  if (x % 2 != 0) return fail(ErrorCode::invalid, {"不是偶数", "not even"});
  return x / 2;
}
Result<int> quarter(int x) {
  const int h = MENSHEN_TRY(half(x));
  return half(h);
}
Result<void> check_quarter(int x) {
  MENSHEN_CHECK(quarter(x));
  return {};
}
Result<std::unique_ptr<int>> boxed(int x) { return std::make_unique<int>(MENSHEN_TRY(half(x))); }

TEST_CASE("a value passes through, an error returns early") {
  CHECK(quarter(8).value() == 2);
  CHECK(quarter(6).error().code == ErrorCode::invalid);
  CHECK(check_quarter(8).has_value());
  CHECK(check_quarter(7).error().text.in(Lang::zh) == "不是偶数");
  CHECK(*boxed(4).value() == 2);
}

TEST_CASE("a system error has its kind and its reason in both languages") {
  const Error missing = fail_errno({"无法打开 x", "cannot open x"}, ENOENT).value();
  CHECK(missing.code == ErrorCode::not_found);
  CHECK(missing.text == Text{"无法打开 x：不存在", "cannot open x: no such file or directory"});
  CHECK(fail_errno({}, EACCES).value().code == ErrorCode::denied);
  CHECK(fail_errno({}, EADDRINUSE).value().code == ErrorCode::exists);
  CHECK(fail_errno({}, EMFILE).value().code == ErrorCode::limit);
  CHECK(fail_errno({}, ETIMEDOUT).value().code == ErrorCode::unavailable);
  CHECK(fail_errno({}, ENOSPC).value().code == ErrorCode::io);
  const Error rare = fail_errno({"甲", "a"}, EILSEQ).value();
  CHECK(rare.code == ErrorCode::io);
  CHECK(rare.text.en.size() > std::string("a: ").size());
  CHECK(rare.text.zh.find("系统错误") != std::string::npos);
}

TEST_CASE("what was being done stands before the reason, and the kind stays") {
  const Error reason{ErrorCode::corrupt, {"校验和不符", "the checksum is wrong"}};
  const Error whole = fail_while({"无法读取账本", "cannot read the log"}, reason).value();
  CHECK(whole.code == ErrorCode::corrupt);
  CHECK(whole.text ==
        Text{"无法读取账本：校验和不符", "cannot read the log: the checksum is wrong"});
}

}  // namespace
}  // namespace menshen
