// What the calls of CacheService's streams share.
#pragma once

#include "base/gate.h"
#include "server/service/cache_handler.h"
#include "server/service/cache_service.h"

namespace atoll::service {

struct StreamEntry {
  CacheAsyncService* service = nullptr;
  CacheHandler* handler = nullptr;
  base::Gate* calls = nullptr;
  routing::Hop hop = routing::Hop::kFirst;
};

}  // namespace atoll::service
