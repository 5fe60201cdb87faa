// A message on its way out: written once, straight into the memory that gRPC sends, in as few
// blocks as its size needs; what is large goes along by reference.
//
// Thread safety: none. Empty again after Finish, and then needs no memory of its own anew.
#pragma once

#include <grpc/slice.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/container/inlined_vector.h"

namespace atoll::wire {

class Output {
 public:
  Output() = default;
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // How large the message is likely to get: the size of the first block.
  void Expect(size_t bytes);

  // Room for `bytes` in one piece, to be written from the pointer on; then Advance to the end of
  // what was. Nothing else may be called in between.
  uint8_t* Reserve(size_t bytes) {
    if (room_ < bytes) NewBlock(bytes);
    return next_;
  }
  void Advance(const uint8_t* end) {
    const size_t written = static_cast<size_t>(end - next_);
    next_ += written;
    room_ -= written;
    size_ += written;
  }
  void Append(std::string_view bytes);
  // By reference: `owner` is kept until gRPC has let go.
  void AppendShared(std::string_view bytes, const std::shared_ptr<const void>& owner);

  // Leaves a place for what is known only later (the length of what follows).
  struct Hole {
    size_t slice;
  };
  static constexpr size_t kHoleBytes = GRPC_SLICE_INLINED_SIZE;
  Hole LeaveHole();
  // At most kHoleBytes; once.
  void Fill(Hole hole, std::string_view bytes);

  // Takes back the last bytes of what the last Reserve had room for.
  void TakeBack(size_t bytes) {
    next_ -= bytes;
    room_ += bytes;
    size_ -= bytes;
  }

  // Takes all that the other holds behind what is here; the other is empty then.
  void Splice(Output& other);
  // What was written since the mark was set goes; holes that were left before it may still be
  // filled.
  struct Mark {
    size_t slices;
    size_t size;
  };
  Mark SetMark();
  void RollBack(const Mark& mark);

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Hands it over, and is empty.
  grpc::ByteBuffer Finish();
  // Drops all.
  void Clear();

 private:
  void NewBlock(size_t at_least);
  // Makes a slice of what was written in the block since the last one.
  void CutBlock();

  absl::InlinedVector<grpc_slice, 8> slices_;
  grpc_slice block_ = grpc_empty_slice();
  uint8_t* from_ = nullptr;  // in the block: what no slice has yet
  uint8_t* next_ = nullptr;
  size_t room_ = 0;
  size_t expected_ = 0;
  size_t size_ = 0;
};

}  // namespace atoll::wire
