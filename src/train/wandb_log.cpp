#include "train/wandb_log.h"

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "config/declare.h"

namespace treepo {

namespace {

constexpr std::string_view kHandler = "wandb";
constexpr double kTimeoutSeconds = 120;  // of each request: init may wait for the network

Json config_json(const RunOptions& options) {
  RunOptions copy = options;
  const OptionTable table = declare_options(copy);
  Json config = Json::object();
  for (const Option& option : table.options()) config[option.key] = option.value_text();
  return config;
}

std::string id_path(const RunOptions& options) {
  return join_path(options.train.run_dir, "wandb_id.txt");
}

Json start_request(const RunOptions& options) {
  const std::string path = id_path(options);
  const std::filesystem::path folder(options.train.run_dir);
  return {{"start",
           {{"project", options.train.wandb_project},
            {"name", folder.lexically_normal().filename().string()},
            {"id", file_system().exists(path) ? Json(read_file(path)) : Json()},
            {"folder", options.train.run_dir},
            {"config", config_json(options)}}}};
}

}  // namespace

WandbLog::WandbLog(const RunOptions& options)
    : worker_({.workers = 1, .timeout_s = kTimeoutSeconds}) {
  worker_.require(kHandler);
  const PythonReply reply = worker_.submit(kHandler, start_request(options)).get();
  if (reply.status != PythonReply::Status::ok)
    throw Error(fmt::format("Weights & Biases could not start a run in \"{}\": {}",
                            options.train.wandb_project, reply.message),
                "log in with `wandb login`, set WANDB_MODE=offline, or train.wandb_project = \"\"");
  write_file_atomically(id_path(options), reply.value.get<std::string>());
}

WandbLog::~WandbLog() {
  settle();
  if (failed_) return;
  sent_ = worker_.submit(kHandler, {{"finish", true}});
  settle();
}

void WandbLog::settle() {
  if (!sent_) return;
  const PythonReply reply = sent_->get();
  sent_.reset();
  if (reply.status == PythonReply::Status::ok) return;
  failed_ = true;
  log_warning("Weights & Biases: {}; the run goes on without it", reply.message);
}

void WandbLog::write(int64_t step, const Metrics& metrics) {
  settle();
  if (failed_) return;
  Json numbers = Json::object();
  for (const auto& [name, value] : metrics.values()) {
    const double number = metrics.number(name);
    if (std::isfinite(number)) numbers[name] = number;
  }
  sent_ = worker_.submit(kHandler, {{"log", numbers}, {"step", step}});
}

}  // namespace treepo
