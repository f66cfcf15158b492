/* SPDX-License-Identifier: MIT
 *
 * The detector's window beside mutators, on a memory that keeps everybody's order.
 *
 * Stands for: cgc__window_open(), enter(), copy_edges(), cgc__window_has_changed(), cgc__window_decide() of
 * src/window.c; cgc__verdict_look(), save_changed(), mark_dead() of src/verdict.c; cgc__load_slow(), cgc__store_slow(),
 * cgc__store_consume_slow(), cgc__exchange(), cgc__compare_exchange() of src/slot.c; cgc__count_up(), cgc__count_down(),
 * cgc__count_merge_last(), cgc__count_after_shared_down(), cgc__count_add_suspect() of src/count.[hc]; settle_bias(),
 * settle_zero(), look_again() of src/pending.c; drop_published_child(), give_back() of src/reclaim.c.
 *
 * Abstracted: an equal version means an equal word (a bit per word says that it was written since it was read). A
 * grace period waits for the sections that are open when it begins. A flag and its queue entry are one step, so is a
 * whole compare-exchange loop. One settler stands for all threads that consume queues; it may run at any time.
 * cgc__compare_exchange() that succeeds is a store, one that fails counts up and down. No weak references and
 * finalizers; no stamps (death.pml). An object has one slot; there is one root.
 *
 * Safety: no object dies that a handle, the root, a pointer borrowed in an open section or an operation under way
 * reaches, and nobody touches memory that went back. At the end: after a last whole window, or with PARTIAL after
 * windows of suspects alone, what nothing reaches is given back.
 *
 * HOLDS: -DTHREADS=1 -DOPS=2 -DANY : whole window, one thread, every graph of two objects
 * HOLDS: -DTHREADS=1 -DOPS=2 -DANY -DPARTIAL : partial window, one thread, every graph of two objects
 * HOLDS: -DTHREADS=1 -DOPS=2 -DRING -DBORROW : whole window, a thread that borrows
 * HOLDS: -DTHREADS=1 -DOPS=2 -DRING -DBORROW -DPARTIAL : partial window, a thread that borrows
 * HOLDS: -DTHREADS=1 -DOPS=2 -DRING -DSPLIT -DPARTIAL : references in slots counted in local
 * HOLDS: -DTHREADS=2 -DOPS=1 -DRING : whole window, two threads
 * HOLDS: -DTHREADS=2 -DOPS=1 -DRING -DFEW -DPARTIAL : partial window, two threads
 * HOLDS: -DTHREADS=1 -DOPS=2 -DRING -DOBJECTS=3 : whole window, a ring of three
 * HOLDS: -DTHREADS=1 -DOPS=2 -DRING -DOBJECTS=3 -DPARTIAL : partial window, a ring of three
 * HOLDS: -DTHREADS=1 -DOPS=2 -DNEW : an object published during a whole window
 * HOLDS: -DTHREADS=1 -DOPS=2 -DNEW -DPARTIAL : an object published during a partial window
 * HOLDS: -DTHREADS=1 -DOPS=1 -DANY -DSETTLER_RUNS : death by counting beside a whole window
 * HOLDS: -DTHREADS=1 -DOPS=1 -DRING -DSPLIT -DPARTIAL -DSETTLER_RUNS : death by counting and revocation beside a partial window
 * DEEP: -DTHREADS=1 -DOPS=3 -DRING -DBORROW : whole window, a thread that borrows, three operations
 * DEEP: -DTHREADS=1 -DOPS=3 -DRING -DBORROW -DPARTIAL : partial window, a thread that borrows, three operations
 * DEEP: -DTHREADS=2 -DOPS=2 -DOPS1=1 -DRING -DFEW : whole window, two threads, three operations
 * DEEP: -DTHREADS=2 -DOPS=2 -DOPS1=1 -DRING -DFEW -DPARTIAL : partial window, two threads, three operations
 * DEEP: -DTHREADS=3 -DOPS=1 -DRING -DFEW : whole window, three threads
 * BREAKS: -DTHREADS=1 -DOPS=2 -DRING -DBORROW -DNO_GRACE : no grace period between copy and second look; a member is held, its neighbour borrowed
 * BREAKS: -DTHREADS=1 -DOPS=3 -DRING -DBORROW -DEDGES_FIRST : edges before words; an edge that is gone explains a handle
 * BREAKS: -DTHREADS=1 -DOPS=2 -DRING -DBORROW -DPARTIAL -DNO_SECOND_READ : a slot is not read again after its target's words
 * BREAKS: -DTHREADS=1 -DOPS=3 -DRING -DBORROW -DNO_VERSIONS : counts compared without versions
 * BREAKS: -DTHREADS=1 -DOPS=2 -DRING -DBORROW -DNO_SECOND_LOOK : no second look
 * BREAKS: -DTHREADS=1 -DOPS=3 -DRING -DBORROW -DSLOTS=2 -DNO_MOVE : no version step at an exchange; one reference seen in two slots
 * BREAKS: -DTHREADS=1 -DOPS=3 -DRING -DBORROW -DSLOTS=2 -DMOVE_BEFORE : the version step before the exchange
 * BREAKS: -DTHREADS=1 -DOPS=2 -DRING -DBORROW -DNO_SPREAD : a changed member lives, what it reaches does not
 * BREAKS: -DTHREADS=1 -DOPS=1 -DANY -DSETTLER_RUNS -DNO_MEMORY_KEPT : memory goes back in a window
 * BREAKS: -DTHREADS=1 -DOPS=1 -DANY -DSETTLER_RUNS -DNO_OPEN_GRACE : no grace period between a window's flag and the copy
 * BREAKS: -DTHREADS=1 -DOPS=1 -DANY -DSETTLER_RUNS -DCHECK_OUTSIDE : the window's flag is looked at outside of a section
 * BREAKS: -DTHREADS=1 -DOPS=1 -DANY -DSETTLER_RUNS -DFREE_SUSPECT : memory reused early, under a suspect's entry
 * BREAKS: -DTHREADS=1 -DOPS=1 -DANY -DSETTLER_RUNS -DNO_ZERO_GRACE : no grace period before zero is dead
 * BREAKS: -DTHREADS=1 -DOPS=2 -DANY -DPARTIAL -DNO_PUT_SUSPECT : a handle's reference put into a slot leaves no suspect; a ring is lost
 * BREAKS: -DTHREADS=1 -DOPS=2 -DNEW -DPARTIAL -DNO_NEW_SUSPECT : a new object that closes a ring is no suspect; the ring is lost
 * BREAKS: -DTHREADS=1 -DOPS=2 -DANY -DPARTIAL -DSUSPECT_LATE : suspects' flags are cleared after the copy; a ring is lost
 */
