# The caches that Atoll is measured against, with the libraries that they need: unpacked, never installed.
# shellcheck shell=bash

# find_peers: exports where atoll-bench finds them.
find_peers() {
  ATOLL_MEMCACHED_BINARY=${ATOLL_MEMCACHED_BINARY:-$(unpack_program usr/bin/memcached memcached libevent-2.1-7 libsasl2-2)}
  ATOLL_REDIS_SERVER_BINARY=${ATOLL_REDIS_SERVER_BINARY:-$(unpack_program usr/bin/redis-server redis-server redis-tools \
    libatomic1 libjemalloc2 liblzf1)}
  export ATOLL_MEMCACHED_BINARY ATOLL_REDIS_SERVER_BINARY
}
