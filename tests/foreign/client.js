// A plain Node client: the public protos loaded as they are, any node takes any key.
//
// usage: client.js PROTOS HOST:PORT...    PROTOS: the repository's proto/ folder
"use strict";

const assert = require("node:assert");
const { promisify } = require("node:util");
const grpc = require("@grpc/grpc-js");
const protoLoader = require("@grpc/proto-loader");

const [protos, ...endpoints] = process.argv.slice(2);
const { atoll } = grpc.loadPackageDefinition(
  protoLoader.loadSync("atoll/v1/cache.proto", {
    includeDirs: [protos],
    longs: String, // versions have 64 bits
    enums: String,
    defaults: true,
  }),
);

function connect(endpoint) {
  const client = new atoll.v1.CacheService(endpoint, grpc.credentials.createInsecure());
  const call = (name) => {
    const method = promisify(client[name].bind(client));
    return (request) => method(request, { deadline: Date.now() + 10_000 });
  };
  return { close: () => client.close(), get: call("Get"), set: call("Set") };
}

async function main() {
  const nodes = endpoints.map(connect);
  const value = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  for (const [i, writer] of nodes.entries()) {
    for (let k = 0; k < 20; ++k) {
      const key = Buffer.from(`node:${i}:${k}`);
      const stored = await writer.set({ key, value, ttlMs: 60_000, flags: k });
      assert.equal(stored.outcome, "OUTCOME_OK");
      for (const reader of nodes) {
        const got = await reader.get({ key });
        assert.equal(got.outcome, "OUTCOME_OK");
        assert.deepEqual(got.value, value);
        assert.equal(got.version, stored.version);
        assert.equal(got.flags, k);
      }
    }
  }
  // A miss is an answer, not an error.
  const miss = await nodes[0].get({ key: Buffer.from("node:nobody") });
  assert.equal(miss.outcome, "OUTCOME_MISS");
  await assert.rejects(nodes[0].set({ key: Buffer.alloc(1300), value }), {
    code: grpc.status.INVALID_ARGUMENT,
    details: "key: 1300 bytes, limit 1024",
  });
  for (const node of nodes) {
    node.close();
  }
  console.log("node: ok");
}

main().catch((error) => {
  console.error("node:", error);
  process.exit(1);
});
