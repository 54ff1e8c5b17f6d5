#include "model/cuda_packed_attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "base/error.h"
#include "model/cuda_kernels.h"
#include "model/staged_arrays.h"

namespace treepo {

// What all layers share: the pointers of `work`, and the arrays that they point to.
struct CudaPackedLayer::Plan {
  const CudaKernels* kernels = nullptr;
  CudaPackedAttention work;
  StagedArrays arrays;
  at::Tensor keys;  // int32
};

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using PlanPointer = std::shared_ptr<const CudaPackedLayer::Plan>;

struct Forward {
  at::Tensor out;  // [N, heads, head_dim]
  at::Tensor lse;  // float32 [N, heads]
};

Forward run_forward(const CudaPackedLayer::Plan& plan, const at::Tensor& qkv) {
  CudaPackedAttention work = plan.work;
  const auto wide = qkv.options().dtype(at::kFloat);
  Forward made{at::empty({qkv.size(0), work.shape.num_heads, qkv.size(2)}, qkv.options()),
               at::empty({qkv.size(0), work.shape.num_heads}, wide)};
  work.qkv = qkv.const_data_ptr();
  work.out = made.out.mutable_data_ptr();
  work.lse = made.lse.mutable_data_ptr<float>();
  check_cuda(*plan.kernels, plan.kernels->packed_attention_forward(CudaStream(qkv.device()), work));
  return made;
}

at::Tensor run_backward(const CudaPackedLayer::Plan& plan, const at::Tensor& qkv,
                        const at::Tensor& out, const at::Tensor& lse, const at::Tensor& grad_out) {
  CudaPackedAttention work = plan.work;
  const auto wide = qkv.options().dtype(at::kFloat);
  at::Tensor grad_qkv = at::empty_like(qkv), delta = at::empty_like(lse);
  at::Tensor scratch = at::empty({int64_t{work.num_key_tasks} * work.shape.num_kv_heads * 2,
                                  int64_t{kCudaKeyBlock} * work.shape.head_dim},
                                 wide);
  work.qkv = qkv.const_data_ptr();
  work.out = const_cast<void*>(out.const_data_ptr());  // read only
  work.lse = const_cast<float*>(lse.const_data_ptr<float>());
  work.grad_out = grad_out.const_data_ptr();
  work.grad_qkv = grad_qkv.mutable_data_ptr();
  work.delta = delta.mutable_data_ptr<float>();
  work.scratch = scratch.mutable_data_ptr<float>();
  check_cuda(*plan.kernels,
             plan.kernels->packed_attention_backward(CudaStream(qkv.device()), work));
  return grad_qkv;
}

struct Held : torch::CustomClassHolder {
  explicit Held(PlanPointer p) : plan(std::move(p)) {}
  PlanPointer plan;
};

struct Function : torch::autograd::Function<Function> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv, const PlanPointer& plan) {
    const Forward made = run_forward(*plan, qkv);
    ctx->save_for_backward({qkv, made.out, made.lse});
    ctx->saved_data["plan"] = c10::IValue::make_capsule(c10::make_intrusive<Held>(plan));
    return made.out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const auto held = c10::static_intrusive_pointer_cast<Held>(ctx->saved_data["plan"].toCapsule());
    return {run_backward(*held->plan, saved[0], saved[1], saved[2], grads[0].contiguous()),
            at::Tensor()};
  }
};

}  // namespace

bool CudaPackedLayer::serves(c10::Device device, c10::ScalarType dtype,
                             const AttentionShape& shape) {
  return cuda_kernels_for(device, dtype) != nullptr && cuda_kernels_take(shape);
}

CudaPackedLayer::CudaPackedLayer(const AttentionShape& shape, std::span<const int32_t> subtree_end,
                                 c10::Device device, c10::ScalarType dtype) {
  const auto made = std::make_shared<Plan>();
  made->kernels = cuda_kernels_for(device, dtype);
  const CudaPackedPlan plan =
      plan_cuda_packed(subtree_end, shape, wanted_cuda_blocks(*made->kernels, device));
  StagedArrays& arrays = made->arrays;
  const auto ends = arrays.add(subtree_end), blocks = arrays.add(plan.blocks),
             runs = arrays.add(plan.key_runs), tasks = arrays.add(plan.key_tasks),
             task_begin = arrays.add(plan.key_task_begin);
  arrays.upload(device);
  made->keys = at::empty({plan.num_keys}, at::device(device).dtype(at::kInt));
  check_cuda(
      *made->kernels,
      made->kernels->list_keys(CudaStream(device), arrays.at<CudaKeyRun>(runs),
                               std::ssize(plan.key_runs), made->keys.mutable_data_ptr<int32_t>()));

  CudaPackedAttention& work = made->work;
  work.type = cuda_type(dtype);
  work.shape = shape;
  work.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape.head_dim)));
  work.num_tokens = static_cast<int32_t>(subtree_end.size());
  work.subtree_end = arrays.at<int32_t>(ends);
  work.num_blocks = static_cast<int32_t>(plan.blocks.size());
  work.blocks = arrays.at<CudaQueryBlock>(blocks);
  work.keys = made->keys.const_data_ptr<int32_t>();
  work.num_key_blocks = plan.num_key_blocks();
  work.num_key_tasks = static_cast<int32_t>(plan.key_tasks.size());
  work.key_tasks = arrays.at<CudaKeyTask>(tasks);
  work.key_task_begin = arrays.at<int32_t>(task_begin);
  plan_ = made;
}

at::Tensor CudaPackedLayer::attend(int64_t /*layer*/, const at::Tensor& qkv) {
  const AttentionShape& shape = plan_->work.shape;
  TREEPO_CHECK(qkv.dim() == 3 && qkv.size(0) == plan_->work.num_tokens &&
                   qkv.size(1) == shape.num_heads + 2 * shape.num_kv_heads &&
                   qkv.size(2) == shape.head_dim,
               "qkv of {} tokens, plan of {}", qkv.size(0), plan_->work.num_tokens);
  const at::Tensor dense = qkv.contiguous();
  const bool records = at::GradMode::is_enabled() && dense.requires_grad();
  const at::Tensor out = records ? Function::apply(dense, plan_) : run_forward(*plan_, dense).out;
  return out.reshape({qkv.size(0), -1});
}

}  // namespace treepo
