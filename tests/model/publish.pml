/* SPDX-License-Identifier: MIT
 *
 * Publication of a private graph, seen by a reader, by the detector and, when its cells are used again, by its owner.
 *
 * Stands for: cgc__publish_graph(), publish() of src/publish.c; swap(), put(), cgc__store_slow() of src/slot.c;
 * enter_slab(), enter(), copy_edges(), cgc__window_has_changed(), cgc__window_decide() of src/window.c; gather() of
 * src/young.c; cgc__slab_give() by a foreign thread and the taking of its cell, src/slab.c; cgc__count_up(),
 * cgc__count_down(), cgc__count_merge_last() of src/count.[hc]; settle_bias(), settle_zero() of src/pending.c and
 * drop_published_child() of src/reclaim.c, for a way to die.
 *
 * Abstracted: a parent and its child in two cells, one root; nothing in the graph was published before. An exchange
 * loop is one step. The background thread settles what is queued between its looks, and frees; a verdict is only
 * checked, not carried out. With WMM the owner and the background thread, who write plainly, have a store buffer
 * each: it drains in any order between addresses, a release after what was stored before it, a releasing
 * read-modify-write waits until it is empty. Loads are in order, relaxed read-modify-writes never late. A grace period
 * drains the buffers at both ends (membarrier) and waits for sections.
 *
 * Safety: what a reader gets from a published slot is not private and has all its words and fields; the detector reads
 * no scratch word and no unset slot, and judges nothing dead that somebody reaches; what the local collection gathers
 * is exactly what is private, and a cell is free when it is taken for a new object.
 *
 * Asked for in publish_memory.promela: WMM, GENERATION_RELAXED.
 *
 * HOLDS: -DOPS=2 : parent and child stored by cgc_store_consume(), counted up, dropped and freed by others
 * HOLDS: -DOPS=3 -DKEPT -DCHILD_KEPT : the owner keeps handles, and drops them beside the reader
 * HOLDS: -DOPS=2 -DRING : the two refer to each other
 * HOLDS: -DOPS=2 -DGATHERS -DAGAIN=2 -DLOOKS=2 : cells freed by others, gathered, taken and published again
 * HOLDS: -DOPS=2 -DWMM : store buffers
 * HOLDS: -DOPS=2 -DWMM -DKEPT -DCHILD_KEPT : store buffers, the owner keeps handles
 * HOLDS: -DOPS=2 -DWMM -DRING : store buffers, a ring
 * HOLDS: -DOPS=1 -DWMM -DGATHERS -DAGAIN=1 : store buffers, cells used again
 * HOLDS: -DOPS=3 -DKEPT -DCHILD_KEPT -DCOUNTED_LOCALLY : no twin: references in slots left in local cost a revocation
 * HOLDS: -DOPS=1 -DWMM -DGATHERS -DAGAIN=1 -DFREE_AFTER_GENERATION : no twin: bias FREE after generation 0, before REMOTE
 * DEEP: -DOPS=2 -DWMM -DKEPT -DCHILD_KEPT -DGATHERS -DAGAIN=2 -DLOOKS=2 : store buffers, more of all
 *
 * BREAKS: -DOPS=1 -DADDRESS_FIRST : the address is stored before the graph is published; a reader gets what is private
 * BREAKS: -DOPS=1 -DWMM -DSWAP_RELAXED : the same by a relaxed swap, which overtakes the words
 * BREAKS: -DOPS=1 -DGENERATION_FIRST : generation 2 before the final words; the detector reads scratch as a count
 * BREAKS: -DOPS=1 -DWMM -DGENERATION_RELAXED : the same by a relaxed store of the generation
 * BREAKS: -DOPS=1 -DFIELDS_LATE : fields after generation 2; the detector follows an unset slot
 * BREAKS: -DOPS=1 -DCHILD_LEFT : only the parent is published; a reader gets to the private child
 * BREAKS: -DOPS=1 -DTO_SHARED_LATE : the handle is given up before the slot's reference is counted; judged dead on its way
 * BREAKS: -DOPS=1 -DGATHERS -DAGAIN=1 -DGENERATION_LEFT=1 : a free cell keeps 1; the new object in it is not gathered
 * BREAKS: -DOPS=1 -DGATHERS -DAGAIN=1 -DGENERATION_LEFT=2 : a free cell keeps 2; the detector reads a list link as a count
 * BREAKS: -DOPS=1 -DGATHERS -DAGAIN=1 -DFREE_LATE : bias FREE after the cell is given; it falls on the new object
 */
#ifndef OPS
#define OPS 2
#endif
#ifndef LOOKS
#define LOOKS 1
#endif
/* Objects the owner makes of cells that others have freed. */
#ifndef AGAIN
#define AGAIN 0
#endif
#define P 0
#define C 1
#define NIL 2
#define BIT(l) (1 << (l))

