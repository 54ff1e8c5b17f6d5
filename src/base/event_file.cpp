#include "base/event_file.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <variant>
#include <vector>

#include "base/crc32c.h"
#include "base/metric_names.h"
#include "base/protobuf.h"

namespace treepo {

namespace {

// Field numbers of tensorflow/core/util/event.proto and framework/summary.proto, tensor.proto.
namespace event {
constexpr uint32_t kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5;
}
namespace value {
constexpr uint32_t kTag = 1, kSimpleValue = 2, kHistogram = 5, kTensor = 8, kMetadata = 9;
}
namespace histogram {
constexpr uint32_t kMin = 1, kMax = 2, kCount = 3, kSum = 4, kSumOfSquares = 5, kBucketLimits = 6,
                   kBuckets = 7;
}
constexpr uint32_t kSummaryValue = 1;
constexpr uint32_t kPluginData = 1, kDataClass = 4, kDataClassTensor = 2, kPluginName = 1;
constexpr uint32_t kTensorType = 1, kTensorShape = 2, kStringValue = 8, kTypeString = 7;
constexpr uint32_t kShapeDimension = 2, kDimensionSize = 1;

constexpr size_t kHeaderBytes = 12, kFooterBytes = 4;  // length and its CRC; the content's CRC
constexpr size_t kHistogramBuckets = 30;

uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xA282EAD8;
}

std::string little_endian(uint64_t number, int size) {
  std::string bytes;
  for (int i = 0; i < size; ++i) bytes += static_cast<char>(number >> (8 * i));
  return bytes;
}

uint64_t from_little_endian(std::string_view bytes) {
  uint64_t number = 0;
  for (size_t i = bytes.size(); i-- > 0;)
    number = number << 8 | static_cast<unsigned char>(bytes[i]);
  return number;
}

std::string framed(std::string_view content) {
  const std::string length = little_endian(content.size(), 8);
  return length + little_endian(masked_crc(length), 4) + std::string(content) +
         little_endian(masked_crc(content), 4);
}

double wall_clock_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

ProtobufWriter begin_event() {
  ProtobufWriter message;
  message.add_double(event::kWallTime, wall_clock_seconds());
  return message;
}

// A varint at the start of `bytes`, which is cut off; nothing where the bytes end within it.
std::optional<uint64_t> take_varint(std::string_view& bytes) {
  uint64_t number = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    number |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return number;
  }
  return std::nullopt;
}

// The step of an event that this file wrote: wall time, then the step, then the rest. Events
// without one (the file version) have step 0.
int64_t step_of(std::string_view message) {
  constexpr size_t kWallTimeBytes = 9;
  if (message.size() <= kWallTimeBytes || message[kWallTimeBytes] != event::kStep << 3) return 0;
  message.remove_prefix(kWallTimeBytes + 1);
  return static_cast<int64_t>(take_varint(message).value_or(0));
}

// The first whole record of `bytes`, frame included; empty where it is cut or damaged.
std::string_view first_record(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes) return {};
  const std::string_view length = bytes.substr(0, 8);
  if (from_little_endian(bytes.substr(8, 4)) != masked_crc(length)) return {};
  const uint64_t content = from_little_endian(length);
  if (content > bytes.size() - kHeaderBytes || bytes.size() - kHeaderBytes - content < kFooterBytes)
    return {};
  const std::string_view record = bytes.substr(0, kHeaderBytes + content + kFooterBytes);
  const bool whole = from_little_endian(record.substr(kHeaderBytes + content)) ==
                     masked_crc(record.substr(kHeaderBytes, content));
  return whole ? record : std::string_view{};
}

// Makes FOLDER/kName hold the file version and the events up to last_step, and returns its path.
std::string prepared_file(const std::string& folder, int64_t last_step) {
  file_system().make_directories(folder);
  const std::string path = join_path(folder, std::string(EventFile::kName));
  std::string kept;
  if (last_step >= 0 && file_system().exists(path)) {
    const std::string old = read_file(path);
    for (std::string_view rest = old; !rest.empty();) {
      const std::string_view record = first_record(rest);
      if (record.empty()) break;
      if (step_of(record.substr(kHeaderBytes)) <= last_step) kept += record;
      rest.remove_prefix(record.size());
    }
  }
  if (kept.empty()) {
    ProtobufWriter version = begin_event();
    version.add_bytes(event::kFileVersion, "brain.Event:2");
    kept = framed(version.bytes());
  }
  write_file_atomically(path, kept);
  return path;
}

