/* SPDX-License-Identifier: MIT
 *
 * Weak references, the verdict word and finalizers, against the detector and death by counting.
 *
 * Stands for: cgc_weak_load(), upgrade(), cgc__weak_detach() of src/weak.c; begin_attempt(), commit(),
 * clear_condemned(), condemn(), save_changed(), settle(), keep_for_finalizers(), detach_weak(), mark_dead(), hold(),
 * finalize(), end_of_the_dead() of src/verdict.c; settle_zero(), settle_bias(), look_again() of src/pending.c;
 * end_published(), clear_weak(), finalize_published(), drop_children(), give_back(), cgc__reclaim_condemned() of
 * src/reclaim.c; cgc__count_merge_last() of src/count.c. The detector is in weak_detector.promela.
 *
 * Abstracted: every access is one step and seen by all at once; words are compared exactly (equal: same flags, and no
 * step of the version since it was read). A decrement and the QUEUED flag that it leads to are one step (bias.pml has
 * them apart), a window is whole and its edges are read in one step (window.pml has them apart), so is a look at
 * window_open and what follows. No suspects, stamps and immortal objects. One weak reference for each object, made
 * before. A finalizer may store its object, or the one that refers to, into the root. The background thread settles
 * what is queued between its looks; with SETTLER another thread does so at any time, but for what the detector queued
 * for the background thread itself. An attempt may come too late at any time. It is tried twice, then given up.
 *
 * Safety: what is judged dead, and what becomes DEAD, is reached by no handle, root or borrowed pointer; an upgrade
 * returns nothing that is judged dead, and NULL only for what is; none of a member returns after a finalizer of its set
 * began, whose weak reference is NULL by then; a finalizer runs once, on what is intact; nobody touches memory that
 * went back. At the end what nothing reaches has gone back.
 *
 * Asked for in weak_detector.promela: ATTEMPTS, FLAGS_FIRST, PENDING_LATE, NO_ATTEMPT_GRACE, NO_NUMBER,
 * SAVED_CLEARED_LATE, COMMIT_STORED, CONDEMNED_CLEARED_FIRST, KEPT_AT_ONCE.
 *
 * HOLDS: -DOPS=2 -DRING : two threads upgrade members of a dead ring of two
 * HOLDS: -DOPS=1 -DRING -DLOOKS=2 : two looks
 * HOLDS: -DOPS=1 -DSELVES -DLOOKS=2 : two dead objects apart, judged by one verdict, twice
 * HOLDS: -DOPS=1 -DRING -DOBJECTS=3 : a dead ring of three
 * HOLDS: -DOPS=2 -DRING -DWITHOUT_WEAK=2 : one member has no weak reference
 * HOLDS: -DOPS=2 -DOPS1=1 -DRING -DOWNED : counted by the first thread, in local
 * HOLDS: -DOPS=1 -DRING -DOWNED -DHELD -DWALKS : the same, held at first, taken apart by its threads
 * HOLDS: -DOPS=1 -DRING -DHELD -DWALKS -DSETTLER : death by counting beside a look
 * HOLDS: -DOPS=2 -DOPS1=1 -DRING -DFINALIZERS=1 : one member has a finalizer, which may store it or the other
 * HOLDS: -DOPS=1 -DRING -DFINALIZERS=3 : both have
 * HOLDS: -DOPS=1 -DRING -DHELD -DWALKS -DSETTLER -DFINALIZERS=1 : a finalizer by either way of death
 * HOLDS: -DOPS=1 -DSETTLER : death by counting alone: an upgrade against it
 * HOLDS: -DOPS=1 -DSETTLER -DFINALIZERS=1 : the same with a finalizer
 * HOLDS: -DOPS=1 -DSELVES -DLOOKS=2 -DNO_NUMBER : no twin: without the attempt's number; the grace period is enough
 * DEEP: -DOPS=1 -DRING -DTHREADS=3 : three threads upgrade
 * DEEP: -DOPS=2 -DRING -DOWNED : counted in local, longer
 * DEEP: -DOPS=2 -DSELVES -DNO_NUMBER : without the attempt's number, longer
 * DEEP: -DOPS=2 -DRING -DFINALIZERS=3 : two finalizers, longer
 * DEEP: -DOPS=2 -DRING -DATTEMPTS=3 : three attempts
 *
 * BREAKS: -DOPS=2 -DRING -DNO_CONDEMNED : no flag on the condemned; upgraded between the second look and the end
 * BREAKS: -DOPS=2 -DRING -DCOMMITTED_TRUSTED : COMMITTED read, the flag not read again; a saved object answers NULL
 * BREAKS: -DOPS=2 -DRING -DCOMMIT_STORED : commit without a compare-exchange; over an upgrade that has aborted it
 * BREAKS: -DOPS=2 -DRING -DSAVED_CLEARED_LATE : flags of the saved cleared after the commit; they answer NULL
 * BREAKS: -DOPS=2 -DRING -DVERDICT_EACH : a verdict for each object; half a ring upgraded, the other half dead
 * BREAKS: -DOPS=2 -DRING -DNO_ATTEMPT_GRACE : a new attempt without a grace period; an upgrade between look and commit
 * BREAKS: -DOPS=2 -DSELVES -DPENDING_LATE : a new attempt is PENDING only after its grace period; ABORTED is trusted
 * BREAKS: -DOPS=2 -DRING -DFLAGS_FIRST -DLOOKS=2 : flags before PENDING; COMMITTED of the window before is trusted
 * BREAKS: -DOPS=2 -DRING -DCONDEMNED_CLEARED_FIRST : CONDEMNED cleared before DEAD is set; neither is seen
 * BREAKS: -DOPS=2 -DRING -DDETACH_LATE -DFINALIZERS=1 : weak references detached after finalizers
 * BREAKS: -DOPS=2 -DRING -DKEPT_AT_ONCE -DFINALIZERS=1 : no grace period before CONDEMNED goes for a finalizer
 * BREAKS: -DOPS=2 -DSETTLER -DFINALIZERS=1 -DFINALIZED_AT_ONCE : the same in death by counting
 * BREAKS: -DOPS=2 -DRING -DMEMORY_AT_ONCE : no grace period between detaching and memory; an upgrade touches it
 * BREAKS: -DOPS=2 -DRING -DRESURRECTION_IGNORED -DFINALIZERS=1 : no second look after finalizers
 * BREAKS: -DOPS=1 -DSETTLER -DRESURRECTION_IGNORED -DFINALIZERS=1 : the same in death by counting
 * BREAKS: -DOPS=2 -DRING -DOWNED -DOWNER_UPGRADES : the owner counts up plainly; after the second look
 */
