// One request for many identical reads. Private to this folder.
#pragma once

#include <memory>
#include <string>

#include "server/routing/router.h"

namespace atoll::routing {

// Reads a key from its owner for all who boarded, and again for those who boarded meanwhile: then
// with the version just read, so that an unchanged value does not travel twice.
class Router::ReadFlight : public std::enable_shared_from_this<ReadFlight> {
 public:
  static std::string KeyOf(const replication::Operation& get, const CallOptions& options);

  // Copies what it needs of the first waiter's operation, which may end before the flight does.
  ReadFlight(Router* router, std::string flight_key, const replication::Operation& get,
             const CallOptions& options);
  void Launch();

 private:
  void OnAnswer(const replication::OperationResult& result);
  void Land(const replication::OperationResult& result);

  Router* const router_;
  const std::string flight_key_;
  const std::string key_;
  const CallOptions options_;
  replication::Operation operation_;
  // The answer of the flight before; its value is handed to everybody by reference.
  replication::OperationResult held_;
};

}  // namespace atoll::routing
