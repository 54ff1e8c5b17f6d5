// Round trips of safetensors files, and damage of every kind: an Error each time, never a crash.

#include "model/safetensors.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/random.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

std::vector<NamedTensor> one_of_each_dtype() {
  return {{"half", at::arange(6).to(at::kHalf).view({2, 3})},
          {"wide", at::arange(4).to(at::kDouble)},
          {"float", at::arange(5).to(at::kFloat)},
          {"brain", at::arange(3).to(at::kBFloat16)},
          {"long", at::arange(3)},
          {"int", at::arange(3).to(at::kInt)},
          {"byte", at::arange(3).to(at::kByte)},
          {"bool", at::ones({2}, at::kBool)},
          {"scalar", at::tensor(3.5)},
          {"empty", at::empty({0, 4})}};
}

// 8 bytes of length, the header, the data.
std::string file_of(const std::string& header, const std::string& data) {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(header.size() >> (8 * i));
  return fmt::format("{}{}{}", bytes, header, data);
}

class Safetensors : public testing::Test {
 protected:
  std::string path() const { return directory_ / "x.safetensors"; }

  void write(const std::string& bytes) const {  // not through treepo: thousands of syncs take long
    std::ofstream(path(), std::ios::binary) << bytes;
  }

  std::string error_of_file(const std::string& bytes) const {
    write(bytes);
    return error_of([&] { SafetensorsFile file(path()); });
  }

  void expect_error(const std::string& header, const std::string& data, const std::string& part) {
    const std::string message = error_of_file(file_of(header, data));
    EXPECT_NE(message.find(path()), std::string::npos) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }

  TemporaryDirectory directory_;
};

TEST_F(Safetensors, RoundTripKeepsEveryBit) {
  const auto tensors = one_of_each_dtype();
  write_safetensors(path(), tensors, {{"format", "pt"}});
  const SafetensorsFile file(path());
  EXPECT_EQ(file.entries().size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor read = file.read(name);
    EXPECT_EQ(read.scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(at::equal(read, tensor)) << name;
  }
}

TEST_F(Safetensors, EqualContentGivesEqualBytes) {
  auto tensors = one_of_each_dtype();
  write_safetensors(path(), tensors);
  const std::string first = read_file(path());
  std::reverse(tensors.begin(), tensors.end());
  write_safetensors(path(), tensors);
  EXPECT_EQ(read_file(path()), first);
}

TEST_F(Safetensors, ViewsAndConversionsAreWrittenAsTheyLook) {
  const at::Tensor x = at::arange(12).to(at::kFloat).view({3, 4});
  write_safetensors(path(), {{"t", x.t()}, {"row", x.select(0, 1)}}, {}, at::kBFloat16);
  const SafetensorsFile file(path());
  EXPECT_EQ(file.entries().at("t").dtype, "BF16");
  EXPECT_TRUE(at::equal(file.read("t"), x.t().to(at::kBFloat16)));
  EXPECT_TRUE(at::equal(file.read("row"), x.select(0, 1).to(at::kBFloat16)));
}

TEST_F(Safetensors, HeaderErrorsNameTensorAndByte) {
  EXPECT_NE(error_of_file("").find("0 bytes"), std::string::npos);
  EXPECT_NE(error_of_file("1234567").find("7 bytes"), std::string::npos);
  EXPECT_NE(error_of_file(fmt::format("\x10{}{{}}", std::string(7, '\0'))).find("16 bytes"),
            std::string::npos);
  EXPECT_NE(error_of_file(std::string(16, '\xff')).find("byte 0"), std::string::npos);
  expect_error("[]", "", "object");
  expect_error("{\"a\": 3}", "", "\"a\"");
  expect_error("{", "", "byte 8");

  const auto header = [](const char* dtype, const char* shape, const char* offsets) {
    return fmt::format("{{\"a\":{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":{}}}}}", dtype,
                       shape, offsets);
  };
  const std::string eight(8, 'x'), nine(9, 'x'), twelve(12, 'x');
  write(file_of(header("F32", "[2]", "[0,8]"), eight));
  EXPECT_EQ(SafetensorsFile(path()).read("a").numel(), 2);
  expect_error(header("F32", "[3]", "[0,8]"), eight, "takes 12 bytes");
  expect_error(header("F32", "[2]", "[0,8]"), "1234567", "\"a\": ends at byte");
  expect_error(header("F32", "[2]", "[0,8]"), nine, "the file ends at byte");
  expect_error(header("F32", "[2]", "[8,0]"), eight, "no range");
  expect_error(header("F32", "[2]", "[-8,0]"), eight, "no range");
  expect_error(header("F32", "[2]", "[0]"), eight, "no range");
  expect_error(header("F8_E4M3", "[8]", "[0,8]"), eight, "F8_E4M3");
  expect_error(header("F32", "[-1]", "[0,8]"), eight, "impossible");
  expect_error(header("F32", "[4611686018427387904,4]", "[0,0]"), eight, "impossible");
  expect_error(header("F32", "[2]", "[4,12]"), twelve, "starts at byte");
  const std::string overlapping =
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
      "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}";
  expect_error(overlapping, twelve, "\"b\" starts at byte");
}

