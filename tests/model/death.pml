/* SPDX-License-Identifier: MIT
 *
 * Death by counting, the unlink stamp, and a child of two dead parents.
 *
 * Stands for: cgc__count_shared_down(), cgc__count_after_shared_down(), cgc__count_queue() of src/count.[hc];
 * take_ready(), settle_zero(), look_again(), cgc__pending_push(), cgc__pending_retry_overflow() of src/pending.c;
 * drop_published_child(), give_back() of src/reclaim.c; cgc__grace_wait(), cgc__grace_try(), cgc__grace_seal(),
 * cgc__grace_stamp(), cgc__grace_is_old() of src/grace.[hc], with their numbers; cgc__window_open(), take_suspects(), cgc__window_close()
 * of src/window.c as far as memory goes.
 *
 * Abstracted: an equal version means an equal word. All objects are merged: shared is the count. Two queues, each
 * with a consumer that runs at any time. A flag and its entry are one step. Grace periods are bounded in number.
 * Objects 0 and 1 refer to object 2; roots refer to 0, to 1 and, with CHILD_ROOT, to 2.
 *
 * Safety: no object dies that a root, a handle, a pointer borrowed in an open section or an operation under way reaches,
 * and nobody touches memory that went back. When all is quiet what nothing reaches is given back.
 *
 * HOLDS: -DOPS=1 -DGRACES=3 : two parents die, two consumers discount their child
 * HOLDS: -DOPS=1 -DGRACES=2 -DOVERFLOW : entries that found no memory
 * HOLDS: -DOPS=2 -DOPS1=1 -DGRACES=4 -DONE_PARENT -DCHILD_ROOT : the stamp: a child unlinked elsewhere, and borrowed
 * HOLDS: -DOPS=1 -DGRACES=3 -DWINDOW -DONE_PARENT -DCHILD_ROOT : memory, and a window that takes suspects that die
 * HOLDS: -DOPS=2 -DGRACES=2 -DONE_PARENT -DCHILD_ROOT -DCHILD_ROOTS -DTRIES=4 : the stamp, and grace periods that are tried in vain
 * DEEP: -DOPS=2 -DGRACES=3 : two parents, two operations each
 * BREAKS: -DOPS=1 -DGRACES=3 -DSPLIT_DROP : a child of two dead parents is flagged after its discount, in freed memory
 * BREAKS: -DOPS=2 -DOPS1=1 -DGRACES=4 -DONE_PARENT -DCHILD_ROOT -DSTAMP_IGNORED : a child dies with its parent although it was unlinked lately
 * BREAKS: -DOPS=2 -DOPS1=1 -DGRACES=4 -DONE_PARENT -DCHILD_ROOT -DSTAMP_FIRST : the stamp is read before the word
 * BREAKS: -DOPS=2 -DOPS1=1 -DGRACES=4 -DONE_PARENT -DCHILD_ROOT -DNO_ZERO_GRACE : no grace period before zero is dead
 * BREAKS: -DOPS=2 -DGRACES=2 -DONE_PARENT -DCHILD_ROOT -DCHILD_ROOTS -DTRIES=4 -DABANDON : a try in vain leaves its number, and the next takes another: a stamp looks older than it is
 * BREAKS: -DOPS=1 -DGRACES=3 -DWINDOW -DONE_PARENT -DCHILD_ROOT -DFREE_SUSPECT : memory goes back although its name is in a suspect queue
 * BREAKS: -DOPS=1 -DGRACES=3 -DWINDOW -DONE_PARENT -DCHILD_ROOT -DNO_MEMORY_KEPT : memory goes back although a window is open
 * BREAKS: -DOPS=3 -DGRACES=3 -DNOT_COMPARED : an entry is settled although its word has changed
 * BREAKS: -DOPS=2 -DGRACES=3 -DOVERFLOW -DCOUNT_IGNORED : an entry is settled although its word had a count
 */
#ifndef GRACES
#define GRACES 4
#endif
#ifndef AGE
#define AGE 3
#endif
#ifndef OPS
#define OPS 2
#endif
#ifndef OPS1
#define OPS1 OPS
#endif
#define CHILD 2
#define NIL 3
#define ROOTS 3 /* slots 0 and 1 are the parents', 3 to 5 the roots */
#define ANY_ROOT (slot[3] != NIL || slot[4] != NIL || slot[5] != NIL)
#define BIT(t) (1 << (t))
#define QUEUED 2
#define SUSPECT 4
#define DEAD 8
#define GONE 16

