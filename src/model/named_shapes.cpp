#include "model/named_shapes.h"

#include <fmt/ranges.h>  // fmt::join

#include "base/error.h"

namespace treepo {

namespace {

struct NamedShape {
  const char* name;
  int64_t vocab_size;
  ModelOptions options;
};

std::vector<NamedShape> shapes() {
  const auto qwen2 = [](int64_t hidden, int64_t layers, int64_t heads, int64_t kv_heads,
                        int64_t intermediate, bool tied) {
    ModelOptions options;
    options.architecture = "qwen2";
    options.hidden_size = hidden;
    options.num_layers = layers;
    options.num_heads = heads;
    options.num_kv_heads = kv_heads;
    options.intermediate_size = intermediate;
    options.max_positions = 32768;
    options.rope_theta = 1e6;
    options.tie_embeddings = tied;
    return options;
  };
  return {{"quickstart", 24, {}},
          {"89m", 32000, qwen2(640, 16, 10, 2, 1728, true)},
          {"0.5b", 151936, qwen2(896, 24, 14, 2, 4864, true)},
          {"1.5b", 151936, qwen2(1536, 28, 12, 2, 8960, true)},
          {"7b", 152064, qwen2(3584, 28, 28, 4, 18944, false)}};
}

}  // namespace

ModelConfig named_model_config(const std::string& name) {
  for (const NamedShape& shape : shapes())
    if (shape.name == name)
      return fresh_model_config(shape.options, shape.vocab_size, SpecialTokens{.eos = 0});
  throw Error(fmt::format("there is no model shape \"{}\"", name),
              fmt::format("one of {}", fmt::join(model_shape_names(), ", ")));
}

std::vector<std::string> model_shape_names() {
  std::vector<std::string> names;
  for (const NamedShape& shape : shapes()) names.emplace_back(shape.name);
  return names;
}

}  // namespace treepo
