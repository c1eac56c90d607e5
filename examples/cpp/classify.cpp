// SPDX-License-Identifier: Apache-2.0
//
// Classify with an artifact as `mnc build` made it, in TVM's runtime, without Python.
//
//     TVM=$(python -c "import os, tvm; print(os.path.dirname(tvm.__file__))")
//     c++ -std=c++17 -O2 -I$TVM/include -I$TVM/3rdparty/dlpack/include classify.cpp -o classify
//         -L$TVM -ltvm_runtime -Wl,-rpath,$TVM                       (all on one line)
//     ./classify build/host/mobilenet_v1_1.0_224 input.f32 2
//
// input.f32 holds the network's input as floats, preprocessed as manifest.json says under "preprocess"; the
// last word is the number of threads. It uses TVM's C interface, so that any C++ compiler and standard library
// go with the runtime. Loading library.so runs its native code: for a folder that came from somewhere
// else, check the hashes in manifest.json first (`mnc verify` does).
#include <tvm/runtime/c_runtime_api.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr std::size_t kTop = 5;

void Check(int status) {
    if (status != 0) throw std::runtime_error(TVMGetLastError());
}

struct FreeModule {
    void operator()(void* handle) const { TVMModFree(handle); }
};
struct FreeFunction {
    void operator()(void* handle) const { TVMFuncFree(handle); }
};
struct FreeArray {
    void operator()(DLTensor* handle) const { TVMArrayFree(handle); }
};
using Module = std::unique_ptr<void, FreeModule>;
using Function = std::unique_ptr<void, FreeFunction>;
using Array = std::unique_ptr<DLTensor, FreeArray>;

// An argument of a TVM function, with the code of its kind.
struct Argument {
    TVMValue value;
    int kind;
};

Argument Integer(long long number) {
    Argument argument{{}, kTVMArgInt};
    argument.value.v_int64 = number;
    return argument;
}

Argument Cpu() {
    Argument argument{{}, kDLDevice};
    argument.value.v_device = DLDevice{kDLCPU, 0};
    return argument;
}

TVMValue Call(const Function& function, const std::vector<Argument>& arguments) {
    std::vector<TVMValue> values;
    std::vector<int> kinds;
    for (const Argument& argument : arguments) {
        values.push_back(argument.value);
        kinds.push_back(argument.kind);
    }
    TVMValue result{};
    int kind = 0;
    Check(TVMFuncCall(function.get(), values.data(), kinds.data(), static_cast<int>(values.size()), &result,
                      &kind));
    return result;
}

Function Find(const Module& module, const char* name) {
    void* handle = nullptr;
    Check(TVMModGetFunction(module.get(), name, /*query_imports=*/0, &handle));
    if (handle == nullptr) throw std::runtime_error(std::string("library.so has no function ") + name);
    return Function(handle);
}

Module Load(const std::string& path) {
    void* handle = nullptr;
    Check(TVMModLoadFromFile(path.c_str(), "so", &handle));
    return Module(handle);
}

void UseThreads(int count) {
    constexpr int kBigCoresFirst = 1;
    void* handle = nullptr;
    Check(TVMFuncGetGlobal("runtime.config_threadpool", &handle));
    if (handle == nullptr) throw std::runtime_error("this runtime has no thread pool");
    Call(Function(handle), {Integer(kBigCoresFirst), Integer(count)});
}

Array Tensor(const Module& network, const char* function) {
    return Array(static_cast<DLTensor*>(Call(Find(network, function), {Integer(0)}).v_handle));
}

std::size_t Elements(const Array& array) {
    return std::accumulate(array->shape, array->shape + array->ndim, std::size_t{1},
                           [](std::size_t a, int64_t b) { return a * static_cast<std::size_t>(b); });
}

std::vector<float> ReadFloats(const std::string& path, std::size_t count) {
    std::vector<float> values(count);
    std::ifstream file(path, std::ios::binary);
    const auto bytes = static_cast<std::streamsize>(count * sizeof(float));
    if (!file.read(reinterpret_cast<char*>(values.data()), bytes))
        throw std::runtime_error(path + " does not hold " + std::to_string(count) + " floats");
    return values;
}

std::vector<std::string> ReadLines(const std::string& path) {
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
}

std::vector<float> Infer(const std::string& folder, const std::string& input) {
    const Module factory = Load(folder + "/library.so");
    const Module network(Call(Find(factory, "default"), {Cpu()}).v_handle);
    const Array in = Tensor(network, "get_input");
    std::vector<float> values = ReadFloats(input, Elements(in));
    Check(TVMArrayCopyFromBytes(in.get(), values.data(), values.size() * sizeof(float)));
    Call(Find(network, "run"), {});
    const Array out = Tensor(network, "get_output");
    std::vector<float> result(Elements(out));
    Check(TVMArrayCopyToBytes(out.get(), result.data(), result.size() * sizeof(float)));
    return result;
}

void PrintBest(const std::vector<float>& logits, const std::vector<std::string>& labels) {
    std::vector<std::size_t> order(logits.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const std::size_t shown = std::min(kTop, order.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(shown), order.end(),
                      [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
    for (std::size_t rank = 0; rank < shown; ++rank) {
        const std::size_t best = order[rank];
        std::cout << best << " " << logits[best] << " " << (best < labels.size() ? labels[best] : "") << "\n";
    }
}

}  // namespace

int main(int count, char** words) {
    if (count < 3) {
        std::cerr << "usage: classify ARTIFACT FILE-OF-FLOATS [THREADS]\n";
        return 2;
    }
    try {
        const std::string folder = words[1];
        UseThreads(count > 3 ? std::atoi(words[3]) : 1);
        PrintBest(Infer(folder, words[2]), ReadLines(folder + "/labels.txt"));
    } catch (const std::exception& error) {
        std::cerr << "classify: " << error.what() << "\n";
        return 1;
    }
    return 0;
}
