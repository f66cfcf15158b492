/* SPDX-License-Identifier: MIT
 *
 * Brief sections: a number that is odd inside, which a grace period waits for, or looks at, after its own barrier.
 *
 * Stands for: cgc__grace_enter_brief(), cgc__grace_leave_brief(), cgc__grace_wait(), cgc__grace_try() of src/grace.[hc],
 * where `reading` of the program's sections is read as the number is; and what relies on
 * them: a look at the bias and a store to local by the owner, who is revoked meanwhile.
 *
 * Stores wait in a buffer and become visible at any time, before older ones of other words too, as on ARMv8; a release
 * only after all older ones. Loads of the bias may thus come before the number is seen to be odd; a barrier of the
 * background thread (membarrier, the end of liburcu's grace period) empties the buffer. Abstracted: liburcu's own part of
 * the grace period is that barrier; one owner, one object, so the loop over contexts is not there; the number has room
 * for all sections (a wrap to the same odd number would need 2^31 of them during one look).
 *
 * Safety: after the grace period the owner stores to local no more, and all it stored is seen.
 *
 * HOLDS: -DOPS=3 : three sections
 * HOLDS: -DOPS=5 : five sections
 * HOLDS: -DOPS=5 -DTRY : five sections, and a grace period that is tried, in vain at first, until no section is open
 * DEEP: -DOPS=12 : twelve sections
 * BREAKS: -DOPS=2 -DNO_BARRIER : the number is looked at without a barrier; its store waits in the buffer
 * BREAKS: -DOPS=2 -DLOOK_FIRST : the number is looked at before the barrier
 * BREAKS: -DOPS=2 -DRELAXED_LEAVE : the number is even again before local is seen
 * BREAKS: -DOPS=2 -DBIAS_FIRST : the bias is looked at before the section begins
 * BREAKS: -DOPS=2 -DNO_WAIT : an odd number is not waited for
 * BREAKS: -DOPS=2 -DTRY -DONE_TRY : a try in vain passes for a grace period
 * BREAKS: -DOPS=2 -DTRY -DNO_BARRIER : a try without a barrier
 * BREAKS: -DOPS=2 -DNESTED : a section in a section: the number is even inside
 */
#ifndef OPS
#define OPS 3
#endif
#define DEPTH 6

#ifdef RELAXED_LEAVE
#define LEAVE_ORDER false
#else
#define LEAVE_ORDER true
#endif

/* The words of the owner. */
#define NUMBER 0
#define LOCAL 1

byte visible[2], latest[2];
byte count, word[DEPTH], value[DEPTH];
bool release[DEPTH];
bool is_biased = true;
bool over; /* the grace period */
byte seen; /* local, as the background thread found it */
hidden byte e;

inline make_visible(j) {
	visible[word[j]] = value[j];
	assert(!(over && word[j] == LOCAL));
	count--;
	for (e : j .. DEPTH - 2) {
		word[e] = word[e + 1];
		value[e] = value[e + 1];
		release[e] = release[e + 1]
	}
	word[DEPTH - 1] = 0; value[DEPTH - 1] = 0; release[DEPTH - 1] = 0;
	e = 0
}
inline write(w, v, is_release) {
	latest[w] = v;
	word[count] = w; value[count] = latest[w]; release[count] = is_release;
	count++
}
#define IS_OLDEST(j) ((j < 1 || word[0] != word[j]) && (j < 2 || word[1] != word[j]) && (j < 3 || word[2] != word[j]))

/* Any of the four oldest. */
proctype memory() {
end:	do
	:: atomic { count > 0 -> make_visible(0) }
	:: atomic { count > 1 && !release[1] && IS_OLDEST(1) -> make_visible(1) }
	:: atomic { count > 2 && !release[2] && IS_OLDEST(2) -> make_visible(2) }
	:: atomic { count > 3 && !release[3] && IS_OLDEST(3) -> make_visible(3) }
	od
}

#define HAS_ROOM (count < DEPTH)
#define ENTER atomic { HAS_ROOM -> write(NUMBER, latest[NUMBER] + 1, false) }
#define LEAVE atomic { HAS_ROOM -> write(NUMBER, latest[NUMBER] + 1, LEAVE_ORDER) }

proctype owner() {
	bool is_mine;
	byte i;
	do
	:: i < OPS ->
#ifdef BIAS_FIRST
		is_mine = is_biased;
		ENTER;
#else
		ENTER;
#ifdef NESTED
		ENTER;
#endif
		is_mine = is_biased;
#endif
		if
		:: is_mine -> atomic { HAS_ROOM -> write(LOCAL, latest[LOCAL] + 1, false) }
		:: else
		fi;
#ifdef NESTED
		LEAVE;
#endif
		LEAVE;
		is_mine = false;
		i++
	:: else -> break
	od
}

proctype revoker() {
	byte number;
	is_biased = false;
#ifdef LOOK_FIRST
	number = visible[NUMBER];
#endif
#ifndef NO_BARRIER
	atomic { do :: count > 0 -> make_visible(0) :: else -> break od };
#endif
#ifdef TRY
	do
#ifdef ONE_TRY
	:: visible[NUMBER] & 1 -> break
#else
	:: visible[NUMBER] & 1 -> skip /* in vain: somebody tries again */
#endif
	:: else -> break
	od;
	skip; /* no jump into a d_step */
#else
#ifndef LOOK_FIRST
	number = visible[NUMBER];
#endif
#ifndef NO_WAIT
	if
	:: number & 1 -> visible[NUMBER] != number
	:: else
	fi;
#endif
#endif
	d_step { over = true; seen = visible[LOCAL]; assert(seen == latest[LOCAL]) }
}

init { atomic { run memory(); run owner(); run revoker() } }
