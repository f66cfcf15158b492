/* SPDX-License-Identifier: MIT
 *
 * A context outlives its thread: the biased count of bias.pml, with thread 0 ending and thread 2 adopting what it was.
 *
 * Stands for: thread.c: detach() once all is published, attach() with a context from the pool, under the lock
 * heap.threads; and all that bias.pml stands for. Thread 0 publishes the object, ends at any time when it holds
 * nothing (its handles went to others, to thread 2 as well), with entries in its queue, references counted in
 * local, a revocation under way. Thread 2 gets its context: the id that the bias names, the queue with what was sealed
 * of it, and counts on. Thread 1 is foreign, the background thread consumes all queues meanwhile.
 *
 * Left out: as in bias.pml; private objects, slabs, the suspects' queue.
 *
 * Property: that of bias.pml, over both lives of the context.
 *
 * Asked for in count_state.promela and count_steps.promela: OPS, HELD, PLACED, WEAK, FAILURES, POLL, WMM, IMMORTALS,
 * HARM; and the broken twins TWO_HOLDERS, LOST_QUEUE, POOL_UNORDERED, NO_REVOKE_GRACE.
 *
 * HOLDS: -DOPS=4 -DPOLL : exit with entries queued and sealed, adoption, both consume
 * HOLDS: -DOPS=3 -DHELD=2 -DPLACED=1 : what the old thread counted, the new one and others release
 * HOLDS: -DOPS=3 -DFAILURES=1 : an entry lost or linked in the first life, found in the second
 * HOLDS: -DOPS=3 -DWEAK=1 -DIMMORTALS : weak upgrades, an immortal object
 * HOLDS: -DOPS=3 -DWMM -DPOLL : store buffers: only the pool's lock is between the two lives
 * DEEP: -DOPS=5 -DPOLL : longer
 * DEEP: -DOPS=4 -DHELD=2 -DWMM : longer, with store buffers
 * DEEP: -DOPS=4 -DHELD=1 -DPLACED=1 -DWEAK=1 -DFAILURES=1 : slot, weak upgrades, no memory
 *
 * BREAKS: -DOPS=3 -DTWO_HOLDERS : the id is given to a new thread while the old one counts: a store of local is lost
 * BREAKS: -DOPS=3 -DTWO_HOLDERS -DPOLL -DHELD=2 : the same, with both as producer and consumer of one queue
 * BREAKS: -DOPS=3 -DLOST_QUEUE : the new thread has the id, but a queue of its own: what waited is forgotten
 * BREAKS: -DOPS=3 -DWMM -DPOOL_UNORDERED : adopted without the lock: the old thread's store of local comes late
 * BREAKS: -DOPS=3 -DNO_REVOKE_GRACE -DHARM : bias taken and local read at once, from the thread that has adopted it
 */
#define ADOPT
#define THREADS 3
#include "count_state.promela"
#include "count_steps.promela"
