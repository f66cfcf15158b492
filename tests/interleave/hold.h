/* SPDX-License-Identifier: MIT
 *
 * How a test plays one interleaving: threads with a role each, that do what the test asks one step at a time,
 * and stop at named points of the library (src/pause.h) until the test lets them go.
 *
 *     hold_at(ROLE_A, "slot.exchange_swapped", 1);    the next time A passes there, it stops
 *     ask(ROLE_A, take_root, 0);                      A begins, the test goes on
 *     wait_held(ROLE_A);                              A stands there
 *     ...                                             others run
 *     let_go(ROLE_A); done(ROLE_A);                   A goes on, and has ended its step
 *
 * The thread that runs the tests is the director. A thread without a role is the library's background thread.
 * Nothing here waits for a time to pass, but for two things: a wait that lasts so long that the test must be
 * hung ends it, and assert_stays_out() gives a thread a moment for what it must not do: a library that is right
 * passes however long that moment is.
 *
 * Never hold a thread where it has a lock that the others need. A thread held in a read section holds up every
 * grace period.
 */
#ifndef TESTS_INTERLEAVE_HOLD_H
#define TESTS_INTERLEAVE_HOLD_H

#include <errno.h>
#include <string.h>
#include <time.h>

#include "../node.h"
#include "grace.h"
#include "pause.h"

#ifndef HUNG_SECONDS
#define HUNG_SECONDS 60
#endif
#define MOMENT_NS 30000000

enum role { ROLE_DETECTOR, ROLE_DIRECTOR, ROLE_A, ROLE_B, ROLE_C, ROLES };
static const char *const role_names[ROLES] = {"detector", "director", "A", "B", "C"};
static _Thread_local enum role my_role;

static struct part {
	_Atomic(const char *) point; /* where it is to stop; written under the lock */
	/* Of roles with a thread of the test's: */
	pthread_t thread;
	void (*action)(int); /* what it is doing; NULL: nothing */
	int argument;
	/* Of all: */
	unsigned passages; /* the one at which it stops */
	bool is_held;
	bool is_there, is_dismissed; /* its thread */
} parts[ROLES];
static pthread_mutex_t stage = PTHREAD_MUTEX_INITIALIZER; /* guards all parts */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void hold_handler(const char *point)
{
	struct part *part = &parts[my_role];
	/* Looked at without the lock, or ThreadSanitizer would take every point for an order between threads. */
	const char *wanted = atomic_load_explicit(&part->point, memory_order_relaxed);
	if (wanted == NULL || strcmp(wanted, point) != 0)
		return;
	pthread_mutex_lock(&stage);
	wanted = atomic_load_explicit(&part->point, memory_order_relaxed);
	if (wanted != NULL && strcmp(wanted, point) == 0 && --part->passages == 0) {
		atomic_store_explicit(&part->point, NULL, memory_order_relaxed);
		part->is_held = true;
		pthread_cond_broadcast(&changed);
		while (part->is_held)
			pthread_cond_wait(&changed, &stage);
	}
	pthread_mutex_unlock(&stage);
}

/* Stage locked. False when that time is over. */
static bool wait_changed(uint64_t nanoseconds, struct timespec *until)
{
	if (until->tv_sec == 0) {
		clock_gettime(CLOCK_REALTIME, until);
		nanoseconds += (uint64_t)until->tv_nsec;
		until->tv_sec += (time_t)(nanoseconds / 1000000000u);
		until->tv_nsec = (long)(nanoseconds % 1000000000u);
	}
	return pthread_cond_timedwait(&changed, &stage, until) != ETIMEDOUT;
}

static _Noreturn void hung(enum role who, const char *what)
{
	fprintf(stderr, "hung: %s %s", role_names[who], what);
	for (int i = 0; i < ROLES; i++) {
		const char *point = atomic_load_explicit(&parts[i].point, memory_order_relaxed);
		fprintf(stderr, "; %s: %s%s%s", role_names[i], parts[i].is_held ? "held" : "",
		        point != NULL ? " to stop at " : "", point != NULL ? point : "");
	}
	fprintf(stderr, "\n");
	abort();
}

UNUSED static void hold_at(enum role who, const char *point, unsigned nth)
{
	pthread_mutex_lock(&stage);
	parts[who].passages = nth;
	atomic_store_explicit(&parts[who].point, point, memory_order_relaxed);
	pthread_mutex_unlock(&stage);
}

UNUSED static void wait_held(enum role who)
{
	struct timespec until = {0};
	pthread_mutex_lock(&stage);
	while (!parts[who].is_held)
		if (!wait_changed(HUNG_SECONDS * UINT64_C(1000000000), &until))
			hung(who, "does not get where it is to stop");
	pthread_mutex_unlock(&stage);
}

/* Goes on, or never stops. */
UNUSED static void let_go(enum role who)
{
	pthread_mutex_lock(&stage);
	parts[who].is_held = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&stage);
}

UNUSED static void never_mind(enum role who)
{
	pthread_mutex_lock(&stage);
	atomic_store_explicit(&parts[who].point, NULL, memory_order_relaxed);
	pthread_mutex_unlock(&stage);
}

