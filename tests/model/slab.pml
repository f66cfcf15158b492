/* SPDX-License-Identifier: MIT
 *
 * Cells that others free, and slabs that go back.
 *
 * Stands for: src/remote.c; collect_returned(), retire_empty(), refill(), cgc__slab_give(), cgc__slab_hold(),
 * cgc__slab_let_go() of src/slab.c;
 * cgc__slab_pop() of src/slab.h; cgc__slab_walk() of src/slabs.c.
 *
 * Abstracted: two slabs of two cells and of one size, made once each, shared from the start; COLLECT_AT_ONCE is 1.
 * What is the owner's alone is done in one step with the access that it leads to. No slab of one large cell, and no
 * owner that ends. A foreign thread may send the cells it keeps back at any moment, so after any number. Every access is seen by all at once: what collect_remote() may do without its release half, read
 * returned_next after the exchange, is a variant.
 *
 * Safety: a cell is given out only when it is free, and freed once; a slab is released once, with no cell in use or on
 * the way, in no list, and not looked at; nobody touches it afterwards. At the end no slab is in no list.
 *
 * HOLDS: -DOPS=5 : an owner and a foreign thread
 * HOLDS: -DOPS=4 -DTOUCHES : the owner keeps slabs that it has touched
 * HOLDS: -DOPS=5 -DWALKS : the owner walks
 * HOLDS: -DOPS=3 -DFOREIGN=2 : two foreign threads
 * DEEP: -DOPS=4 -DFOREIGN=2 : two foreign threads, longer
 * DEEP: -DOPS=4 -DTOUCHES -DWALKS : the owner touches and walks
 * DEEP: -DOPS=6 : longer
 *
 * BREAKS: -DOPS=5 -DNEXT_LATE : collect_remote() without its release half: the next one is read when returned again
 * BREAKS: -DOPS=4 -DRETURNED_ALWAYS : every cell that is given returns the slab, not the first only; a list in a circle
 * BREAKS: -DOPS=4 -DHOLDS_IGNORED : released without a look at holds, while the owner allocates from it
 * BREAKS: -DOPS=4 -DCELLS_IGNORED : released with a cell in use
 * BREAKS: -DOPS=4 -DMIXED : cells of two slabs in one chain
 * BREAKS: -DOPS=5 -DWALKS -DNO_LOCK : the decision and the removal not under one lock; the owner walks to it between
 */
#ifndef OPS
#define OPS 4
#endif
#ifndef FOREIGN
#define FOREIGN 1
#endif
#define SLABS 2
#define CELLS 2
#define NONE 7
#define BIT(o) (1 << (o))
#define SLAB_OF(g) ((g) / CELLS)
#define FIRST(s) ((s) * CELLS)

/* Slabs. */
bool is_made[SLABS], is_released[SLABS];
byte bumped[SLABS], used[SLABS], free[SLABS] = NONE;
byte remote_count[SLABS], remote_first[SLABS] = NONE, remote_last[SLABS] = NONE;
byte returned_next[SLABS] = NONE;
byte holds[SLABS];
#define CURRENT 1
#define TOUCHED 2
#define WALK 4
/* Cells. */
byte link[SLABS * CELLS] = NONE, state[SLABS * CELLS];
#define IS_FREE 0
#define MINE 1   /* the owner's to free */
#define THEIRS 2 /* another thread's */
#define GIVING 3 /* being freed */
/* The context. */
byte current = NONE, collected = NONE, returned = NONE;
bool is_partial[SLABS];
bool owner_ended;
byte foreign_at_work;
byte lost;

inline touch(s) { assert(!is_released[s]) }

inline return_slab(s) {
	atomic { head = returned };
	do
	:: atomic { touch(s); returned_next[s] = head };
		atomic {
			if
			:: returned == head -> returned = s; head = NONE; break
			:: else -> head = returned
			fi }
	od
}

/* Cells kept back: a chain in one slab. */
inline send() {
	atomic { s = SLAB_OF(out); touch(s); first = remote_first[s]; count = remote_count[s] };
	do
	:: atomic { link[out_last] = first };
		atomic {
			touch(s);
			if
			:: remote_first[s] == first && remote_count[s] == count ->
				remote_first[s] = out;
				if
				:: first == NONE -> remote_last[s] = out_last
				:: else
				fi;
				remote_count[s] = count + (out == out_last -> 1 : 2);
				state[out] = IS_FREE; state[out_last] = IS_FREE;
				break
			:: else -> first = remote_first[s]; count = remote_count[s]
			fi }
	od;
	atomic { first = NONE; out = NONE; out_last = NONE };
	if
#ifdef RETURNED_ALWAYS
	:: true -> return_slab(s)
#else
	:: count == 0 -> return_slab(s)
	:: else
#endif
	fi;
	atomic { count = 0; s = NONE }
}

