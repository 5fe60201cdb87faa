#include "server/service/reflection_service.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/async_stream.h>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "rpc/completion_queue.h"

namespace atoll::service {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;

// The file and everything that it imports, each once.
void AddWithImports(const FileDescriptor* file, absl::flat_hash_set<const FileDescriptor*>& added,
                    ServerReflectionResponse& response) {
  if (!added.insert(file).second) return;
  google::protobuf::FileDescriptorProto message;
  file->CopyTo(&message);
  *response.mutable_file_descriptor_response()->add_file_descriptor_proto() =
      message.SerializeAsString();
  for (int i = 0; i < file->dependency_count(); ++i) {
    AddWithImports(file->dependency(i), added, response);
  }
}

void AnswerFile(const FileDescriptor* file, const std::string& asked,
                ServerReflectionResponse& response) {
  if (file == nullptr) {
    response.mutable_error_response()->set_error_code(grpc::StatusCode::NOT_FOUND);
    response.mutable_error_response()->set_error_message(absl::StrCat("not known: ", asked));
    return;
  }
  absl::flat_hash_set<const FileDescriptor*> added;
  AddWithImports(file, added, response);
}

}  // namespace

ServerReflectionResponse ReflectionService::Answer(const ServerReflectionRequest& request) const {
  const DescriptorPool* pool = DescriptorPool::generated_pool();
  ServerReflectionResponse response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case ServerReflectionRequest::kFileByFilename:
      AnswerFile(pool->FindFileByName(request.file_by_filename()), request.file_by_filename(),
                 response);
      break;
    case ServerReflectionRequest::kFileContainingSymbol:
      AnswerFile(pool->FindFileContainingSymbol(request.file_containing_symbol()),
                 request.file_containing_symbol(), response);
      break;
    case ServerReflectionRequest::kListServices:
      for (const std::string& name : services_) {
        response.mutable_list_services_response()->add_service()->set_name(name);
      }
      break;
    case ServerReflectionRequest::kFileContainingExtension:
      AnswerFile(nullptr, request.file_containing_extension().containing_type(), response);
      break;
    case ServerReflectionRequest::kAllExtensionNumbersOfType:
      // proto3 has none, but for options.
      response.mutable_all_extension_numbers_response()->set_base_type_name(
          request.all_extension_numbers_of_type());
      break;
    case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET:
      response.mutable_error_response()->set_error_code(grpc::StatusCode::INVALID_ARGUMENT);
      response.mutable_error_response()->set_error_message("message_request: not set");
      break;
  }
  return response;
}

// One caller: a request, its answer, the next request. One event is under way at a time.
//
// Lifetime: owns itself, from the accept until the stream's end was carried out.
class ReflectionService::Stream final : public rpc::Tag {
 public:
  static void Serve(ReflectionService* owner, grpc::ServerCompletionQueue* queue,
                    base::Gate* calls) {
    if (!calls->Enter()) return;
    auto* stream = new Stream(owner, queue, calls);
    owner->service_.RequestServerReflectionInfo(&stream->context_, &stream->stream_, queue, queue,
                                                stream->Arm());
  }

  void Proceed(bool ok) override {
    switch (step_) {
      case Step::kAccept:
        if (!ok) break;
        Serve(owner_, queue_, calls_);
        return Read();
      case Step::kRead:
        return ok ? Write() : Finish();
      case Step::kWrite:
        return ok ? Read() : Finish();
      case Step::kFinish:
        break;
    }
    base::Gate* const calls = calls_;
    delete this;
    calls->Leave();
  }

 private:
  enum class Step : uint8_t { kAccept, kRead, kWrite, kFinish };

  Stream(ReflectionService* owner, grpc::ServerCompletionQueue* queue, base::Gate* calls)
      : owner_(owner), queue_(queue), calls_(calls) {}

  void Read() {
    step_ = Step::kRead;
    stream_.Read(&request_, Arm());
  }
  void Write() {
    step_ = Step::kWrite;
    stream_.Write(owner_->Answer(request_), Arm());
  }
  void Finish() {
    step_ = Step::kFinish;
    stream_.Finish(grpc::Status::OK, Arm());
  }

  ReflectionService* const owner_;
  grpc::ServerCompletionQueue* const queue_;
  base::Gate* const calls_;
  grpc::ServerContext context_;
  grpc::ServerAsyncReaderWriter<ServerReflectionResponse, ServerReflectionRequest> stream_{
      &context_};
  ServerReflectionRequest request_;
  Step step_ = Step::kAccept;
};

void ReflectionService::Start(grpc::ServerCompletionQueue* queue, base::Gate* calls) {
  Stream::Serve(this, queue, calls);
}

}  // namespace atoll::service