/* From where it is held to the next such point. */
UNUSED static void go_to(enum role who, const char *point)
{
	hold_at(who, point, 1);
	let_go(who);
	wait_held(who);
}

/* It must not get where hold_at() has said, as long as others do not move. */
UNUSED static void assert_stays_out(enum role who)
{
	struct timespec until = {0};
	pthread_mutex_lock(&stage);
	while (!parts[who].is_held && wait_changed(MOMENT_NS, &until))
		;
	bool is_held = parts[who].is_held;
	pthread_mutex_unlock(&stage);
	if (is_held)
		fail_msg("the %s must not get there yet", role_names[who]);
}

/* From where it is held on; that point it must not reach. */
UNUSED static void assert_cannot_go_to(enum role who, const char *point)
{
	hold_at(who, point, 1);
	let_go(who);
	assert_stays_out(who);
}

/* ---------------------------------------------------------------------------------------------
 * Threads with a role
 * ------------------------------------------------------------------------------------------- */

static void *play(void *argument)
{
	my_role = (enum role)(intptr_t)argument;
	struct part *part = &parts[my_role];
	pthread_mutex_lock(&stage);
	for (;;) {
		while (part->action == NULL && !part->is_dismissed)
			pthread_cond_wait(&changed, &stage);
		if (part->action == NULL)
			break;
		pthread_mutex_unlock(&stage);
		part->action(part->argument);
		pthread_mutex_lock(&stage);
		part->action = NULL;
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&stage);
	while (cgc__grace_in_section()) /* of a test that has failed */
		cgc_read_unlock();
	return NULL;
}

/* It begins, in a thread that lives until it is dismissed. */
UNUSED static void ask(enum role who, void (*action)(int), int argument)
{
	struct part *part = &parts[who];
	pthread_mutex_lock(&stage);
	MUST(part->action == NULL && !part->is_dismissed);
	part->action = action;
	part->argument = argument;
	if (!part->is_there) {
		part->is_there = true;
		part->thread = thread_start(play, (void *)(intptr_t)who);
	}
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&stage);
}

/* Waits until it has ended what it was asked. */
UNUSED static void done(enum role who)
{
	struct timespec until = {0};
	pthread_mutex_lock(&stage);
	while (parts[who].action != NULL)
		if (!wait_changed(HUNG_SECONDS * UINT64_C(1000000000), &until))
			hung(who, "does not end its step");
	pthread_mutex_unlock(&stage);
}

UNUSED static void act(enum role who, void (*action)(int), int argument)
{
	ask(who, action, argument);
	done(who);
}

/* Its thread begins to end. */
UNUSED static void dismiss(enum role who)
{
	pthread_mutex_lock(&stage);
	parts[who].is_dismissed = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&stage);
}

/* Its thread has ended; the next step asked of this role has a new one. */
UNUSED static void see_off(enum role who)
{
	if (parts[who].is_there)
		thread_join(parts[who].thread);
	parts[who].is_there = parts[who].is_dismissed = false;
}

/* ---------------------------------------------------------------------------------------------
 * What they do, with things by number
 * ------------------------------------------------------------------------------------------- */

#define THINGS 8
static node_ref root[THINGS];         /* any thread may use them */
static struct node *handle[THINGS];   /* owned */
static struct node *borrowed[THINGS]; /* by who has entered a section */
static struct cgc_weak *weak[THINGS];
static long collected[ROLES]; /* by whom */

UNUSED static void make_owned(int i)
{
	handle[i] = make(i);
	cgc_publish(handle[i]);
}

UNUSED static void enter(UNUSED int unused)
{
	cgc_read_lock();
}

UNUSED static void leave(UNUSED int unused)
{
	cgc_read_unlock();
}

/* Enters too. */
UNUSED static void borrow_root(int i)
{
	cgc_read_lock();
	borrowed[i] = cgc_borrow(&root[i]);
}

UNUSED static void retain_borrowed(int i)
{
	handle[i] = cgc_retain(borrowed[i]);
}

UNUSED static void release_handle(int i)
{
	struct node *node = handle[i];
	handle[i] = NULL;
	cgc_release(node);
}

UNUSED static void load_root(int i)
{
	handle[i] = cgc_load(CGC_ROOT, &root[i]);
}

UNUSED static void take_root(int i)
{
	handle[i] = cgc_exchange(CGC_ROOT, &root[i], NULL);
}

UNUSED static void clear_root(int i)
{
	cgc_store(CGC_ROOT, &root[i], NULL);
}

/* The handle stays. */
UNUSED static void store_root(int i)
{
	cgc_store(CGC_ROOT, &root[i], handle[i]);
}

UNUSED static void put_root(int i)
{
	cgc_store_consume(CGC_ROOT, &root[i], handle[i]);
	handle[i] = NULL;
}

UNUSED static void upgrade(int i)
{
	handle[i] = cgc_weak_load(weak[i]);
}

UNUSED static void collect(int generation)
{
	collected[my_role] = cgc_collect(generation);
}

