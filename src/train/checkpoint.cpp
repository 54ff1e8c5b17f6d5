#include "train/checkpoint.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "model/adapter_files.h"
#include "model/safetensors.h"

namespace treepo {

namespace {

constexpr const char* kDone = "DONE";
constexpr const char* kBest = "best";
constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kTemporary = "writing-";  // never mistaken for a checkpoint

// Step number of "step-000050"; -1 for any other name.
int64_t step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return -1;
  int64_t step = -1;
  const char* end = name.data() + name.size();
  const auto result = std::from_chars(name.data() + kPrefix.size(), end, step);
  return result.ec == std::errc() && result.ptr == end ? step : -1;
}

void write_state(const std::string& path, const TrainState& state) {
  OrderedJson json;
  json["step"] = state.step;
  json["next_position"] = state.next_position;
  json["metrics_bytes"] = state.metrics_bytes;
  json["samples_bytes"] = state.samples_bytes;
  json["best_step"] = state.best_step;
  json["best_score"] = state.best_score;
  json["first_pass_at_1"] = state.first_pass_at_1;
  json["first_greedy"] = state.first_greedy;
  json["first_unseen_pass_at_1"] = state.first_unseen_pass_at_1;
  json["first_unseen_greedy"] = state.first_unseen_greedy;
  json["first_loss"] = state.first_loss;
  json["first_token_accuracy"] = state.first_token_accuracy;
  json["unique_tokens"] = state.unique_tokens;
  json["trajectory_tokens"] = state.trajectory_tokens;
  json["skipped_updates"] = state.skipped.total;
  json["skipped_in_a_row"] = state.skipped.in_a_row;
  json["threads"] = state.threads;
  write_file_atomically(path, dump_json(json) + "\n");
}

void write_optimizer(const std::string& path, const AdamWState& state) {
  std::vector<NamedTensor> tensors = {{"first_moment", state.first_moment},
                                      {"second_moment", state.second_moment},
                                      {"steps", at::scalar_tensor(state.steps, at::kLong)}};
  if (state.master.defined()) tensors.emplace_back("master", state.master);
  write_safetensors(path, std::move(tensors));
}

AdamWState read_optimizer(const std::string& path) {
  const SafetensorsFile file(path);
  AdamWState state;
  state.first_moment = file.read("first_moment");
  state.second_moment = file.read("second_moment");
  if (file.contains("master")) state.master = file.read("master");
  state.steps = file.read("steps").item<int64_t>();
  return state;
}

}  // namespace

CheckpointStore::CheckpointStore(std::string run_dir, int64_t keep)
    : root_(join_path(run_dir, "checkpoints")), keep_(keep) {}

std::string CheckpointStore::folder(int64_t step) const {
  return join_path(root_, fmt::format("{}{:06}", kPrefix, step));
}

void CheckpointStore::save(const TrainState& state, const Decoder& decoder, const AdamW& optimizer,
                           const std::string& tokenizer_dir,
                           const std::function<void(const std::string&, int64_t)>& add_files) {
  FileSystem& files = file_system();
  const std::string final_folder = folder(state.step);
  const std::string temporary = join_path(root_, fmt::format("{}{:06}", kTemporary, state.step));
  files.remove(temporary);
  files.make_directories(temporary);
  if (decoder.adapters() != nullptr)
    save_adapter(decoder, temporary);
  else
    decoder.save(temporary, decoder.dtype());
  copy_tokenizer_files(tokenizer_dir, temporary);
  write_optimizer(join_path(temporary, "optimizer.state"), optimizer.state());
  write_state(join_path(temporary, "state.json"), state);
  if (add_files) add_files(temporary, state.step);
  files.sync_directory(temporary);

  files.remove(final_folder);  // a half-written one of a killed run
  files.rename(temporary, final_folder);
  files.sync_directory(root_);
  write_file_atomically(join_path(final_folder, kDone), "");
  finish_save(state);
}

std::string CheckpointStore::save_unfinished_warm_start(const Decoder& decoder,
                                                        const std::string& tokenizer_dir) {
  const std::string folder = join_path(root_, "unfinished-warm-start");
  file_system().make_directories(folder);
  decoder.save(folder, decoder.dtype());
  copy_tokenizer_files(tokenizer_dir, folder);
  return folder;
}

void CheckpointStore::finish_save(const TrainState& newest) {
  if (newest.best_step == newest.step) point_best_at(newest.step);
  prune(newest);
}

void CheckpointStore::point_best_at(int64_t step) {
  const std::string temporary = join_path(root_, "writing-best");
  file_system().remove(temporary);
  file_system().make_symbolic_link(fmt::format("{}{:06}", kPrefix, step), temporary);
  file_system().rename(temporary, join_path(root_, kBest));
}

std::vector<int64_t> CheckpointStore::complete_steps() const {
  std::vector<int64_t> steps;
  if (!file_system().is_directory(root_)) return steps;
  for (const std::string& name : file_system().list(root_)) {
    const int64_t step = step_of(name);
    if (step >= 0 && file_system().exists(join_path(folder(step), kDone))) steps.push_back(step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::optional<std::string> CheckpointStore::latest() const {
  const std::vector<int64_t> steps = complete_steps();
  if (steps.empty()) return std::nullopt;
  return folder(steps.back());
}

void CheckpointStore::prune(const TrainState& state) {
  const std::vector<int64_t> steps = complete_steps();
  for (size_t i = 0; i < steps.size(); ++i) {
    const bool newest = i + static_cast<size_t>(keep_) >= steps.size();
    if (newest || steps[i] == state.best_step) continue;
    // Without DONE first: a kill in the middle must not leave a folder that looks whole.
    file_system().remove(join_path(folder(steps[i]), kDone));
    file_system().remove(folder(steps[i]));
  }
}

void CheckpointStore::remove_incomplete() {
  if (!file_system().is_directory(root_)) return;
  for (const std::string& name : file_system().list(root_)) {
    const int64_t step = step_of(name);
    const bool half = step >= 0 && !file_system().exists(join_path(folder(step), kDone));
    if (half || name.starts_with(kTemporary)) file_system().remove(join_path(root_, name));
  }
}

TrainState CheckpointStore::load_state(const std::string& folder) {
  const std::string path = join_path(folder, "state.json");
  const Json json = read_json_file(path);
  return {.step = get_int(json, "step", path),
          .next_position = get_int(json, "next_position", path),
          .metrics_bytes = get_int(json, "metrics_bytes", path),
          .samples_bytes = get_int(json, "samples_bytes", path),
          .best_step = get_int(json, "best_step", path),
          .best_score = get_double(json, "best_score", path),
          .first_pass_at_1 = get_double(json, "first_pass_at_1", path),
          .first_greedy = get_double(json, "first_greedy", path),
          .first_unseen_pass_at_1 = get_double(json, "first_unseen_pass_at_1", path),
          .first_unseen_greedy = get_double(json, "first_unseen_greedy", path),
          .first_loss = get_double_or(json, "first_loss", -1, path),
          .first_token_accuracy = get_double_or(json, "first_token_accuracy", -1, path),
          .unique_tokens = get_int(json, "unique_tokens", path),
          .trajectory_tokens = get_int(json, "trajectory_tokens", path),
          .skipped = {.total = get_int(json, "skipped_updates", path),
                      .in_a_row = get_int(json, "skipped_in_a_row", path)},
          .threads = get_int(json, "threads", path)};
}

AdamWState CheckpointStore::load_optimizer(const std::string& folder) {
  return read_optimizer(join_path(folder, "optimizer.state"));
}

}  // namespace treepo
