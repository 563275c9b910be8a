#include "compliance/tasks/task.hpp"

#include <catch2/catch.hpp>

namespace menshen::compliance {
namespace {

const WallTime now = parse_time("2026-11-23T08:00:00Z").value();
constexpr WallTime day = 86'400LL * 1'000'000'000LL;
const std::string digest(64, 'a');

Answer answer_of(const std::string& by) {
  Answer answer;
  answer.verdict = Verdict::conforming;
  answer.text = "制度文件齐全";
  answer.by = by;
  answer.at = now;
  answer.recheck = now + recheck_days_default * day;
  return answer;
}

Task answered() {
  Task task;
  task.item = "8.1.6.1";
  REQUIRE(give_answer(task, answer_of("li")));
  return task;
}

TEST_CASE("a task goes from open to accepted, and back when its time is over") {
  Task task;
  task.item = "8.1.6.1";
  CHECK(state_of(task, now) == TaskState::open);
  REQUIRE(give_answer(task, answer_of("li")));
  CHECK(state_of(task, now) == TaskState::waiting);
  REQUIRE(attach(task, {"制度.pdf", digest, 10, "li", now}));
  REQUIRE(review(task, Review::accepted, "wang", now, ""));
  CHECK(state_of(task, now) == TaskState::accepted);
  CHECK(state_of(task, now + 365 * day - 1) == TaskState::accepted);
  CHECK(state_of(task, now + 365 * day) == TaskState::expired);
}

TEST_CASE("nobody reviews an answer of his own, nor one that holds his attachment") {
  Task task = answered();
  const auto own = review(task, Review::accepted, "li", now, "");
  REQUIRE_FALSE(own);
  CHECK(own.error().code == ErrorCode::denied);
  CHECK(state_of(task, now) == TaskState::waiting);
  REQUIRE(attach(task, {"a.pdf", digest, 10, "wang", now}));
  CHECK_FALSE(review(task, Review::accepted, "wang", now, ""));
  CHECK(review(task, Review::accepted, "zhao", now, ""));
}

TEST_CASE("a new attachment or answer waits for a review anew; the answer before it is kept") {
  Task task = answered();
  REQUIRE(review(task, Review::accepted, "wang", now, ""));
  REQUIRE(attach(task, {"a.pdf", digest, 10, "li", now}));
  CHECK(state_of(task, now) == TaskState::waiting);
  CHECK(task.answer()->reviewed_by.empty());
  REQUIRE(review(task, Review::accepted, "wang", now, ""));
  Answer next = answer_of("li");
  next.verdict = Verdict::failing;
  REQUIRE(give_answer(task, next));
  CHECK(state_of(task, now) == TaskState::waiting);
  REQUIRE(task.answers.size() == 2);
  CHECK(task.answers.front().verdict == Verdict::conforming);
  CHECK(task.answers.front().reviewed_by == "wang");
}

TEST_CASE("what a task does not take, and that it is left as it was") {
  Task task = answered();
  const std::string before = to_json(task);
  Answer bad = answer_of("li");
  bad.verdict = Verdict::not_checked;
  CHECK_FALSE(give_answer(task, bad));
  bad = answer_of("li");
  bad.text = "";
  CHECK_FALSE(give_answer(task, bad));
  bad.text = std::string(task_text_bytes_max + 1, 'x');
  CHECK_FALSE(give_answer(task, bad));
  bad.text = "bell \a";
  CHECK_FALSE(give_answer(task, bad));
  bad = answer_of("");
  CHECK_FALSE(give_answer(task, bad));
  bad = answer_of("li");
  bad.recheck = now;
  CHECK_FALSE(give_answer(task, bad));
  CHECK_FALSE(review(task, Review::returned, "wang", now, ""));
  CHECK_FALSE(review(task, Review::waiting, "wang", now, ""));
  CHECK_FALSE(attach(task, {"", digest, 1, "li", now}));
  CHECK(to_json(task) == before);
  Task none;
  CHECK_FALSE(attach(none, {"a", digest, 1, "li", now}));
  CHECK_FALSE(review(none, Review::accepted, "wang", now, ""));
  bad = answer_of("li");
  bad.text = std::string(task_text_bytes_max, 'x');
  CHECK(give_answer(task, bad));
}

TEST_CASE("limits: attachments of an answer, and answers that are kept") {
  Task task = answered();
  for (std::size_t i = 0; i < task_attachments_max; ++i) {
    std::string each = digest;
    each[0] = "0123456789"[i / 10];
    each[1] = "0123456789"[i % 10];
    REQUIRE(attach(task, {"a", each, 1, "li", now}));
  }
  const auto more = attach(task, {"b", digest, 1, "li", now});
  REQUIRE_FALSE(more);
  CHECK(more.error().code == ErrorCode::limit);
  task.answers.back().attachments.resize(1);
  CHECK_FALSE(attach(task, task.answers.back().attachments.front()));

  Task many;
  for (std::size_t i = 0; i <= task_answers_max; ++i) {
    Answer answer = answer_of("li");
    answer.text = std::to_string(i);
    REQUIRE(give_answer(many, answer));
  }
  CHECK(many.answers.size() == task_answers_max);
  CHECK(many.answers.front().text == "1");
}

TEST_CASE("overdue is what is not accepted by its day") {
  Task task = answered();
  CHECK_FALSE(overdue(task, now));
  task.due = now;
  CHECK(overdue(task, now));
  CHECK_FALSE(overdue(task, now - 1));
  REQUIRE(review(task, Review::accepted, "wang", now, ""));
  CHECK_FALSE(overdue(task, now));
}

TEST_CASE("a task's file reads back as it was written, and in no other form") {
  Task task = answered();
  task.owner = "li";
  task.due = now + day;
  REQUIRE(attach(task, {"制度.pdf", digest, 10, "li", now}));
  REQUIRE(review(task, Review::accepted, "wang", now, "同意"));
  const std::string text = to_json(task);
  const auto read = parse_task(text);
  REQUIRE(read);
  CHECK(to_json(*read) == text);
  for (std::size_t at = 0; at < text.size(); at += 7) {
    std::string changed = text;
    changed.erase(at, 1);
    const auto other = parse_task(changed);
    if (other) CHECK(to_json(*other) == changed);
  }
  // What the rules would not have let in is no task, however well it is written.
  std::string own = text;
  own.replace(own.find("\"reviewed_by\": \"wang\""), 21, "\"reviewed_by\": \"li\"");
  CHECK_FALSE(parse_task(own));
  CHECK_FALSE(parse_task(text + " "));
  CHECK_FALSE(parse_task("[]"));
  CHECK_FALSE(parse_task(std::string(task_bytes_max + 1, ' ')));
}

}  // namespace
}  // namespace menshen::compliance
