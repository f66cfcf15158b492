/* SPDX-License-Identifier: MIT
 *
 * The detector's window beside mutators whose stores become visible late and in another order, as on ARMv8.
 *
 * Stands for: enter(), copy_edges(), cgc__window_has_changed(), cgc__window_decide() of src/window.c, and the second
 * look of src/verdict.c; swap(), discount(), cgc__store_slow(), cgc__store_consume_slow(), cgc__exchange() of
 * src/slot.c; cgc__count_up(), cgc__count_shared_up(), cgc__count_shared_down(), cgc__count_down_local(),
 * cgc__count_merge_last() of src/count.[hc], each with the order that is written there.
 *
 * Each thread has a buffer of stores. A store leaves it at any time, before older ones of other addresses too; a
 * release only after all older ones. A read-modify-write reads the latest value and holds its address until
 * its own store is visible (as a load-exclusive and store-exclusive do), so a later relaxed store may overtake it. A
 * grace period waits for the open sections, and empties all buffers when it begins and when it ends (membarrier).
 * The detector's loads are acquires: in order. Abstracted: an equal version means an equal word; every object is a
 * suspect all the time; deaths by counting are in death.pml. Not modelled: loads that are satisfied early.
 *
 * Safety: no object is judged dead that a handle, the root, a pointer borrowed in an open section or an operation
 * under way reaches.
 *
 * HOLDS: -DOPS=2 : whole window, a ring of two, one thread
 * HOLDS: -DOPS=2 -DPARTIAL : partial window, a ring of two, one thread
 * HOLDS: -DOPS=2 -DSPLIT=1 : references in slots counted in local
 * HOLDS: -DTHREADS=2 -DOPS=1 : whole window, two threads
 * HOLDS: -DOPS=3 : whole window, one thread, three operations
 * DEEP: -DOPS=3 -DSLOTS=2 : objects of two slots
 * BREAKS: -DOPS=2 -DRELAXED_DOWN : a decrement of shared without release; a slot that is empty already explains a handle
 * BREAKS: -DOPS=2 -DPARTIAL -DRELAXED_DOWN : the same in a partial window
 * BREAKS: -DOPS=3 -DSLOTS=2 -DRELAXED_MOVE : the version step of an exchange without release; one reference in two slots
 * BREAKS: -DOPS=2 -DNO_GRACE : no grace period between the copy and the second look
 * BREAKS: -DOPS=3 -DNO_BARRIER : a grace period that is no barrier
 */
#ifndef THREADS
#define THREADS 1
#endif
#ifndef OPS
#define OPS 3
#endif
#ifndef OPS1
#define OPS1 1
#endif
#ifndef SLOTS
#define SLOTS 1
#endif
#define DEPTH 3 /* stores in a buffer */

/* Words: mine and theirs (the counts in local and shared) of objects 0 and 1, their slots, the root. */
#define MINE(o) (o)
#define THEIRS(o) (2 + (o))
#define SLOT(o, k) (4 + (o) * SLOTS + (k))
#define ROOT (4 + 2 * SLOTS)
#define WORDS (ROOT + 1)
#define NIL 2
#define NOBODY 9
#ifndef SPLIT
#define SPLIT 0
#endif
#define BIT(t) (1 << (t))

#ifdef RELAXED_DOWN
#define DOWN_ORDER 0
#else
#define DOWN_ORDER 1
#endif
#ifdef RELAXED_LOCAL_DOWN
#define LOCAL_DOWN_ORDER 0
#else
#define LOCAL_DOWN_ORDER 1
#endif
#ifdef RELAXED_MOVE
#define MOVE_ORDER 0
#else
#define MOVE_ORDER 1
#endif

short visible[WORDS], latest[WORDS];
byte holder[WORDS] = NOBODY, held[WORDS]; /* whose stores to it wait, and how many */
byte changed, tracked;                    /* a bit for each of the first four words */
byte count[THREADS], word[THREADS * DEPTH];
short value[THREADS * DEPTH];
bool release[THREADS * DEPTH];
byte bias[2], handle[2 * THREADS], borrowed[THREADS], placing[THREADS], taking[THREADS];
byte in_section, in_operation, waits;
bool over;
hidden byte seen, e, w;

#define HANDLE(t, i) handle[2 * (t) + (i)]

