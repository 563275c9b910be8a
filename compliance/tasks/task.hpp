// What a machine cannot judge is a person's task: one for each item, with an owner, a due date, an
// answer with attachments, a second person's review and a date to look again.
//
// An answer counts in an assessment only while it is reviewed and accepted by somebody else than
// who gave it, its date to look again has not come, and its evidence is whole (Standing::counts).
// Old answers are kept: last year's stands beside this year's.
//
// Values only. The file form is JSON (menshen-task/1); who stores it makes it tamper-evident.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "compliance/checks/evaluate.hpp"

namespace menshen::compliance {

inline constexpr std::size_t task_bytes_max = 4U << 20U;  // of its file
inline constexpr std::size_t task_text_bytes_max = 4096;  // of an answer or a note
inline constexpr std::size_t task_name_bytes_max = 256;   // of a person or an attachment
inline constexpr std::size_t task_attachments_max = 100;  // of one answer
inline constexpr std::size_t task_answers_max = 50;       // kept; the oldest goes first
inline constexpr std::size_t attachment_bytes_max = 64U << 20U;
inline constexpr int recheck_days_default = 365;

struct Attachment {
  std::string name;  // as it was called
  std::string sha256;
  std::uint64_t bytes = 0;
  std::string by;
  WallTime at = 0;
};

enum class Review : unsigned char { waiting, accepted, returned };

struct Answer {
  Verdict verdict = Verdict::not_checked;  // conforming, partial, failing or not_applicable
  std::string text;                        // what was found
  std::string by;
  WallTime at = 0;
  WallTime recheck = 0;  // to be looked at again from then on
  std::vector<Attachment> attachments;
  Review review = Review::waiting;
  std::string reviewed_by;
  WallTime reviewed_at = 0;
  std::string review_note;
};

struct Task {
  std::string item;  // 8.1.6.1
  std::string owner;
  WallTime due = 0;             // 0: none
  std::vector<Answer> answers;  // oldest first; the last is the present one

  [[nodiscard]] const Answer* answer() const { return answers.empty() ? nullptr : &answers.back(); }
};

enum class TaskState : unsigned char {
  open,      // nobody has answered
  waiting,   // for a review
  returned,  // by the reviewer: to be answered anew
  accepted,  // counts
  expired,   // accepted once, to be looked at again
};
[[nodiscard]] TaskState state_of(const Task& task, WallTime now);
[[nodiscard]] Text state_text(TaskState state);
[[nodiscard]] std::string_view state_name(TaskState state);  // "open", for JSON
[[nodiscard]] bool overdue(const Task& task, WallTime now);

// Whether a person's answer to the item is asked for: it is not judged by machine alone.
[[nodiscard]] bool takes_answer(const Item& item);

// Each changes the task or says why not (ErrorCode::invalid, denied, limit) and leaves it as it
// was.
[[nodiscard]] Result<void> give_answer(Task& task, Answer answer);
// To the present answer, which waits for its review anew.
[[nodiscard]] Result<void> attach(Task& task, Attachment attachment);
// ErrorCode::denied where `by` gave the answer or one of its attachments.
[[nodiscard]] Result<void> review(Task& task, Review decision, std::string by, WallTime at,
                                  std::string note);

[[nodiscard]] std::string to_json(const Task& task);
// Exactly what to_json writes; ErrorCode::corrupt otherwise. Bounded and linear.
[[nodiscard]] Result<Task> parse_task(std::string_view json);

}  // namespace menshen::compliance
