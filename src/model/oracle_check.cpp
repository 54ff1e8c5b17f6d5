#include "model/oracle_check.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "base/random.h"
#include "model/adapter_files.h"
#include "model/device.h"
#include "model/greedy_decode.h"
#include "model/make_step_model.h"
#include "model/packed_forward.h"
#include "model/safetensors.h"

namespace treepo {

namespace {

using Rows = std::vector<std::vector<int32_t>>;

struct Tolerances {
  double logits, gradients;
  bool greedy;
};

Tolerances tolerances(c10::ScalarType dtype, double largest_logit) {
  if (dtype == at::kDouble) return {.logits = 1e-9, .gradients = 1e-8, .greedy = true};
  if (dtype == at::kFloat) return {.logits = 1e-4, .gradients = 1e-4, .greedy = true};
  return {.logits = 0.05 * largest_logit, .gradients = 0.2, .greedy = false};
}

PackedSequence pack_rows(const Rows& rows) {
  PackedSequence packed;
  for (const auto& row : rows) {
    const int32_t end = packed.size() + static_cast<int32_t>(row.size());
    for (size_t i = 0; i < row.size(); ++i) {
      packed.tokens.push_back(row[i]);
      packed.positions.push_back(static_cast<int32_t>(i));
      packed.subtree_end.push_back(end);
    }
  }
  return packed;
}

// [rows, length, vocab] in at least float32.
at::Tensor logits_of(const Decoder& decoder, const Rows& rows, bool checked = false) {
  const PackedSequence packed = pack_rows(rows);
  const at::Tensor hidden = packed_hidden(decoder, packed);
  if (checked) check_packed_hidden(decoder, packed, hidden);
  return hidden.mm(decoder.head_weight().t())
      .to(decoder.attention_dtype())
      .view({static_cast<int64_t>(rows.size()), static_cast<int64_t>(rows[0].size()), -1});
}

at::Tensor to_tensor(const Rows& rows) {
  at::Tensor ids = at::empty(
      {static_cast<int64_t>(rows.size()), static_cast<int64_t>(rows[0].size())}, at::kLong);
  int64_t* to = ids.mutable_data_ptr<int64_t>();
  for (const auto& row : rows) to = std::copy(row.begin(), row.end(), to);
  return ids;
}

Rows to_rows(const at::Tensor& ids, int64_t vocab_size, const std::string& path) {
  if (ids.dim() != 2 || ids.scalar_type() != at::kLong || ids.size(0) < 1 || ids.size(1) < 2)
    throw Error(fmt::format("{}: \"input_ids\" must be I64 of shape [rows, at least 2]", path));
  if (ids.lt(0).logical_or(ids.ge(vocab_size)).any().item<bool>())
    throw Error(fmt::format("{}: \"input_ids\" holds a token outside the vocabulary of {}", path,
                            vocab_size));
  Rows rows;
  for (int64_t row = 0; row < ids.size(0); ++row) {
    const int64_t* from = ids.const_data_ptr<int64_t>() + row * ids.size(1);
    rows.emplace_back(from, from + ids.size(1));
  }
  return rows;
}

// Mean cross-entropy of each row's tokens from the second on.
at::Tensor loss_of(const at::Tensor& logits, const at::Tensor& ids) {
  const at::Tensor targets = ids.slice(1, 1).to(logits.device()).unsqueeze(-1);
  return -logits.slice(1, 0, -1).log_softmax(-1).gather(2, targets).mean();
}

struct Computed {
  at::Tensor logits, loss;  // on the CPU, float64
  std::vector<NamedTensor> gradients;
  GreedyTokens greedy;
};

at::Tensor to_double(const at::Tensor& x) {
  return x.detach().to(at::kCPU, at::kDouble);
}

// By the implementation that `device` names; a checked one is held against the other on the way.
Computed compute(Decoder& decoder, const std::string& device, const Rows& rows,
                 int32_t greedy_tokens) {
  Computed computed;
  decoder.trainable().enable_gradients();
  decoder.trainable().zero_gradients();
  const at::Tensor logits = logits_of(decoder, rows, is_checked_device(device));
  const at::Tensor loss = loss_of(logits, to_tensor(rows));
  loss.backward();
  computed.logits = to_double(logits);
  computed.loss = to_double(loss);
  for (const auto& [name, gradient] : decoder.trainable().named_gradients())
    computed.gradients.emplace_back(name, to_double(gradient));
  const auto step_model = make_step_model(decoder, device);
  computed.greedy = greedy_decode(*step_model, rows, greedy_tokens);
  return computed;
}

// Log-probs that a packed forward pass gives the tokens which decoding chose, [rows, count].
at::Tensor packed_logprobs(const Decoder& decoder, const Rows& prompts,
                           const GreedyTokens& greedy) {
  const at::NoGradGuard no_gradients;
  Rows rows = prompts;
  for (size_t row = 0; row < rows.size(); ++row)
    rows[row].insert(rows[row].end(), greedy.tokens[row].begin(), greedy.tokens[row].end());
  const auto prompt = static_cast<int64_t>(prompts[0].size());
  const at::Tensor logprobs = to_double(logits_of(decoder, rows)).log_softmax(-1);
  const at::Tensor targets = to_tensor(rows).slice(1, prompt).unsqueeze(-1);
  return logprobs.slice(1, prompt - 1, -1).gather(2, targets).squeeze(-1);
}

class Comparison {
 public:
  explicit Comparison(const SafetensorsFile& oracle) : oracle_(oracle) {}