byte slot[6] = NIL;
short count[3], stamp[3] = -8;
byte flags[3];
byte written[3]; /* shared: 1, 2 since settler 0, 1 read it; 4 since its entry was pushed */
bool freed[3], destroyed[3], suspected[3];
byte entry[3], queue[3]; /* 0 none, 1 new, 2 sealed, 3 overflow; of which queue */
short started, done;
byte open, waits; /* sections, a bit each: mutators 0 and 1, settlers 2 and 3 */
byte handle[2] = NIL, borrowed[2] = NIL, taking[2] = NIL;
byte ended, busy;
bool window_open;
hidden byte seen, e;

inline touch(o) { assert(!freed[o]) }
inline leave(t) { open = open & ~BIT(t); waits = waits & ~BIT(t) }
inline reach(v) { if :: v != NIL -> seen = seen | BIT(v) :: else fi }
inline find_reached() {
	seen = 0;
	reach(slot[3]); reach(slot[4]); reach(slot[5]); reach(handle[0]); reach(handle[1]);
	reach(borrowed[0]); reach(borrowed[1]); reach(taking[0]); reach(taking[1]);
	if :: seen & 1 -> reach(slot[0]) :: else fi;
	if :: seen & 2 -> reach(slot[1]) :: else fi
}
inline die(o) { find_reached(); assert(!(seen & BIT(o))); seen = 0 }
inline push(q, o) {
	written[o] = written[o] & ~4; queue[o] = q;
#ifdef OVERFLOW
	if :: entry[o] = 1 :: entry[o] = 3 fi
#else
	entry[o] = 1
#endif
}
inline add_suspect(o) {
	if :: flags[o] & SUSPECT -> skip :: else -> flags[o] = flags[o] | SUSPECT; suspected[o] = 1; written[o] = written[o] | 3 fi
}
/* SUSPECT does not count when an entry's word is compared. */
inline free(o) { assert(!freed[o]); freed[o] = 1 }

proctype mutator(byte t; byte n) {
	byte c, y = NIL;
	short s;
	do
	/* cgc_store of NULL to a root, or cgc_release; a section each */
	:: atomic { n > 0 && (ANY_ROOT || handle[t] != NIL) -> n--;
			if
			:: slot[3] != NIL -> c = 3
			:: slot[4] != NIL -> c = 4
			:: slot[5] != NIL -> c = 5
			:: handle[t] != NIL -> c = 0
			fi;
			open = open | BIT(t);
			if :: c > 0 -> y = slot[c]; slot[c] = NIL :: else -> y = handle[t]; handle[t] = NIL fi;
			taking[t] = y; c = 0 };
		if
		:: y != NIL ->
			atomic { s = started };
			atomic { touch(y); stamp[y] = s; s = 0 };
			atomic { touch(y); assert(count[y] > 0); count[y]--; written[y] = written[y] | 7; c = (count[y] == 0);
				if /* one exchange, if the count was seen to be one */
				:: c && !(flags[y] & (QUEUED | DEAD)) -> flags[y] = flags[y] | QUEUED; push(t, y); c = 2
				:: true -> skip
				fi };
			atomic { if :: c < 2 -> touch(y) :: else fi;
				if
				:: c == 2 -> skip
				:: c == 1 && count[y] == 0 && !(flags[y] & (QUEUED | DEAD)) -> flags[y] = flags[y] | QUEUED; written[y] = written[y] | 3; push(t, y)
				:: !c -> add_suspect(y)
				:: else
				fi; c = 0 }
		:: else
		fi;
		atomic { y = NIL; taking[t] = NIL; if :: borrowed[t] == NIL -> leave(t) :: else fi }
	/* cgc_read_lock, cgc_borrow of a root; of a field; cgc_retain; cgc_read_unlock */
	:: atomic { n > 0 && borrowed[t] == NIL && ANY_ROOT -> n--;
			if :: slot[3] != NIL -> c = 3 :: slot[4] != NIL -> c = 4 :: slot[5] != NIL -> c = 5 fi;
			open = open | BIT(t); borrowed[t] = slot[c]; assert(!(flags[slot[c]] & DEAD)); c = 0 }
	:: atomic { borrowed[t] < CHILD && slot[borrowed[t]] != NIL -> touch(borrowed[t]); borrowed[t] = slot[borrowed[t]]; assert(!(flags[CHILD] & DEAD)) }
	:: atomic { n > 0 && borrowed[t] != NIL && handle[t] == NIL -> n--; y = borrowed[t]; touch(y); count[y]++; written[y] = written[y] | 7; handle[t] = y; y = NIL }
	:: atomic { borrowed[t] != NIL -> touch(borrowed[t]); borrowed[t] = NIL; leave(t) }
	:: atomic { borrowed[t] == NIL && (n == 0 || !(ANY_ROOT || handle[t] != NIL)) -> ended++; n = 0 }; break
	od
}

