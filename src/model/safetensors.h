#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"  // ReadableFile
#include "base/json.h"

namespace treepo {

// https://huggingface.co/docs/safetensors: 8 bytes with the header's length, a JSON header, then
// the tensors' bytes without gaps.

struct SafetensorsEntry {
  std::string dtype;  // F64 F32 F16 BF16 I64 I32 U8 BOOL
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // bytes of the file
};

// One file. The header is held against the file's size when it is opened: each tensor's bytes
// exist, fit dtype and shape, and overlap with no other's. Throws Error naming file, tensor and
// byte.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(std::string path);

  const std::string& path() const { return path_; }
  const std::map<std::string, SafetensorsEntry>& entries() const { return entries_; }
  bool contains(const std::string& name) const { return entries_.contains(name); }

  // On the CPU, in the stored dtype. Throws Error if there is no such tensor.
  at::Tensor read(const std::string& name) const;

 private:
  void read_header();
  void add_entry(const std::string& name, const Json& value, uint64_t data_begin);
  void check_coverage(uint64_t data_begin) const;

  std::string path_;
  std::unique_ptr<ReadableFile> file_;
  std::map<std::string, SafetensorsEntry> entries_;
};

// The weights of a Hugging Face directory: model.safetensors, or the shards that
// model.safetensors.index.json lists.
class CheckpointReader {
 public:
  explicit CheckpointReader(const std::string& directory);

  bool contains(const std::string& name) const { return shard_of_.contains(name); }
  std::vector<std::string> names() const;  // sorted
  std::vector<int64_t> shape(const std::string& name) const;
  const std::string& file_of(const std::string& name) const;
  at::Tensor read(const std::string& name) const;

 private:
  const SafetensorsFile& shard(const std::string& name) const;

  std::string where_;  // the file that lists the tensors
  std::vector<std::unique_ptr<SafetensorsFile>> shards_;
  std::map<std::string, size_t> shard_of_;
};

using NamedTensor = std::pair<std::string, at::Tensor>;

// The file appears whole or not at all. Tensors are written in the order of falling element size,
// then of their names, so equal content gives equal bytes. Tensors may lie on any device; `dtype`
// converts each as it is written.
void write_safetensors(const std::string& path, std::vector<NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {},
                       std::optional<c10::ScalarType> dtype = {});

// model.safetensors, or several with an index where the bytes exceed `shard_bytes`.
void write_checkpoint(const std::string& directory, std::vector<NamedTensor> tensors,
                      uint64_t shard_bytes, std::optional<c10::ScalarType> dtype = {});

}  // namespace treepo
