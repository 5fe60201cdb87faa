#include "rpc/wire/output.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "rpc/completion_queue.h"

namespace atoll::wire {
namespace {

constexpr size_t kLeastBlock = 256;
constexpr size_t kMostExpected = size_t{256} << 10;
// Of a message that turned out larger than expected.
constexpr size_t kFurtherBlock = size_t{32} << 10;

void DropOwner(void* owner) {
  rpc::AcquireFromGrpc(owner);
  delete static_cast<std::shared_ptr<const void>*>(owner);
}

}  // namespace

Output::~Output() { Clear(); }

void Output::Expect(size_t bytes) { expected_ = bytes; }

void Output::Append(std::string_view bytes) {
  if (bytes.empty()) return;
  uint8_t* const place = Reserve(bytes.size());
  std::memcpy(place, bytes.data(), bytes.size());
  Advance(place + bytes.size());
}

void Output::AppendShared(std::string_view bytes, const std::shared_ptr<const void>& owner) {
  if (bytes.empty()) return;
  CutBlock();
  auto* const kept = new std::shared_ptr<const void>(owner);
  rpc::ReleaseToGrpc(kept);
  // gRPC only reads; its interface has no const.
  slices_.push_back(grpc_slice_new_with_user_data(const_cast<char*>(bytes.data()), bytes.size(),
                                                  &DropOwner, kept));
  size_ += bytes.size();
}

Output::Hole Output::LeaveHole() {
  CutBlock();
  slices_.push_back(grpc_empty_slice());
  return {slices_.size() - 1};
}

void Output::Fill(Hole hole, std::string_view bytes) {
  // So short a slice holds its bytes itself.
  slices_[hole.slice] = grpc_slice_from_copied_buffer(bytes.data(), bytes.size());
  size_ += bytes.size();
}

void Output::Splice(Output& other) {
  CutBlock();
  other.CutBlock();
  slices_.insert(slices_.end(), other.slices_.begin(), other.slices_.end());
  size_ += other.size_;
  other.slices_.clear();
  other.Clear();
}

Output::Mark Output::SetMark() {
  CutBlock();
  return {slices_.size(), size_};
}

void Output::RollBack(const Mark& mark) {
  room_ += static_cast<size_t>(next_ - from_);
  next_ = from_;
  while (slices_.size() > mark.slices) {
    grpc_slice_unref(slices_.back());
    slices_.pop_back();
  }
  size_ = mark.size;
}

void Output::NewBlock(size_t at_least) {
  const size_t wanted =
      size_ == 0 ? std::clamp(expected_, kLeastBlock, kMostExpected) : kFurtherBlock;
  CutBlock();
  if (block_.refcount != nullptr) grpc_slice_unref(block_);
  block_ = grpc_slice_malloc_large(std::max(wanted, at_least));
  next_ = from_ = GRPC_SLICE_START_PTR(block_);
  room_ = GRPC_SLICE_LENGTH(block_);
}

void Output::CutBlock() {
  if (next_ == from_) return;
  const uint8_t* const start = GRPC_SLICE_START_PTR(block_);
  slices_.push_back(grpc_slice_sub(block_, static_cast<size_t>(from_ - start),
                                   static_cast<size_t>(next_ - start)));
  from_ = next_;
}

grpc::ByteBuffer Output::Finish() {
  CutBlock();
  absl::InlinedVector<grpc::Slice, 8> slices;
  slices.reserve(slices_.size());
  for (const grpc_slice& slice : slices_) slices.emplace_back(slice, grpc::Slice::STEAL_REF);
  slices_.clear();
  Clear();
  return grpc::ByteBuffer(slices.data(), slices.size());
}

void Output::Clear() {
  for (const grpc_slice& slice : slices_) grpc_slice_unref(slice);
  slices_.clear();
  if (block_.refcount != nullptr) grpc_slice_unref(block_);
  block_ = grpc_empty_slice();
  from_ = next_ = nullptr;
  room_ = 0;
  size_ = 0;
}

}  // namespace atoll::wire