inline give_back(q, o) {
	atomic { touch(o);
#ifndef CHECK_OUTSIDE
		open = open | BIT(2 + q);
#endif
		is_open = window_open };
#ifdef NO_MEMORY_KEPT
	is_open = 0;
#endif
	atomic {
		if
		:: is_open -> push(q, o)
		:: else -> touch(o); is_suspect = ((flags[o] & SUSPECT) != 0)
		fi };
	atomic {
		if
		:: is_open -> skip
#ifdef FREE_SUSPECT
		:: !is_open -> free(o)
#else
		:: !is_open && !is_suspect -> assert(!(flags[o] & SUSPECT)); free(o)
		:: !is_open && is_suspect -> touch(o); flags[o] = flags[o] | GONE; written[o] = written[o] | 7;
			if :: flags[o] & SUSPECT -> skip :: else -> free(o) fi
#endif
		fi;
		is_suspect = 0;
		is_open = 0; leave(2 + q) }
}
/* drop_published_child() */
inline drop_child(q, o) {
	atomic { if :: slot[o] != NIL -> y = CHILD :: else fi; slot[o] = NIL };
	if
	:: y != NIL ->
#ifdef SPLIT_DROP
		atomic { touch(y); count[y]--; written[y] = written[y] | 7; old = (count[y] == 0) };
		atomic { touch(y);
			if
			:: old && !(flags[y] & (QUEUED | DEAD)) -> flags[y] = flags[y] | QUEUED; written[y] = written[y] | 3; push(q, y)
			:: !old -> add_suspect(y)
			:: else
			fi; y = NIL; old = 0 }
#else
		do
		::
#ifdef STAMP_FIRST
			atomic { touch(y); old = (done - stamp[y] >= AGE) };
			atomic { touch(y); written[y] = written[y] & ~BIT(q) };
#else
			atomic { touch(y); written[y] = written[y] & ~BIT(q); old = 0 };
			/* Read first, so that a later number of grace periods done does not make it old. */
			atomic { touch(y); s = stamp[y] };
			atomic { old = (done - s >= AGE); s = 0 };
#endif
#ifdef STAMP_IGNORED
			old = 1;
#endif
			atomic {
				if
				:: written[y] & BIT(q) -> skip
				:: else ->
					touch(y); assert(count[y] > 0); count[y]--; written[y] = written[y] | 7;
					if
					:: flags[y] & DEAD -> y = NIL
					:: !(flags[y] & (DEAD | QUEUED)) && count[y] == 0 && old -> die(y); flags[y] = flags[y] | DEAD; dead_child = 1; y = NIL
					:: !(flags[y] & (DEAD | QUEUED)) && count[y] == 0 && !old -> flags[y] = flags[y] | QUEUED; push(q, y); y = NIL
					:: !(flags[y] & (DEAD | QUEUED)) && count[y] > 0 -> add_suspect(y); y = NIL
					:: (flags[y] & QUEUED) && !(flags[y] & DEAD) -> y = NIL
					fi
				fi };
			if :: y == NIL -> break :: else fi
		od;
		old = 0
#endif
	:: else
	fi;
	if
	:: dead_child -> atomic { dead_child = 0; destroyed[CHILD] = 1 }; give_back(q, CHILD)
	:: else
	fi
}
#ifdef COUNT_IGNORED
#define IS_ZERO(o) 1
#else
#define IS_ZERO(o) (count[o] == 0)
#endif
#ifdef NOT_COMPARED
#define SAME(o) 1
#else
#define SAME(o) (!(written[o] & 4))
#endif
inline settle(q, o) {
	atomic { touch(o); entry[o] = 0 };
	if
	:: atomic { destroyed[o] -> skip }; give_back(q, o)
	:: atomic { !destroyed[o] && SAME(o) && IS_ZERO(o) -> die(o); flags[o] = (flags[o] | DEAD) & ~QUEUED; written[o] = written[o] | 3 };
		if :: o < CHILD -> drop_child(q, o) :: else fi;
		atomic { destroyed[o] = 1 };
		give_back(q, o)
	:: atomic { !destroyed[o] && !(SAME(o) && IS_ZERO(o)) -> /* look_again() */
			if
			:: count[o] == 0 -> push(q, o)
			:: else -> flags[o] = flags[o] & ~QUEUED; written[o] = written[o] | 7; add_suspect(o)
			fi }
	fi
}
#define WAITS(o, q, kind) (entry[o] == kind && queue[o] == q)
proctype settler(byte q) {
	byte o, y = NIL;
	short epoch, s;
	bool old, is_open, is_suspect, dead_child;
end:	do
	:: atomic { WAITS(0, q, 1) || WAITS(1, q, 1) || WAITS(2, q, 1) ->
			for (o : 0 .. 2) { if :: WAITS(o, q, 1) -> entry[o] = 2 :: else fi }
			o = 0; busy++ };
		atomic { epoch = started + 1 };
#ifndef NO_ZERO_GRACE
endgrace:	atomic { epoch <= done };
#endif
		atomic { epoch = 0 };
		do
		:: o < 3 -> if :: WAITS(o, q, 2) -> settle(q, o) :: else fi; o++
		:: else -> break
		od;
		atomic { o = 0; busy-- }
	od
}