#ifndef THREADS
#define THREADS 2
#endif
#ifndef OBJECTS
#define OBJECTS 2
#endif
#ifndef OPS
#define OPS 2
#endif
#ifndef OPS1
#define OPS1 OPS
#endif

#ifndef SLOTS
#define SLOTS 1
#endif

/* Slots are numbered through: SLOTS of each object, then the root. */
#define ROOT (OBJECTS * SLOTS)
#define OBJECT_OF(c) ((c) / SLOTS)
#define NIL (OBJECTS + 1)
#define IS_OBJECT(v) ((v) < OBJECTS)
#ifdef NEW
#define NEW_OBJECT (OBJECTS - 1)
#else
#define NEW_OBJECT NIL
#endif
#define BIT(t) (1 << (t))
#define SETTLER THREADS
#define NOBODY 9

#define MERGED 1
#define QUEUED 2
#define SUSPECT 4
#define DEAD 8
#define GONE 16

/* Objects: mine is the count in the local word, theirs the one in the shared word. written: 1 local, 2 shared since the window read it; 4 shared since its entry was queued. */
byte slot[ROOT + 1];
short mine[OBJECTS], theirs[OBJECTS];
byte flags[OBJECTS], bias[OBJECTS], written[OBJECTS], tracked[OBJECTS];
bool published[OBJECTS], freed[OBJECTS], destroyed[OBJECTS], suspected[OBJECTS];
byte entry[OBJECTS]; /* of the pending queue: 0 none, 1 new, 2 sealed */
/* Threads. A thread's handles are kept in order, NIL last. */
byte handle[2 * THREADS], borrowed[THREADS], placing[THREADS], taking[THREADS];
byte in_section, in_operation; /* a bit per thread */
byte waits_detector, waits_settler;
byte ended;
bool window_open, settling;

#define HANDLE(t, i) handle[2 * (t) + (i)]
#define IS_NO_SUSPECT(o) (SUSPECTS && !(flags[o] & SUSPECT))
#define NEEDS_ENTRY(o) (!(flags[o] & (QUEUED | DEAD)) && ((flags[o] & MERGED) -> theirs[o] == 0 : theirs[o] < 0))

