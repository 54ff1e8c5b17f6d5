#include "model/safetensors.h"

#include <ATen/ATen.h>
#include <fmt/ranges.h>  // fmt::join

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "base/error.h"

namespace treepo {

namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr const char* kDamaged = "the file is damaged or incomplete: fetch or write it again";

struct Dtype {
  const char* name;
  c10::ScalarType type;
};
constexpr std::array<Dtype, 8> kDtypes = {{{"F64", c10::ScalarType::Double},
                                           {"F32", c10::ScalarType::Float},
                                           {"F16", c10::ScalarType::Half},
                                           {"BF16", c10::ScalarType::BFloat16},
                                           {"I64", c10::ScalarType::Long},
                                           {"I32", c10::ScalarType::Int},
                                           {"U8", c10::ScalarType::Byte},
                                           {"BOOL", c10::ScalarType::Bool}}};

const Dtype* find_dtype(const std::string& name) {
  for (const Dtype& dtype : kDtypes)
    if (name == dtype.name) return &dtype;
  return nullptr;
}

const Dtype& find_dtype(c10::ScalarType type) {
  for (const Dtype& dtype : kDtypes)
    if (type == dtype.type) return dtype;
  TREEPO_CHECK(false, "no safetensors dtype for {}", c10::toString(type));
}

// False if the product leaves 64 bits.
bool count_bytes(const std::vector<int64_t>& shape, uint64_t element_bytes, uint64_t& bytes) {
  bytes = element_bytes;
  for (const int64_t size : shape)
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes))
      return false;
  return true;
}

uint64_t bytes_as(const at::Tensor& tensor, c10::ScalarType dtype) {
  return static_cast<uint64_t>(tensor.numel()) * c10::elementSize(dtype);
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::string path)
    : path_(std::move(path)), file_(file_system().open_for_reading(path_)) {
  read_header();
}

void SafetensorsFile::read_header() {
  const uint64_t size = file_->size();
  if (size < 8)
    throw Error(
        fmt::format("{}: no safetensors file: only {} bytes, the header's length alone takes "
                    "8",
                    path_, size),
        kDamaged);
  std::array<unsigned char, 8> length_bytes;
  file_->read_at(0, {reinterpret_cast<char*>(length_bytes.data()), length_bytes.size()});
  uint64_t length = 0;
  for (size_t i = 8; i-- > 0;) length = (length << 8) | length_bytes[i];
  if (length > kMaxHeaderBytes || length > size - 8)
    throw Error(fmt::format("{}: byte 0 says that the header has {} bytes, but the file has {}",
                            path_, length, size),
                kDamaged);

  std::string text(length, '\0');
  file_->read_at(8, text);
  const std::string where = fmt::format("{} (header, from byte 8)", path_);
  const Json header = parse_json(text, where);
  if (!header.is_object())
    throw Error(fmt::format("{}: a JSON object is expected", where), kDamaged);
  for (const auto& [name, value] : header.items())
    if (name != "__metadata__") add_entry(name, value, 8 + length);
  check_coverage(8 + length);
}

void SafetensorsFile::add_entry(const std::string& name, const Json& value, uint64_t data_begin) {
  const std::string where = fmt::format("{}: tensor \"{}\"", path_, name);
  SafetensorsEntry entry;
  entry.dtype = get_string(value, "dtype", where);
  entry.shape = get_ints(value, "shape", where);
  const std::vector<int64_t> offsets = get_ints(value, "data_offsets", where);
  const Dtype* dtype = find_dtype(entry.dtype);
  if (dtype == nullptr)
    throw Error(fmt::format("{}: the dtype \"{}\" is not supported", where, entry.dtype),
                "F64, F32, F16, BF16, I64, I32, U8 and BOOL are");
  uint64_t bytes = 0;
  if (!count_bytes(entry.shape, c10::elementSize(dtype->type), bytes))
    throw Error(
        fmt::format("{}: the shape [{}] is impossible", where, fmt::join(entry.shape, ", ")),
        kDamaged);
  if (offsets.size() != 2 || offsets[0] < 0 || offsets[1] < offsets[0])
    throw Error(
        fmt::format("{}: \"data_offsets\" [{}] is no range", where, fmt::join(offsets, ", ")),
        kDamaged);
  const auto first = static_cast<uint64_t>(offsets[0]), last = static_cast<uint64_t>(offsets[1]);
  if (last - first != bytes)
    throw Error(fmt::format("{}: {} [{}] takes {} bytes, but \"data_offsets\" spans {}", where,
                            entry.dtype, fmt::join(entry.shape, ", "), bytes, last - first),
                kDamaged);
  if (last > file_->size() - data_begin)
    throw Error(fmt::format("{}: ends at byte {}, but the file ends at byte {}", where,
                            data_begin + last, file_->size()),
                kDamaged);
  entry.begin = data_begin + first;
  entry.end = data_begin + last;
  entries_.emplace(name, std::move(entry));
}

