/* SPDX-License-Identifier: MIT
 *
 * Threads that end while what they own is in every state at once, and at every step of the background thread; the
 * next thread takes their place and goes on with the objects. Nothing is lost, all is called once.
 */
#include <semaphore.h>
#include <string.h>

#include "node.h"
#include "pause.h"

static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore) != 0)
		continue;
}

/* ---------------------------------------------------------------------------------------------
 * The background thread stops at a step
 * ------------------------------------------------------------------------------------------- */

static struct {
	const char *point; /* this and the next are set while it is not armed */
	int passages;      /* before it stops */
	atomic_bool is_armed;
	sem_t attached, reached, go_on;
} stop;

static void stop_there(const char *point)
{
	/* Pairs: arm(). */
	if (!cgc__collector_is_self() || !atomic_load_explicit(&stop.is_armed, memory_order_acquire) ||
	    strcmp(point, stop.point) != 0 || stop.passages-- != 0 ||
	    /* Pairs: go_on(): one of the two. */
	    !atomic_exchange_explicit(&stop.is_armed, false, memory_order_acq_rel))
		return;
	sem_post(&stop.reached);
	wait_for(&stop.go_on);
}

/* From now on the background thread stops at the n-th passage of the point. */
static void arm(const char *point, int n)
{
	stop.point = point;
	stop.passages = n;
	/* Pairs: stop_there(). */
	atomic_store_explicit(&stop.is_armed, true, memory_order_release);
}

static void *collect_whole(UNUSED void *argument)
{
	MUST(cgc_thread_attach() == 0);
	sem_post(&stop.attached);
	MUST(cgc_collect(2) >= 0);
	sem_post(&stop.reached);
	return NULL;
}

/* True if it is stopped by now, or by a look that `*thread` asks for; false if that does not come to the point. */
static bool is_stopped(pthread_t *thread)
{
	*thread = thread_start(collect_whole, NULL);
	wait_for(&stop.attached); /* and has a place, if others end */
	wait_for(&stop.reached);
	return !atomic_load_explicit(&stop.is_armed, memory_order_acquire);
}

static void go_on(pthread_t thread)
{
	/* Pairs: stop_there(). */
	if (!atomic_exchange_explicit(&stop.is_armed, false, memory_order_acq_rel))
		sem_post(&stop.go_on);
	thread_join(thread);
	while (sem_trywait(&stop.reached) == 0)
		continue;
}

/* ---------------------------------------------------------------------------------------------
 * What a thread leaves
 * ------------------------------------------------------------------------------------------- */

enum { LEFT_OBJECTS = 24, LEFT_ACTIVE = 5, HEIRS_OBJECTS = 4 };

static struct {
	struct node *young, *elder, *biased, *negative; /* handles */
	node_ref merged, ring, moved;                   /* roots */
	struct cgc_weak *of_biased, *of_zero, *of_garbage;
	uint32_t bias; /* of the thread's private objects: who it is */
	sem_t made, released, over;
} left;

static void *own_everything(UNUSED void *argument)
{
	/* Others owe it counts: they release two of three handles. */
	left.negative = make(1);
	cgc_publish(left.negative);
	cgc_retain(left.negative);
	cgc_retain(left.negative);
	sem_post(&left.made);
	wait_for(&left.released);
	/* Private: of generation 1, and 0. */
	left.elder = make_ring(2);
	cgc_store_consume(left.elder, &left.elder->slot[1], make_chain(3));
	cgc_collect(0);
	left.young = make_chain(3);
	/* Private garbage, with finalizers, of both generations. */
	struct node *ring = make_ring_of(&active_type, 2);
	cgc_store_consume(ring, &ring->slot[1], make(2));
	cgc_release(ring);
	/* Published: biased, with a weak reference; merged; at zero, with a weak reference. */
	left.biased = make(3);
	cgc_publish(left.biased);
	cgc_retain(left.biased);
	left.of_biased = cgc_weak_new(left.biased, count_callback, NULL);
	cgc_store_consume(CGC_ROOT, &left.merged, make_chain(2));
	struct node *zero = make(4);
	left.of_zero = cgc_weak_new(zero, count_callback, NULL);
	cgc_store_consume(zero, &zero->slot[0], make(5));
	cgc_release(zero);
	/* Suspect: a ring that a root still holds; and one that nothing holds but for weak references. */
	ring = make_ring(3);
	cgc_store(CGC_ROOT, &left.ring, ring);
	cgc_release(ring);
	ring = make_ring_of(&active_type, 3);
	cgc_store_consume(ring, &ring->slot[2], make(6));
	left.of_garbage = cgc_weak_new(ring, count_callback, NULL);
	cgc_release(ring);
	left.bias = cgc__private_bias;
	sem_post(&left.made);
	wait_for(&left.over);
	return NULL;
}

