#include "audit/forward/notes_target.hpp"

#include "audit/verify/witness.hpp"

namespace menshen::audit {
namespace {

class NotesTarget : public Target {
 public:
  explicit NotesTarget(std::filesystem::path file)
      : file_(std::move(file)), name_("file://" + file_.string()) {}

  const std::string& name() const override { return name_; }
  Result<void> send(std::span<const FeedRecord>) override { return {}; }
  Result<void> send(const SignedNote& note) override {
    return append_entry(file_, note.text + "\n");
  }
  Result<void> confirm() override { return {}; }
  void reset() override {}

 private:
  std::filesystem::path file_;
  std::string name_;
};

}  // namespace

std::unique_ptr<Target> make_notes_target(std::filesystem::path file) {
  return std::make_unique<NotesTarget>(std::move(file));
}

}  // namespace menshen::audit