inline touch(o) { assert(!freed[o]) }
inline touch_container(c) { if :: c != ROOT -> touch(OBJECT_OF(c)) :: else fi }
inline assert_alive(v) { if :: IS_OBJECT(v) -> assert(!freed[v] && !(flags[v] & DEAD)) :: else fi }
inline enter(t) { in_operation = in_operation | BIT(t) }
inline leave(t) {
	in_operation = in_operation & ~BIT(t);
	if
	:: in_section & BIT(t) -> skip
	:: else -> waits_detector = waits_detector & ~BIT(t); waits_settler = waits_settler & ~BIT(t)
	fi
}
inline begin_grace(waits) { waits = in_section | in_operation }
inline local_written(o) { written[o] = written[o] | (tracked[o] & 1) }
inline shared_written(o) { written[o] = written[o] | (tracked[o] & 6) }
#if defined(PARTIAL) || defined(SETTLER_RUNS)
#define SUSPECTS 1
#else
#define SUSPECTS 0 /* as if the flag were set all the time */
#endif
inline add_suspect(o) {
	if
	:: !SUSPECTS -> skip
	:: SUSPECTS && (flags[o] & SUSPECT) -> skip
	:: else -> flags[o] = flags[o] | SUSPECT; suspected[o] = 1; shared_written(o)
	fi
}
inline push_entry(o) { entry[o] = 1; tracked[o] = tracked[o] | 4; written[o] = written[o] & ~4 }
inline queue(o) {
	if
	:: NEEDS_ENTRY(o) -> flags[o] = flags[o] | QUEUED; shared_written(o); push_entry(o)
	:: else
	fi
}
inline count_shared_up(o) { touch(o); theirs[o]++; shared_written(o) }
inline count_up(t, o) {
	touch(o);
	if
	:: bias[o] == t -> mine[o]++; local_written(o)
	:: else -> theirs[o]++; shared_written(o)
	fi
}
/* What the decrement leaves: 0 nothing to do, 1 a suspect, 2 a zero. */
inline left_by(o) {
	if
	:: flags[o] & DEAD -> todo = 0
	:: else ->
		assert(!(flags[o] & MERGED) || theirs[o] >= 0);
		if
		:: ((flags[o] & MERGED) -> theirs[o] == 0 : theirs[o] < 0) -> todo = 2
		:: else -> todo = IS_NO_SUSPECT(o)
		fi
	fi
}
inline see_to(o) {
	if
	:: todo == 1 -> touch(o); add_suspect(o)
	:: todo == 2 -> touch(o); queue(o)
	:: else
	fi;
	todo = 0
}
inline count_shared_down(o) { touch(o); theirs[o]--; shared_written(o); left_by(o) }
/* A handle's reference, in steps; `todo` is left for the caller. */
inline count_down(t, o) {
	if
	:: atomic { bias[o] == t && mine[o] > 1 -> touch(o); mine[o]--; local_written(o) };
		atomic { todo = IS_NO_SUSPECT(o) }
	:: atomic { bias[o] == t && mine[o] == 1 -> touch(o); mine[o] = 0; local_written(o) };
		atomic { touch(o); flags[o] = flags[o] | MERGED; shared_written(o); left_by(o) };
		atomic { touch(o); bias[o] = NOBODY }
	:: atomic { bias[o] != t -> count_shared_down(o) }
	fi
}

/* What threads can reach, as bits. */
inline reach(v) { if :: IS_OBJECT(v) -> seen = seen | BIT(v) :: else fi }
inline follow() {
	for (q : 0 .. ROOT - 1) {
		if :: (seen & BIT(OBJECT_OF(q))) && IS_OBJECT(slot[q]) -> seen = seen | BIT(slot[q]) :: else fi
	}
}
inline find_reached() {
	seen = 0;
	reach(slot[ROOT]);
	for (q : 0 .. THREADS - 1) {
		reach(HANDLE(q, 0)); reach(HANDLE(q, 1)); reach(borrowed[q]); reach(placing[q]); reach(taking[q])
	}
	follow(); follow(); follow();
	q = 0
}
hidden byte seen, q;

inline sort_handles(t) {
	if
	:: HANDLE(t, 0) > HANDLE(t, 1) -> y = HANDLE(t, 0); HANDLE(t, 0) = HANDLE(t, 1); HANDLE(t, 1) = y
	:: else
	fi;
	y = NIL
}
inline choose_slot(o) {
	c = (o) * SLOTS;
#if SLOTS > 1
	if :: c++ :: skip fi
#endif
}
inline choose_container_or(t, v) {
	if
	:: c = ROOT
	:: IS_OBJECT(HANDLE(t, 0)) && published[HANDLE(t, 0)] -> choose_slot(HANDLE(t, 0))
	:: IS_OBJECT(HANDLE(t, 1)) && published[HANDLE(t, 1)] -> choose_slot(HANDLE(t, 1))
	:: IS_OBJECT(borrowed[t]) -> choose_slot(borrowed[t])
	:: IS_OBJECT(v) && published[v] -> choose_slot(v)
#ifdef NEW
	:: t == 0 && !published[NEW_OBJECT] && IS_OBJECT(slot[NEW_OBJECT * SLOTS]) -> choose_slot(slot[NEW_OBJECT * SLOTS])
#endif
	fi
}
#define choose_container(t) choose_container_or(t, NIL)
inline choose_handle(t) { if :: i = 0 :: HANDLE(t, 1) != NIL -> i = 1 fi }
inline choose_held(t) {
	if
	:: HANDLE(t, 0) != NIL -> x = HANDLE(t, 0)
	:: HANDLE(t, 1) != NIL -> x = HANDLE(t, 1)
	:: IS_OBJECT(borrowed[t]) -> x = borrowed[t]
	:: x = NIL
	fi
}
/* cgc__publish_graph() of the one private object: from its handle to shared, or one more in shared. */
inline publish(o, from_local) {
	mine[o] = mine[o] - from_local;
	theirs[o] = 1;
	flags[o] = (mine[o] == 0 -> MERGED : 0);
	if :: mine[o] == 0 -> bias[o] = NOBODY :: else fi;
	published[o] = 1
}
inline finish(t) { c = 0; i = 0; x = NIL; y = NIL; placing[t] = NIL; taking[t] = NIL; leave(t) }

