// menshen comply task list|show|set|attach|review
#include <memory>

#include "apps/menshen/comply_commands.hpp"
#include "apps/menshen/comply_run.hpp"
#include "apps/menshen/comply_tasks.hpp"
#include "apps/menshen/person.hpp"
#include "apps/menshen/table.hpp"

namespace menshen::apps {
namespace {

using compliance::Answer;
using compliance::Catalogue;
using compliance::Item;
using compliance::Review;
using compliance::Task;
using compliance::TaskRecord;
using compliance::Verdict;

constexpr WallTime day_ns = 86'400LL * 1'000'000'000LL;

struct ListArguments {
  std::string layer, state, owner;
  bool overdue = false;
  bool json = false;
};
struct ShowArguments {
  std::string item;
  bool json = false;
};
struct SetArguments {
  std::string item, owner, due, verdict, finding, recheck;
};
struct AttachArguments {
  std::string item;
  std::vector<std::string> files;
};
struct ReviewArguments {
  std::string item, note;
  bool accept = false;
  bool send_back = false;
};

std::string day_of(WallTime time) { return time == 0 ? "-" : format_local(time).substr(0, 10); }

// 8.1.6.1, or what begins with it: 8.1.6, 8.1.6.2.
bool below(const std::string& id, const std::string& prefix) {
  return prefix.empty() || id == prefix || id.rfind(prefix + ".", 0) == 0;
}

template <class Each>
void each_item(const Catalogue& catalogue, const std::string& prefix, Each each) {
  for (const compliance::Layer& layer : catalogue.layers)
    for (const Item& item : layer.items)
      if (below(item.id, prefix)) each(item);
}

Result<const Item*> find_item(const Catalogue& catalogue, const std::string& id) {
  const Item* item = catalogue.find_item(id);
  if (item != nullptr) return item;
  return fail(ErrorCode::not_found, {"没有测评项 " + id, "there is no item " + id});
}

struct Shown {
  const Item* item = nullptr;
  TaskRecord record;
  std::string state;  // state_name, or "invalid"
};

Shown shown(const Item& item, const compliance::TaskRecords& records, WallTime now) {
  Shown result{&item, {}, {}};
  const auto found = records.find(item.id);
  if (found != records.end()) result.record = found->second;
  result.state = result.record.failure
                     ? "invalid"
                     : std::string(compliance::state_name(state_of(result.record.task, now)));
  return result;
}

std::string state_words(const Cli& cli, const Shown& each, WallTime now) {
  return each.record.failure ? cli.say("无效", "Invalid")
                             : cli.in(compliance::state_text(state_of(each.record.task, now)));
}

Json to_json_entry(const Shown& each, WallTime now) {
  const Task& task = each.record.task;
  Json entry = {{"item", each.item->id},
                {"state", each.state},
                {"owner", task.owner},
                {"due", task.due == 0 ? Json(nullptr) : Json(format_utc(task.due))},
                {"overdue", compliance::overdue(task, now)}};
  if (each.record.failure) entry["failure"] = each.record.failure->en;
  return entry;
}

Result<ExitCode> list(Cli& cli, const ListArguments& arguments) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  const Catalogue catalogue = MENSHEN_TRY(load_comply_catalogue(cli, *settings));
  const auto records = TaskStore(*settings).load(catalogue);
  const WallTime now = system_clock().wall();
  Table table({cli.say("测评项", "item"), cli.say("控制点", "control point"),
               cli.say("状态", "state"), cli.say("责任人", "owner"), cli.say("期限", "due"),
               cli.say("结论", "answer")});
  Json json = Json::array();
  each_item(catalogue, arguments.layer, [&](const Item& item) {
    // Automatic items are tasks only where somebody was given one.
    if (!compliance::takes_answer(item) && records.count(item.id) == 0) return;
    const Shown each = shown(item, records, now);
    const Task& task = each.record.task;
    if (!arguments.state.empty() && each.state != arguments.state) return;
    if (!arguments.owner.empty() && task.owner != arguments.owner) return;
    if (arguments.overdue && !compliance::overdue(task, now)) return;
    json.push_back(to_json_entry(each, now));
    table.add(
        {item.id, cli.in(item.control_title), state_words(cli, each, now), task.owner,
         day_of(task.due) + (compliance::overdue(task, now) ? " !" : ""),
         task.answers.empty() ? "-" : cli.in(compliance::verdict_text(task.answer()->verdict))});
  });
  print_out(arguments.json ? to_pretty(json) + "\n" : table.render());
  return ExitCode::ok;
}

void print_answer(const Cli& cli, const Answer& answer, const std::string& title) {
  print_out(fmt::format("{}: {}\n", title, cli.in(compliance::verdict_text(answer.verdict))));
  Table table({"", ""});
  table.add({cli.say("情况", "found"), answer.text});
  table.add({cli.say("测评人", "by"), answer.by + " " + day_of(answer.at)});
  table.add({cli.say("复测日期", "check again"), day_of(answer.recheck)});
  for (const compliance::Attachment& each : answer.attachments) {
    table.add({cli.say("附件", "attachment"),
               fmt::format("{} ({} B, SHA-256 {})", each.name, each.bytes, each.sha256)});
  }
  if (!answer.reviewed_by.empty()) {
    table.add({answer.review == Review::accepted ? cli.say("复核通过", "accepted")
                                                 : cli.say("退回", "returned"),
               fmt::format("{} {} {}", answer.reviewed_by, day_of(answer.reviewed_at),
                           answer.review_note)});
  }
  print_out(table.render("  "));
}

Result<ExitCode> show(Cli& cli, const ShowArguments& arguments) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  const Catalogue catalogue = MENSHEN_TRY(load_comply_catalogue(cli, *settings));
  const Item* item = MENSHEN_TRY(find_item(catalogue, arguments.item));
  const WallTime now = system_clock().wall();
  const Shown each = shown(*item, TaskStore(*settings).load(catalogue), now);
  const Task& task = each.record.task;
  if (arguments.json) {
    Json json = to_json_entry(each, now);
    json["task"] = Json::parse(compliance::to_json(task));
    print_out(to_pretty(json) + "\n");
    return each.record.failure ? ExitCode::finding : ExitCode::ok;
  }
  print_out(
      fmt::format("{} {}\n{}\n", item->id, cli.in(item->control_title), cli.in(item->requirement)));
  Table table({"", ""});
  table.add({cli.say("状态", "state"), state_words(cli, each, now)});
  if (each.record.failure) table.add({cli.say("原因", "why"), cli.in(*each.record.failure)});
  table.add({cli.say("责任人", "owner"), task.owner.empty() ? "-" : task.owner});
  table.add({cli.say("期限", "due"), day_of(task.due)});
  std::string objects;
  for (const Text& object : item->objects)
    objects += (objects.empty() ? "" : cli.say("；", "; ")) + cli.in(object);
  table.add({cli.say("测评对象", "objects"), objects});
  table.add({cli.say("测评提示", "guidance"), cli.in(item->guidance)});
  print_out(table.render("  "));
  const std::size_t n = task.answers.size();
  if (n > 0) print_answer(cli, task.answers[n - 1], cli.say("结论", "answer"));
  if (n > 1) print_answer(cli, task.answers[n - 2], cli.say("上次结论", "last answer"));
  return each.record.failure ? ExitCode::finding : ExitCode::ok;
}

