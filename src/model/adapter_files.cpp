#include "model/adapter_files.h"

#include <ATen/ATen.h>
#include <fmt/ranges.h>  // fmt::join

#include <cmath>
#include <set>

#include "base/error.h"
#include "base/hub_cache.h"
#include "base/json.h"
#include "model/safetensors.h"

namespace treepo {

namespace {

constexpr const char* kConfig = "adapter_config.json";
constexpr const char* kWeights = "adapter_model.safetensors";

// What would change the adapters' arithmetic or add further weights: refused rather than ignored.
void check_supported(const Json& config, const std::string& path) {
  const auto refuse = [&](const char* key, const std::string& only) {
    throw Error(fmt::format("{}: \"{}\" = {} is not supported", path, key, dump_json(config[key])),
                only);
  };
  if (get_string(config, "peft_type", path) != "LORA") refuse("peft_type", "only LORA is");
  for (const char* key : {"use_rslora", "use_dora", "fan_in_fan_out", "lora_bias"})
    if (get_bool_or(config, key, false, path)) refuse(key, "only false is");
  if (get_string_or(config, "bias", "none", path) != "none") refuse("bias", "only none is");
  for (const char* key : {"rank_pattern", "alpha_pattern", "modules_to_save", "layers_to_transform",
                          "target_parameters", "trainable_token_indices"})
    if (has_key(config, key) && !config[key].empty()) refuse(key, "only an empty one is");
  if (!get_value(config, "target_modules", path).is_array())
    refuse("target_modules", "only a list of module names is");
}

LoraOptions read_config(const std::string& path) {
  const Json config = read_json_file(path);
  if (!config.is_object()) throw Error(path + ": a JSON object was expected");
  check_supported(config, path);
  LoraOptions options{.rank = get_int(config, "r", path),
                      .alpha = get_double(config, "lora_alpha", path),
                      .targets = get_strings(config, "target_modules", path)};
  if (options.rank < 1 || !(options.alpha > 0))
    throw Error(fmt::format("{}: \"r\" = {} and \"lora_alpha\" = {} must be above 0", path,
                            options.rank, options.alpha));
  for (const std::string& target : options.targets)
    if (!is_lora_target(target))
      throw Error(
          fmt::format("{}: \"target_modules\" has {}, which is not supported", path, target),
          fmt::format("only {}", fmt::join(LoraOptions().targets, ", ")));
  return options;
}

void check_names(const SafetensorsFile& file, const ParameterStore& parameters) {
  std::set<std::string> known;
  for (const auto& [name, shape] : parameters.named_shapes()) {
    known.insert(name);
    if (!file.contains(name))
      throw Error(fmt::format("{}: the tensor \"{}\" is missing", file.path(), name),
                  "the adapter belongs to another model, or to other target_modules");
    const std::vector<int64_t>& stored = file.entries().at(name).shape;
    if (stored != shape)
      throw Error(fmt::format("{}: tensor \"{}\" has the shape [{}], but the model asks for [{}]",
                              file.path(), name, fmt::join(stored, ", "), fmt::join(shape, ", ")),
                  "the adapter belongs to another model or rank");
  }
  for (const auto& [name, entry] : file.entries())
    if (!known.contains(name))
      throw Error(fmt::format("{}: nothing in {} accounts for the tensor \"{}\"", file.path(),
                              kConfig, name),
                  "the adapter belongs to another model, or to other target_modules");
}

}  // namespace

bool is_adapter_directory(const std::string& directory) {
  return file_system().exists(join_path(directory, kConfig)) &&
         !file_system().exists(join_path(directory, "config.json"));
}

std::string adapter_base(const std::string& directory) {
  const std::string path = join_path(directory, kConfig);
  return find_model(get_string(read_json_file(path), "base_model_name_or_path", path));
}

void save_adapter(const Decoder& decoder, const std::string& directory) {
  const Adapters& adapters = *decoder.adapters();
  const LoraOptions& options = adapters.options();
  write_safetensors(join_path(directory, kWeights), adapters.parameters().named_tensors(),
                    {{"format", "pt"}});
  OrderedJson config;
  config["peft_type"] = "LORA";
  config["task_type"] = "CAUSAL_LM";
  config["base_model_name_or_path"] = adapters.base_path();
  config["r"] = options.rank;
  if (options.alpha == std::floor(options.alpha) && options.alpha < 1e15)
    config["lora_alpha"] = static_cast<int64_t>(options.alpha);
  else
    config["lora_alpha"] = options.alpha;
  config["target_modules"] = options.targets;
  config["lora_dropout"] = 0.0;
  config["bias"] = "none";
  config["fan_in_fan_out"] = false;
  config["init_lora_weights"] = true;
  config["inference_mode"] = true;
  write_file_atomically(join_path(directory, kConfig), config.dump(2) + "\n");
}

void load_adapter(Decoder& decoder, const std::string& directory) {
  const std::string path = join_path(directory, kConfig);
  const LoraOptions options = read_config(path);
  decoder.add_adapters(options, adapter_base(directory), /*seed=*/0);
  const SafetensorsFile file(join_path(directory, kWeights));
  ParameterStore& parameters = decoder.trainable();
  check_names(file, parameters);
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : parameters.named_tensors()) tensor.copy_(file.read(name));
}

Decoder load_decoder(const std::string& directory, c10::Device device, c10::ScalarType dtype) {
  if (!is_adapter_directory(directory)) return Decoder::load(directory, device, dtype);
  const std::string base = adapter_base(directory);
  if (!file_system().is_directory(base))
    throw Error(fmt::format("{}: \"base_model_name_or_path\" = \"{}\" is no directory here",
                            join_path(directory, kConfig), base),
                missing_model_hint(base));
  Decoder decoder = Decoder::load(base, device, dtype);
  load_adapter(decoder, directory);
  return decoder;
}

}  // namespace treepo