proctype mutator(byte t; byte n) {
	byte c, i, x = NIL, y = NIL, todo;
	bool is_new, takes;
next:
	do
	/* cgc_release */
	:: atomic { n > 0 && HANDLE(t, 0) != NIL && published[HANDLE(t, 0)] -> n--; choose_handle(t);
			if :: !published[HANDLE(t, i)] -> i = 0 :: else fi;
			x = HANDLE(t, i); HANDLE(t, i) = NIL; sort_handles(t); placing[t] = x; enter(t) };
		count_down(t, x);
		atomic { see_to(x); finish(t) }
	/* cgc_store; a value that is held or borrowed */
	:: atomic { n > 0 -> n--; choose_held(t); choose_container(t); placing[t] = x;
			if
			:: IS_OBJECT(x) && !published[x] -> publish(x, 0); enter(t)
			:: IS_OBJECT(x) && published[x] -> enter(t); count_shared_up(x)
			:: else -> enter(t)
			fi };
		atomic { touch_container(c); y = slot[c]; slot[c] = x; taking[t] = y; if :: !IS_OBJECT(y) -> finish(t); goto next :: else fi };
		atomic { count_shared_down(y) };
		atomic { see_to(y); finish(t) }
#ifndef FEW
	/* cgc_compare_exchange that fails */
	:: atomic { n > 0 && HANDLE(t, 0) != NIL && published[HANDLE(t, 0)] -> n--; choose_held(t); if :: !IS_OBJECT(x) || !published[x] -> x = HANDLE(t, 0) :: else fi;
			placing[t] = x; enter(t); count_shared_up(x) };
		atomic { count_shared_down(x) };
		atomic { see_to(x); finish(t) }
#endif
	/* cgc_store_consume, cgc_exchange */
	:: atomic { n > 0 -> n--; 
			if
			:: HANDLE(t, 0) != NIL -> choose_handle(t); x = HANDLE(t, i); HANDLE(t, i) = NIL; sort_handles(t); placing[t] = x;
				if :: takes = 0 :: takes = 1 fi
			:: HANDLE(t, 1) == NIL -> takes = 1 /* exchange for NULL */
			fi;
			choose_container_or(t, x);
			if
			:: IS_OBJECT(x) && !published[x] -> is_new = 1; publish(x, 1); enter(t)
			:: IS_OBJECT(x) && published[x] -> enter(t); if :: bias[x] == t -> count_shared_up(x); i = 1 :: else -> i = 0 fi
			:: else -> enter(t)
			fi };
		if
		#ifndef NO_NEW_SUSPECT
		:: atomic { is_new -> if :: IS_OBJECT(slot[x * SLOTS]) -> add_suspect(x) :: else fi } /* closes_ring */
#endif
		:: else
		fi;
#ifdef MOVE_BEFORE
		atomic { if :: takes && IS_OBJECT(slot[c]) -> shared_written(slot[c]) :: else fi };
#endif
		atomic { touch_container(c); y = slot[c]; slot[c] = x; taking[t] = y };
		/* move_in_end() */
		if
		:: !IS_OBJECT(x) || is_new -> skip
		:: else ->
			if
			:: i == 1 -> count_down(t, x)
			:: else -> atomic { touch(x); todo = IS_NO_SUSPECT(x) }
			fi;
#ifdef NO_PUT_SUSPECT
			atomic { if :: todo == 1 -> todo = 0 :: else fi };
#endif
			if :: todo -> atomic { see_to(x) } :: else fi
		fi;
		if
		:: atomic { !IS_OBJECT(y) -> skip }
		:: atomic { IS_OBJECT(y) && takes -> touch(y);
#if !defined(NO_MOVE) && !defined(MOVE_BEFORE)
				shared_written(y);
#endif
				HANDLE(t, 1) = y; sort_handles(t) }
		:: atomic { IS_OBJECT(y) && !takes -> count_shared_down(y) }; atomic { see_to(y) }
		fi;
		atomic { is_new = 0; takes = 0; finish(t) }
#ifndef FEW
	/* cgc_load */
	:: atomic { n > 0 && HANDLE(t, 1) == NIL -> n--; choose_container(t); touch_container(c); y = slot[c]; assert_alive(y);
			if :: IS_OBJECT(y) -> enter(t); taking[t] = y; c = 0 :: else -> c = 0; goto next fi };
		atomic { count_up(t, y); HANDLE(t, 1) = y; sort_handles(t); finish(t) }
#endif
#ifdef BORROW
	/* cgc_read_lock and cgc_borrow; cgc_borrow; cgc_retain of what is borrowed; cgc_read_unlock */
	:: atomic { n > 0 -> n--; choose_container(t); touch_container(c); assert_alive(slot[c]); in_section = in_section | BIT(t);
			if :: IS_OBJECT(slot[c]) -> borrowed[t] = slot[c] :: else fi; c = 0 }
	:: atomic { n > 0 && IS_OBJECT(borrowed[t]) && HANDLE(t, 1) == NIL -> n--; y = borrowed[t]; count_up(t, y); HANDLE(t, 1) = y; sort_handles(t) }
	:: atomic { in_section & BIT(t) -> in_section = in_section & ~BIT(t); borrowed[t] = NIL; leave(t) }
#endif
	:: atomic { n == 0 && !(in_section & BIT(t)) -> ended++ }; break
	od
}