#ifndef THREADS
#define THREADS 2
#endif
#ifndef OPS
#define OPS 2
#endif
#ifndef OPS1
#define OPS1 OPS
#endif
#ifndef OBJECTS
#define OBJECTS 2
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 2
#endif
#ifndef LOOKS
#define LOOKS 1
#endif
/* A bit for each object with a finalizer, and for each without a weak reference. */
#ifndef FINALIZERS
#define FINALIZERS 0
#endif
#ifndef WITHOUT_WEAK
#define WITHOUT_WEAK 0
#endif
#define BIT(o) (1 << (o))
#define ALL (BIT(OBJECTS) - 1)
#define NIL OBJECTS /* an object that refers to itself and that nobody looks at */
#define NOBODY 7

/* The shared word: count, these, and a version. */
#define DEAD 1
#define CONDEMNED 2
#define QUEUED 4
#define HAS_WEAK 8
#define MERGED 16
short count[OBJECTS];
byte flags[OBJECTS];
/* Who remembers the word (threads, then these), and of those for whom its version has moved. */
#define ENTRY 3
#define WINDOW 4
#define FINALIZER 5
byte remembered[OBJECTS], moved[OBJECTS];
/* The local word: its count, and whether it has moved since the window read it. */
byte mine[OBJECTS], bias[OBJECTS];
bool mine_moved[OBJECTS];

byte slot[OBJECTS + 1], root = NIL;
byte handle[3], borrowed[3];
bool target[OBJECTS]; /* its weak reference answers */
/* 1 queued, 2 sealed, 3 queued where only the background thread takes it; and the word's flags then. */
byte entry[OBJECTS], entry_flags[OBJECTS];
/* A bit for each object. */
byte freed, destroyed, finalized;
byte judged;     /* by a commit, until it is alive again for finalizers */
byte finalizing; /* its set has seen a finalizer */

/* The state, and above it the number of the attempt. */
#define PENDING 1
#define ABORTED 2
#define COMMITTED 3
#define STATE(v) ((v) & 3)
#ifdef VERDICT_EACH
byte verdicts[OBJECTS];
#define VERDICT(o) verdicts[o]
#else
byte verdict;
#define VERDICT(o) verdict
#endif

