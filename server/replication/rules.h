// Rules that a test may switch off, to see that some test misses them. Production never does.
#pragma once

namespace atoll::replication {

struct Rules {
  bool r2_wait_for_replicas = true;    // acknowledge only what every ISR member has
  bool r3_union = true;                // a member asked for counts until the outcome is known
  bool r4_reject_lower_epochs = true;  // and answers stale primaries
  bool r5_lease = true;                // read only under the lease
  bool r6_takeover = true;             // adopt, fetch the tail, send it, then serve
  bool r7_copy_before_in_sync = true;  // a learner's copy is made anew before it is in sync
  bool grace = true;                   // a new primary waits for the old one's lease to end
  bool reads_wait_for_commit = true;   // R5's other half
  bool warm_hints = true;              // replicas are told what is read at the primary
};

}  // namespace atoll::replication