static void release_handles(void)
{
	cgc_release(left.young);
	cgc_release(left.elder);
	cgc_release(left.biased);
	cgc_release(left.biased);
	cgc_release(left.negative);
}

/* The thread that takes the place of the one that ended. */
struct heir {
	bool releases;
	bool is_next; /* nobody else can have taken the place */
};

static void *inherit(void *argument)
{
	const struct heir *heir = argument;
	struct node *handles[] = {left.young, left.elder, left.biased, left.negative};
	MUST(cgc_thread_attach() == 0);
	MUST(!heir->is_next || cgc__private_bias == left.bias);
	for (int i = 0; i < 4; i++) {
		node_check(handles[i]);
		MUST(cgc_generation(handles[i]) == 2);
		cgc_retain(handles[i]);
		cgc_retain(handles[i]);
		cgc_release(handles[i]);
	}
	cgc_store(left.elder, &left.elder->slot[2], left.young);
	cgc_store(left.young, &left.young->slot[2], left.elder);
	for (int i = 0; i < 4; i++)
		cgc_release(handles[i]);
	struct node *node = cgc_load(CGC_ROOT, &left.merged);
	node_check(node);
	node_check(peek(node, 0));
	cgc_release(node);
	node = cgc_exchange(CGC_ROOT, &left.ring, NULL);
	node_check(node);
	cgc_store_consume(CGC_ROOT, &left.moved, node);
	MUST(is_alive(left.of_biased));
	/* Alive still, or again, or dead: but if it is there it is whole. */
	struct cgc_weak *others[] = {left.of_zero, left.of_garbage};
	for (int i = 0; i < 2; i++) {
		node = cgc_weak_load(others[i]);
		if (node != NULL)
			node_check(node);
		if (node != NULL && peek(node, 0) != NULL)
			node_check(peek(node, 0));
		cgc_release(node);
	}
	struct node *ring = make_ring(2);
	cgc_publish(ring);
	cgc_release(ring);
	cgc_release(make_ring(2));
	if (heir->releases)
		release_handles();
	cgc_collect(1);
	return NULL;
}

/* One thread makes it all and ends, the next goes on, while the background thread stands still at the n-th passage of a
 * point. False if it did not come to it. */
static bool leave_and_inherit_at(const char *point, int n, bool heir_releases)
{
	pthread_t collecting;
	count_clear(&destroyed);
	count_clear(&finalized);
	count_clear(&called_back);
	/* Armed now: what comes to the point while things are made stays in that state. */
	arm(point, n);
	pthread_t owner = thread_start(own_everything, NULL);
	wait_for(&left.made);
	cgc_release(left.negative);
	cgc_release(left.negative);
	sem_post(&left.released);
	wait_for(&left.made);
	bool stopped = is_stopped(&collecting);
	struct heir heir = {heir_releases, stopped};
	sem_post(&left.over);
	thread_join(owner);
	in_thread(inherit, &heir);
	go_on(collecting);
	if (!heir_releases)
		release_handles();
	cgc_store(CGC_ROOT, &left.merged, NULL);
	cgc_store(CGC_ROOT, &left.ring, NULL);
	cgc_store(CGC_ROOT, &left.moved, NULL);
	settle();
	if (live() != 0)
		fail_msg("%d objects live after a thread ended at %s, passage %d", (int)live(), point, n);
	assert_int_equal(count_of(&destroyed), LEFT_OBJECTS + HEIRS_OBJECTS);
	assert_int_equal(count_of(&finalized), LEFT_ACTIVE);
	assert_int_equal(count_of(&called_back), 3);
	cgc_weak_free(left.of_biased);
	cgc_weak_free(left.of_zero);
	cgc_weak_free(left.of_garbage);
	return stopped;
}

