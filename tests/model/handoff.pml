/* SPDX-License-Identifier: MIT
 *
 * Death at once of a leaf that handles alone have led to since cgc_transfer().
 *
 * Stands for: cgc__count_kill_handed(), cgc__count_expose() and cgc__count_shared_down() of src/count.h,
 * cgc__release_slow() and cgc_transfer() of src/count.c; what exposes in src/slot.c, src/publish.c and src/weak.c;
 * settle_zero() of src/pending.c for what is exposed.
 *
 * One object, merged: shared is its count, with the flag HANDED (here: not exposed) beside it. Threads hand it over, store it in a slot, load
 * or borrow it from there, take it out, make a weak reference and upgrade it, release it. Who takes
 * the only reference away may declare it dead by a store, if it was never exposed, because then nobody else writes the word; else zero waits for a grace
 * period, and is dead if the word has not moved. Abstracted: the version in the word is exact; memory goes back with
 * death at once, else a grace period later.
 *
 * Safety: nobody takes the object for alive after its death, nor touches it when its memory is back. At the end, with no reference left, it is dead.
 *
 * HOLDS: -DOPS=3 : two threads
 * HOLDS: -DOPS=2 -DTHREADS=3 : three threads
 * DEEP: -DOPS=4 : two threads, longer
 * BREAKS: -DOPS=2 -DTHREADS=3 -DEXPOSED_LATE : exposed after it is in the slot
 * BREAKS: -DOPS=3 -DNOT_EXPOSED : a store that does not expose
 * BREAKS: -DOPS=3 -DWEAK_NOT_EXPOSED : a weak reference that does not expose
 * BREAKS: -DOPS=3 -DFLAG_IGNORED : dead at once, whatever the flag
 * BREAKS: -DOPS=2 -DTOUCHED_AFTER : who has given up a reference that was not the last looks at the object once more
 */
#ifndef THREADS
#define THREADS 2
#endif
#ifndef OPS
#define OPS 3
#endif

byte count = 1, version;
bool exposed, dead, freed, slot, weak;
byte handle[THREADS];
byte given;                                 /* a reference on its way to another thread */
byte sections, waits;                       /* a bit each: open; open when the grace period began */
byte queued, queued_version;                /* the pending queue: 1 new, 2 its grace period runs */
byte ended;

#define TOUCH assert(!dead)
#define LOOK assert(!freed)
#define BIT (1 << me)

inline enter() { sections = sections | BIT }
inline leave() { atomic { sections = sections & ~BIT; waits = waits & ~BIT } }

inline expose() {
#ifdef NOT_EXPOSED
	skip
#else
	atomic { TOUCH; exposed = true }
#endif
}

inline up() { atomic { TOUCH; count++; version++ } }

/* In a section: one reference less, and what follows if it was the last. */
inline down() {
	if
#ifdef FLAG_IGNORED
	:: atomic { count == 1 && queued == 0 -> TOUCH; read = version };
		atomic { TOUCH; count = 0; version++; dead = true; freed = true }
#else
	:: atomic { count == 1 && queued == 0 && !exposed -> TOUCH; read = version };
		atomic { TOUCH; assert(version == read && !exposed && !slot && !weak); count = 0; version++; dead = true; freed = true }
#endif
	:: atomic { TOUCH; count--; version++; left = count };
		if
		:: left == 0 -> atomic { TOUCH; if :: queued == 0 && count == 0 -> queued = 1; queued_version = version :: else -> skip fi }
#ifdef TOUCHED_AFTER
		:: left > 0 -> LOOK
#else
		:: left > 0 -> skip
#endif
		fi
	fi;
	left = 0; read = 0
}

proctype mutator(byte me) {
	byte i, left, read;
	bool seen;
	do
	:: i < OPS ->
		i++;
		if
		:: atomic { handle[me] > 0 && given == 0 -> handle[me]--; given = 1 }
		:: atomic { given == 1 -> given = 0; handle[me]++ }
		:: handle[me] > 0 && count < 3 -> enter(); up(); handle[me]++; leave() /* retain */
		:: handle[me] > 0 -> /* release */
			handle[me]--;
			enter(); down(); leave()
		:: handle[me] > 0 && !slot -> /* store */
			enter();
#ifndef EXPOSED_LATE
			expose();
#endif
			up();
			atomic { seen = slot; slot = true };
			if :: seen -> down() :: else -> skip fi;
#ifdef EXPOSED_LATE
			expose();
#endif
			seen = false;
			leave()
		:: handle[me] > 0 && !slot -> /* store, consumed */
			enter();
#ifndef EXPOSED_LATE
			expose();
#endif
			atomic { seen = slot; slot = true; handle[me]-- };
			if :: seen -> down() :: else -> skip fi;
#ifdef EXPOSED_LATE
			expose();
#endif
			seen = false;
			leave()
		:: slot -> /* load */
			enter();
			seen = slot;
			if :: seen -> up(); handle[me]++ :: else -> skip fi;
			seen = false;
			leave()
		:: slot -> /* borrow */
			enter();
			seen = slot;
			if :: seen -> TOUCH :: else -> skip fi;
			seen = false;
			leave()
		:: slot -> /* clear */
			enter();
			atomic { seen = slot; slot = false };
			if :: seen -> down() :: else -> skip fi;
			seen = false;
			leave()
		:: handle[me] > 0 && !weak -> /* a weak reference */
#ifndef WEAK_NOT_EXPOSED
			expose();
#endif
			weak = true
		:: weak -> /* upgrade */
			enter();
			seen = weak; /* cleared with its death */
			if
			:: seen -> atomic { LOOK; if :: !dead -> count++; version++; handle[me]++ :: else -> skip fi }
			:: else
			fi;
			seen = false;
			leave()
		:: true
		fi
	:: else -> break
	od;
	/* What is left goes. */
	do
	:: handle[me] > 0 -> handle[me]--; enter(); down(); leave()
	:: else -> break
	od;
	ended++
}

/* Grace periods, and what waits for them. */
active proctype background() {
end:	do
	:: atomic { queued == 1 -> waits = sections; queued = 2; queued_version = version }
	:: atomic {
		queued == 2 && waits == 0 ->
		queued = 0;
		if
		:: count == 0 && version == queued_version ->
			dead = true; weak = false; queued = 3; waits = sections
		:: count == 0 && version != queued_version -> queued = 1
		:: else
		fi
	}
	:: atomic { queued == 3 && waits == 0 -> queued = 0; freed = true }
	/* The program is over: the slot is cleared, the last reference released. */
	:: atomic { ended == THREADS && given == 1 -> given = 0; count--; version++;
		if :: count == 0 && !exposed -> dead = true; freed = true :: count == 0 && exposed && queued == 0 -> queued = 1 :: else -> skip fi }
	:: atomic { ended == THREADS && given == 0 && slot -> slot = false; count--; version++;
		if :: count == 0 && queued == 0 -> queued = 1 :: else -> skip fi }
	:: atomic { ended == THREADS && given == 0 && !slot && queued == 0 -> assert(count == 0 && freed); break }
	od
}

init {
	byte t;
	atomic {
		handle[0] = 1;
		for (t : 0 .. THREADS - 1) { run mutator(t) }
		t = 0
	}
}