#include "publish_memory.promela"

/* What others see of an object that they found in a published slot. */
inline must_be_published(c) {
	assert(memory[L(c, BIAS)] == BIASED || memory[L(c, BIAS)] == UNBIASED);
	assert(!(memory[L(c, SHARED)] & (SCRATCH | DEAD)) && memory[L(c, MINE)] != JUNK);
	assert(memory[L(c, FIELD)] == 1 && memory[L(c, SLOT)] <= NIL)
}

/* The owner. A new object: cgc_new(), and its fields. */
inline make(c, child) {
	put_word(0, L(c, BIAS), PRIVATE);
	put_word(0, L(c, MINE), 1);
	put_word(0, L(c, SHARED), ZERO);
	set_fields(c, child);
	owned = owned | BIT(c)
}
inline set_fields(c, child) {
#ifndef FIELDS_LATE
	put_word(0, L(c, SLOT), child);
	put_word(0, L(c, FIELD), 1)
#else
	skip
#endif
}
#ifdef RING
#define IN_P 1
#else
#define IN_P 0
#endif
#ifdef KEPT
#define KEEPS 1 /* cgc_store, not cgc_store_consume */
#else
#define KEEPS 0
#endif
#ifdef CHILD_KEPT
#define KEEPS_CHILD 1
#else
#define KEEPS_CHILD 0
#endif
/* publish(): final words, bias, generation. */
inline publish(c, handles, internal) {
#ifdef GENERATION_FIRST
	put_generation(0, c, 2);
#endif
	put_word(0, L(c, MINE), handles);
	put_word(0, L(c, SHARED), ZERO + internal + ((handles) == 0 -> MERGED : 0));
	put_word(0, L(c, BIAS), ((handles) == 0 -> UNBIASED : BIASED));
	owned = owned & ~BIT(c);
#ifndef GENERATION_FIRST
	put_generation(0, c, 2)
#endif
}
#ifdef TO_SHARED_LATE
#define TO_SHARED 0
#else
#define TO_SHARED 1
#endif
inline publish_graph() {
	put_word(0, L(P, SHARED), SCRATCH);
#ifndef CHILD_LEFT
	put_word(0, L(C, SHARED), SCRATCH);
#endif
#ifdef COUNTED_LOCALLY
	publish(P, KEEPS + IN_P, TO_SHARED);
	publish(C, 1 + KEEPS_CHILD, 0)
#else
	publish(P, KEEPS, TO_SHARED + IN_P);
#ifndef CHILD_LEFT
	publish(C, KEEPS_CHILD, 1)
#endif
#endif
}
/* swap() */
inline store_root() {
	atomic {
#ifndef SWAP_RELAXED
		IS_EMPTY(0) ->
#endif
		memory[ROOT] = P;
#ifndef TO_SHARED_LATE
		placing = NIL
#endif
	}
#ifdef TO_SHARED_LATE
	;
	atomic { add_shared(P, 1); placing = NIL }
#endif
}
#define LEAVE_OWNER owner_in_section = 0; detector_waits_owner = 0
/* cgc_release() by the owner */
inline release(c) {
	owner_in_section = 1;
	if
	:: atomic { SEEN(0, L(c, BIAS)) == BIASED && SEEN(0, L(c, MINE)) > 1 -> x = SEEN(0, L(c, MINE)) - 1 };
		put_word(0, L(c, MINE), x);
		atomic { x = 0; LEAVE_OWNER }
	:: atomic { SEEN(0, L(c, BIAS)) == BIASED && SEEN(0, L(c, MINE)) <= 1 -> skip };
		put_word(0, L(c, MINE), 0);
		atomic { IS_EMPTY(0) -> set_shared(c, MERGED); memory[L(c, BIAS)] = UNBIASED; queue_if_zero(c);
			LEAVE_OWNER }
	:: atomic { SEEN(0, L(c, BIAS)) != BIASED && IS_EMPTY(0) -> discount(c); LEAVE_OWNER }
	fi
}
/* gather() of generation 0 */
inline gather() {
	i = 0;
	do
	:: i < 2 ->
		atomic { x = SEEN(0, L(i, GEN)) };
		atomic {
			if
			:: x == 0 && SEEN(0, L(i, BIAS)) == PRIVATE -> assert(owned & BIT(i))
			:: else -> assert(!(owned & BIT(i)))
			fi;
			x = 0; i++ }
	:: else -> i = 0; break
	od
}
proctype owner() {
	byte c, i, x, again;
	set_fields(C, (IN_P -> P : NIL));
	set_fields(P, C);
	placing = P;
#ifdef ADDRESS_FIRST
	store_root();
#endif
	publish_graph();
#ifdef FIELDS_LATE
	put_word(0, L(C, SLOT), (IN_P -> P : NIL));
	put_word(0, L(C, FIELD), 1);
	put_word(0, L(P, SLOT), C);
	put_word(0, L(P, FIELD), 1);
#endif
	atomic { if :: KEEPS -> handle[0] = P :: KEEPS_CHILD -> handle[0] = C :: else fi };
#ifndef ADDRESS_FIRST
	store_root();
#endif
	if
	:: atomic { handle[0] != NIL -> c = handle[0]; handle[0] = NIL }; release(c); c = 0
	:: else
	fi;
#ifdef GATHERS
	do
	:: gather()
	/* Takes a cell that others have freed. */
	:: atomic { again < AGAIN && remote ->
			if :: remote & BIT(P) -> c = P :: remote & BIT(C) -> c = C fi;
			remote = remote & ~BIT(c);
			assert(SEEN(0, L(c, BIAS)) == FREE);
			again++ };
		make(c, NIL);
		gather();
		/* and publishes the new object, which nobody else will see */
		put_word(0, L(c, SHARED), SCRATCH);
		handle[0] = c;
		publish(c, 1, 0);
		handle[0] = NIL;
		release(c);
		c = 0
	:: break
	od;
#endif
	owner_ended = 1
}