bool window_open;
byte sections, waits_detector, waits_settler; /* a bit for each thread */
byte ended;

#define IS_FREED(o) (freed & BIT(o))
inline touch(o) { assert(!IS_FREED(o)) }
inline enter(t) { sections = sections | BIT(t) }
inline leave(t) {
	sections = sections & ~BIT(t);
	waits_detector = waits_detector & ~BIT(t);
	waits_settler = waits_settler & ~BIT(t)
}
inline step_version(o) { moved[o] = moved[o] | remembered[o] }
inline remember(o, who) { remembered[o] = remembered[o] | BIT(who); moved[o] = moved[o] & ~BIT(who) }
inline forget(o, who) { remembered[o] = remembered[o] & ~BIT(who); moved[o] = moved[o] & ~BIT(who) }
#define HAS_MOVED(o, who) (moved[o] & BIT(who))

/* What the program reaches. */
#define FROM(o) (BIT(o) | BIT(slot[o]) | BIT(slot[slot[o]]))
#define REACHED (FROM(root) | FROM(handle[0]) | FROM(handle[1]) | FROM(handle[2]) | \
	FROM(borrowed[0]) | FROM(borrowed[1]) | FROM(borrowed[2]))
#define UNREACHED(set) (!((set) & REACHED))

#define AT_ZERO(o) ((flags[o] & MERGED) -> count[o] == 0 : count[o] < 0)
inline push_entry(o) { assert(entry[o] == 0); entry[o] = 1; entry_flags[o] = flags[o]; remember(o, ENTRY) }
inline count_up(o) { touch(o); assert(!(flags[o] & DEAD)); count[o]++; step_version(o) }
inline queue_if_zero(o) {
	if
	:: !(flags[o] & (QUEUED | DEAD)) && AT_ZERO(o) -> flags[o] = flags[o] | QUEUED; push_entry(o)
	:: else
	fi
}
inline discount(o) { touch(o); count[o]--; step_version(o); queue_if_zero(o) }
/* cgc__count_down() */
inline count_down(t, o) {
	if
	:: atomic { bias[o] != t -> discount(o) }
	:: atomic { bias[o] == t && mine[o] > 1 -> touch(o); mine[o]--; mine_moved[o] = 1 }
	:: atomic { bias[o] == t && mine[o] == 1 -> touch(o); mine[o] = 0; mine_moved[o] = 1 };
		atomic { touch(o); flags[o] = flags[o] | MERGED; bias[o] = NOBODY; queue_if_zero(o) }
	fi
}

