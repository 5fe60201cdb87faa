// A partition's mutex.
#pragma once

#include "base/small_mutex.h"

namespace atoll::store {

using base::SmallMutex;
using base::SmallMutexLock;

}  // namespace atoll::store
