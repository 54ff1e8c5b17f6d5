#include <ATen/ATen.h>
#include <fmt/ranges.h>  // fmt::join

#include <array>
#include <set>

#include "base/error.h"
#include "base/random.h"
#include "kernels/parallel.h"
#include "model/decoder.h"
#include "model/device.h"
#include "model/safetensors.h"

namespace treepo {

namespace {

// Tensors that some published checkpoints hold beyond their weights.
bool may_be_ignored(const std::string& name, const ModelConfig& config) {
  return name.ends_with("rotary_emb.inv_freq") ||
         (config.tie_embeddings && name == "lm_head.weight");
}

// Where tied embeddings are one matrix, some checkpoints hold it under the name of the other.
std::string stored_name(const CheckpointReader& checkpoint, const std::string& name,
                        const ModelConfig& config) {
  const bool other = config.tie_embeddings && name == "model.embed_tokens.weight" &&
                     !checkpoint.contains(name) && checkpoint.contains("lm_head.weight");
  return other ? "lm_head.weight" : name;
}

// Before any memory is taken: what config.json asks for may be absurd.
void check_fit(const CheckpointReader& checkpoint, const ParameterStore& parameters,
               const ModelConfig& config) {
  std::set<std::string> known;
  for (const auto& [own_name, shape] : parameters.named_shapes()) {
    const std::string name = stored_name(checkpoint, own_name, config);
    known.insert(name);
    const std::vector<int64_t> stored = checkpoint.shape(name);
    if (stored != shape)
      throw Error(fmt::format("{}: tensor \"{}\" has the shape [{}], but config.json asks for [{}]",
                              checkpoint.file_of(name), name, fmt::join(stored, ", "),
                              fmt::join(shape, ", ")),
                  "the weights do not fit config.json");
  }
  for (const std::string& name : checkpoint.names())
    if (!known.contains(name) && !may_be_ignored(name, config))
      throw Error(fmt::format("{}: nothing in config.json accounts for the tensor \"{}\"",
                              checkpoint.file_of(name), name),
                  "the weights do not fit config.json, or the architecture is not supported");
}

void fill_from_checkpoint(const CheckpointReader& checkpoint, const std::string& name,
                          at::Tensor& to) {
  const at::Tensor stored = checkpoint.read(name);
  if (!stored.is_floating_point())
    throw Error(fmt::format("{}: tensor \"{}\" holds {}, not numbers of a weight",
                            checkpoint.file_of(name), name, c10::toString(stored.scalar_type())));
  to.copy_(stored);
}

// Row r, column c of the tensor numbered `index` is a draw of its own: neither device, dtype nor
// how parameters are fused changes it.
at::Tensor random_weights(at::IntArrayRef shape, double spread, uint64_t seed, uint64_t index) {
  const RandomStream stream(seed, Purpose::weights, index);
  at::Tensor weights = at::empty(shape, at::kDouble);
  double* const to = weights.data_ptr<double>();
  constexpr int64_t kWorkPerNumber = 32;
  parallel_rows(shape[0], weights.numel() * kWorkPerNumber, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t column = 0; column < shape[1]; ++column)
        to[row * shape[1] + column] =
            spread * stream.normal(static_cast<uint32_t>(row), static_cast<uint32_t>(column));
  });
  return weights;
}

Json with_dtype(Json config, c10::ScalarType dtype) {
  // Version 4 of transformers wrote "torch_dtype", version 5 writes "dtype"; both read the former.
  config[config.contains("dtype") ? "dtype" : "torch_dtype"] = dtype_name(dtype);
  return config;
}

}  // namespace

Decoder Decoder::load(const std::string& directory, c10::Device device, c10::ScalarType dtype) {
  const ModelConfig config = read_model_config(directory);
  const CheckpointReader checkpoint(directory);
  Decoder decoder(config, device, dtype);
  check_fit(checkpoint, decoder.parameters_, config);
  decoder.allocate();
  for (auto& [name, tensor] : decoder.parameters_.named_tensors())
    fill_from_checkpoint(checkpoint, stored_name(checkpoint, name, config), tensor);
  return decoder;
}

Decoder Decoder::random(const ModelConfig& config, uint64_t seed, c10::Device device,
                        c10::ScalarType dtype) {
  Decoder decoder(config, device, dtype);
  decoder.allocate();
  uint64_t index = 0;
  for (auto& [name, tensor] : decoder.parameters_.named_tensors()) {
    if (tensor.dim() == 2)
      tensor.copy_(random_weights(tensor.sizes(), config.initializer_range, seed, index));
    else if (name.ends_with("norm.weight"))
      tensor.fill_(1);
    ++index;
  }
  return decoder;
}

void Decoder::save(const std::string& directory, c10::ScalarType dtype,
                   uint64_t shard_bytes) const {
  write_checkpoint(directory, parameters_.named_tensors(), shard_bytes, dtype);
  if (!config_.generation_json.is_null())
    write_file_atomically(join_path(directory, "generation_config.json"),
                          config_.generation_json.dump(2) + "\n");
  write_file_atomically(join_path(directory, "config.json"),
                        with_dtype(config_.config_json, dtype).dump(2) + "\n");
}

namespace {

void copy_folder(const std::string& from, const std::string& to, const std::string& name) {
  const std::string source = join_path(from, name), copy = join_path(to, name);
  if (!file_system().is_directory(source)) return;
  file_system().make_directories(copy);
  for (const std::string& file : file_system().list(source))
    write_file_atomically(join_path(copy, file), read_file(join_path(source, file)));
}

}  // namespace

void copy_tokenizer_files(const std::string& from, const std::string& to) {
  constexpr std::array kFiles = {"tokenizer.json",
                                 "tokenizer_config.json",
                                 "special_tokens_map.json",
                                 "added_tokens.json",
                                 "vocab.json",
                                 "merges.txt",
                                 "tokenizer.model",
                                 "chat_template.jinja",
                                 "chat_template.json"};
  for (const char* name : kFiles) {
    const std::string source = join_path(from, name);
    if (file_system().exists(source)) write_file_atomically(join_path(to, name), read_file(source));
  }
  copy_folder(from, to, "additional_chat_templates");
}

}  // namespace treepo