/* upgrade(); the thread is in a section. */
inline reload(t, o) { touch(o); seen = flags[o]; remember(o, t) }
inline upgraded(t, o) {
	handle[t] = o;
	assert(!(flags[o] & DEAD) && !((judged | finalizing) & BIT(o)))
}
/* NULL is the answer only for what is dead. */
inline refused(o) { assert((flags[o] & DEAD) || ((judged | finalizing) & BIT(o))) }
inline upgrade(t, o) {
#ifdef OWNER_UPGRADES
	if
	:: atomic { bias[o] == t -> touch(o); mine[o]++; mine_moved[o] = 1; upgraded(t, o); goto upgrade_done }
	:: else
	fi;
#endif
	atomic { reload(t, o) };
	do
	:: atomic { seen & DEAD -> refused(o); break }
#ifdef NO_CONDEMNED
	:: atomic { !(seen & DEAD) ->
#else
	:: atomic { !(seen & DEAD) && (seen & CONDEMNED) -> v = VERDICT(o) };
		if
		:: atomic { STATE(v) == COMMITTED ->
				v = 0;
#ifndef COMMITTED_TRUSTED
				reload(t, o);
#endif
				if :: seen & CONDEMNED -> refused(o); break :: else fi }
		:: atomic { STATE(v) == PENDING ->
				if
				:: VERDICT(o) == v -> VERDICT(o) = (v & ~3) | ABORTED; v = 0; goto upgrade_due
				:: else -> v = 0
				fi }
		:: atomic { STATE(v) == ABORTED || STATE(v) == 0 -> v = 0; goto upgrade_due }
		fi
	:: atomic { !(seen & (DEAD | CONDEMNED)) ->
#endif
			skip };
upgrade_due:	atomic {
			if
			:: !HAS_MOVED(o, t) && seen == flags[o] -> touch(o); count[o]++; step_version(o);
					upgraded(t, o); break
			:: else -> reload(t, o)
			fi }
	od;
upgrade_done:
	atomic { seen = 0; v = 0; forget(o, t) }
}

proctype mutator(byte t, n) {
	byte x = NIL, up = NIL, down = NIL, discounted = NIL, seen, v;
	do
	/* cgc_weak_load */
	:: atomic { n > 0 && handle[t] == NIL -> n--; enter(t); select(x : 0 .. OBJECTS - 1) };
		if
		:: !target[x] -> skip
		:: target[x] -> upgrade(t, x)
		fi;
		atomic { x = NIL; leave(t) }
	:: atomic {
		if
		/* cgc_release */
		:: handle[t] != NIL -> down = handle[t]; handle[t] = NIL; enter(t)
#ifdef WALKS
		/* cgc_load of the field of what is held, which is then released */
		:: n > 0 && handle[t] != NIL && slot[handle[t]] != NIL -> n--; enter(t); touch(handle[t]);
				up = slot[handle[t]]; down = handle[t]
		/* cgc_store of NULL into the field */
		:: n > 0 && handle[t] != NIL && slot[handle[t]] != NIL -> n--; enter(t); touch(handle[t]);
				discounted = slot[handle[t]]; slot[handle[t]] = NIL
#endif
		/* the root: cgc_load, cgc_store of NULL */
		:: n > 0 && root != NIL && handle[t] == NIL -> n--; enter(t); up = root
		:: n > 0 && root != NIL -> n--; enter(t); discounted = root; root = NIL
		fi;
		borrowed[t] = up };
		if :: atomic { up != NIL -> count_up(up); handle[t] = up; borrowed[t] = NIL; up = NIL }
			:: else fi;
		if :: atomic { discounted != NIL -> discount(discounted); discounted = NIL } :: else fi;
		if :: down != NIL -> count_down(t, down); down = NIL :: else fi;
		atomic { leave(t) }
	:: atomic { n == 0 && handle[t] == NIL -> ended++ }; break
	od
}

/* The finalizer of o, on an object that is held for it; it may store that object, or the next one,
	into the root. */
inline run_finalizer(o) {
	touch(o);
	assert(!(finalized & BIT(o)) && !target[o]);
	assert(!(destroyed & (BIT(o) | BIT(slot[o]))) && !(flags[o] & DEAD));
	finalized = finalized | BIT(o);
	child = NIL;
	if
	:: true
	:: root == NIL && !last -> child = o
	:: root == NIL && !last -> child = slot[o]
	fi;
	if :: child != NIL -> count_up(child); root = child; child = NIL :: else fi
}
inline run_destroy(o) {
	touch(o);
	assert(UNREACHED(BIT(o)) && !(destroyed & BIT(o)));
	destroyed = destroyed | BIT(o)
}
inline drop_child(o) {
	atomic { child = slot[o]; slot[o] = NIL };
	if :: atomic { child != NIL -> discount(child); child = NIL } :: else fi
}

/* Settles one entry: what is to be done comes out of the first step. */
#define AGAIN 1
#define DROP_LOCAL 2
#define END 3
#define GIVE_BACK 4
inline settle_entry(o) {
	atomic {
		touch(o);
		entry[o] = 0;
		if
		:: flags[o] & DEAD -> todo = (destroyed & BIT(o) -> GIVE_BACK : END)
		:: else ->
			if
			:: !(flags[o] & MERGED) && bias[o] != NOBODY -> bias[o] = NOBODY; push_entry(o)
			:: !(flags[o] & MERGED) && bias[o] == NOBODY ->
				count[o] = count[o] + mine[o]; flags[o] = flags[o] | MERGED; step_version(o);
					todo = DROP_LOCAL
			:: (flags[o] & MERGED) && count[o] == 0 && !HAS_MOVED(o, ENTRY) &&
					((flags[o] ^ entry_flags[o]) & ~CONDEMNED) == 0 ->
				assert(UNREACHED(BIT(o)));
				flags[o] = (flags[o] | DEAD) & ~QUEUED; todo = END
			:: else -> todo = AGAIN
			fi
		fi;
		if :: entry[o] == 0 -> entry_flags[o] = 0; forget(o, ENTRY) :: else fi
	};
	if :: atomic { todo == DROP_LOCAL -> mine[o] = 0; mine_moved[o] = 1; todo = AGAIN } :: else fi;
	if
	:: atomic { todo == AGAIN -> touch(o); todo = 0;
			if
			:: AT_ZERO(o) -> push_entry(o)
			:: else -> flags[o] = flags[o] & ~QUEUED
			fi }
	:: todo == END ->
		/* end_published() */
		atomic { touch(o); had_weak = (flags[o] & HAS_WEAK) != 0; flags[o] = flags[o] & ~HAS_WEAK };
#ifndef DETACH_LATE
		if :: atomic { had_weak -> target[o] = 0 } :: else fi;
#endif
		if
		:: (FINALIZERS & ~finalized & BIT(o)) ->
			if
#ifndef FINALIZED_AT_ONCE
			:: atomic { had_weak -> push_entry(o); todo = 0 }
#endif
			:: else ->
				atomic { touch(o); count[o]++; step_version(o) };
				atomic { touch(o); flags[o] = flags[o] & ~DEAD; remember(o, FINALIZER);
					alive = flags[o]; finalizing = finalizing | BIT(o) };
				atomic { run_finalizer(o) };
				atomic { touch(o); count[o]--;
					if
#ifdef RESURRECTION_IGNORED
					:: true ->
#else
					:: !HAS_MOVED(o, FINALIZER) && flags[o] == alive ->
#endif
						assert(UNREACHED(BIT(o))); step_version(o);
							flags[o] = flags[o] | DEAD
					:: else -> step_version(o); queue_if_zero(o); todo = 0
					fi;
					forget(o, FINALIZER); alive = 0 }
			fi
		:: else
		fi;
		if
		:: todo == END ->
			atomic { run_destroy(o) };
			drop_child(o);
#ifdef MEMORY_AT_ONCE
			todo = GIVE_BACK
#else
			atomic { if :: had_weak -> push_entry(o); todo = 0 :: else -> todo = GIVE_BACK fi }
#endif
		:: else
		fi;
		had_weak = 0
	:: else
	fi;
	/* give_back() */
	if
	:: atomic { todo == GIVE_BACK -> todo = 0; touch(o); if :: window_open -> push_entry(o) :: else ->
			freed = freed | BIT(o) fi }
	:: else
	fi
}
#define ANY_ENTRY (entry[0] == 1 || entry[1] == 1 || entry[OBJECTS - 1] == 1)
inline settle_all(waits) {
	atomic { for (o : 0 .. OBJECTS - 1) { if :: entry[o] == 1 -> entry[o] = 2 :: else fi } o = 0;
		waits = sections };
	atomic { waits == 0 -> skip };
	do
	:: o < OBJECTS && entry[o] == 2 -> settle_entry(o); o++
	:: o < OBJECTS && entry[o] != 2 -> o++
	:: o == OBJECTS -> o = 0; break
	od
}

bool last; /* the others have ended */
#ifdef SETTLER
bool settling;
proctype settler() {
	byte o, child = NIL, alive, todo;
	bool had_weak;
end:	do
	:: atomic { !last && ANY_ENTRY -> settling = 1 };
		settle_all(waits_settler);
		settling = 0
	od
}
#define MAY_END (!settling)
#define SETTLES last
#else
#define MAY_END true
#define SETTLES true
#endif

#include "weak_detector.promela"

init {
	byte o;
	atomic {
		for (o : 0 .. OBJECTS - 1) {
			flags[o] = MERGED; bias[o] = NOBODY;
			if :: WITHOUT_WEAK & BIT(o) -> skip :: else -> flags[o] = flags[o] | HAS_WEAK;
				target[o] = 1 fi;
#ifdef RING
			slot[o] = (o + 1) % OBJECTS;
#elif defined(SELVES)
			slot[o] = o;
#else
			/* The root refers to the first one, and that to the next. */
			slot[o] = o + 1;
			root = 0;
#endif
			count[o] = 1;
#ifdef OWNED
			/* The first thread's: what is in slots was counted by it. */
			mine[o] = count[o]; count[o] = 0; bias[o] = 0; flags[o] = flags[o] & ~MERGED
#endif
		}
		slot[NIL] = NIL;
		for (o : 0 .. 2) { handle[o] = NIL; borrowed[o] = NIL }
#ifdef HELD
		handle[0] = 0;
#ifdef OWNED
		mine[0]++;
#else
		count[0]++;
#endif
#endif
		o = 0;
#ifdef SETTLER
		run settler();
#endif
		run detector();
		run mutator(0, OPS);
#if THREADS > 1
		run mutator(1, OPS1);
#endif
#if THREADS > 2
		run mutator(2, OPS1);
#endif
	}
}