inline make_visible(t, j) { /* entry j of a buffer becomes visible */
	w = word[(t) * DEPTH + j];
	visible[w] = value[(t) * DEPTH + j];
	held[w]--;
	if :: held[w] == 0 -> holder[w] = NOBODY :: else fi;
	if :: w < 4 -> changed = changed | (tracked & BIT(w)) :: else fi;
	count[t]--;
	for (e : j .. DEPTH - 2) {
		word[(t) * DEPTH + e] = word[(t) * DEPTH + e + 1];
		value[(t) * DEPTH + e] = value[(t) * DEPTH + e + 1];
		release[(t) * DEPTH + e] = release[(t) * DEPTH + e + 1]
	}
	word[(t) * DEPTH + DEPTH - 1] = 0; value[(t) * DEPTH + DEPTH - 1] = 0; release[(t) * DEPTH + DEPTH - 1] = 0;
	e = 0; w = 0
}
inline drain(t) { do :: count[t] > 0 -> make_visible(t, 0) :: else -> break od }
inline drain_all() {
	drain(0);
#if THREADS > 1
	drain(1)
#endif
}
#define CAN_WRITE(t, a) (count[t] < DEPTH && (holder[a] == NOBODY || holder[a] == t))
inline write(t, a, v, is_release) {
	latest[a] = v;
	holder[a] = t; held[a]++;
	word[(t) * DEPTH + count[t]] = a; value[(t) * DEPTH + count[t]] = latest[a]; release[(t) * DEPTH + count[t]] = is_release;
	count[t]++
}
#define READ(t, a) (holder[a] == t -> latest[a] : visible[a])
/* Entry j may become visible: no older one of its word; a release, no older one at all. */
#define AT(t, j) word[(t) * DEPTH + (j)]
#define FREE(t, j) (count[t] > j && !release[(t) * DEPTH + (j)])
proctype memory(byte t) {
end:	do
	:: atomic { count[t] > 0 -> make_visible(t, 0) }
	:: atomic { FREE(t, 1) && AT(t, 1) != AT(t, 0) -> make_visible(t, 1) }
	:: atomic { FREE(t, 2) && AT(t, 2) != AT(t, 0) && AT(t, 2) != AT(t, 1) -> make_visible(t, 2) }
	od
}

inline enter(t) { in_operation = in_operation | BIT(t) }
inline leave(t) {
	in_operation = in_operation & ~BIT(t);
	if :: in_section & BIT(t) -> skip :: else -> waits = waits & ~BIT(t) fi
}
inline sort_handles(t) {
	if
	:: HANDLE(t, 0) > HANDLE(t, 1) -> y = HANDLE(t, 0); HANDLE(t, 0) = HANDLE(t, 1); HANDLE(t, 1) = y
	:: else
	fi;
	y = NIL
}
inline choose_slot(o) {
	if
	:: c = SLOT(o, 0)
#if SLOTS > 1
	:: c = SLOT(o, 1)
#endif
	fi
}
inline choose_container(t, v) {
	if
	:: c = ROOT
	:: HANDLE(t, 0) != NIL -> choose_slot(HANDLE(t, 0))
	:: HANDLE(t, 1) != NIL -> choose_slot(HANDLE(t, 1))
	:: borrowed[t] != NIL -> choose_slot(borrowed[t])
	:: v != NIL -> choose_slot(v)
	fi
}
inline choose_handle(t) { if :: i = 0 :: HANDLE(t, 1) != NIL -> i = 1 fi; x = HANDLE(t, i); HANDLE(t, i) = NIL; sort_handles(t); i = 0 }
inline finish(t) { c = 0; i = 0; x = NIL; y = NIL; placing[t] = NIL; taking[t] = NIL; leave(t) }
/* A handle's reference less. */
inline count_down(t, o) {
	if
	:: bias[o] == t ->
		atomic { CAN_WRITE(t, MINE(o)) -> i = (latest[MINE(o)] == 1); write(t, MINE(o), latest[MINE(o)] - 1, (i || LOCAL_DOWN_ORDER)) };
		if
		:: i -> atomic { CAN_WRITE(t, THEIRS(o)) -> write(t, THEIRS(o), latest[THEIRS(o)], 1); bias[o] = NOBODY; i = 0 } /* MERGED */
		:: else
		fi
	:: else -> atomic { CAN_WRITE(t, THEIRS(o)) -> write(t, THEIRS(o), latest[THEIRS(o)] - 1, DOWN_ORDER) }
	fi
}