inline give_remote(g) {
	if
#ifdef MIXED
	:: false -> skip
#else
	:: out != NONE && SLAB_OF(out) != SLAB_OF(g) -> send()
#endif
	:: else
	fi;
	atomic { touch(SLAB_OF(g));
		if :: out == NONE -> out_last = g :: else fi;
		link[g] = out; out = g; g = NONE }
}

proctype foreign() {
	byte g = NONE, s = NONE, head = NONE, first = NONE, out = NONE, out_last = NONE, count;
	do
	:: atomic { state[0] == THEIRS -> g = 0; state[g] = GIVING }; give_remote(g)
	:: atomic { state[1] == THEIRS -> g = 1; state[g] = GIVING }; give_remote(g)
	:: atomic { state[2] == THEIRS -> g = 2; state[g] = GIVING }; give_remote(g)
	:: atomic { state[3] == THEIRS -> g = 3; state[g] = GIVING }; give_remote(g)
	:: out != NONE -> send()
	:: atomic { owner_ended && out == NONE && state[0] != THEIRS && state[1] != THEIRS && state[2] != THEIRS &&
			state[3] != THEIRS -> foreign_at_work-- }; break
	od
}

/* The owner. */
inline collect_remote(s) {
	/* both of the slab's cells may be in it */
	touch(s);
	used[s] = used[s] - remote_count[s];
	if
	:: remote_first[s] == NONE -> skip
	:: else ->
		if
		:: free[s] != NONE ->
			assert(remote_last[s] != free[s] && link[remote_last[s]] == NONE);
			link[remote_last[s]] = free[s]
		:: else
		fi;
		free[s] = remote_first[s]
	fi;
	remote_count[s] = 0;
	remote_first[s] = NONE; remote_last[s] = NONE
}
inline collect_returned() {
	atomic { if :: collected == NONE -> collected = returned; returned = NONE :: else fi };
	if
	:: collected != NONE ->
		s = collected;
#ifdef NEXT_LATE
		atomic { collect_remote(s) };
		atomic { touch(s); collected = returned_next[s] };
#else
		atomic { touch(s); collected = returned_next[s] };
		atomic { collect_remote(s) };
#endif
		atomic { if :: !is_partial[s] && !(holds[s] & CURRENT) -> is_partial[s] = 1 :: else fi;
			s = NONE };
		atomic { if :: collected != NONE && returned == NONE -> returned = collected; collected = NONE
			:: else fi }
	:: else
	fi
}
#define IS_EXHAUSTED(s) (free[s] == NONE && bumped[s] == CELLS)
inline refill() {
	collect_returned();
	atomic {
		if :: current != NONE && IS_EXHAUSTED(current) -> touch(current); s = current; current = NONE;
			holds[s] = holds[s] & ~CURRENT; s = NONE :: else fi
	};
	atomic {
		if
		:: current != NONE
		:: current == NONE && is_partial[0] -> s = 0
		:: current == NONE && is_partial[1] -> s = 1
		:: current == NONE && !is_partial[0] && !is_partial[1] && !is_made[0] -> s = 0
		:: current == NONE && !is_partial[0] && !is_partial[1] && is_made[0] && !is_made[1] -> s = 1
		:: current == NONE && !is_partial[0] && !is_partial[1] && is_made[0] && is_made[1]
		fi;
		if
		:: s != NONE -> touch(s); is_made[s] = 1; is_partial[s] = 0; holds[s] = holds[s] | CURRENT;
				current = s; s = NONE
		:: else
		fi }
}
inline retire_empty(s) {
	if
	:: atomic { (holds[s] & (CURRENT | TOUCHED)) || (is_partial[s] && !is_partial[1 - s]) -> skip }
	:: atomic { !(holds[s] & (CURRENT | TOUCHED)) && !(is_partial[s] && !is_partial[1 - s]) ->
			touch(s); is_partial[s] = 0;
			remote_first[s] = free[s]; remote_last[s] = free[s]; remote_count[s] = bumped[s]; used[s] = bumped[s];
				free[s] = NONE };
		return_slab(s)
	fi
}
/* cgc__slab_give() by the owner */
inline give(g) {
	atomic {
		s = SLAB_OF(g); touch(s);
		state[g] = IS_FREE; link[g] = free[s]; free[s] = g; used[s]--; g = NONE;
		if :: !(holds[s] & CURRENT) -> is_partial[s] = 1 :: else fi
	};
	if
	:: !(holds[s] & CURRENT) && used[s] == 0 -> retire_empty(s)
	:: else
	fi;
	s = NONE
}
proctype owner() {
	byte n = OPS, s = NONE, g = NONE, head = NONE, last = NONE;
	do
	:: n > 0 ->
		n--;
		if :: current == NONE || IS_EXHAUSTED(current) -> refill() :: else fi;
		atomic {
			if
			:: current != NONE && !IS_EXHAUSTED(current) ->
				touch(current);
				if
				:: free[current] != NONE -> g = free[current]; free[current] = link[g]
				:: free[current] == NONE -> g = FIRST(current) + bumped[current];
						bumped[current]++
				fi;
				used[current]++;
				assert(state[g] == IS_FREE && SLAB_OF(g) == current);
				link[g] = NONE;
				if :: state[g] = MINE :: state[g] = THEIRS fi;
#ifdef TOUCHES
				if :: holds[current] = holds[current] | TOUCHED :: skip fi;
#endif
				g = NONE
			:: else
			fi }
	/* frees what it has kept */
	:: atomic { state[0] == MINE || state[1] == MINE || state[2] == MINE || state[3] == MINE ->
			if :: state[0] == MINE -> g = 0 :: state[1] == MINE -> g = 1 :: state[2] == MINE ->
				g = 2 :: state[3] == MINE -> g = 3 fi };
		give(g)
#ifdef TOUCHES
	/* cgc__slab_let_go(), of a slab that it reads until then */
	:: atomic { if :: holds[0] & TOUCHED -> s = 0 :: holds[1] & TOUCHED -> s = 1 fi };
		atomic { touch(s); last = (used[s] == 0 && is_partial[s]); holds[s] = holds[s] & ~TOUCHED };
		if :: last == 1 -> retire_empty(s) :: else fi;
		atomic { last = NONE; s = NONE }
#endif
#ifdef WALKS
	/* cgc__slab_walk(), one slab, twice looked at */
	:: atomic { n > 0 && (holds[0] | holds[1]) < WALK -> n--;
			if :: is_made[0] && !is_released[0] -> s = 0 :: is_made[1] && !is_released[1] -> s = 1
				:: else -> goto next fi;
			holds[s] = holds[s] | WALK };
		atomic { touch(s) };
		atomic { touch(s); holds[s] = holds[s] & ~WALK; s = NONE };
next:		skip
#endif
	:: n == 0 && state[0] != MINE && state[1] != MINE && state[2] != MINE && state[3] != MINE &&
			!((holds[0] | holds[1]) & TOUCHED) -> break
	od;
	owner_ended = 1
}