Result<WallTime> day_argument(const std::string& text) {
  const auto time = parse_time(text);
  if (time) return *time;
  return fail(ErrorCode::invalid,
              {"日期应为 2027-03-31 的形式：" + text, "a date looks like 2027-03-31: " + text});
}

Result<Answer> answer_argument(const SetArguments& arguments, const Item& item) {
  if (!compliance::takes_answer(item)) {
    return fail(ErrorCode::invalid,
                {fmt::format("{} 由检查自动判定，不接受人工结论", item.id),
                 fmt::format("{} is judged by its checks and takes no answer", item.id)});
  }
  Answer answer;
  for (const Verdict verdict :
       {Verdict::conforming, Verdict::partial, Verdict::failing, Verdict::not_applicable}) {
    if (compliance::verdict_name(verdict) == arguments.verdict) answer.verdict = verdict;
  }
  answer.text = arguments.finding;
  answer.by = acting_person();
  answer.at = system_clock().wall();
  answer.recheck = arguments.recheck.empty() ? answer.at + compliance::recheck_days_default * day_ns
                                             : MENSHEN_TRY(day_argument(arguments.recheck));
  return answer;
}

Result<ExitCode> set(Cli& cli, const SetArguments& arguments) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  const Catalogue catalogue = MENSHEN_TRY(load_comply_catalogue(cli, *settings));
  const TaskStore store(*settings);
  std::vector<const Item*> items;
  each_item(catalogue, arguments.item, [&](const Item& item) {
    if (item.id == arguments.item || compliance::takes_answer(item)) items.push_back(&item);
  });
  if (items.empty() || arguments.item.empty()) {
    return fail(ErrorCode::not_found,
                {"没有测评项 " + arguments.item, "there is no item " + arguments.item});
  }
  if (!arguments.verdict.empty() && items.front()->id != arguments.item) {
    return fail(ErrorCode::invalid, {"结论须逐项给出", "an answer is given to one item"});
  }
  for (const Item* item : items) {
    Task task = MENSHEN_TRY(store.open(item->id));
    if (!arguments.owner.empty()) task.owner = arguments.owner;
    if (!arguments.due.empty()) task.due = MENSHEN_TRY(day_argument(arguments.due));
    if (!arguments.verdict.empty()) {
      Answer answer = MENSHEN_TRY(answer_argument(arguments, *item));
      MENSHEN_CHECK(compliance::give_answer(task, std::move(answer)));
    }
    MENSHEN_CHECK(store.save(task));
  }
  print_out(
      fmt::format(fmt::runtime(cli.say("已更新 {} 项任务\n", "{} tasks changed\n")), items.size()));
  return ExitCode::ok;
}