proctype mutator(byte t; byte n) provided (!over) {
	byte c, i, x = NIL, y = NIL;
	bool takes;
	do
	/* cgc_release */
	:: atomic { n > 0 && HANDLE(t, 0) != NIL -> n--; choose_handle(t); placing[t] = x; enter(t) };
		count_down(t, x);
		atomic { finish(t) }
	/* cgc_store */
	:: atomic { n > 0 -> n--;
			if
			:: HANDLE(t, 0) != NIL -> x = HANDLE(t, 0)
			:: HANDLE(t, 1) != NIL -> x = HANDLE(t, 1)
			:: borrowed[t] != NIL -> x = borrowed[t]
			:: x = NIL
			fi;
			choose_container(t, NIL); placing[t] = x; enter(t) };
		if
		:: x != NIL -> atomic { CAN_WRITE(t, THEIRS(x)) -> write(t, THEIRS(x), latest[THEIRS(x)] + 1, 0) }
		:: else
		fi;
		atomic { CAN_WRITE(t, c) -> y = latest[c]; taking[t] = y; write(t, c, x, 1) };
		if
		:: y != NIL -> atomic { CAN_WRITE(t, THEIRS(y)) -> write(t, THEIRS(y), latest[THEIRS(y)] - 1, DOWN_ORDER) }
		:: else
		fi;
		atomic { finish(t) }
	/* cgc_store_consume, cgc_exchange */
	:: atomic { n > 0 -> n--;
			if
			:: HANDLE(t, 0) != NIL -> choose_handle(t); placing[t] = x; if :: takes = 0 :: takes = 1 fi
			:: HANDLE(t, 1) == NIL -> takes = 1
			fi;
			choose_container(t, x); enter(t) };
		if
		:: x != NIL && bias[x] == t -> atomic { CAN_WRITE(t, THEIRS(x)) -> write(t, THEIRS(x), latest[THEIRS(x)] + 1, 0); i = 2 }
		:: else
		fi;
		atomic { CAN_WRITE(t, c) -> y = latest[c]; taking[t] = y; write(t, c, x, 1) };
		if :: i == 2 -> i = 0; count_down(t, x) :: else fi;
		if
		:: y != NIL && takes -> atomic { CAN_WRITE(t, THEIRS(y)) -> write(t, THEIRS(y), latest[THEIRS(y)], MOVE_ORDER); HANDLE(t, 1) = y; sort_handles(t) }
		:: y != NIL && !takes -> atomic { CAN_WRITE(t, THEIRS(y)) -> write(t, THEIRS(y), latest[THEIRS(y)] - 1, DOWN_ORDER) }
		:: else
		fi;
		atomic { takes = 0; finish(t) }
	/* cgc_read_lock and cgc_borrow, cgc_retain, cgc_read_unlock */
	:: atomic { n > 0 -> n--; choose_container(t, NIL); in_section = in_section | BIT(t); y = READ(t, c);
			if :: y != NIL -> borrowed[t] = y :: else fi; y = NIL; c = 0 }
	:: atomic { n > 0 && borrowed[t] != NIL && HANDLE(t, 1) == NIL -> n--; y = borrowed[t]; HANDLE(t, 1) = y; placing[t] = y; enter(t); sort_handles(t); y = placing[t] };
		if
		:: bias[y] == t -> atomic { CAN_WRITE(t, MINE(y)) -> write(t, MINE(y), latest[MINE(y)] + 1, 0) }
		:: else -> atomic { CAN_WRITE(t, THEIRS(y)) -> write(t, THEIRS(y), latest[THEIRS(y)] + 1, 0) }
		fi;
		atomic { finish(t) }
	:: atomic { in_section & BIT(t) -> in_section = in_section & ~BIT(t); borrowed[t] = NIL; leave(t) }
	:: atomic { n == 0 && !(in_section & BIT(t)) -> break }
	od
}