static void leave_and_inherit_at_each(const char *const *points, size_t count)
{
	assert_int_equal(cgc_stop(), live_before);
	assert_int_equal(start_with("enable=0,poison=1,yield=1000000000"), 0);
	cgc__pause_handle(stop_there);
	for (size_t i = 0; i < count; i++)
		for (int variant = 0; variant < 2; variant++) {
			if (!leave_and_inherit_at(points[i], 0, variant))
				fail_msg("no look comes to %s", points[i]);
			/* Later passages there may be or not. */
			for (int n = 1; n < (IS_SANITIZED ? 10 : 40); n += 1 + n / 2)
				if (!leave_and_inherit_at(points[i], n, variant))
					break;
		}
	cgc__pause_handle(NULL);
}

#define AT_EACH(...)                                                                   \
	do {                                                                           \
		static const char *const points[] = {__VA_ARGS__};                     \
		leave_and_inherit_at_each(points, sizeof(points) / sizeof(points[0])); \
	} while (0)

static void a_thread_may_end_while_its_queues_are_settled(UNUSED void **state)
{
	AT_EACH("pending.taken", "pending.seal_due", "pending.zero_due", "pending.zero_dead", "pending.revoked",
	        "pending.revoke_raised", "pending.again_due", "pending.again_cleared", "grace.numbered",
	        "grace.over");
}

static void a_thread_may_end_while_a_window_is_open(UNUSED void **state)
{
	AT_EACH("window.opened", "window.memory_kept", "window.suspect_taken", "window.suspects_taken",
	        "window.copy_due", "window.local_read", "window.words_read", "window.all_words_read",
	        "window.slot_read", "window.edge_read");
}

static void a_thread_may_end_while_its_objects_are_condemned(UNUSED void **state)
{
	AT_EACH("verdict.condemned", "verdict.second_look_due", "verdict.commit_due", "verdict.committed",
	        "verdict.weak_detached", "verdict.dead_all", "verdict.finalized", "window.close_due");
}

static void a_thread_may_end_while_its_objects_are_destroyed(UNUSED void **state)
{
	AT_EACH("verdict.dead_marked", "reclaim.weak_cleared", "reclaim.child_unlinked", "reclaim.child_due",
	        "reclaim.child_dropped", "reclaim.give_back_due", "reclaim.gone", "remote.given");
}

/* ---------------------------------------------------------------------------------------------
 * Places
 * ------------------------------------------------------------------------------------------- */

static void *note_place(void *argument)
{
	uint32_t *bias = argument;
	struct node *node = make_ring(2);
	cgc_publish(node);
	*bias = cgc__private_bias;
	return node;
}

/* What the predecessor counted, the heir counts on in the same place. */
static void a_place_is_taken_by_the_next_thread_a_thousand_times(UNUSED void **state)
{
	enum { TIMES = 1000 };
	uint32_t first, next;
	cgc_thread_attach();
	struct node *node = in_thread(note_place, &first), *last = node;
	for (int i = 1; i < TIMES; i++) {
		node = in_thread(note_place, &next);
		assert_int_equal(next, first);
		cgc_store_consume(node, &node->slot[1], last);
		last = node;
	}
	assert_int_equal(cgc_collect(2), 0);
	cgc_release(last);
	settle();
	assert_int_equal(live(), 0);
	assert_int_equal(count_of(&destroyed), 2 * TIMES);
}

int main(void)
{
	sem_t *const semaphores[] = {&stop.attached, &stop.reached,  &stop.go_on,
	                             &left.made,     &left.released, &left.over};
	for (int i = 0; i < 6; i++)
		MUST(sem_init(semaphores[i], 0, 0) == 0);
	const struct CMUnitTest tests[] = {
		TEST(a_thread_may_end_while_its_queues_are_settled),
		TEST(a_thread_may_end_while_a_window_is_open),
		TEST(a_thread_may_end_while_its_objects_are_condemned),
		TEST(a_thread_may_end_while_its_objects_are_destroyed),
		TEST(a_place_is_taken_by_the_next_thread_a_thousand_times),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