/* The background thread. */
#ifdef HOLDS_IGNORED
#define IS_HELD(s) false
#else
#define IS_HELD(s) (holds[s] != 0)
#endif
#ifdef CELLS_IGNORED
#define ALL_REMOTE(s) true
#else
#define ALL_REMOTE(s) (remote_count[s] == bumped[s])
#endif
#define IN_USE(g) (state[g] != IS_FREE)
inline release(s) {
	assert(!is_released[s]);
	is_released[s] = 1;
	assert(!IN_USE(FIRST(s)) && !IN_USE(FIRST(s) + 1));
	assert(holds[s] == 0 && current != s && !is_partial[s] && returned != s && collected != s)
}
inline try_release(s) {
#ifdef NO_LOCK
	atomic { touch(s); over = !IS_HELD(s) && ALL_REMOTE(s) };
	atomic { if :: over -> release(s) :: else fi }
#else
	atomic { touch(s); over = !IS_HELD(s) && ALL_REMOTE(s); if :: over -> release(s) :: else fi }
#endif
}
proctype background() {
	byte s = NONE, next = NONE, head = NONE;
	bool over, once;
	do
	:: atomic { returned != NONE && (!once || !owner_ended || foreign_at_work) || (returned != NONE &&
			!once) ->
			s = returned; returned = NONE; once = owner_ended && !foreign_at_work };
		do
		:: s != NONE ->
			atomic { touch(s); next = returned_next[s] };
			try_release(s);
			if :: over -> over = 0 :: else -> return_slab(s) fi;
			atomic { s = next; next = NONE }
		:: else -> break
		od
	:: atomic { owner_ended && !foreign_at_work && (once || returned == NONE) ->
			/* what is not in a list is lost */
			lost = (is_made[0] && !is_released[0] -> 1 : 0) | (is_made[1] && !is_released[1] ->
				2 : 0);
			for (s : 0 .. 1) { if :: current == s || is_partial[s] -> lost = lost & ~BIT(s)
				:: else fi }
			s = returned;
			do
			:: s != NONE -> touch(s); lost = lost & ~BIT(s); assert(returned_next[s] != s);
					s = returned_next[s]
			:: else -> s = collected; break
			od;
			do
			:: s != NONE -> touch(s); lost = lost & ~BIT(s); s = returned_next[s]
			:: else -> break
			od;
			assert(lost == 0) }; break
	od
}

init {
	atomic {
		foreign_at_work = FOREIGN;
		run owner();
		run foreign();
#if FOREIGN > 1
		run foreign();
#endif
		run background()
	}
}