/* A slow path that does nothing but settle what waits in the caller's own queue. */
UNUSED static void settle_own(UNUSED int unused)
{
	cgc_store(CGC_ROOT, &root[THINGS - 1], NULL);
}

/* ---------------------------------------------------------------------------------------------
 * The detector
 * ------------------------------------------------------------------------------------------- */

/* From right after one grace period to right after the next: whatever had been queued before this call has
 * waited long enough, and nobody has settled it yet. */
UNUSED static void pass_grace(void)
{
	go_to(ROLE_DETECTOR, "collector.round_waited");
}

/* The detector stands right after a grace period, in no section and with no lock. What it has waited for is a
 * decoy in the director's queue, which is settled by the next step of either. */
UNUSED static void park_detector(void)
{
	struct leaf *decoy = cgc_new(&leaf_type);
	hold_at(ROLE_DETECTOR, "collector.round_waited", 1);
	cgc_publish(decoy);
	cgc_release(decoy);
	cgc__collector_wake();
	wait_held(ROLE_DETECTOR);
	/* If both were at that queue at the same time, the decoy waits for one grace period more. */
	while (cgc__self->pending_sealed != atomic_load(&cgc__self->pending.pushed) ||
	       cgc__self->pending_epoch > atomic_load(&cgc__grace_done))
		pass_grace();
}

/* It runs, and goes through all it does without being asked, at least once. Nothing may be waiting for a grace
 * period that cannot end. */
UNUSED static void pass_round(void)
{
	/* Passed once for each context in every round. */
	hold_at(ROLE_DETECTOR, "remote.returned_taken", 2 * cgc__heap.context_count + 1);
	cgc__collector_wake();
	wait_held(ROLE_DETECTOR);
	let_go(ROLE_DETECTOR);
}

/* A look at all, for C; it stops at that point. */
UNUSED static void look_until(const char *point, unsigned nth)
{
	hold_at(ROLE_DETECTOR, point, nth);
	ask(ROLE_C, collect, 2);
	wait_held(ROLE_DETECTOR);
}

UNUSED static void end_look(void)
{
	let_go(ROLE_DETECTOR);
	done(ROLE_C);
}

/* A look from the suspects that there are; it stops at that point. Only with eager=1,suspects=1. */
UNUSED static void look_at_suspects_until(const char *point, unsigned nth)
{
	hold_at(ROLE_DETECTOR, point, nth);
	cgc_enable();
	cgc__collector_wake();
	wait_held(ROLE_DETECTOR);
	cgc_disable();
}

/* Waits until so many are destroyed, by the detector's own looks: nobody asks for one. */
UNUSED static void wait_destroyed(int number)
{
	struct timespec now, began;
	clock_gettime(CLOCK_MONOTONIC, &began);
	cgc_enable();
	while (count_of(&destroyed) < number) {
		cgc__collector_wake();
		sched_yield();
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - began.tv_sec > HUNG_SECONDS)
			fail_msg("%d objects destroyed, not %d", count_of(&destroyed), number);
	}
	cgc_disable();
}

/* ---------------------------------------------------------------------------------------------
 * Fixture
 * ------------------------------------------------------------------------------------------- */

static uint64_t found_before;

UNUSED static int open_stage(void **state)
{
	(void)state;
	my_role = ROLE_DIRECTOR;
	for (int i = 0; i < THINGS; i++) {
		handle[i] = borrowed[i] = NULL;
		weak[i] = NULL;
	}
	cgc__pause_handle(hold_handler);
	int error = start_with("enable=0,poison=1,eager=1,suspects=1,pending=1");
	found_before = stats_now().objects_freed_by_detector;
	return error;
}

UNUSED static int close_stage(void **state)
{
	for (enum role who = ROLE_DETECTOR; who < ROLES; who++) {
		never_mind(who);
		let_go(who);
	}
	for (enum role who = ROLE_A; who < ROLES; who++) {
		if (!parts[who].is_there)
			continue;
		dismiss(who);
		see_off(who);
	}
	cgc__pause_handle(NULL);
	for (int i = 0; i < THINGS; i++)
		cgc_weak_free(weak[i]);
	return teardown(state);
}

/* At the end of every scene: nothing is left, and so many were destroyed and finalized. */
UNUSED static void assert_ended(int destructions, int finalizations)
{
	settle();
	assert_int_equal(live(), 0);
	assert_int_equal(count_of(&destroyed), destructions);
	assert_int_equal(count_of(&finalized), finalizations);
}

/* The same, and no look of the detector's was needed: nobody has lost sight of a count of zero. */
UNUSED static void assert_ended_by_count(int destructions, int finalizations)
{
	assert_ended(destructions, finalizations);
	assert_int_equal(stats_now().objects_freed_by_detector - found_before, 0);
}

UNUSED static void assert_intact(const struct node *node, int id)
{
	assert_non_null(node);
	assert_true(node->magic == NODE_MAGIC);
	assert_int_equal(node->id, id);
}

#define SCENE(function) cmocka_unit_test_setup_teardown(function, open_stage, close_stage)

#endif
