#include "compliance/tasks/task.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "compliance/collect/utf8.hpp"

namespace menshen::compliance {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<Verdict, 4> answers{Verdict::conforming, Verdict::partial, Verdict::failing,
                                         Verdict::not_applicable};

std::string_view review_name(Review review) {
  switch (review) {
    case Review::waiting:
      return "waiting";
    case Review::accepted:
      return "accepted";
    case Review::returned:
      return "returned";
  }
  return "";
}

bool fits(std::string_view text, std::size_t bytes_max) {
  return text.size() <= bytes_max && printable(text) == text;
}

tl::unexpected<Error> bad_text(const Text& what, std::size_t bytes_max) {
  return fail(ErrorCode::invalid,
              {fmt::format("{}应为至多 {} 字节的可显示文本", what.zh, bytes_max),
               fmt::format("{} takes printable text of at most {} bytes", what.en, bytes_max)});
}

tl::unexpected<Error> not_a_task() {
  return fail(ErrorCode::corrupt, {"不是任务文件", "not the file of a task"});
}

bool is_digest(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Json time_json(WallTime time) { return time == 0 ? Json(nullptr) : Json(format_utc(time)); }

Json json_of(const Attachment& a) {
  return {{"name", a.name},
          {"sha256", a.sha256},
          {"bytes", a.bytes},
          {"by", a.by},
          {"at", time_json(a.at)}};
}

Json json_of(const Answer& a) {
  Json attachments = Json::array();
  for (const Attachment& each : a.attachments) attachments.push_back(json_of(each));
  return {{"verdict", verdict_name(a.verdict)},
          {"text", a.text},
          {"by", a.by},
          {"at", time_json(a.at)},
          {"recheck", time_json(a.recheck)},
          {"attachments", std::move(attachments)},
          {"review", review_name(a.review)},
          {"reviewed_by", a.reviewed_by},
          {"reviewed_at", time_json(a.reviewed_at)},
          {"review_note", a.review_note}};
}

// Reads members; what is missing or of another type is an empty value, and the text that is written
// from it then differs from the one that was read.
std::string text_of(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() && found->is_string()
             ? found->get<std::string>()
             : std::string();
}
WallTime time_of(const Json& object, const char* key) {
  const auto time = parse_time(text_of(object, key));
  return time ? *time : 0;
}
std::uint64_t number_of(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() && found->is_number_unsigned()
             ? found->get<std::uint64_t>()
             : 0;
}
Json list_of(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() && found->is_array() ? *found : Json::array();
}

Answer answer_of(const Json& json) {
  Answer a;
  const std::string verdict = text_of(json, "verdict");
  for (const Verdict each : answers)
    if (verdict_name(each) == verdict) a.verdict = each;
  const std::string decision = text_of(json, "review");
  for (const Review each : {Review::accepted, Review::returned})
    if (review_name(each) == decision) a.review = each;
  a.text = text_of(json, "text");
  a.by = text_of(json, "by");
  a.at = time_of(json, "at");
  a.recheck = time_of(json, "recheck");
  a.reviewed_by = text_of(json, "reviewed_by");
  a.reviewed_at = time_of(json, "reviewed_at");
  a.review_note = text_of(json, "review_note");
  for (const Json& each : list_of(json, "attachments")) {
    a.attachments.push_back({text_of(each, "name"), text_of(each, "sha256"),
                             number_of(each, "bytes"), text_of(each, "by"), time_of(each, "at")});
  }
  return a;
}

// What the changes below would not have let in is no task either.
bool sound(const Answer& a) {
  const bool listed = std::find(answers.begin(), answers.end(), a.verdict) != answers.end();
  const bool reviewed = a.review == Review::waiting
                            ? a.reviewed_by.empty()
                            : !a.reviewed_by.empty() && a.reviewed_by != a.by;
  return listed && reviewed && !a.by.empty() && a.at > 0 &&
         a.attachments.size() <= task_attachments_max &&
         std::all_of(a.attachments.begin(), a.attachments.end(), [](const Attachment& each) {
           return is_digest(each.sha256) && !each.name.empty();
         });
}

}  // namespace

TaskState state_of(const Task& task, WallTime now) {
  const Answer* answer = task.answer();
  if (answer == nullptr) return TaskState::open;
  switch (answer->review) {
    case Review::waiting:
      return TaskState::waiting;
    case Review::returned:
      return TaskState::returned;
    case Review::accepted:
      return now >= answer->recheck ? TaskState::expired : TaskState::accepted;
  }
  return TaskState::open;
}

Text state_text(TaskState state) {
  switch (state) {
    case TaskState::open:
      return {"待处理", "Open"};
    case TaskState::waiting:
      return {"待复核", "Waits for review"};
    case TaskState::returned:
      return {"已退回", "Returned"};
    case TaskState::accepted:
      return {"已复核", "Accepted"};
    case TaskState::expired:
      return {"待复测", "To be checked again"};
  }
  return {};
}

std::string_view state_name(TaskState state) {
  switch (state) {
    case TaskState::open:
      return "open";
    case TaskState::waiting:
      return "waiting";
    case TaskState::returned:
      return "returned";
    case TaskState::accepted:
      return "accepted";
    case TaskState::expired:
      return "expired";
  }
  return "";
}

bool overdue(const Task& task, WallTime now) {
  return task.due > 0 && now >= task.due && state_of(task, now) != TaskState::accepted;
}

bool takes_answer(const Item& item) { return item.automation != Automation::automatic; }

Result<void> give_answer(Task& task, Answer answer) {
  if (std::find(answers.begin(), answers.end(), answer.verdict) == answers.end()) {
    return fail(ErrorCode::invalid,
                {"结论应为符合、部分符合、不符合或不适用",
                 "the verdict is conforming, partial, failing or not_applicable"});
  }
  if (answer.text.empty() || !fits(answer.text, task_text_bytes_max)) {
    return bad_text({"情况说明", "what was found"}, task_text_bytes_max);
  }
  if (answer.by.empty() || !fits(answer.by, task_name_bytes_max)) {
    return bad_text({"姓名", "a name"}, task_name_bytes_max);
  }
  if (answer.recheck <= answer.at) {
    return fail(ErrorCode::invalid, {"复测日期须在今日之后", "the date to check again has passed"});
  }
  answer.review = Review::waiting;
  answer.reviewed_by.clear();
  answer.reviewed_at = 0;
  answer.review_note.clear();
  task.answers.push_back(std::move(answer));
  if (task.answers.size() > task_answers_max) task.answers.erase(task.answers.begin());
  return {};
}

Result<void> attach(Task& task, Attachment attachment) {
  if (task.answers.empty()) {
    return fail(ErrorCode::invalid, {"该任务尚无结论，无可附之处",
                                     "the task has no answer yet that could take an attachment"});
  }
  Answer& answer = task.answers.back();
  if (answer.attachments.size() >= task_attachments_max) {
    return fail(ErrorCode::limit,
                {fmt::format("附件不得多于 {} 个", task_attachments_max),
                 fmt::format("an answer takes {} attachments", task_attachments_max)});
  }
  if (attachment.name.empty() || !fits(attachment.name, task_name_bytes_max)) {
    return bad_text({"附件名", "the name of an attachment"}, task_name_bytes_max);
  }
  for (const Attachment& each : answer.attachments) {
    if (each.sha256 == attachment.sha256) {
      return fail(ErrorCode::exists,
                  {"该附件已存在：" + each.name, "this attachment is there already: " + each.name});
    }
  }
  answer.attachments.push_back(std::move(attachment));
  answer.review = Review::waiting;
  answer.reviewed_by.clear();
  answer.reviewed_at = 0;
  answer.review_note.clear();
  return {};
}

Result<void> review(Task& task, Review decision, std::string by, WallTime at, std::string note) {
  if (task.answers.empty() || task.answers.back().review != Review::waiting ||
      decision == Review::waiting) {
    return fail(ErrorCode::invalid,
                {"该任务没有待复核的结论", "no answer of the task waits for a review"});
  }
  Answer& answer = task.answers.back();
  const bool own =
      by == answer.by || std::any_of(answer.attachments.begin(), answer.attachments.end(),
                                     [&](const Attachment& each) { return each.by == by; });
  if (own) {
    return fail(ErrorCode::denied,
                {fmt::format("{} 不能复核自己给出的结论，须由另一人复核", by),
                 fmt::format("{} gave the answer: another person reviews it", by)});
  }
  if (by.empty() || !fits(by, task_name_bytes_max)) {
    return bad_text({"姓名", "a name"}, task_name_bytes_max);
  }
  if (!fits(note, task_text_bytes_max))
    return bad_text({"复核意见", "a note"}, task_text_bytes_max);
  if (decision == Review::returned && note.empty()) {
    return fail(ErrorCode::invalid, {"退回须说明原因", "returning an answer needs a reason"});
  }
  answer.review = decision;
  answer.reviewed_by = std::move(by);
  answer.reviewed_at = at;
  answer.review_note = std::move(note);
  return {};
}

std::string to_json(const Task& task) {
  Json list = Json::array();
  for (const Answer& answer : task.answers) list.push_back(json_of(answer));
  const Json out = {{"format", "menshen-task/1"},
                    {"item", task.item},
                    {"owner", task.owner},
                    {"due", time_json(task.due)},
                    {"answers", std::move(list)}};
  return out.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Task> parse_task(std::string_view json) {
  if (json.size() > task_bytes_max) return not_a_task();
  const Json document = Json::parse(json, nullptr, false);
  if (!document.is_object()) return not_a_task();
  Task task;
  task.item = text_of(document, "item");
  task.owner = text_of(document, "owner");
  task.due = time_of(document, "due");
  for (const Json& each : list_of(document, "answers")) task.answers.push_back(answer_of(each));
  const bool whole = task.answers.size() <= task_answers_max &&
                     std::all_of(task.answers.begin(), task.answers.end(), sound);
  if (!whole || to_json(task) != json) return not_a_task();
  return task;
}

}  // namespace menshen::compliance