TEST_F(Safetensors, EveryTruncationIsAnError) {
  write_safetensors(path(), one_of_each_dtype(), {{"format", "pt"}});
  const std::string whole = read_file(path());
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_NE(error_of_file(whole.substr(0, size)), "(no error was thrown)") << size << " bytes";
}

// A flipped bit is an Error, or hits data, a name or metadata, where no reader could see it.
// Whatever opens must be readable to its end.
TEST_F(Safetensors, NoBitFlipCrashes) {
  write_safetensors(path(), one_of_each_dtype(), {{"format", "pt"}});
  const std::string whole = read_file(path());
  const RandomStream stream(1, Purpose::generate);
  int errors = 0;
  for (uint32_t trial = 0; trial < 4000; ++trial) {
    std::string flipped(whole);
    const int64_t flips = stream.integer(1, 3, trial, 0);
    for (uint32_t flip = 0; flip < flips; ++flip) {
      const auto bit =
          stream.integer(0, static_cast<int64_t>(whole.size()) * 8 - 1, trial, 1 + flip);
      flipped[static_cast<size_t>(bit / 8)] ^= static_cast<char>(1 << (bit % 8));
    }
    write(flipped);
    try {
      const SafetensorsFile file(path());
      for (const auto& [name, entry] : file.entries()) file.read(name);
    } catch (const Error&) {
      ++errors;
    }
  }
  EXPECT_GT(errors, 1000);
}

TEST_F(Safetensors, CheckpointIsOneFileOrShardsWithAnIndex) {
  std::vector<NamedTensor> tensors;
  for (int i = 0; i < 5; ++i)
    tensors.emplace_back(fmt::format("t{}", i), at::full({10}, i, at::kFloat));
  const auto check = [&](const std::string& directory, size_t files) {
    size_t found = 0;
    for (const std::string& name : file_system().list(directory))
      found += name.ends_with(".safetensors");
    EXPECT_EQ(found, files);
    const CheckpointReader reader(directory);
    EXPECT_EQ(reader.names().size(), 5u);
    for (const auto& [name, tensor] : tensors) EXPECT_TRUE(at::equal(reader.read(name), tensor));
  };
  const TemporaryDirectory single, sharded;
  write_checkpoint(single.path(), tensors, 1000);
  check(single.path(), 1);
  write_checkpoint(sharded.path(), tensors, 80);
  check(sharded.path(), 3);

  const Json index = read_json_file(sharded / "model.safetensors.index.json");
  EXPECT_EQ(index.at("metadata").at("total_size"), 200);
  EXPECT_NE(
      error_of([&] { CheckpointReader(sharded.path()).read("t9"); }).find("\"t9\" is missing"),
      std::string::npos);
  file_system().remove(sharded / "model-00002-of-00003.safetensors");
  EXPECT_NE(error_of([&] { CheckpointReader reader(sharded.path()); }).find("model-00002"),
            std::string::npos);
}

TEST_F(Safetensors, IndexErrorsNameTheFile) {
  const auto expect = [&](const std::string& index, const std::string& part) {
    write_file_atomically(directory_ / "model.safetensors.index.json", index);
    const std::string message = error_of([&] { CheckpointReader reader(directory_.path()); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  EXPECT_NE(error_of([&] { CheckpointReader reader(directory_.path()); }).find("neither"),
            std::string::npos);
  expect("{}", "weight_map");
  expect("{\"weight_map\": {\"a\": 3}}", "\"a\"");
  expect("{\"weight_map\": {\"a\": \"../x.safetensors\"}}", "\"a\"");
  write_safetensors(directory_ / "m.safetensors", {{"b", at::ones({2})}});
  expect("{\"weight_map\": {\"a\": \"m.safetensors\"}}", "\"a\" is missing");
}

}  // namespace
}  // namespace treepo
