#include "config/resume.h"

#include <fmt/format.h>

#include "base/error.h"
#include "config/declare.h"

namespace treepo {

namespace {

template <typename Matters>
std::vector<OptionChange> changes_of(const RunOptions& saved, const RunOptions& now,
                                     Matters matters) {
  RunOptions saved_copy = saved, now_copy = now;
  const OptionTable saved_table = declare_options(saved_copy),
                    now_table = declare_options(now_copy);
  std::vector<OptionChange> changes;
  for (size_t i = 0; i < saved_table.options().size(); ++i) {
    const Option& before = saved_table.options()[i];
    const Option& after = now_table.options()[i];
    if (!matters(before) || before.get() == after.get()) continue;
    changes.push_back({before.key, before.value_text(), after.value_text()});
  }
  return changes;
}

}  // namespace

std::vector<OptionChange> option_changes(const RunOptions& saved, const RunOptions& now) {
  return changes_of(saved, now, [](const Option&) { return true; });
}

std::vector<OptionChange> forbidden_changes(const RunOptions& saved, const RunOptions& now) {
  return changes_of(saved, now,
                    [](const Option& option) { return option.on_resume != OnResume::may_change; });
}

std::vector<std::string> keys_that_may_change() {
  RunOptions options;
  const OptionTable table = declare_options(options);
  std::vector<std::string> keys;
  for (const Option& option : table.options())
    if (option.on_resume == OnResume::may_change) keys.push_back(option.key);
  return keys;
}

void check_resumable(const RunOptions& saved, const RunOptions& now) {
  const std::vector<OptionChange> changes = forbidden_changes(saved, now);
  if (changes.empty()) return;
  std::string list;
  for (const OptionChange& change : changes)
    list += fmt::format("{}{} was {}, now {}", list.empty() ? "" : "; ", change.key, change.saved,
                        change.now);
  throw Error("a resumed run must keep its options: " + list,
              fmt::format("take the change back, or start a new run with another train.run_dir; "
                          "these may change: {}",
                          fmt::join(keys_that_may_change(), ", ")));
}

}  // namespace treepo