/* A reader, which may put NULL into the root. */
#define LEAVE_READER in_section = 0; detector_waits = 0
proctype reader() {
	byte n = OPS;
	do
	:: atomic { n > 0 && handle[1] == NIL && memory[ROOT] != NIL -> n--; in_section = 1;
			borrowed = memory[ROOT] };
		atomic { must_be_published(borrowed) };
		if
		/* the next one, by way of the first */
		:: atomic { memory[L(borrowed, SLOT)] != NIL -> borrowed = memory[L(borrowed, SLOT)];
				must_be_published(borrowed) }
		:: skip
		fi;
		if
		:: atomic { true -> add_shared(borrowed, 1); handle[1] = borrowed }
		:: skip
		fi;
		atomic { borrowed = NIL; LEAVE_READER }
	:: atomic { handle[1] != NIL -> in_section = 1; must_be_published(handle[1]); borrowed = handle[1];
			handle[1] = NIL };
		atomic { discount(borrowed); borrowed = NIL; LEAVE_READER }
	:: atomic { n > 0 && memory[ROOT] != NIL -> n--; in_section = 1; borrowed = memory[ROOT];
			memory[ROOT] = NIL };
		atomic { discount(borrowed); borrowed = NIL; LEAVE_READER }
	:: atomic { handle[1] == NIL -> reader_ended = 1 }; break
	od
}

