"""A plain Python client: stubs made from the public protos, any node takes any key.

usage: client.py STUBS HOST:PORT...    STUBS: the folder that protoc wrote to
"""

import sys

import grpc

sys.path.insert(0, sys.argv[1])
from atoll.v1 import cache_pb2, cache_pb2_grpc  # noqa: E402  (the path is an argument)


def check(condition, what):
    if not condition:
        sys.exit(f"python: {what}")


def main():
    endpoints = sys.argv[2:]
    nodes = [cache_pb2_grpc.CacheServiceStub(grpc.insecure_channel(e)) for e in endpoints]
    value = bytes(range(256))
    for i, writer in enumerate(nodes):
        for k in range(20):
            key = f"python:{i}:{k}".encode()
            stored = writer.Set(
                cache_pb2.SetRequest(key=key, value=value, ttl_ms=60_000, flags=k), timeout=10
            )
            check(stored.outcome == cache_pb2.OUTCOME_OK, f"set answered {stored}")
            for reader in nodes:
                got = reader.Get(cache_pb2.GetRequest(key=key), timeout=10)
                check(got.outcome == cache_pb2.OUTCOME_OK, f"get answered {got}")
                check(got.value == value, "another value came back")
                check(got.version == stored.version and got.flags == k, f"get answered {got}")
                # Kept in whole seconds, rounded up.
                check(0 < got.ttl_ms <= 61_000, f"time to live {got.ttl_ms}")

    # A miss is an answer, not an error.
    got = nodes[0].Get(cache_pb2.GetRequest(key=b"python:nobody"), timeout=10)
    check(got.outcome == cache_pb2.OUTCOME_MISS, f"a miss answered {got}")

    many = nodes[-1].MultiGet(
        cache_pb2.MultiGetRequest(keys=[b"python:0:0", b"python:nobody", b"python:0:1"]), timeout=10
    )
    found = {r.index: r.result.outcome for r in many.results}
    ok, miss = cache_pb2.OUTCOME_OK, cache_pb2.OUTCOME_MISS
    check(found == {0: ok, 1: miss, 2: ok}, f"multi get answered {found}")

    try:
        nodes[0].Set(cache_pb2.SetRequest(key=b"k" * 1300, value=b""), timeout=10)
        sys.exit("python: a key of 1300 bytes was taken")
    except grpc.RpcError as error:
        check(error.code() == grpc.StatusCode.INVALID_ARGUMENT, f"refused with {error.code()}")
        check(error.details() == "key: 1300 bytes, limit 1024", error.details())
    print("python: ok")


main()