/* Tries in vain, if any, and whoever ends it. */
inline grace() {
	atomic { started++; number = started };
	atomic { waits = open };
	do
	:: atomic { waits == 0 -> break }
#ifdef TRIES
	:: atomic { waits != 0 && started - done <= TRIES ->
#ifdef ABANDON
			started++; number = started;
#endif
			waits = open }
#endif
	od;
	atomic { done = number; number = 0 }
}
#define ANY_SUSPECT (suspected[0] || suspected[1] || suspected[2])
#define ANY_ENTRY (entry[0] || entry[1] || entry[2])
proctype background() {
	short number;
	byte o, suspects, windows;
end:	do
	:: started < GRACES -> grace()
#ifdef OVERFLOW
	:: atomic { entry[0] == 3 || entry[1] == 3 || entry[2] == 3 ->
			for (o : 0 .. 2) { if :: entry[o] == 3 -> entry[o] = 1; queue[o] = 0; written[o] = written[o] & ~4 :: else fi }; o = 0 }
#endif
#ifdef WINDOW
	:: atomic { ANY_SUSPECT && windows == 0 && started + 2 <= GRACES + 2 -> windows++; window_open = 1 };
		grace();
		atomic {
			for (o : 0 .. 2) {
				if
				:: suspected[o] -> touch(o); suspected[o] = 0; flags[o] = flags[o] & ~SUSPECT; written[o] = written[o] | 3;
					if
					:: flags[o] & GONE -> free(o)
					:: !(flags[o] & (GONE | DEAD)) -> suspects = suspects | BIT(o)
					:: else
					fi
				:: else
				fi
			}
			o = 0 };
		grace();
		atomic { for (o : 0 .. 2) { if :: suspects & BIT(o) -> touch(o) :: else fi }; o = 0 };
		atomic { for (o : 0 .. 2) { if :: suspects & BIT(o) -> touch(o) :: else fi }; o = 0; suspects = 0; window_open = 0 }
#endif
	:: atomic { ended == 2 && !ANY_ENTRY && busy == 0 && !window_open ->
			find_reached();
			for (o : 0 .. 2) { assert(freed[o] || (seen & BIT(o)) || (flags[o] & (GONE | SUSPECT)) == (GONE | SUSPECT)) };
			o = 0; seen = 0 }; break
	od
}
init {
	atomic {
		slot[0] = CHILD; slot[1] = CHILD; slot[3] = 0; slot[4] = 1;
		count[0] = 1; count[1] = 1; count[2] = 2;
#ifdef ONE_PARENT
		slot[1] = NIL; slot[4] = NIL; count[1] = 0; freed[1] = 1; count[2] = 1;
#endif
#ifdef CHILD_ROOT
		slot[5] = CHILD; count[2]++;
#ifdef CHILD_ROOTS
		slot[4] = CHILD; count[2]++;
#endif
#endif
		run background(); run settler(0); run settler(1); run mutator(0, OPS); run mutator(1, OPS1)
	}
}