Result<ExitCode> attach_files(Cli& cli, const AttachArguments& arguments) {
  const Settings* settings = MENSHEN_TRY(cli.settings());
  const Catalogue catalogue = MENSHEN_TRY(load_comply_catalogue(cli, *settings));
  const Item* item = MENSHEN_TRY(find_item(catalogue, arguments.item));
  const TaskStore store(*settings);
  Task task = MENSHEN_TRY(store.open(item->id));
  std::string lines;
  for (const std::string& file : arguments.files) {
    const compliance::Attachment attachment = MENSHEN_TRY(store.take(file));
    lines += fmt::format("{} SHA-256 {}\n", attachment.name, attachment.sha256);
    MENSHEN_CHECK(compliance::attach(task, attachment));
  }
  MENSHEN_CHECK(store.save(task));
  print_out(lines);
  return ExitCode::ok;
}

Result<ExitCode> review_answer(Cli& cli, const ReviewArguments& arguments) {
  if (arguments.accept == arguments.send_back) {
    return fail(ErrorCode::invalid,
                {"须指定 --accept 或 --return 之一", "say either --accept or --return"});
  }
  const Settings* settings = MENSHEN_TRY(cli.settings());
  const Catalogue catalogue = MENSHEN_TRY(load_comply_catalogue(cli, *settings));
  const Item* item = MENSHEN_TRY(find_item(catalogue, arguments.item));
  const TaskStore store(*settings);
  Task task = MENSHEN_TRY(store.open(item->id));
  MENSHEN_CHECK(compliance::review(task, arguments.accept ? Review::accepted : Review::returned,
                                   acting_person(), system_clock().wall(), arguments.note));
  MENSHEN_CHECK(store.save(task));
  print_out(arguments.accept ? cli.say("已复核通过\n", "accepted\n")
                             : cli.say("已退回\n", "returned\n"));
  return ExitCode::ok;
}

CLI::Option& add_item(CLI::App& command, const Cli& cli, std::string& item) {
  return *command
              .add_option("ITEM", item, cli.say("测评项，如 8.1.6.1", "Item, for instance 8.1.6.1"))
              ->required()
              ->type_name("");
}

