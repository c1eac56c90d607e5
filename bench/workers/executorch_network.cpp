// SPDX-License-Identifier: Apache-2.0
// ExecuTorch's C++ interface as C functions for run_executorch_cpp.py: the one for Python needs
// PyTorch. Module and from_blob are what its guide for C++ uses.
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>

// As in extension/threadpool/threadpool.h, which the wheel's headers leave out.
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  bool _unsafe_reset_threadpool(uint32_t threads);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

namespace et = executorch::extension;

// The network of a .pte file, with a pool of `threads` threads for all networks; null where it cannot
// be loaded.
extern "C" et::Module* network_load(const char* path, uint32_t threads) {
  et::threadpool::ThreadPool* pool = et::threadpool::get_threadpool();
  if (pool == nullptr || !pool->_unsafe_reset_threadpool(threads)) return nullptr;
  et::Module* network = new et::Module(path);
  return network->load_forward() == executorch::runtime::Error::Ok ? network : nullptr;
}

// One call with float32 of `shape` (N, C, H, W), read where it is. Gives float32 that stays until the next
// call, `count` of them; null where the call fails.
extern "C" const float* network_call(et::Module* network, float* image, const int32_t shape[4],
                                     int64_t* count) {
  auto given = network->forward(et::from_blob(image, {shape[0], shape[1], shape[2], shape[3]}));
  if (!given.ok()) return nullptr;
  auto output = given->at(0).toTensor();
  *count = output.numel();
  return output.const_data_ptr<float>();
}