/* drop_published_child(); its flag and entry in the same step. */
inline drop_child(c, child) {
	atomic { child = slot[c]; slot[c] = NIL };
	if
	:: atomic { IS_OBJECT(child) -> touch(child); theirs[child]--; shared_written(child);
			if
			:: flags[child] & DEAD -> skip
			:: else -> if :: NEEDS_ENTRY(child) -> queue(child) :: !NEEDS_ENTRY(child) && !(flags[child] & QUEUED) -> add_suspect(child) :: else fi
			fi; child = NIL }
	:: else -> child = NIL
	fi
}
inline free(o) { assert(!freed[o]); freed[o] = 1; published[o] = 0 }
inline give_back(t, o, child) {
	atomic {
#ifndef CHECK_OUTSIDE
		enter(t);
#endif
		child = window_open;
#ifdef NO_MEMORY_KEPT
		child = 0;
#endif
	};
	if
	:: atomic { child -> push_entry(o); leave(t); child = NIL }
	:: atomic { else -> touch(o); flags[o] = flags[o] | GONE; shared_written(o);
#ifndef FREE_SUSPECT
			if :: flags[o] & SUSPECT -> skip :: else -> free(o) fi;
#else
			free(o);
#endif
			child = NIL; leave(t) }
	fi
}
inline look_again(o) {
	atomic { touch(o);
		if
		:: (flags[o] & MERGED) && theirs[o] == 0 -> push_entry(o)
		:: else -> flags[o] = flags[o] & ~QUEUED; shared_written(o); add_suspect(o)
		fi }
}
inline settle(t, o, child) {
	atomic { touch(o); entry[o] = 0; tracked[o] = tracked[o] & ~4 };
	if
	:: atomic { flags[o] & DEAD -> written[o] = written[o] & ~4 }; give_back(t, o, child)
	:: atomic { !(flags[o] & (DEAD | MERGED)) && bias[o] != NOBODY -> bias[o] = NOBODY; push_entry(o) }
	:: atomic { !(flags[o] & (DEAD | MERGED)) && bias[o] == NOBODY ->
			theirs[o] = theirs[o] + mine[o]; flags[o] = flags[o] | MERGED; shared_written(o) };
		atomic { mine[o] = 0; local_written(o) };
		look_again(o)
#ifdef NOT_COMPARED
#define SAME(o) 1
#else
#define SAME(o) (!(written[o] & 4))
#endif
	:: atomic { (flags[o] & MERGED) && !(flags[o] & DEAD) && SAME(o) && theirs[o] == 0 ->
			flags[o] = (flags[o] | DEAD) & ~QUEUED; shared_written(o);
			find_reached(); assert(!(seen & BIT(o))) };
		drop_child(o * SLOTS, child);
#if SLOTS > 1
		drop_child(o * SLOTS + 1, child);
#endif
		atomic { destroyed[o] = 1 };
		give_back(t, o, child)
	:: atomic { (flags[o] & MERGED) && !(flags[o] & DEAD) && (!SAME(o) || theirs[o] != 0) -> written[o] = written[o] & ~4 };
		look_again(o)
	fi
}