void add_looking(CLI::App& group, Cli& cli) {
  const auto listing = std::make_shared<ListArguments>();
  CLI::App& all = cli.add(group, "list",
                          {"列出人工与半自动测评项的任务",
                           "List the tasks of manual and "
                           "semi-automatic items"},
                          "menshen comply task list --layer 8.1.6 --state waiting",
                          [&cli, listing] { return list(cli, *listing); });
  all.add_option("--layer", listing->layer,
                 cli.say("条款前缀，如 8.1.6", "Beginning of the clause, for instance 8.1.6"))
      ->type_name("CLAUSE");
  all.add_option("--state", listing->state, cli.say("状态", "State"))
      ->check(CLI::IsMember({"open", "waiting", "returned", "accepted", "expired", "invalid"}))
      ->type_name("STATE");
  all.add_option("--owner", listing->owner, cli.say("责任人", "Owner"))->type_name("NAME");
  all.add_flag("--overdue", listing->overdue, cli.say("仅逾期任务", "Overdue ones only"));
  all.add_flag("--json", listing->json, cli.say("输出 JSON", "Print JSON"));

  const auto showing = std::make_shared<ShowArguments>();
  CLI::App& one =
      cli.add(group, "show",
              {"显示任务、测评提示、附件与上次结论；证据不完整时退出码为 1",
               "Show a task, guidance, attachments and the last answer; exit status 1 "
               "where its evidence is not whole"},
              "menshen comply task show 8.1.6.1", [&cli, showing] { return show(cli, *showing); });
  add_item(one, cli, showing->item);
  one.add_flag("--json", showing->json, cli.say("输出 JSON", "Print JSON"));
}

void add_changing(CLI::App& group, Cli& cli) {
  const auto setting = std::make_shared<SetArguments>();
  CLI::App& change = cli.add(group, "set",
                             {"指定责任人、期限，或给出结论（须由另一人复核后才计入测评）",
                              "Name the owner, the due date, or give an answer (it counts once "
                              "somebody else accepted it)"},
                             "menshen comply task set 8.1.6 --owner li --due 2027-03-31\n"
                             "menshen comply task set 8.1.6.1 --verdict conforming --finding '...'",
                             [&cli, setting] { return set(cli, *setting); });
  add_item(change, cli, setting->item)
      .description(cli.say("测评项；只指定责任人、期限时可为条款前缀，如 8.1.6",
                           "Item; for owner and due date also the beginning of a clause: 8.1.6"));
  change.add_option("--owner", setting->owner, cli.say("责任人", "Owner"))->type_name("NAME");
  change.add_option("--due", setting->due, cli.say("期限", "Due date"))->type_name("DATE");
  CLI::Option* finding =
      change.add_option("--finding", setting->finding, cli.say("情况说明", "What was found"))
          ->type_name("TEXT");
  CLI::Option* verdict =
      change.add_option("--verdict", setting->verdict, cli.say("结论", "Verdict"))
          ->check(CLI::IsMember({"conforming", "partial", "failing", "not_applicable"}))
          ->type_name("VERDICT")
          ->needs(finding);
  finding->needs(verdict);
  change
      .add_option("--recheck", setting->recheck,
                  cli.say("复测日期（默认一年后）", "When to look again (default: in a year)"))
      ->type_name("DATE")
      ->needs(verdict);

  const auto attaching = std::make_shared<AttachArguments>();
  CLI::App& attach = cli.add(group, "attach",
                             {"为现有结论添加附件：复制保存并记录摘要值",
                              "Add files to the present answer: copied, and known by their digest"},
                             "menshen comply task attach 8.1.6.1 policy.pdf",
                             [&cli, attaching] { return attach_files(cli, *attaching); });
  add_item(attach, cli, attaching->item);
  attach.add_option("FILE", attaching->files, cli.say("附件", "Files"))->required()->type_name("");

  const auto reviewing = std::make_shared<ReviewArguments>();
  CLI::App& second =
      cli.add(group, "review", {"复核他人给出的结论", "Review an answer that somebody else gave"},
              "menshen comply task review 8.1.6.1 --accept",
              [&cli, reviewing] { return review_answer(cli, *reviewing); });
  add_item(second, cli, reviewing->item);
  second.add_flag("--accept", reviewing->accept, cli.say("通过", "Accept"));
  second.add_flag("--return", reviewing->send_back,
                  cli.say("退回（须说明原因）", "Send it back, with a reason"));
  second.add_option("--note", reviewing->note, cli.say("复核意见", "Note"))->type_name("TEXT");
}

}  // namespace

void add_comply_task_commands(CLI::App& group, Cli& cli) {
  CLI::App& tasks = cli.add_group(group, "task", {"人工测评任务", "Tasks for people"});
  add_looking(tasks, cli);
  add_changing(tasks, cli);
}

}  // namespace menshen::apps
