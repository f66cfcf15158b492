/* SPDX-License-Identifier: MIT
 *
 * The biased count of one published object, from both sides, to its end.
 *
 * Stands for: count.h (all of it); count.c: merge_last, queue, after_shared_down, retain and release of published
 * objects, cgc_transfer, cgc_immortalize; pending.c: push with its two ways out of memory, retry_overflow,
 * look_again, settle_bias, settle_zero, take_ready, consume by the owner and by the background thread; grace.c; of
 * slot.c load and store; of weak.c upgrade() and cgc__weak_detach(); of window.c requeue_lost(); of reclaim.c
 * drop_published_child(), give_back(). Thread 0 has published the object and is its owner until the bias goes; it ends
 * by blocking for ever.
 *
 * Left out: other objects; SUSPECT and CONDEMNED, windows and verdict (window.pml, weak.pml); saturation by
 * counting (it is cgc_immortalize() here, by anybody who holds a reference, at any time). A queue holds 3 entries, and
 * a batch is one of them. Versions start over when nobody can compare them. A load and the exchange that it leads to
 * are one step: what fails changes nothing. A section begins with its first access and ends with its last, which allows
 * more than the code. A grace period waits for the sections that are open once its number is taken; it is a full
 * barrier for every thread at both ends. WMM: a store buffer for each thread, drained in any order between addresses; a
 * release store or a releasing read-modify-write comes after what was stored before, a relaxed one does not. Not
 * covered: a relaxed read-modify-write that is itself late (but for RELAXED_LOST).
 *
 * Property: nobody makes the object DEAD while a reference exists, one thread destroys it, its memory goes back once
 * and is not touched afterwards, nor while a section has borrowed it; local is read for good only when no holder of the
 * context can still write it (I2); local + shared is never below the number of references (I3), and no merged count is
 * below zero; when all references are gone and all queues empty, it is destroyed and its memory back, or it is
 * immortal.
 *
 * Asked for in count_state.promela and count_steps.promela: THREADS, OPS, HELD, PLACED, CHILD, WEAK, FAILURES, POLL,
 * IMMORTALS, SECTIONS, WMM, HARM (a broken rule is let pass, what comes of it is found), and the broken twins
 * LOOK_OUTSIDE, NO_REVOKE_GRACE, NO_GRACE, GRACE_UNDER_WAY, NO_BARRIER, LOWER_FIRST, TRANSFER_LOWERS, MERGED_FIRST,
 * UNBIASED_FIRST, JUDGE_SUM, NO_WORD, NO_VERSION, QUEUE_ANY, CLEAR_AT_ZERO, TWO_ENTRIES, PUSH_ANYWAY, NO_TRYLOCK,
 * OWNER_UPGRADES, UPGRADE_UNCHECKED, RELAXED_DOWN, RELAXED_MERGE, RELAXED_LOST; and SEAL_FIRST, which is not one.
 *
 * HOLDS: -DOPS=5 -DHELD=1 : merge against foreign decrement, queue, revocation of a running or blocked owner, transfer
 * HOLDS: -DOPS=4 -DHELD=2 -DPOLL : the same with every thread consuming its own queue
 * HOLDS: -DOPS=5 -DHELD=0 -DPLACED=1 -DPOLL : merged from the start, in a slot: counted up from zero, down again
 * HOLDS: -DOPS=4 -DHELD=1 -DPLACED=1 -DWEAK=1 : slot, owner's handle, weak upgrades; memory a grace period later
 * HOLDS: -DOPS=4 -DPLACED=1 -DSECTIONS : sections of the program's own, with a borrowed pointer across other calls
 * HOLDS: -DOPS=4 -DHELD=0 -DPLACED=1 -DSECTIONS -DCHILD=1 : the same and a dead parent: what is borrowed stays
 * HOLDS: -DOPS=3 -DCHILD=1 : a dead parent drops its reference; a stamp that is old or not
 * HOLDS: -DOPS=3 -DFAILURES=2 -DPOLL : queues that find no memory, twice
 * HOLDS: -DOPS=3 -DIMMORTALS -DFAILURES=1 : immortal at any moment, revocation and merge under way
 * HOLDS: -DTHREADS=3 -DOPS=3 : an owner and two foreign threads
 * HOLDS: -DWMM -DOPS=4 -DHELD=1 -DPOLL : store buffers: merge, revocation, entries
 * HOLDS: -DWMM -DOPS=3 -DHELD=2 -DFAILURES=1 : store buffers: the overflow list and the request for another look
 * HOLDS: -DWMM -DOPS=2 -DCHILD=1 : store buffers: used, then discounted; the stamp before the count
 * HOLDS: -DWMM -DOPS=3 -DIMMORTALS -DWEAK=1 : store buffers: an immortal bias that others see late, weak upgrades
 * HOLDS: -DSEAL_FIRST -DWMM -DOPS=3 -DPOLL : number before length: who seals foreign queues runs the periods
 * DEEP: -DTHREADS=3 -DOPS=4 -DHELD=2 : three threads
 * DEEP: -DTHREADS=3 -DOPS=4 -DPOLL : three threads that consume
 * DEEP: -DTHREADS=3 -DOPS=4 -DPLACED=1 -DWEAK=1 : three threads, slot, weak upgrades
 * DEEP: -DTHREADS=3 -DOPS=3 -DWMM -DPOLL : three threads with store buffers
 * DEEP: -DTHREADS=3 -DOPS=2 -DCHILD=1 : three threads and a dead parent
 * DEEP: -DTHREADS=3 -DOPS=4 -DPLACED=1 -DSECTIONS : three threads that borrow
 * DEEP: -DOPS=5 -DHELD=2 -DFAILURES=1 : two threads, longer, no memory once
 * DEEP: -DOPS=5 -DWMM -DPOLL : two threads with store buffers, longer
 *
 * BREAKS: -DOPS=3 -DLOOK_OUTSIDE -DHARM : bias looked at before the section: counts in local that was added up
 * BREAKS: -DOPS=3 -DNO_REVOKE_GRACE -DHARM : bias taken and local read at once: the same, in a section
 * BREAKS: -DOPS=3 -DNO_REVOKE_GRACE : the same, seen as I2
 * BREAKS: -DOPS=3 -DNO_GRACE -DHARM : entries settled without any grace period
 * BREAKS: -DOPS=3 -DGRACE_UNDER_WAY -DPOLL -DHARM : sealed with the grace period that is under way
 * BREAKS: -DOPS=3 -DNO_BARRIER -DWMM : grace period that does not drain the owner's store of local
 * BREAKS: -DOPS=3 -DLOWER_FIRST : revocation zeroes local, then raises shared: too low in between
 * BREAKS: -DOPS=3 -DTRANSFER_LOWERS : transfer lowers local, then raises shared: too low in between
 * BREAKS: -DOPS=3 -DMERGED_FIRST -DFAILURES=1 : MERGED before local is zero: which overwrites a foreign link
 * BREAKS: -DOPS=3 -DUNBIASED_FIRST : UNBIASED before MERGED: taken for a revocation without its grace period
 * BREAKS: -DOPS=3 -DUNBIASED_FIRST -DHARM -DWMM : the same: added up by the settler, merged by the owner
 * BREAKS: -DOPS=3 -DJUDGE_SUM : local and shared loaded one after the other, sum zero taken for dead
 * BREAKS: -DOPS=5 -DHELD=0 -DPLACED=1 -DNO_WORD : entry's word not compared: counted up and down since, borrowed again
 * BREAKS: -DOPS=5 -DHELD=0 -DPLACED=1 -DNO_VERSION : compared without version: the same (ABA)
 * BREAKS: -DOPS=3 -DQUEUE_ANY : entry made with a count above zero, and settled by comparing words only
 * BREAKS: -DOPS=3 -DCLEAR_AT_ZERO : QUEUED taken back although the count is zero: a leak
 * BREAKS: -DOPS=3 -DTWO_ENTRIES : zero seen by two, queued by both, whatever QUEUED says
 * BREAKS: -DOPS=3 -DPUSH_ANYWAY : pushed by who lost the exchange for QUEUED
 * BREAKS: -DOPS=3 -DPOLL -DNO_TRYLOCK : two consumers take one entry
 * BREAKS: -DOPS=3 -DWEAK=1 -DOWNER_UPGRADES : the owner upgrades with a plain store to local, whatever the bias says
 * BREAKS: -DOPS=3 -DWEAK=1 -DUPGRADE_UNCHECKED : weak reference counted up like a borrowed one, DEAD or not
 * BREAKS: -DOPS=2 -DCHILD=1 -DWMM -DRELAXED_DOWN : relaxed decrement: old stamp read, use after death
 * BREAKS: -DOPS=3 -DFAILURES=1 -DWMM -DRELAXED_MERGE : MERGED set relaxed: the zero of local comes after the link
 * BREAKS: -DOPS=3 -DFAILURES=1 -DWMM -DRELAXED_LOST : request for another look seen before QUEUED is taken back: a leak
 */
#include "count_state.promela"
#include "count_steps.promela"