void SafetensorsFile::check_coverage(uint64_t data_begin) const {
  using Named = std::pair<const std::string, SafetensorsEntry>;
  std::vector<const Named*> by_offset;
  for (const Named& entry : entries_) by_offset.push_back(&entry);
  std::sort(by_offset.begin(), by_offset.end(), [](const Named* a, const Named* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  uint64_t position = data_begin;
  for (const Named* entry : by_offset) {
    if (entry->second.begin != position)
      throw Error(
          fmt::format("{}: tensor \"{}\" starts at byte {}, but the one before it ends at byte "
                      "{}",
                      path_, entry->first, entry->second.begin, position),
          kDamaged);
    position = entry->second.end;
  }
  if (position != file_->size())
    throw Error(fmt::format("{}: the tensors end at byte {}, but the file ends at byte {}", path_,
                            position, file_->size()),
                kDamaged);
}

at::Tensor SafetensorsFile::read(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end())
    throw Error(fmt::format("{}: tensor \"{}\" is missing", path_, name));
  const SafetensorsEntry& entry = found->second;
  at::Tensor tensor = at::empty(entry.shape, at::dtype(find_dtype(entry.dtype)->type));
  if (entry.end > entry.begin)
    file_->read_at(entry.begin,
                   {static_cast<char*>(tensor.mutable_data_ptr()), entry.end - entry.begin});
  return tensor;
}

CheckpointReader::CheckpointReader(const std::string& directory) {
  const std::string single = join_path(directory, "model.safetensors");
  const std::string index = join_path(directory, "model.safetensors.index.json");
  if (file_system().exists(single)) {
    where_ = single;
    shards_.push_back(std::make_unique<SafetensorsFile>(single));
    for (const auto& [name, entry] : shards_[0]->entries()) shard_of_[name] = 0;
    return;
  }
  if (!file_system().exists(index))
    throw Error(
        fmt::format("{}: neither model.safetensors nor model.safetensors.index.json is there",
                    directory),
        "only weights in safetensors files can be read");
  where_ = index;
  const Json json = read_json_file(index);
  std::map<std::string, size_t> shard_ids;
  for (const auto& [name, file] : get_object(json, "weight_map", index).items()) {
    if (!file.is_string() || file.get<std::string>().find('/') != std::string::npos)
      throw Error(fmt::format("{}: \"weight_map\" gives no file name for \"{}\"", index, name));
    const std::string path = join_path(directory, file.get<std::string>());
    const auto [id, is_new] = shard_ids.emplace(path, shards_.size());
    if (is_new) shards_.push_back(std::make_unique<SafetensorsFile>(path));
    if (!shards_[id->second]->contains(name))
      throw Error(
          fmt::format("{}: tensor \"{}\" is missing, which {} expects there", path, name, index),
          kDamaged);
    shard_of_[name] = id->second;
  }
}

const SafetensorsFile& CheckpointReader::shard(const std::string& name) const {
  const auto found = shard_of_.find(name);
  if (found == shard_of_.end())
    throw Error(fmt::format("{}: tensor \"{}\" is missing", where_, name),
                "the weights do not fit config.json");
  return *shards_[found->second];
}

std::vector<std::string> CheckpointReader::names() const {
  std::vector<std::string> names;
  for (const auto& [name, id] : shard_of_) names.push_back(name);
  return names;
}

std::vector<int64_t> CheckpointReader::shape(const std::string& name) const {
  return shard(name).entries().at(name).shape;
}

const std::string& CheckpointReader::file_of(const std::string& name) const {
  return shard(name).path();
}

at::Tensor CheckpointReader::read(const std::string& name) const {
  return shard(name).read(name);
}

void write_safetensors(const std::string& path, std::vector<NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata,
                       std::optional<c10::ScalarType> dtype) {
  const auto stored = [&](const at::Tensor& t) { return dtype.value_or(t.scalar_type()); };
  std::sort(tensors.begin(), tensors.end(), [&](const NamedTensor& a, const NamedTensor& b) {
    const auto a_size = c10::elementSize(stored(a.second));
    const auto b_size = c10::elementSize(stored(b.second));
    return a_size != b_size ? a_size > b_size : a.first < b.first;
  });
  OrderedJson header = OrderedJson::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const uint64_t end = offset + bytes_as(tensor, stored(tensor));
    header[name] = {{"dtype", find_dtype(stored(tensor)).name},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = dump_json(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data starts aligned

  OutputFile file(path, OutputFile::Mode::atomic);
  std::string length(8, '\0');
  for (size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(text.size() >> (8 * i));
  file.write(length);
  file.write(text);
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor bytes = tensor.detach().to(at::kCPU, stored(tensor)).contiguous();
    file.write({static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes()});
  }
  file.finish();
}

void write_checkpoint(const std::string& directory, std::vector<NamedTensor> tensors,
                      uint64_t shard_bytes, std::optional<c10::ScalarType> dtype) {
  const std::map<std::string, std::string> metadata = {{"format", "pt"}};
  std::sort(tensors.begin(), tensors.end(),
            [](const NamedTensor& a, const NamedTensor& b) { return a.first < b.first; });
  std::vector<std::vector<NamedTensor>> shards(1);
  uint64_t total = 0, in_shard = 0;
  for (NamedTensor& tensor : tensors) {
    const uint64_t bytes = bytes_as(tensor.second, dtype.value_or(tensor.second.scalar_type()));
    if (in_shard > 0 && in_shard + bytes > shard_bytes) {
      shards.emplace_back();
      in_shard = 0;
    }
    in_shard += bytes;
    total += bytes;
    shards.back().push_back(std::move(tensor));
  }
  if (shards.size() == 1) {
    write_safetensors(join_path(directory, "model.safetensors"), std::move(shards[0]), metadata,
                      dtype);
    return;
  }
  Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", Json::object()}};
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    for (const auto& [tensor, value] : shards[i]) index["weight_map"][tensor] = name;
    write_safetensors(join_path(directory, name), std::move(shards[i]), metadata, dtype);
  }
  write_file_atomically(join_path(directory, "model.safetensors.index.json"), index.dump(2) + "\n");
}

}  // namespace treepo
