#pragma once

#include <string>

#include "model/decoder.h"

namespace treepo {

// PEFT's format (https://huggingface.co/docs/peft): adapter_config.json, adapter_model.safetensors.

// Whether the directory holds an adapter and no model.
bool is_adapter_directory(const std::string& directory);

// "base_model_name_or_path" of an adapter's configuration, as find_model (base/hub_cache.h) finds
// it.
std::string adapter_base(const std::string& directory);

// The decoder's adapters, into an existing directory.
void save_adapter(const Decoder& decoder, const std::string& directory);

// Gives the decoder the adapters of this directory. Throws Error that names file and key, or
// tensor, of what does not fit or what treepo cannot do.
void load_adapter(Decoder& decoder, const std::string& directory);

// A Hugging Face directory, or that of an adapter with the base that it names.
Decoder load_decoder(const std::string& directory, c10::Device device, c10::ScalarType dtype);

}  // namespace treepo