/* Whoever consumes queues: seals what waits, waits for a grace period, settles it. */
inline seal() {
	settling = 0;
	for (o : 0 .. OBJECTS - 1) { if :: entry[o] == 1 -> entry[o] = 2; settling = 1 :: else fi }
	o = 0;
	begin_grace(waits_settler)
}
#define ANY_ENTRY (entry[0] || entry[1] || entry[OBJECTS - 1])
proctype settler() {
	byte o, child = NIL;
end:	do
	:: atomic { ANY_ENTRY -> seal() };
#ifndef NO_ZERO_GRACE
		atomic { waits_settler == 0 -> o = 0 };
#endif
		do
		:: atomic { o < OBJECTS && entry[o] != 2 -> o++ }
		:: o < OBJECTS && entry[o] == 2 -> settle(SETTLER, o, child)
		:: atomic { o == OBJECTS -> o = 0; settling = 0 }; break
		od
	od
}

/* The window. */
#ifdef NO_VERSIONS
#define HAS_CHANGED_LOCAL(o) (mine[o] != local_copy[o])
#define HAS_CHANGED_SHARED(o) (theirs[o] != shared_copy[o] || flags[o] != flags_copy[o])
#else
#define HAS_CHANGED_LOCAL(o) (written[o] & 1)
#define HAS_CHANGED_SHARED(o) (written[o] & 2)
#endif

