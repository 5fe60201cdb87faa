// Stores a greeting, reads it back, and counts its visitors.
//
//   hello [ENDPOINT...]     default: $ATOLL_ENDPOINTS, else 127.0.0.1:7850
#include <atoll/client.h>

#include <iostream>

int main(int argc, char** argv) {
  absl::StatusOr<atoll::ClientOptions> options = atoll::ClientOptions::FromEnvironment();
  if (!options.ok()) {
    std::cerr << options.status() << "\n";
    return 2;
  }
  if (argc > 1) options->endpoints.assign(argv + 1, argv + argc);

  absl::StatusOr<std::unique_ptr<atoll::Client>> client = atoll::Client::Create(*options);
  if (!client.ok()) {
    std::cerr << client.status() << "\n";
    return 2;
  }

  auto stored = (*client)->Set("greeting", "hello", {.ttl = absl::Minutes(5)});
  if (!stored.ok()) {
    std::cerr << stored.status() << "\n";
    return 3;
  }
  auto greeting = (*client)->Get("greeting");
  auto visitors = (*client)->Increment("visitors", 1, {.initial = 1});
  if (!greeting.ok() || !greeting->found() || !visitors.ok()) {
    std::cerr << greeting.status() << "\n" << visitors.status() << "\n";
    return 1;
  }
  std::cout << greeting->value.view() << ", visitor " << visitors->number << "\n";
  return 0;
}