std::string summary_of(const ProtobufWriter& value) {
  ProtobufWriter summary;
  summary.add_bytes(kSummaryValue, value.bytes());
  return summary.bytes();
}

// Buckets of equal width from the least to the greatest value. A bucket holds what is at most its
// limit and above the limit before it.
std::string histogram_of(const std::vector<double>& values) {
  const auto [least, greatest] = std::minmax_element(values.begin(), values.end());
  const double low = *least, high = *greatest;
  const size_t buckets = low == high ? 1 : kHistogramBuckets;
  std::vector<double> limits, counts(buckets);
  for (size_t i = 1; i <= buckets; ++i)
    limits.push_back(i == buckets ? high
                                  : low + (high - low) * static_cast<double>(i) /
                                              static_cast<double>(buckets));
  double sum = 0, squares = 0;
  for (const double one : values) {
    sum += one;
    squares += one * one;
    counts[static_cast<size_t>(std::lower_bound(limits.begin(), limits.end(), one) -
                               limits.begin())] += 1;
  }
  ProtobufWriter message;
  message.add_double(histogram::kMin, low);
  message.add_double(histogram::kMax, high);
  message.add_double(histogram::kCount, static_cast<double>(values.size()));
  message.add_double(histogram::kSum, sum);
  message.add_double(histogram::kSumOfSquares, squares);
  message.add_packed(histogram::kBucketLimits, limits);
  message.add_packed(histogram::kBuckets, counts);
  return message.bytes();
}

// SummaryMetadata that gives the value to TensorBoard's text page.
std::string text_metadata() {
  ProtobufWriter plugin, metadata;
  plugin.add_bytes(kPluginName, "text");
  metadata.add_bytes(kPluginData, plugin.bytes());
  metadata.add_varint(kDataClass, kDataClassTensor);
  return metadata.bytes();
}

std::string string_tensor(std::string_view text) {
  ProtobufWriter dimension, shape, tensor;
  dimension.add_varint(kDimensionSize, 1);
  shape.add_bytes(kShapeDimension, dimension.bytes());
  tensor.add_varint(kTensorType, kTypeString);
  tensor.add_bytes(kTensorShape, shape.bytes());
  tensor.add_bytes(kStringValue, text);
  return tensor.bytes();
}

}  // namespace

EventFile::EventFile(const std::string& folder, int64_t last_step)
    : file_(prepared_file(folder, last_step)) {}

void EventFile::append_event(int64_t step, const std::string& summary) {
  ProtobufWriter message = begin_event();
  message.add_varint(event::kStep, static_cast<uint64_t>(step));
  message.add_bytes(event::kSummary, summary);
  file_.append(framed(message.bytes()));
}

void EventFile::write(int64_t step, const Metrics& metrics) {
  ProtobufWriter summary;
  for (const auto& [name, number] : metrics.values()) {
    ProtobufWriter scalar;
    scalar.add_bytes(value::kTag, common_metric_name(name));
    scalar.add_float(value::kSimpleValue,
                     std::visit([](auto n) { return static_cast<float>(n); }, number));
    summary.add_bytes(kSummaryValue, scalar.bytes());
  }
  append_event(step, summary.bytes());
}

void EventFile::write_histogram(int64_t step, std::string_view name,
                                std::span<const double> values) {
  std::vector<double> finite(values.begin(), values.end());
  std::erase_if(finite, [](double one) { return !std::isfinite(one); });
  if (finite.empty()) return;
  ProtobufWriter message;
  message.add_bytes(value::kTag, name);
  message.add_bytes(value::kHistogram, histogram_of(finite));
  append_event(step, summary_of(message));
}

void EventFile::write_text(int64_t step, std::string_view name, std::string_view markdown) {
  ProtobufWriter message;
  message.add_bytes(value::kTag, name);
  message.add_bytes(value::kTensor, string_tensor(markdown));
  message.add_bytes(value::kMetadata, text_metadata());
  append_event(step, summary_of(message));
}

}  // namespace treepo