  at::Tensor expected(const std::string& name, const at::Tensor& like) const {
    const at::Tensor value = to_double(oracle_.read(name));
    if (value.sizes() != like.sizes())
      throw Error(
          fmt::format("{}: \"{}\" has another shape than the model gives", oracle_.path(), name),
          "the oracle belongs to another model");
    return value;
  }

  void add(const std::string& name, double error, double tolerance, int64_t count) {
    report.rows.push_back({.name = name,
                           .error = error,
                           .tolerance = tolerance,
                           .count = count,
                           .passed = error <= tolerance});  // false for NaN
  }

  void add_difference(const std::string& name, const at::Tensor& value, double tolerance) {
    const at::Tensor difference = value - expected(name, value);
    add(name, difference.abs().max().item<double>(), tolerance, value.numel());
  }

  void add_gradient(const std::string& name, const at::Tensor& value, double tolerance) {
    const at::Tensor wanted = expected(name, value);
    const double norm = wanted.norm().item<double>();
    const double error = (value - wanted).norm().item<double>();
    add(name, norm > 0 ? error / norm : error, tolerance, value.numel());
  }

  CheckReport report;

 private:
  const SafetensorsFile& oracle_;
};

double largest_difference(const std::vector<std::vector<double>>& a, const at::Tensor& b) {
  double most = 0;
  for (size_t row = 0; row < a.size(); ++row)
    for (size_t i = 0; i < a[row].size(); ++i)
      most = std::max(
          most, std::abs(a[row][i] -
                         b[static_cast<int64_t>(row)][static_cast<int64_t>(i)].item<double>()));
  return most;
}

}  // namespace

CheckReport check_model_oracle(const std::string& directory, const std::string& file,
                               const std::string& device, c10::ScalarType dtype) {
  const SafetensorsFile oracle(file);
  Decoder decoder = load_decoder(directory, parse_device(device), dtype);
  const Rows rows = to_rows(oracle.read("input_ids"), decoder.config().vocab_size, file);
  const at::Tensor greedy = oracle.read("greedy");
  if (greedy.dim() != 2 || greedy.size(0) != static_cast<int64_t>(rows.size()))
    throw Error(
        fmt::format("{}: \"greedy\" does not have a row for each row of \"input_ids\"", file));
  const Computed computed = compute(decoder, device, rows, static_cast<int32_t>(greedy.size(1)));

  Comparison comparison(oracle);
  const double largest_logit =
      comparison.expected("logits", computed.logits).abs().max().item<double>();
  const Tolerances tolerance = tolerances(dtype, largest_logit);
  comparison.add_difference("logits", computed.logits, tolerance.logits);
  comparison.add_difference("loss", computed.loss, tolerance.logits);
  for (const auto& [name, gradient] : computed.gradients)
    comparison.add_gradient("grad." + name, gradient, tolerance.gradients);
  if (tolerance.greedy)
    comparison.add(
        "greedy",
        static_cast<double>(to_tensor(computed.greedy.tokens).ne(greedy).sum().item<int64_t>()), 0,
        greedy.numel());
  else
    ++comparison.report.skipped;
  comparison.add(
      "cached log-probs",
      largest_difference(computed.greedy.logprobs, packed_logprobs(decoder, rows, computed.greedy)),
      tolerance.logits, greedy.numel());
  return comparison.report;
}

void write_model_oracle(const std::string& directory, const std::string& file,
                        const std::string& device, c10::ScalarType dtype, uint64_t seed) {
  constexpr int32_t kRows = 3, kGreedy = 16;
  Decoder decoder = load_decoder(directory, parse_device(device), dtype);
  const ModelConfig& config = decoder.config();
  const int64_t length = std::min<int64_t>(24, config.max_positions - kGreedy);
  if (length < 2)
    throw Error(fmt::format("{}: a context of {} tokens is too short for an oracle", directory,
                            config.max_positions));
  const RandomStream stream(seed, Purpose::generate);
  Rows rows(kRows);
  for (uint32_t row = 0; row < kRows; ++row)
    for (uint32_t i = 0; i < static_cast<uint32_t>(length); ++i)
      rows[row].push_back(static_cast<int32_t>(stream.integer(0, config.vocab_size - 1, row, i)));

  const Computed computed = compute(decoder, device, rows, kGreedy);
  std::vector<NamedTensor> tensors = {{"input_ids", to_tensor(rows)},
                                      {"logits", computed.logits},
                                      {"loss", computed.loss},
                                      {"greedy", to_tensor(computed.greedy.tokens)}};
  for (const auto& [name, gradient] : computed.gradients)
    tensors.emplace_back("grad." + name, gradient);
  write_safetensors(file, std::move(tensors));
}

}  // namespace treepo
