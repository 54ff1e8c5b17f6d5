#include "app/run_flags.h"

#include "base/json.h"
#include "base/log.h"

namespace treepo {

void RunFlags::add_to(CLI::App& command) {
  command.add_option("--device", device,
                     "cpu, cuda or cuda:N; checked: two implementations side by side");
  command.add_option("--dtype", dtype, "float32, float64, bfloat16 or float16");
  command.add_option("--set", sets, "KEY=VALUE: any option of `treepo options`; repeatable")
      ->take_all();
  command.add_flag("--quiet", quiet, "only warnings and errors");
}

std::string text_override(const std::string& key, const std::string& value) {
  return key + "=" + dump_json(Json(value));  // a JSON string is a TOML string
}

std::vector<std::string> RunFlags::overrides() const {
  std::vector<std::string> all = sets;
  if (!model.empty()) all.push_back(text_override("model.path", model));
  if (!device.empty()) all.push_back(text_override("model.device", device));
  if (!dtype.empty()) all.push_back(text_override("model.dtype", dtype));
  return all;
}

void RunFlags::apply_quiet() const {
  if (quiet) set_log_level(LogLevel::warning);
}

}  // namespace treepo
