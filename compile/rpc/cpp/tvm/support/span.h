// SPDX-License-Identifier: Apache-2.0
// The one header that TVM's runtime needs and its wheel leaves out: a view of [first, last) as values of W.
#ifndef TVM_SUPPORT_SPAN_H_
#define TVM_SUPPORT_SPAN_H_

#include <cstddef>
#include <vector>

namespace tvm {
namespace support {

template <typename T, typename W>
class Span {
 public:
  Span(T* first, T* last) : first_(first), last_(last) {}
  std::size_t size() const { return static_cast<std::size_t>(last_ - first_); }
  W operator[](std::size_t i) const { return W(first_[i]); }
  T* begin() const { return first_; }
  T* end() const { return last_; }
  operator std::vector<W>() const { return std::vector<W>(first_, last_); }

 private:
  T* first_;
  T* last_;
};

}  // namespace support
}  // namespace tvm

#endif  // TVM_SUPPORT_SPAN_H_