inline reach(v) { if :: v != NIL -> seen = seen | BIT(v) :: else fi }
inline follow() {
	for (e : 4 .. ROOT - 1) {
		if :: (seen & BIT((e - 4) / SLOTS)) && latest[e] != NIL -> seen = seen | BIT(latest[e]) :: else fi
	}
}
inline find_reached() {
	seen = 0;
	reach(latest[ROOT]);
	for (e : 0 .. THREADS - 1) {
		reach(HANDLE(e, 0)); reach(HANDLE(e, 1)); reach(borrowed[e]); reach(placing[e]); reach(taking[e])
	}
	follow(); follow()
}
inline read_words(o) {
	atomic { external[o] = visible[MINE(o)]; tracked = tracked | BIT(MINE(o)) };
	atomic { external[o] = external[o] + visible[THEIRS(o)]; tracked = tracked | BIT(THEIRS(o)); copied = copied | BIT(o) }
}
inline read_edge(a) { atomic { v = visible[a]; if :: v != NIL -> external[v]-- :: else fi; edge[a - 4] = v; v = NIL } }
inline read_edges(o) {
	read_edge(SLOT(o, 0));
#if SLOTS > 1
	read_edge(SLOT(o, 1))
#endif
}
/* Slot, words, slot again. */
inline walk_edge(a) {
	atomic { v = visible[a]; edge[a - 4] = NIL };
	if
	:: v != NIL && !(copied & BIT(v)) ->
		read_words(v);
		atomic { if :: visible[a] == v -> edge[a - 4] = v :: else fi; v = NIL }
	:: else -> atomic { edge[a - 4] = v; v = NIL }
	fi;
	atomic { if :: edge[a - 4] != NIL -> external[edge[a - 4]]-- :: else fi }
}
inline walk_edges(o) {
	walk_edge(SLOT(o, 0));
#if SLOTS > 1
	walk_edge(SLOT(o, 1))
#endif
}
inline spread() {
	for (e : 4 .. ROOT - 1) {
		if :: (live & BIT((e - 4) / SLOTS)) && edge[e - 4] != NIL -> live = live | BIT(edge[e - 4]) :: else fi
	}
	for (e : 4 .. ROOT - 1) {
		if :: (live & BIT((e - 4) / SLOTS)) && edge[e - 4] != NIL -> live = live | BIT(edge[e - 4]) :: else fi
	}
	e = 0
}
proctype detector() {
	short external[2];
	byte edge[2 * SLOTS] = NIL, v = NIL, copied, live, o, other;
	if :: o = 0; other = 1 :: o = 1; other = 0 fi;
	read_words(o);
#ifdef PARTIAL
	walk_edges(o);
	if :: copied & BIT(other) -> walk_edges(other) :: else fi;
#else
	read_words(other);
	read_edges(o);
	read_edges(other);
#endif
	atomic {
		for (v : 0 .. 1) { if :: !(copied & BIT(v)) || external[v] != 0 -> live = live | BIT(v) :: else fi; external[v] = 0 }
		v = NIL;
		spread();
		if :: live == 3 -> over = 1; goto done :: else fi
	};
#ifndef NO_GRACE
	atomic {
#ifndef NO_BARRIER
		drain_all();
#endif
		waits = in_section | in_operation
	};
	atomic {
		waits == 0;
#ifndef NO_BARRIER
		drain_all()
#endif
	};
#endif
	do
	:: atomic { o != NIL -> if :: changed & (BIT(MINE(o)) | BIT(THEIRS(o))) -> live = live | BIT(o) :: else fi; o = other; other = NIL }
	:: else -> break
	od;
	atomic {
		spread(); find_reached();
		assert((live | seen) == live);
		seen = 0; over = 1
	};
done:	do :: over od /* the others stand still: no end state */
}

inline hold(t, o) { HANDLE(t, 0) = o; if :: bias[o] == t -> latest[MINE(o)]++ :: else -> latest[THEIRS(o)]++ fi }
init {
	byte o;
	atomic {
		for (o : 4 .. ROOT) { latest[o] = NIL }
		for (o : 0 .. 2 * THREADS - 1) { handle[o] = NIL }
		for (o : 0 .. THREADS - 1) { borrowed[o] = NIL; placing[o] = NIL; taking[o] = NIL }
		latest[SLOT(0, 0)] = 1; latest[SLOT(1, 0)] = 0; latest[THEIRS(0)] = 1; latest[THEIRS(1)] = 1;
		/* The held member is the thread's own or not. */
		bias[0] = NOBODY; bias[1] = NOBODY;
		if :: bias[0] = 0 :: skip fi;
		hold(0, 0);
#if THREADS > 1
		hold(1, 1);
#endif
		for (o : 0 .. 1) {
			/* References in slots may be counted in local: from an object that was private when they were stored. */
			if :: SPLIT && bias[o] != NOBODY -> latest[THEIRS(o)]--; latest[MINE(o)]++ :: skip fi;
			if :: latest[MINE(o)] == 0 -> bias[o] = NOBODY :: else fi
		}
		for (o : 0 .. ROOT) { visible[o] = latest[o] }
		o = 0;
		run detector();
		run memory(0); run mutator(0, OPS);
#if THREADS > 1
		run memory(1); run mutator(1, OPS1)
#endif
	}
}