/* The background thread. */
inline grace() {
	atomic { ALL_EMPTY -> detector_waits = in_section; detector_waits_owner = owner_in_section };
	atomic { !detector_waits && !detector_waits_owner && ALL_EMPTY -> skip }
}
inline enter_cell(c) {
	if
	:: atomic { memory[L(c, GEN)] == 2 -> skip };
		atomic { mine[c] = memory[L(c, MINE)]; watched[c] = 1; moved[c] = 0; assert(mine[c] != JUNK) };
		atomic { word = memory[L(c, SHARED)]; assert(!(word & SCRATCH));
			members = members | BIT(c);
			external[c] = COUNT(word) + ((word & MERGED) -> 0 : mine[c]);
			if :: word & (QUEUED | DEAD) -> external[c] = 1; live = live | BIT(c) :: else fi;
			word = 0 }
	:: atomic { memory[L(c, GEN)] != 2 -> live = live | BIT(c) }
	fi
}
inline copy_edge(c) {
	if
	:: atomic { members & BIT(c) ->
			edge[c] = memory[L(c, SLOT)];
			assert(edge[c] <= NIL && memory[L(c, FIELD)] == 1);
			if :: !(members & BIT(edge[c])) -> edge[c] = NIL :: else fi }
	:: else
	fi
}
inline look() {
	atomic { members = 0; live = 0 };
	grace();
	enter_cell(P); enter_cell(C);
	copy_edge(P); copy_edge(C);
	atomic {
		if :: edge[P] != NIL -> external[edge[P]]-- :: else fi;
		if :: edge[C] != NIL -> external[edge[C]]-- :: else fi;
		if :: external[P] != 0 -> live = live | BIT(P) :: else fi;
		if :: external[C] != 0 -> live = live | BIT(C) :: else fi;
		if :: live & BIT(P) -> live = live | BIT(edge[P]) :: else fi;
		if :: live & BIT(C) -> live = live | BIT(edge[C]) :: else fi
	};
	if
	:: (live & 3) != 3 ->
		grace();
		atomic {
			if :: moved[P] -> live = live | BIT(P) :: else fi;
			if :: moved[C] -> live = live | BIT(C) :: else fi;
			if :: live & BIT(P) -> live = live | BIT(edge[P]) :: else fi;
			if :: live & BIT(C) -> live = live | BIT(edge[C]) :: else fi;
			assert((~live & 3 & REACHED) == 0 && (~live & 3 & owned) == 0)
		}
	:: else
	fi;
	atomic { members = 0; live = 0; edge[P] = NIL; edge[C] = NIL; external[P] = 0; external[C] = 0;
		mine[P] = 0; mine[C] = 0; unwatch() }
}
/* Destroys and frees: drop_children(), cgc__slab_give(), cgc__remote_give() */
inline end_object(c) {
	atomic { word = memory[L(c, SLOT)]; memory[L(c, SLOT)] = NIL };
	if :: atomic { word != NIL -> discount(word) } :: else fi;
	word = 0;
	put_word(1, L(c, FIELD), 0);
	put_word(1, L(c, SLOT), JUNK);
#ifdef FREE_AFTER_GENERATION
	put_generation(1, c, 0);
	put_word(1, L(c, BIAS), FREE);
#else
#ifndef FREE_LATE
	put_word(1, L(c, BIAS), FREE);
#endif
#ifndef GENERATION_LEFT
	put_generation(1, c, 0);
#elif GENERATION_LEFT == 1
	put_generation(1, c, 1);
#endif
#endif
	put_word(1, L(c, MINE), JUNK);
	put_word(1, L(c, SHARED), STALE);
	atomic { IS_EMPTY(1) -> remote = remote | BIT(c) }
#ifdef FREE_LATE
	;
	put_word(1, L(c, BIAS), FREE)
#endif
}
inline settle(c) {
	if
	:: atomic { !(sealed & BIT(c)) -> skip }
	:: atomic { (sealed & BIT(c)) && !(memory[L(c, SHARED)] & MERGED) && memory[L(c, BIAS)] == BIASED ->
			memory[L(c, BIAS)] = UNBIASED; queued = queued | BIT(c); sealed = sealed & ~BIT(c) }
	:: atomic { (sealed & BIT(c)) && !(memory[L(c, SHARED)] & MERGED) && memory[L(c, BIAS)] == UNBIASED ->
			add_shared(c, memory[L(c, MINE)]); set_shared(c, MERGED) };
		atomic { memory[L(c, MINE)] = 0; moved[c] = watched[c]; again = again | BIT(c) }
	:: atomic { (sealed & BIT(c)) && (memory[L(c, SHARED)] & MERGED) ->
			if
			:: COUNT(memory[L(c, SHARED)]) == 0 && !(changed & BIT(c)) ->
				assert(!(BIT(c) & REACHED)); set_shared(c, DEAD); dying = 1
			:: else -> again = again | BIT(c)
			fi };
		if :: dying -> end_object(c); dying = 0; sealed = sealed & ~BIT(c) :: else fi
	fi;
	/* look_again() */
	if
	:: atomic { again & BIT(c) -> again = 0; sealed = sealed & ~BIT(c);
			if
			:: COUNT(memory[L(c, SHARED)]) == 0 -> queued = queued | BIT(c)
			:: else -> memory[L(c, SHARED)] = memory[L(c, SHARED)] & ~QUEUED
			fi }
	:: else
	fi
}
inline settle_all() {
	atomic { sealed = queued; queued = 0; watched[P] = sealed & 1; watched[C] = sealed >> 1 };
	grace();
	atomic { changed = moved[P] + 2 * moved[C]; unwatch() };
	settle(P);
	settle(C);
	changed = 0
}
proctype detector() {
	byte members, live, edge[2] = NIL, looks, again, changed;
	short word, external[2], mine[2];
	bool dying;
	do
	:: looks < LOOKS -> looks++; look()
	:: queued -> settle_all()
	:: atomic { owner_ended && reader_ended && looks == LOOKS && !queued -> skip }; break
	od;
	grace();
	look()
}

init {
	byte c;
	atomic {
		handle[0] = NIL; handle[1] = NIL; memory[ROOT] = NIL;
		/* Two new objects, whose fields are still to be set. */
		for (c : P .. C) {
			memory[L(c, BIAS)] = PRIVATE; memory[L(c, SHARED)] = ZERO;
			memory[L(c, MINE)] = 1; memory[L(c, SLOT)] = JUNK
		}
		owned = BIT(P) | BIT(C);
#ifdef WMM
		run drainer();
#endif
		run detector();
		run reader();
		run owner()
	}
}