inline grace() {
	atomic { begin_grace(waits_detector) };
	waits_detector == 0
}
inline read_words(m) {
	atomic { touch(m); external[m] = mine[m]; tracked[m] = tracked[m] | 1; written[m] = written[m] & ~1 };
	atomic { touch(m); if :: flags[m] & MERGED -> external[m] = theirs[m] :: else -> external[m] = external[m] + theirs[m] fi;
#ifdef NO_VERSIONS
		local_copy[m] = mine[m]; shared_copy[m] = theirs[m]; flags_copy[m] = flags[m];
#endif
		if :: flags[m] & (QUEUED | DEAD | GONE) -> live = live | BIT(m) :: else fi;
		tracked[m] = tracked[m] | 2; written[m] = written[m] & ~2;
		member[members] = m; members++; in_window = in_window | BIT(m) }
}
inline copy_edge_whole(c) {
	atomic {
		touch(OBJECT_OF(c)); v = slot[c]; edge[c] = NIL;
#ifdef EDGES_FIRST
		if :: IS_OBJECT(v) -> edge[c] = v :: else fi;
#else
		if :: IS_OBJECT(v) && (in_window & BIT(v)) -> edge[c] = v :: else fi;
#endif
		v = NIL
	}
}
inline copy_edges_whole(m) {
	copy_edge_whole(m * SLOTS);
#if SLOTS > 1
	copy_edge_whole(m * SLOTS + 1)
#endif
}
inline copy_edge_partial(c) {
	atomic {
		touch(OBJECT_OF(c)); v = slot[c]; edge[c] = NIL;
		if :: !IS_OBJECT(v) -> v = NIL :: IS_OBJECT(v) && (in_window & BIT(v)) -> edge[c] = v; v = NIL :: else fi
	};
	if
	:: v != NIL ->
		read_words(v);
#ifdef NO_SECOND_READ
		atomic { edge[c] = v; v = NIL }
#else
		atomic { touch(OBJECT_OF(c)); if :: slot[c] == v -> edge[c] = v :: else fi; v = NIL }
#endif
	:: else
	fi
}
inline copy_edges_partial(m) {
	copy_edge_partial(m * SLOTS);
#if SLOTS > 1
	copy_edge_partial(m * SLOTS + 1)
#endif
}
inline follow_edges() {
	for (v : 1 .. OBJECTS - 1) {
		for (q : 0 .. ROOT - 1) {
			if
			:: (live & in_window & BIT(OBJECT_OF(q))) && IS_OBJECT(edge[q]) -> live = live | BIT(edge[q])
			:: else
			fi
		}
	}
	v = NIL; q = 0
}
inline decide() {
	for (q : 0 .. ROOT - 1) {
		if :: (in_window & BIT(OBJECT_OF(q))) && IS_OBJECT(edge[q]) -> external[edge[q]]-- :: else fi
	}
	for (q : 0 .. OBJECTS - 1) {
		if :: !(in_window & BIT(q)) || external[q] != 0 -> live = live | BIT(q) :: else fi;
		external[q] = 0; member[q] = 0
	}
	members = 0;
	follow_edges();
	for (q : 0 .. OBJECTS - 1) {
		if :: live & BIT(q) -> tracked[q] = tracked[q] & 4; written[q] = written[q] & 4 :: else fi
	}
	q = 0
}
#define ALL ((1 << OBJECTS) - 1)
/* take_suspects() */
inline take_suspects() {
	atomic {
		for (o : 0 .. OBJECTS - 1) {
			if
			:: suspected[o] ->
				touch(o); suspected[o] = 0; flags[o] = flags[o] & ~SUSPECT; shared_written(o);
				if
				:: flags[o] & GONE -> free(o)
				:: !(flags[o] & (GONE | DEAD)) -> suspects = suspects | BIT(o)
				:: else
				fi
			:: else
			fi
		}
		o = 0
	}
}
inline look(partial) {
	atomic { window_open = 1; in_window = 0; live = 0 };
#if SUSPECTS
#if !defined(NO_OPEN_GRACE) && !defined(ONE_GRACE)
	grace();
#endif
#ifdef SUSPECT_LATE
	atomic {
		for (o : 0 .. OBJECTS - 1) {
			if :: suspected[o] && !(flags[o] & DEAD) -> suspects = suspects | BIT(o) :: else fi
		}
		o = 0
	};
#else
	take_suspects();
#endif
#ifndef NO_OPEN_GRACE
	grace();
#endif
#endif
	if
	:: !partial ->
#ifdef EDGES_FIRST
		do
		:: o < OBJECTS -> if :: published[o] -> copy_edges_whole(o) :: else fi; o++
		:: else -> o = 0; break
		od;
#endif
		do
		:: o < OBJECTS -> if :: published[o] -> read_words(o) :: else fi; o++
		:: else -> o = 0; break
		od;
#ifndef EDGES_FIRST
		do
		:: o < members -> copy_edges_whole(member[o]); o++
		:: else -> o = 0; break
		od
#endif
	:: else ->
		do
		:: o < OBJECTS ->
			if :: (suspects & BIT(o)) && !(in_window & BIT(o)) -> read_words(o) :: else fi;
			o++
		:: else -> o = 0; break
		od;
		do
		:: o < members -> copy_edges_partial(member[o]); o++
		:: else -> o = 0; break
		od
	fi;
#ifdef SUSPECT_LATE
	atomic {
		for (o : 0 .. OBJECTS - 1) {
			if
			:: suspects & BIT(o) ->
				suspected[o] = 0; flags[o] = flags[o] & ~SUSPECT;
				if :: flags[o] & GONE -> free(o) :: else fi
			:: else
			fi
		}
		o = 0
	};
#endif
	atomic { suspects = 0; decide() };
	if
	:: live == ALL -> skip
	:: else ->
#ifndef NO_GRACE
		grace();
#endif
		/* save_changed() */
		do
		:: o < OBJECTS ->
			if
			:: live & BIT(o) -> skip
			:: else ->
				atomic { touch(o); changed = HAS_CHANGED_LOCAL(o) };
				atomic {
					changed = changed || HAS_CHANGED_SHARED(o);
#ifdef NO_SECOND_LOOK
					changed = 0;
#endif
					if :: changed -> live = live | BIT(o); add_suspect(o) :: else fi;
					changed = 0; tracked[o] = tracked[o] & 4; written[o] = written[o] & 4
				}
			fi;
			o++
		:: else -> o = 0; break
		od;
		/* mark_dead() */
		atomic {
#ifndef NO_SPREAD
			follow_edges();
#endif
			find_reached();
			for (o : 0 .. OBJECTS - 1) {
				if
				:: !(live & BIT(o)) -> assert(!(seen & BIT(o)));
					flags[o] = flags[o] | DEAD | MERGED; shared_written(o); bias[o] = NOBODY; mine[o] = 0
				:: else
				fi
			}
			seen = 0; o = 0 }
	fi;
	atomic { window_open = 0; in_window = 0; for (q : 0 .. ROOT - 1) { edge[q] = NIL }; q = 0 };
	/* cgc__reclaim_condemned() */
	if
	:: live == ALL -> live = 0
	:: else ->
		do
		:: o < OBJECTS -> 
			if
			:: live & BIT(o) -> skip
			:: else ->
				drop_child(o * SLOTS, v);
#if SLOTS > 1
				drop_child(o * SLOTS + 1, v)
#endif
			fi;
			o++
		:: else -> o = 0; break
		od;
		/* Its own queue, which nobody else consumes meanwhile. */
		atomic {
			for (o : 0 .. OBJECTS - 1) {
				if :: live & BIT(o) -> skip :: else -> destroyed[o] = 1; push_entry(o) fi
			}
			o = 0; live = 0
		}
	fi
}
inline settle_all() {
	do
	:: ANY_ENTRY -> seal();
		for (o : 0 .. OBJECTS - 1) { if :: entry[o] == 2 -> settle(SETTLER, o, v) :: else fi }
		o = 0
	:: else -> settling = 0; break
	od
}
#ifdef SETTLER_RUNS
#define SETTLER_HERE 1
#else
#define SETTLER_HERE 0
#endif
#ifdef PARTIAL
#define IS_PARTIAL 1
#else
#define IS_PARTIAL 0
#endif
proctype detector() {
	byte o, v = NIL, suspects;
	bool changed;
	byte in_window, live; /* a bit per object */
	byte edge[ROOT] = NIL, member[OBJECTS], members;
	short external[OBJECTS];
#ifdef NO_VERSIONS
	short local_copy[OBJECTS], shared_copy[OBJECTS];
	byte flags_copy[OBJECTS];
#endif
	look(IS_PARTIAL);
	/* All is quiet: looks until nothing is left to look at. */
	atomic { ended == THREADS && (!SETTLER_HERE || (!ANY_ENTRY && !settling)) ->
		settle_all();
		do
		:: look(IS_PARTIAL); settle_all();
			if :: IS_PARTIAL && (suspected[0] || suspected[1] || suspected[OBJECTS - 1]) -> skip :: else -> break fi
		od;
		find_reached();
		for (o : 0 .. OBJECTS - 1) { assert(freed[o] || (seen & BIT(o)) || !published[o]) }
		seen = 0; o = 0 }
}

