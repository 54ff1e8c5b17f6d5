#include <memory>

#include "app/commands.h"
#include "base/error.h"
#include "base/files.h"
#include "base/hub_cache.h"  // find_model
#include "model/adapter_files.h"
#include "model/device.h"

namespace treepo {

namespace {

struct MergeFlags {
  std::string model, adapter, out, dtype;
};

// Computed in float32 (float64 where the base is or the result is to be), rounded once where it is
// written.
void run_merge(const MergeFlags& flags) {
  const std::string base =
      flags.model.empty() ? adapter_base(flags.adapter) : find_model(flags.model);
  const ModelConfig config = read_model_config(base);
  const std::string stored = config.dtype.empty() ? "float32" : config.dtype;
  const c10::ScalarType dtype = parse_dtype(flags.dtype.empty() ? stored : flags.dtype);
  if (file_system().exists(join_path(flags.out, "config.json")))
    throw Error(flags.out + " holds a model already", "name another folder with --out");
  const bool wide = stored == "float64" || dtype == at::kDouble;
  Decoder decoder = Decoder::load(base, c10::Device(c10::kCPU), wide ? at::kDouble : at::kFloat);
  load_adapter(decoder, flags.adapter);
  decoder.merge_adapters();
  file_system().make_directories(flags.out);
  copy_tokenizer_files(base, flags.out);
  decoder.save(flags.out, dtype);
  fmt::print("{} written as {}\n", flags.out, dtype_name(dtype));
}

}  // namespace

void add_merge_command(CLI::App& program) {
  auto flags = std::make_shared<MergeFlags>();
  CLI::App* command = add_command(program, "merge", "Add an adapter to the weights of its base");
  command->add_option(
      "--model", flags->model,
      "Hugging Face directory of the base; default: the one that the adapter names");
  command->add_option("--adapter", flags->adapter, "PEFT adapter directory")->required();
  command->add_option("--out", flags->out, "folder for the merged model")->required();
  command->add_option("--dtype", flags->dtype,
                      "float32, float64, bfloat16 or float16; default: the base's own");
  command->footer("  treepo merge --adapter runs/lora/checkpoints/best --out merged");
  command->callback([flags] { run_merge(*flags); });
}

}  // namespace treepo