inline refer(o) {
	if
	:: IS_OBJECT(o) -> published[o] = 1; theirs[o]++
	:: else
	fi
}
/* A handle of the object's owner counts in local. */
inline hold(t, o) {
	if
	:: IS_OBJECT(o) -> HANDLE(t, 0) = o; published[o] = 1; if :: bias[o] == t -> mine[o]++ :: else -> theirs[o]++ fi
	:: else
	fi
}
init {
	byte o;
	atomic {
		for (o : 0 .. ROOT) { slot[o] = NIL }
		for (o : 0 .. 2 * THREADS - 1) { handle[o] = NIL }
		for (o : 0 .. THREADS - 1) { borrowed[o] = NIL; placing[o] = NIL; taking[o] = NIL }
		#ifdef FEW
		bias[0] = 0; bias[1] = NOBODY;
#else
		if :: bias[0] = 0 :: bias[0] = NOBODY fi;
		if :: bias[1] = THREADS - 1 :: bias[1] = NOBODY fi;
#endif
		bias[OBJECTS - 1] = bias[1];
#ifdef ANY
		if :: slot[0] = 1 :: skip fi;
		if :: slot[SLOTS] = 0 :: skip fi;
		if :: slot[ROOT] = 0 :: skip fi;
		if :: true -> hold(0, 0) :: true -> hold(0, 1) :: skip fi;
#if THREADS > 1
		if :: true -> hold(1, 0) :: true -> hold(1, 1) :: skip fi;
#endif
#endif
#ifdef RING
		/* A ring, in either order of addresses; the first thread holds one member, the last another. */
		for (o : 0 .. OBJECTS - 2) { slot[o * SLOTS] = o + 1 }
		slot[(OBJECTS - 1) * SLOTS] = 0;
		if :: slot[ROOT] = 0 :: skip fi;
#if THREADS > 1
		hold(0, 0);
		hold(1, 1);
#if THREADS > 2
		hold(2, 0);
#endif
#else
		if :: true -> hold(0, 0) :: true -> hold(0, 1) fi;
#endif
#ifndef FEW
		if :: true -> add_suspect(0) :: skip fi;
#endif
#endif
#ifdef NEW
		/* The last object is new and the first thread's own; it may refer to another, which may be held. */
		if :: slot[NEW_OBJECT * SLOTS] = 0 :: skip fi;
		if :: slot[ROOT] = 0 :: skip fi;
		if :: true -> hold(0, 0); HANDLE(0, 1) = NEW_OBJECT :: HANDLE(0, 0) = NEW_OBJECT fi;
		mine[NEW_OBJECT] = 1; bias[NEW_OBJECT] = 0;
#endif
		/* What nothing refers to does not exist. */
		for (q : 1 .. OBJECTS) {
			for (o : 0 .. ROOT) { if :: IS_OBJECT(slot[o]) -> freed[slot[o]] = 1 :: else fi }
			for (o : 0 .. OBJECTS - 1) {
				if :: !freed[o] && !published[o] && o != NEW_OBJECT -> slot[o * SLOTS] = NIL :: else fi;
				freed[o] = 0
			}
		}
		for (o : 0 .. ROOT) { refer(slot[o]) }
		for (o : 0 .. OBJECTS - 1) {
#ifdef SPLIT
			/* References in slots may be counted in local: from an object that was private when they were stored. */
			if
			:: published[o] && bias[o] != NOBODY && theirs[o] > 0 -> theirs[o]--; mine[o]++
			:: skip
			fi;
#endif
			if :: published[o] && mine[o] == 0 -> bias[o] = NOBODY; flags[o] = flags[o] | MERGED :: else fi;
			if :: !published[o] && o != NEW_OBJECT -> freed[o] = 1 :: else fi
		}
		find_reached();
		for (o : 0 .. OBJECTS - 1) {
			if :: published[o] && !(seen & BIT(o)) -> add_suspect(o) :: else fi
		}
		seen = 0; o = 0;
		run detector();
#ifdef SETTLER_RUNS
		run settler();
#endif
		run mutator(0, OPS);
#if THREADS > 1
		run mutator(1, OPS1);
#endif
#if THREADS > 2
		run mutator(2, OPS1)
#endif
	}
}
